"""The two folders that the studio reads and writes, and names that cannot lead out of them."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path

from scenes.errors import BadInput

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._+-]{0,79}")
TOKEN = re.compile(r"[0-9a-f]{16}")
UPLOADS = ".uploads"


@dataclass(frozen=True)
class Folders:
    """`runs` is where runs live; uploads lie in a hidden folder inside it, so that a run and its signal stay together."""

    runs: Path

    @classmethod
    def at(cls, runs: Path) -> Folders:
        folders = cls(runs.resolve())
        folders.uploads.mkdir(parents=True, exist_ok=True)
        return folders

    @property
    def uploads(self) -> Path:
        return self.runs / UPLOADS

    @property
    def arriving(self) -> Path:
        """Where Gradio puts what browsers send, before a tab takes it over, and what it hands out."""
        return self.uploads / "arriving"

    def run(self, name: str) -> Path:
        """The folder of a run that exists; BadInput for whatever is not the plain name of one."""
        path = self.runs / checked(name)
        if path.is_symlink() or not path.is_dir() or path.resolve().parent != self.runs:
            raise BadInput(f"there is no run called {name}")
        return path

    def new(self, name: str) -> Path:
        """A folder for a new run: `name`, or `name-2`, ... where that exists."""
        name = cleaned(name)
        return next(
            path
            for path in (self.runs / n for n in chain([name], (f"{name}-{i}" for i in count(2))))
            if not path.exists()
        )

    def upload(self) -> Path:
        """A new folder for one upload, with a name that nobody can guess."""
        path = self.uploads / secrets.token_hex(8)
        path.mkdir(parents=True)
        return path

    def holds(self, path: Path) -> bool:
        """Whether a path lies inside, links followed."""
        return path.resolve().is_relative_to(self.runs)


def checked(name: str) -> str:
    if not isinstance(name, str) or not NAME.fullmatch(name) or ".." in name:
        raise BadInput(
            "a name has letters, digits, spaces and . _ + -, begins with a letter or a digit, and has at most 80 of them"
        )
    return name


def cleaned(name: str) -> str:
    """A name made of what was given: what is not allowed becomes a dash."""
    kept = re.sub(r"\.\.+", ".", re.sub(r"[^A-Za-z0-9 ._+-]+", "-", name)).strip(" .-_+")[:60].rstrip(" .-_+")
    return kept or "run"
