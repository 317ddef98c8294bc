"""Meshes and points → files, whole or not at all: one file a format."""
