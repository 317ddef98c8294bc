"""What the terminal can show: moving bars, colors, and whether there is a display for other windows."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


def error_console() -> Console:
    """A console on standard error. rich leaves out colors where NO_COLOR is set, and all codes on dumb terminals."""
    from rich.console import Console

    return Console(stderr=True, highlight=False, soft_wrap=True)


def shows_bars(console: Console) -> bool:
    """Whether a bar can be redrawn in place. If not, lines are printed: into files, pipes and on dumb terminals."""
    return console.is_terminal and not console.is_dumb_terminal


def has_display() -> bool:
    """Whether other programs can open windows here."""
    if sys.platform in ("darwin", "win32"):
        return "SSH_CONNECTION" not in os.environ
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def show(address: str) -> bool:
    """Open an address, or the `file:` address of a page or a picture, with the program that the desktop has for it.

    Returns whether that was tried with success; False where there is no display.
    """
    if not has_display():
        return False
    import webbrowser

    return webbrowser.open(address)
