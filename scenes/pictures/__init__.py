"""Picture files, between disk and numpy."""
