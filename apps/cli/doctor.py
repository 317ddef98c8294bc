"""Say what this machine computes with: which backends load, which do not and why, and whether they agree.

The self-test compares the native hash grid with its torch reference, value and gradients; it takes about a second.
"""

from __future__ import annotations

import argparse
import platform
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version

HELP = "check this machine: backends, versions, self-test"
EPILOG = """\
examples:
  fit-a-scene doctor
  fit-a-scene doctor --json
"""

OPTIONAL = {"tinycudann": "fused kernels on a GPU", "nerfacc": "ray marching on a GPU", "drjit": "a peer for benchmarks"}


def arguments(parser: argparse.ArgumentParser) -> None:
    pass


def run(options: argparse.Namespace) -> dict:
    import torch

    from fields.fit.fit import machine, versions
    from fields.ops.backends import status
    from fields.ops.selftest import hash_grid_parity

    backends = status()
    report = {"machine": machine(), "versions": versions(), "threads": torch.get_num_threads(),
              "instruction_sets": backends.pop("instruction_set", None), "backends": backends,
              "optional": {name: _optional(name) for name in OPTIONAL}, "parity": hash_grid_parity()}
    if not options.json:
        _print(report)
    return report


def _optional(name: str) -> str:
    try:
        import_module(name)
    except Exception as error:  # noqa: BLE001  (a GPU package may fail in any way; that means absent, and this is why)
        return f"absent: {str(error).strip().splitlines()[0]}"
    try:
        return version(name)
    except PackageNotFoundError:
        return "present"


def _print(report: dict) -> None:
    from rich.console import Console
    from rich.table import Table
