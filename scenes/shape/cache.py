"""Cache on disk of arrays that take seconds to compute from a file, keyed by the file's content.

The folder is $FIELD_STUDIO_CACHE, or field-studio in the user's cache folder; FIELD_STUDIO_CACHE=off disables the
cache. A cache that cannot be read or written is ignored, never an error.
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

# Bytes of all files in the folder; the oldest ones are deleted beyond that.
MAX_BYTES = 1 << 30


def cache_folder() -> Path | None:
    """The folder of the cache; None where the cache is disabled."""
    folder = os.environ.get("FIELD_STUDIO_CACHE")
    if folder == "off":
        return None
    if folder:
        return Path(folder)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "field-studio"


def cached(key: dict, compute: Callable[[], dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """The arrays of an earlier call with the same key, or else of `compute()`, which are then stored.

    Args:
        key: plain data that says everything that the result depends on.
    """
    try:
        folder = cache_folder()
    except RuntimeError:  # The user has no home folder.
        folder = None
    if folder is None:
        return compute()
    name = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:32]
    file = folder / f"{name}.npz"
    with contextlib.suppress(Exception):
        with np.load(file, allow_pickle=False) as stored:
            arrays = {entry: stored[entry] for entry in stored.files}
        os.utime(file)
        return arrays
    arrays = compute()
    with contextlib.suppress(OSError, BadInput):
        folder.mkdir(parents=True, exist_ok=True)
        with atomic_write(file) as temporary:
            np.savez(temporary, **arrays)  # pyright: ignore[reportArgumentType]  (arrays are not allow_pickle)
        _delete_oldest(folder)
    return arrays


def _delete_oldest(folder: Path) -> None:
    """Delete the files that were not used for longest, until the others have `MAX_BYTES` or less."""
    states = [(entry.stat(), entry) for entry in folder.glob("*.npz")]
    total = 0
    for state, entry in sorted(states, key=lambda item: (item[0].st_mtime, item[0].st_size, item[1]), reverse=True):
        total += state.st_size
        if total > MAX_BYTES:
            entry.unlink(missing_ok=True)
