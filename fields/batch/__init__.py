"""Whole folders of signals fitted at once."""
