"""The control groups of this process (containers, systemd slices), which limit its memory and its processors' time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

# Where the system mounts control groups, and where it lists those of this process (cgroups(7)).
CGROUP_ROOT = Path("/sys/fs/cgroup")
CGROUP_TABLE = Path("/proc/self/cgroup")


def groups(controller: str) -> Iterator[tuple[Path, int]]:
    """Folders of the process's control groups and their ancestors, each with its version, 1 or 2.

    In a container, `/proc/self/cgroup` may list a path of the host although the container's own group is mounted as the
    root. That folder does not exist then, and the root is the right one.
    """
    try:
        rows = CGROUP_TABLE.read_text(encoding="utf-8").splitlines()
    except OSError:  # only Linux has control groups
        return
    for row in rows:
        _, controllers, path = row.split(":", 2)
        if not controllers:
            root, version = CGROUP_ROOT, 2
        elif controller in controllers.split(","):
            root, version = CGROUP_ROOT / controller, 1
        else:
            continue
        own = PurePosixPath(path.lstrip("/"))
        for group in (own, *own.parents) if own.parts else (own,):
            yield root / group, version
