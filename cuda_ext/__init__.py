"""Loader of the native libraries, which consist of plain C functions and are called through ctypes.

Importing this module never raises. `load(device)` returns the library or raises RuntimeError; `why_absent(device)`
returns the reason why it is missing, or None.
"""

from __future__ import annotations

import ctypes
import os
import sys
import sysconfig
from functools import cache
from pathlib import Path

# Number of the C interface (`fs::abi` in csrc/common/api.h). A library with another number is refused.
ABI = 7
# Devices that have a library each.
DEVICES = ("cpu", "cuda")
# Ending of the system's shared libraries.
SUFFIX = {"win32": ".dll", "darwin": ".dylib"}.get(sys.platform, ".so")


def candidates(device: str) -> list[Path]:
    """Paths where the library of a device is looked for, in this order.

    The environment variable FIELD_STUDIO_NATIVE replaces them by a folder of its own.
    """
    name = f"libfield_studio_{device}{SUFFIX}"
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
        return None, f"{path} has interface {abi}, but this package needs {ABI}; build it again"
    return library, None


def load(device: str = "cpu") -> ctypes.CDLL:
    """Return the library for `device`, "cpu" or "cuda".

    RuntimeError with the reason if it was not built, does not load, or has another interface number.
    """
    library, reason = _open(device)
    if library is None:
        raise RuntimeError(reason)
    return library


def why_absent(device: str = "cpu") -> str | None:
    """Return in one line why the library for `device` cannot be used, or None if it can."""
    return _open(device)[1]
