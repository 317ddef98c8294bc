"""The device that an option means, and in one sentence why a faster one is not used."""

from __future__ import annotations

import os
import warnings
from functools import cache
from pathlib import Path

import torch

import cuda_ext
from fields.ops.selftest import hash_grid_parity
from scenes.errors import BadInput

# A file that NVIDIA's driver for Linux provides; on other systems torch alone tells of a GPU.
DRIVER = Path("/proc/driver/nvidia/version")


class DeviceNote(UserWarning):
    """A sentence about the device that is used, where it may not be the one that was hoped for."""


def resolve_device(name: str) -> torch.device:
    """The device of an option: "auto", "cpu", "cuda" or "mps".

    "auto" is the GPU where torch can use one and the kernels run on it, else the CPU. Several GPUs are chosen among by
    the environment variable CUDA_VISIBLE_DEVICES. Warns with a DeviceNote where there is something to be said.

    Raises BadInput for a device that is not there.
    """
    if name == "cuda" and (reason := why_no_cuda()):
        raise BadInput(f"`device=cuda`: {reason}; or use `device=cpu`")
    if name == "mps" and not torch.backends.mps.is_available():
        raise BadInput("`device=mps`: torch finds no Apple GPU here; use `device=cpu`")
    chosen, sentence = _automatic() if name == "auto" else (name, _remark(name))
    if sentence:
        warnings.warn(sentence, DeviceNote, stacklevel=2)
    return torch.device(chosen)


def _automatic() -> tuple[str, str | None]:
    """The best device, and what is to be said of it."""
    reason = why_no_cuda()
    if reason is None:
        reason = why_kernels_fail()
        if reason is None:
            return "cuda", _remark("cuda")
        return "cpu", f"the GPU is not used, but the CPU: {reason}"
    # A machine without a GPU wants no remark.
    return "cpu", f"the GPU is not used, but the CPU: {reason}" if has_driver() else None


def _remark(name: str) -> str | None:
    """What is to be said of a device that is used."""
    if name == "mps":
        return "mps has no kernels of this project: plain torch computes there, which is slow; the CPU may be faster"
    if name == "cuda" and (reason := cuda_ext.why_absent("cuda")):
        return f"plain torch computes on the GPU, slower than kernels would: {reason}; build them with `make cuda`"
    return None


def has_driver() -> bool:
    """Whether this machine has an NVIDIA GPU with a driver, whatever torch can do with it."""
    return DRIVER.is_file()


def why_no_cuda() -> str | None:
    """Why torch can use no NVIDIA GPU and what to do about it, in one line; None where it can."""
    if torch.cuda.is_available():
        return None
    if torch.version.cuda is None:
        return f"torch finds no usable CUDA device, as this torch ({torch.__version__}) is built without CUDA" + (
            "; install one for the GPU's driver: `pip install torch`" if has_driver() else ""
        )
    if not has_driver():
        return "torch finds no usable CUDA device, as there is no NVIDIA driver"
    if os.environ.get("CUDA_VISIBLE_DEVICES", "0") in ("", "-1"):
        return "torch finds no usable CUDA device, as CUDA_VISIBLE_DEVICES hides all of them; unset it"
    return (
        f"torch finds no usable CUDA device, as this torch is built for CUDA {torch.version.cuda} and the driver "
        f"serves {_driver_cuda()}; update the driver, or install a torch for an older CUDA"
    )


def _driver_cuda() -> str:
    """The newest CUDA that the driver serves, such as "12.4"."""
    try:
        number = torch._C._cuda_getDriverVersion()  # pyright: ignore[reportAttributeAccessIssue]
    except (AttributeError, RuntimeError):
        return "another one"
    return f"{number // 1000}.{number % 1000 // 10}" if number else "another one"


@cache
def why_kernels_fail() -> str | None:
    """Why the CUDA library's kernels do not run on the GPU and what to do, in one line.

    None where they run, and where there is no library, as plain torch computes then. The first call starts the GPU.
    """
    if cuda_ext.why_absent("cuda"):
        return None
    try:
        found = hash_grid_parity("cuda")
    except RuntimeError as error:
        first = str(error).strip().splitlines()[0]
        return f"the CUDA library does not fit this driver or GPU ({first}); build it here with `make cuda`"
    if found["verdict"] == "differ":
        return "the CUDA library computes something else than plain torch; build it again with `make cuda`"
    return None
