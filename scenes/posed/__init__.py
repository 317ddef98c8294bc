"""Photographs whose cameras are known: the files that say so, and what they say."""
