"""Report what this machine computes with: which backends load, why others do not, and whether they agree.

The self-test compares the native hash grid with its reference in plain torch, values and gradients, in about a second.
"""

from __future__ import annotations

import argparse
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version

HELP = "check this machine: backends, versions, self-test"
EPILOG = """\
examples:
  fit-a-scene doctor
  fit-a-scene doctor --json
"""

# Optional packages, and what each is for.
OPTIONAL = {
    "tinycudann": "--set backend=tcnn: grid and network of hashgrid by tiny-cuda-nn",
    "nerfacc": "--set march=nerfacc: samples of scenes by nerfacc's traversal",
    "drjit": "a peer for benchmarks",
}
# Of these, the ones that compute on an NVIDIA GPU alone.
NEED_CUDA = ("tinycudann", "nerfacc")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add no arguments: `--json` is common to all commands."""


def run(options: argparse.Namespace) -> dict:
    """Collect the report and return it; print it as a table unless `--json` is given."""
    import torch

    from fields.ops import backends
    from fields.ops.selftest import hash_grid_parity
    from fields.runs.machine import machine, versions

    report = {
        "machine": machine(),
        "versions": versions(),
        "threads": torch.get_num_threads(),
        "backends": {"torch": "loads", **{f"native-{device}": _native(device) for device in ("cpu", "cuda")}},
        "instruction_set": backends.instruction_set(),
        "cuda": _cuda(),
        "mps": "available; --device mps uses it, slowly" if torch.backends.mps.is_available() else "absent",
        "auto": _auto(),
        "optional": {name: _optional(name) for name in OPTIONAL},
        "parity": hash_grid_parity(),
    }
    if not options.json:
        _print(report)
    return report


def _native(device: str) -> str:
    from fields.ops import backends, devices

    if reason := backends.why_not_native(device):
        return f"absent: {reason}" + ("; `make cuda` builds it" if device == "cuda" else "")
    if device == "cuda" and devices.why_no_cuda() is None and (reason := devices.why_kernels_fail()):
        return f"fails: {reason}"
    return "loads"


def _cuda() -> str:
    import torch

    from fields.ops import devices

    if reason := devices.why_no_cuda():
        return f"absent: {reason}"
    names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    others = f" (and {', '.join(names[1:])}; CUDA_VISIBLE_DEVICES chooses)" if names[1:] else ""
    return names[0] + others


def _auto() -> str:
    """The device that `--device auto` is, and what would be said of it."""
    import warnings

    from fields.ops import devices

    with warnings.catch_warnings(record=True) as notes:
        warnings.simplefilter("always")
        device = devices.resolve_device("auto")
    return "; ".join([str(device), *(str(note.message) for note in notes)])


def _optional(name: str) -> str:
    """Version of a package, or why it is absent."""
    try:
        import_module(name)
    except Exception as error:  # noqa: BLE001  a GPU package may fail in any way, and then counts as absent
        return f"absent: {(str(error).strip() or type(error).__name__).splitlines()[0]}"
    try:
        found = version(name)
    except PackageNotFoundError:
        found = "present"
    import torch

    return f"{found}, but needs an NVIDIA GPU" if name in NEED_CUDA and not torch.cuda.is_available() else found


def _print(report: dict) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(show_header=False, box=None)
    machine, versions = report["machine"], report["versions"]
    table.add_row("machine", f"{machine['cpu']}, {machine['cores']} cores, {report['threads']} threads")
    table.add_row("versions", ", ".join(f"{name} {number}" for name, number in versions.items()))
    for name, state in report["backends"].items():
        extra = f" ({report['instruction_set']})" if name == "native-cpu" and state == "loads" else ""
        table.add_row(name, state + extra)
    table.add_row("GPU", report["cuda"])
    table.add_row("Apple GPU", report["mps"])
    table.add_row("--device auto", report["auto"])
    for name, state in report["optional"].items():
        table.add_row(name, f"{state}   [dim]{OPTIONAL[name]}[/]")
    parity = report["parity"]
    difference = parity.get("largest_relative_difference")
    table.add_row(
        "self-test",
        f"native and torch {parity['verdict']} (to {difference:.1e})" if difference is not None else parity["verdict"],
    )
    Console(highlight=False).print(table)
