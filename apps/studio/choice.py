"""What one page has chosen to work on, and which of several answers to "open this" counts: the one asked for last."""

from __future__ import annotations

import threading
from typing import Generic, TypeVar

from scenes.errors import BadInput

T = TypeVar("T")


class Choice(Generic[T]):
    """The choice of one page. Opening takes long, and a person may choose again meanwhile.

    Each wish gets a ticket. Only the answer to the newest ticket becomes the choice, and `current` refuses to hand out
    an older choice while a newer one is on its way, or one that the page does not show yet.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._newest = 0
        self._answered = 0
        self._name = ""
        self._chosen: T | None = None

    def __deepcopy__(self, memo: dict) -> Choice[T]:
        """A new choice: Gradio copies the initial value of a state for each page."""
        return Choice()

    def begin(self, name: str = "") -> int:
        """Note that something is asked for, and return its ticket. `name`: for people; empty where nothing is."""
        with self._lock:
            self._newest += 1
            self._name = name
            return self._newest

    def finish(self, ticket: int, chosen: T | None) -> bool:
        """Take the answer to a ticket; None where it failed. Returns False for one that is out of date."""
        with self._lock:
            if ticket != self._newest:
                return False
            self._answered, self._chosen = ticket, chosen
            return True

    def is_newest(self, ticket: int) -> bool:
        """Whether nothing was asked for after this ticket."""
        with self._lock:
            return ticket == self._newest

    def current(self, shown: int | str | None) -> T | None:
        """The choice that the page shows; None where there is none.

        shown: the ticket whose answer the page shows; empty before there is one.

        Raises BadInput while something newer is being opened.
        """
        with self._lock:
            self._refuse_unanswered()
            if self._chosen is not None and str(shown or "") != str(self._answered):
                raise BadInput("another signal was chosen a moment ago; look at it, and try again")
            return self._chosen

    def check(self) -> None:
        """Raise BadInput while something is being opened."""
        with self._lock:
            self._refuse_unanswered()

    def newest(self) -> int:
        """The ticket that was handed out last."""
        with self._lock:
            return self._newest

    def _refuse_unanswered(self) -> None:
        if self._answered != self._newest:
            raise BadInput(f"{self._name or 'the file'} is still being read; try again when it is shown")
