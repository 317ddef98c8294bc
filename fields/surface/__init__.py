"""Surfaces of fields: extraction as meshes, points on them, textures, Gaussians, and how exact they are."""
