"""Finds and loads the native libraries: plain C functions, called through ctypes.

Nothing is raised at import. `load(device)` gives the library or raises RuntimeError; `why_absent(device)` gives the
reason in a line, or None.
"""

from __future__ import annotations

import ctypes
import os
import sysconfig
from functools import cache
from pathlib import Path

# A function's signature changed: a library of another number is refused, not called.
ABI = 4
DEVICES = ("cpu", "cuda")


def candidates(device: str) -> list[Path]:
    """Where the library may be, the most particular place first."""
    name = f"libfield_studio_{device}.so"
    here = Path(__file__).resolve().parent
    folders = [here / "lib", Path(sysconfig.get_path("platlib")) / "cuda_ext" / "lib"]
    if os.environ.get("FIELD_STUDIO_NATIVE"):
        folders = [Path(os.environ["FIELD_STUDIO_NATIVE"])]
    return [folder / name for folder in folders]


@cache
def _open(device: str) -> tuple[ctypes.CDLL | None, str | None]:
    if device not in DEVICES:
        return None, f"there is no native library for {device!r}"
    paths = candidates(device)
    path = next((p for p in paths if p.is_file()), None)
    if path is None:
        return None, f"{paths[0].name} was not built (looked in {', '.join(str(p.parent) for p in paths)})"
    try:
        library = ctypes.CDLL(str(path))
        abi = library.fs_abi()
    except (OSError, AttributeError) as error:
        return None, f"{path} does not load: {error}"
    if abi != ABI:
        return None, f"{path} is of another version (interface {abi}, this package needs {ABI}); build it again"
    return library, None


def load(device: str = "cpu") -> ctypes.CDLL:
    """The library for "cpu" or "cuda"; RuntimeError saying why if it is absent."""
    library, reason = _open(device)
    if library is None:
        raise RuntimeError(reason)
    return library


def why_absent(device: str = "cpu") -> str | None:
    """Why the library for `device` cannot be used, in a line; None if it can."""
    return _open(device)[1]
