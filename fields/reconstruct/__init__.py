"""Photographs to a mesh with a texture: poses, fit, surface, simplification, charts, texture, file, report."""
