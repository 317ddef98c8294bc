"""The folders that the studio reads and writes, and names of runs that cannot lead out of them."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path

from scenes.errors import BadInput

# Names of runs.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._+-]{0,79}")
# Names of the folders of uploads, which nobody can guess.
TOKEN = re.compile(r"[0-9a-f]{16}")
UPLOADS = ".uploads"
TRASH = ".trash"


@dataclass(frozen=True)
class Folders:
    """The folder of runs. Uploads lie in a hidden folder inside it, so that a run and its signal stay together."""

    runs: Path

    @classmethod
    def at(cls, runs: Path) -> Folders:
        """The folders in `runs`, which is created where it does not exist."""
        folders = cls(runs.resolve())
        folders.uploads.mkdir(parents=True, exist_ok=True)
        return folders

    @property
    def uploads(self) -> Path:
        return self.runs / UPLOADS

    @property
    def trash(self) -> Path:
        """Folder of deleted runs, each in one with a name that nobody can guess."""
        return self.runs / TRASH

    @property
    def arriving(self) -> Path:
        """Folder where Gradio puts what browsers send, until a tab takes it, and from which it hands out files."""
        return self.uploads / "arriving"

    def run(self, name: str) -> Path:
        """The folder of an existing run. Raises BadInput for anything but the plain name of one."""
        path = self.runs / check_name(name)
        if path.is_symlink() or not path.is_dir() or path.resolve().parent != self.runs:
            raise BadInput(f"there is no run called {name}")
        return path

    def new(self, name: str) -> Path:
        """A folder for a new run: `name`, or `name-2`, `name-3` ... where that exists."""
        name = clean_name(name)
        names = chain([name], (f"{name}-{number}" for number in count(2)))
        return next(path for path in (self.runs / name for name in names) if not path.exists())

    def new_upload(self) -> Path:
        """Create a folder for one upload, with a name that nobody can guess."""
        path = self.uploads / secrets.token_hex(8)
        path.mkdir(parents=True)
        return path

    def holds(self, path: Path) -> bool:
        """Whether a path lies inside, links followed."""
        return path.resolve().is_relative_to(self.runs)


def check_name(name: str) -> str:
    """The name itself. Raises BadInput where it is no name of a run."""
    if not isinstance(name, str) or not NAME.fullmatch(name) or ".." in name:
        raise BadInput(
            "a name has at most 80 characters: letters, digits, spaces and . _ + -, with a letter or a digit first"
        )
    return name


def clean_name(name: str) -> str:
    """A valid name made from any text: characters that are not allowed become a dash."""
    allowed = re.sub(r"\.\.+", ".", re.sub(r"[^A-Za-z0-9 ._+-]+", "-", name))
    return allowed.strip(" .-_+")[:60].rstrip(" .-_+") or "run"
