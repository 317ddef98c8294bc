"""What a reconstruction reports while it works."""

from __future__ import annotations


class Reports:
    """Reports of a reconstruction. This class ignores them; the command line and the studio show them."""

    def begin(self, stage: str, seconds: float) -> None:
        """A stage begins that may take so many seconds."""

    def kept(self, stage: str) -> None:
        """A stage was done earlier, and its result is used."""

    def fraction(self, done: float, detail: str = "") -> None:
        """The fraction of the stage that is done, from 0 to 1, and what is worth showing beside it."""

    def end(self, stage: str, seconds: float) -> None:
        """A stage ended after so many seconds."""

    def message(self, text: str) -> None:
        """A sentence that a person should read."""
