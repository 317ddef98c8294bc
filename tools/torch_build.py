"""Finds out which build of torch is about to be installed, and prefers the one for the CPU where there is no GPU.

Prints arguments for the installer, to which the notes for people (on standard error) do not belong:
`python tools/torch_build.py INSTALLER...`, where INSTALLER is `uv pip install ...` or `python -m pip install ...`.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import subprocess
import sys
import time
from pathlib import Path

# Seconds to look for a build: metadata alone are fetched.
PATIENCE = 60
# Seconds to stop a download that nobody wants.
PAUSE = 10


def has_nvidia_device() -> bool:
    """Whether a driver of NVIDIA's has found a device (on Windows' Linux: may have)."""
    return any(Path(name).exists() for name in ("/dev/nvidiactl", "/proc/driver/nvidia/gpus", "/dev/dxg"))


def is_installed() -> bool:
    """Whether torch is here; a folder of that name alone is what an interrupted installation left."""
    try:
        return bool(importlib.metadata.version("torch"))
    except importlib.metadata.PackageNotFoundError:
        return False


def _run(command: list[str]) -> subprocess.CompletedProcess[str] | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done if done.returncode == 0 else None


def brings_cuda(installer: list[str], *extra: str) -> bool | None:
    """Whether the installer would take a torch that wants NVIDIA's libraries; None if it finds no torch at all."""
    if "uv" in Path(installer[0]).name:
        said = _run([*installer, *extra, "--dry-run", "torch"])
        return None if said is None else "nvidia-" in said.stderr
    said = _run([*installer, *extra, "--dry-run", "--no-deps", "--quiet", "--report", "-", "torch"])
    if said is None:
        return None
    wanted = [
        name for found in json.loads(said.stdout)["install"] for name in found["metadata"].get("requires_dist", [])
    ]
    return any(name.startswith("nvidia-") for name in wanted)


def arguments(installer: list[str]) -> list[str]:
    """What to add to the installer's command line."""
    if sys.platform != "linux" or has_nvidia_device() or is_installed():
        return []
    # uv does not read pip's configuration.
    places = {"PIP_FIND_LINKS": "--find-links", "PIP_EXTRA_INDEX_URL": "--extra-index-url"}
    uses_uv = "uv" in Path(installer[0]).name
    extra = [f"{flag}={os.environ[name]}" for name, flag in places.items() if uses_uv and os.environ.get(name)]
    if not brings_cuda(installer, *extra):
        return extra
    if uses_uv and brings_cuda(installer, *extra, "--torch-backend=cpu") is False:
        return [*extra, "--torch-backend=cpu"]
    print(
        "note: torch comes here in its build for NVIDIA's GPUs, several gigabytes, and this machine has none. The "
        "build for the CPU has 0.2 GB: stop here (Ctrl-C) and name the index that PyTorch's site gives for it, "
        'make fit PIP_ARGS="--extra-index-url INDEX".',
        file=sys.stderr,
    )
    if sys.stderr.isatty():
        time.sleep(PAUSE)
    return extra


if __name__ == "__main__":
    print(" ".join(arguments(sys.argv[1:])))
