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
    "tinycudann": "fused kernels on a GPU",
    "nerfacc": "a peer for benchmarks; nothing here calls it",
    "drjit": "a peer for benchmarks",
}


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
        "optional": {name: _optional(name) for name in OPTIONAL},
        "parity": hash_grid_parity(),
    }
    if not options.json:
        _print(report)
    return report


def _native(device: str) -> str:
    from fields.ops import backends

    reason = backends.why_not_native(device)
    return f"absent: {reason}" if reason else "loads"


def _cuda() -> str:
    import torch

    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return "absent: " + ("this torch was built without CUDA" if torch.version.cuda is None else "torch finds no device")


def _optional(name: str) -> str:
    """Version of a package, or why it is absent."""
    try:
        import_module(name)
    except Exception as error:  # noqa: BLE001  a GPU package may fail in any way, and then counts as absent
        return f"absent: {str(error).strip().splitlines()[0]}"
    try:
        return version(name)
    except PackageNotFoundError:
        return "present"


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
    for name, state in report["optional"].items():
        table.add_row(name, f"{state}   [dim]{OPTIONAL[name]}[/]")
    parity = report["parity"]
    difference = parity.get("largest_relative_difference")
    table.add_row(
        "self-test",
        f"native and torch {parity['verdict']} (to {difference:.1e})" if difference is not None else parity["verdict"],
    )
    Console(highlight=False).print(table)
