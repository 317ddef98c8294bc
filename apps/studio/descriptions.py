"""What people write about a run: a note and tags, kept in the run's folder beside what the fit wrote."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict

from fields.runs.run import write_json
from scenes.errors import BadInput

FILE = "studio.json"
MAX_NOTE = 4000
MAX_TAGS = 12
MAX_TAG = 30


class Description(TypedDict):
    """`note`: any text. `tags`: short words, each once."""

    note: str
    tags: list[str]


def read(path: Path) -> Description:
    """The description of the run in a folder; an empty one where nobody wrote any."""
    try:
        content = json.loads((path / FILE).read_text(encoding="utf-8"))
        return Description(note=str(content["note"]), tags=[str(tag) for tag in content["tags"]])
    except (OSError, ValueError, KeyError, TypeError):
        return Description(note="", tags=[])


def write(path: Path, note: str, tags: Sequence[str]) -> Description:
    """Keep the description of a run. Raises BadInput where it is too long."""
    clean = list(dict.fromkeys(" ".join(tag.split()) for tag in tags if tag.strip()))
    if len(note) > MAX_NOTE:
        raise BadInput(f"a note has at most {MAX_NOTE:,} characters; this one has {len(note):,}")
    if len(clean) > MAX_TAGS or any(len(tag) > MAX_TAG for tag in clean):
        raise BadInput(f"a run has at most {MAX_TAGS} tags of at most {MAX_TAG} characters")
    description = Description(note=note.strip(), tags=clean)
    write_json(path / FILE, description)
    return description
