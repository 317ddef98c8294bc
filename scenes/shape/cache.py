"""What takes seconds to compute from a file is kept between runs, by the content that it was computed from.

In $FIELD_STUDIO_CACHE, or field-studio in the user's cache folder; FIELD_STUDIO_CACHE=off keeps nothing. A cache that
cannot be read or written is no cache, never an error.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from scenes.errors import BadInput
from scenes.io.atomic import atomic_write

# The oldest files go when the folder holds more than this.
LARGEST = 1 << 30


def folder() -> Path | None:
    place = os.environ.get("FIELD_STUDIO_CACHE")
    if place == "off":
        return None
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(place) if place else home / "field-studio"


def cached(key: dict, compute: Callable[[], dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """`compute()`, or what it gave earlier for the same `key` (plain data that says everything the result depends on)."""
    try:
        place = folder()
    except RuntimeError:  # a user without a home
        place = None
    if place is None:
        return compute()
    name = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:32]
    file = place / f"{name}.npz"
    with contextlib.suppress(Exception):
        with np.load(file, allow_pickle=False) as kept:
            arrays = {entry: kept[entry] for entry in kept.files}
        os.utime(file)
        return arrays
    arrays = compute()
    with contextlib.suppress(OSError, BadInput):
        place.mkdir(parents=True, exist_ok=True)
        with atomic_write(file) as temporary:
            np.savez(temporary, **arrays)
        _prune(place)
    return arrays


def _prune(place: Path) -> None:
    files = sorted(
        ((entry.stat().st_mtime, entry.stat().st_size, entry) for entry in place.glob("*.npz")), reverse=True
    )
    total = 0
    for _, size, entry in files:
        total += size
        if total > LARGEST:
            entry.unlink(missing_ok=True)
