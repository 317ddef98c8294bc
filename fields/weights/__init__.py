"""Fields as data: many fitted fields of one layout in a folder, and their planes as images that networks read."""
