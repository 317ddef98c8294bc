"""The exception for input that the user can correct."""


class BadInput(ValueError):
    """Input that cannot be used. The message is one line: what is wrong, where, and what would help."""
