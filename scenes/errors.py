"""The one exception for input that a person can put right."""


class BadInput(ValueError):
    """Something the user gave cannot be used; the message says what, where, and what would do.

    The command line prints it as one line and exits with status 2.
    """
