"""Fits of one signal by several methods, side by side; for the command line and the studio."""
