"""What figures depend on: written into every run and every benchmark."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version

import torch

from scenes.errors import BadInput
from scenes.io.memory import available_memory

# A number that is trained: itself, its gradient, two moments, and a step count.
BYTES_A_NUMBER = 20


def machine() -> dict:
    """What figures depend on: processor, cores, GPU."""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {"cpu": processor(), "cores": os.cpu_count(), "gpu": gpu, "system": platform.system()}


def processor() -> str:
    """The model of the processor, as the system names it."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            return next(line.split(":", 1)[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def refuse_too_large(parameters: int) -> None:
    """BadInput where a field of so many numbers cannot be trained in the memory that is free."""
    free = available_memory()
    if parameters * BYTES_A_NUMBER > free:
        raise BadInput(
            f"a field of {parameters:,} numbers takes {parameters * BYTES_A_NUMBER / 2**30:.1f} GiB of memory to train, and "
            f"{free / 2**30:.1f} GiB are free; ask for at most --params {free // BYTES_A_NUMBER // 1000}k"
        )


def versions() -> dict:
    return {
        "field-studio": version("field-studio"),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": version("numpy"),
    }
