"""The machine and the versions that results depend on; stored with every run and every benchmark."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version

import torch


def machine() -> dict[str, str | int | None]:
    """Processor, number of cores, GPU (None without CUDA) and operating system."""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {"cpu": processor(), "cores": os.cpu_count(), "gpu": gpu, "system": platform.system()}


def processor() -> str:
    """Model of the processor, as the operating system names it."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            return next(line.split(":", 1)[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def own_version() -> str:
    """Version of this project; "not installed" where it runs from a checkout, as on a machine without a network."""
    try:
        return version("field-studio")
    except PackageNotFoundError:
        return "not installed"


def versions() -> dict[str, str]:
    """Versions of this project, Python, torch and numpy."""
    return {
        "field-studio": own_version(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": version("numpy"),
    }
