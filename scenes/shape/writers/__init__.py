"""Writers of meshes and points, one module for each format. A file is written completely or not at all."""
