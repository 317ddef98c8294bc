"""How many threads pay on this machine: within the process's control groups, and where cores are of two kinds."""

from __future__ import annotations

import math
import os
from pathlib import Path

from scenes.io.cgroups import groups

# Where Linux describes processors.
DEVICES = Path("/sys/devices")
# No kernel cuts a step into more parts than this.
MAX_THREADS = 64
# Of the capacity of the fastest core: slower ones let the others wait, as torch gives each thread the same work.
MIN_CAPACITY = 0.6


def usable_threads() -> int:
    """Threads that a fit should use.

    The processors that the process may run on, without the slow cores of hybrid processors, at most as many as its
    control groups give time for, and at most 64.
    """
    allowed = _affinity()
    threads = len(_fast_cores(allowed)) or len(allowed)
    return max(1, min([threads, MAX_THREADS, *_quotas()]))


def limit_threads() -> None:
    """Let torch and numpy, which are not imported yet, use `usable_threads`, unless OMP_NUM_THREADS says otherwise."""
    threads = usable_threads()
    if threads < len(_affinity()):
        os.environ.setdefault("OMP_NUM_THREADS", str(threads))


def _affinity() -> set[int]:
    if hasattr(os, "sched_getaffinity"):
        return os.sched_getaffinity(0)
    return set(range(os.cpu_count() or 1))


def _quotas() -> list[int]:
    """Processors whose time each control group gives, rounded up."""
    found = []
    for folder, version in groups("cpu"):
        try:
            if version == 2:
                quota, period = (folder / "cpu.max").read_text().split()
            else:
                quota, period = ((folder / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
            if int(quota) > 0:
                found.append(math.ceil(int(quota) / int(period)))
        except (OSError, ValueError, ZeroDivisionError):  # not mounted, or "max": no limit
            continue
    return found


def _fast_cores(allowed: set[int]) -> set[int]:
    """Those of hybrid processors that are fast: Intel's list, or the capacities that Linux has of Arm's."""
    try:
        listed = _numbers((DEVICES / "cpu_core" / "cpus").read_text())
        return allowed & listed
    except (OSError, ValueError):
        pass
    capacities = {}
    for core in allowed:
        try:
            capacities[core] = int((DEVICES / "system" / "cpu" / f"cpu{core}" / "cpu_capacity").read_text())
        except (OSError, ValueError):
            return set()
    return {core for core, capacity in capacities.items() if capacity >= MIN_CAPACITY * max(capacities.values())}


def _numbers(text: str) -> set[int]:
    """The numbers of a list like 0-3,8."""
    found: set[int] = set()
    for part in text.strip().split(","):
        first, _, last = part.partition("-")
        found.update(range(int(first), int(last or first) + 1))
    return found
