"""Readers of shape files: one module a format, each with `read(path)`, which returns a `Mesh` or a `Cloud`."""
