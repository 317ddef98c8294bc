"""Checks of trust that take long: what the program does with files that are broken on purpose."""
