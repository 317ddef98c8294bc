"""Main memory of this machine, within the limits of the process's control groups (containers, systemd slices)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from scenes.io.cgroups import groups


@dataclass(frozen=True)
class _Names:
    """Names of a memory control group's files, and of the row of `memory.stat` that counts reclaimable file cache."""

    limit: str
    used: str
    reclaimable: str


# By the version of control groups.
_NAMES = {
    1: _Names("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    2: _Names("memory.max", "memory.current", "inactive_file"),
}


def available_memory() -> int:
    """Bytes of main memory that this process can still take without swapping.

    The smallest of what the machine has available and what each control group around the process still allows. File
    cache that the system can drop counts as available.
    """
    rooms = [limit - used + reclaimable for limit, used, reclaimable in _cgroups()]
    return max(0, min([psutil.virtual_memory().available, *rooms]))


def total_memory() -> int:
    """Bytes of main memory that this process may use: the machine's, or the smallest limit of its control groups."""
    return min([psutil.virtual_memory().total, *(limit for limit, _, _ in _cgroups())])


def _cgroups() -> Iterator[tuple[int, int, int]]:
    """(limit, used, reclaimable) in bytes of each control group that limits the process's memory."""
    for folder, version in groups("memory"):
        names = _NAMES[version]
        try:
            limit, used = (int((folder / name).read_text()) for name in (names.limit, names.used))
        except (OSError, ValueError):  # not mounted, or "max": no limit
            continue
        yield limit, used, _reclaimable(folder, names)


def _reclaimable(folder: Path, names: _Names) -> int:
    try:
        rows = dict(row.split() for row in (folder / "memory.stat").read_text().splitlines())
        return int(rows[names.reclaimable])
    except (OSError, ValueError, KeyError):
        return 0
