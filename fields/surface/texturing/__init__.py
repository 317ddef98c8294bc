"""Textures and vertex colors of a mesh from the photographs that its scene was reconstructed from."""
