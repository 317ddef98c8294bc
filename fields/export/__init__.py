"""Write fields to files that other programs open. `fields.export.formats.export` is the entry point."""
