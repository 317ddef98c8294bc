"""The items of a batch: the files of a folder with their classes, or shapes that the project makes itself."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any

import scenes
from scenes.errors import BadInput
from scenes.signal import Signal

# Prefix of sources that are made rather than read.
PARTS = "procedural:parts"
# Shapes that are made of `procedural:parts` where no number is given.
PARTS_COUNT = 200


@dataclass(frozen=True)
class Source:
    """One thing to fit. name: unique in the batch. label: its class, or None. open: reads it; may raise BadInput."""

    name: str
    label: str | None
    open: Callable[[], Signal]

    @property
    def seed(self) -> int:
        """A number that depends on the name alone, so that an item has the same start in every batch."""
        return int.from_bytes(hashlib.sha256(self.name.encode()).digest()[:4], "little")


def sources_of(folder: str, *, kind: str = "auto", items: int | None = None, **options: Any) -> list[Source]:
    """The items of a folder, sorted by name; hidden files are left out.

    kind: of the files, a key of `scenes.LOADERS` or "auto". items: at most so many, from each class in turn.
    options: of the loader.

    Raises BadInput where there is no such folder, or it holds no files.
    """
    if folder == PARTS:
        return list(_made(items or PARTS_COUNT))
    path = Path(folder).expanduser()
    if not path.is_dir():
        raise BadInput(f"{folder}: there is no such folder; a batch fits the files of a folder")
    files = sorted(file for file in path.rglob("*") if file.is_file() and not _hidden(file.relative_to(path)))
    if not files:
        raise BadInput(
            f"{folder}: the folder is empty; put the files to fit into it, those of a class into a folder each"
        )
    found = []
    for file in files:
        relative = file.relative_to(path)
        label = relative.parts[0] if len(relative.parts) > 1 else None
        found.append(Source(str(relative), label, lambda file=file: scenes.load(str(file), kind, **options)))
    return found if items is None else _in_turn(found)[:items]


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _in_turn(sources: list[Source]) -> list[Source]:
    """The sources with one of each class after another, so that the first few show all classes."""
    classes: dict[str | None, list[Source]] = {}
    for source in sources:
        classes.setdefault(source.label, []).append(source)
    return [source for source in chain(*zip_longest(*classes.values())) if source is not None]


def _made(count: int) -> Iterator[Source]:
    from scenes.procedural.part_shapes import CLASSES, part_shape

    names = list(CLASSES)
    for index in range(count):
        label = names[index % len(names)]
        yield Source(f"{label}-{index:05d}", label, lambda index=index: part_shape(index))
