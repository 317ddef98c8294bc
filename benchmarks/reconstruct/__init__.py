"""Photographs in, an asset out: rendered scenes with a truth, a scorer that reads the written file, and peers."""
