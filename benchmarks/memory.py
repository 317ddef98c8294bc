"""How much memory fits take, against what is said of it beforehand (`fields.fit.estimate`).

    python -m benchmarks.memory [--json] [--quick] [--store] [--only ID]

A row a kind and method, each in a process of its own: the highest resident size while a fit of a few steps is made, scored and written, above
what it was with the signal open and everything imported (a fit of a small signal of the same kind goes before). `ratio` is the estimate
by what was taken: 1 is right, above 1 is cautious. All signals are scikit-image's or made of formulas.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.report import add_arguments, emit, report

# id: (signal, method, options, parameters)
CASES = {
    "image:hashgrid": ("skimage:astronaut", "hashgrid", {}, None),
    "image:hashgrid:8M": ("skimage:astronaut", "hashgrid", {}, 8_000_000),
    "image:siren": ("skimage:astronaut", "siren", {}, None),
    "image:cam": ("skimage:astronaut", "cam", {}, None),
    "image:neurbf": ("skimage:astronaut", "neurbf", {}, None),
    "image:densegrid": ("skimage:astronaut", "densegrid", {}, None),
    "audio:hashgrid": ("Bells, a sound", "hashgrid", {}, None),
    "audio:siren": ("Bells, a sound", "siren", {}, None),
    "video:hashgrid": ("Ripples, a clip", "hashgrid", {}, None),
    "video:nerv": ("Ripples, a clip", "nerv", {}, None),
    "shape:hashgrid": ("Knot, a shape", "hashgrid", {}, None),
    "volume:hashgrid": ("Gyroid, a volume", "hashgrid", {}, None),
    "volume:triplane": ("Gyroid, a volume", "triplane", {}, None),
    "radiance:hashgrid": ("procedural:duck", "hashgrid", {}, None),
    "radiance:triplane": ("procedural:duck", "triplane", {}, None),
}
QUICK = ("image:hashgrid", "image:siren", "audio:hashgrid")
STEPS = 24


def measure(name: str, steps: int = STEPS) -> dict:
    """Bytes that a fit takes, and the estimate; in this process, which should have done nothing else."""
    import numpy as np

    import scenes
    from apps.studio import examples
    from apps.studio.folders import Folders
    from apps.studio.forms import prepared
    from fields.fit.estimate import memory_estimate
    from fields.fit.fit import fit_field
    from fields.kinds import import_packages
    from fields.methods.radiance import count_parameters
    from fields.runs.peak_memory import PeakMemory
    from scenes.image.signal import Image

    source, method, options, parameters = CASES[name]
    with tempfile.TemporaryDirectory() as folder:
        source = source if ":" in source else examples.source(source, Folders.at(Path(folder)))
        signal = scenes.load(source)
        import_packages(signal.kind)
        fit_field(
            Image.from_array(np.zeros((64, 64, 3), np.uint8)),
            "hashgrid",
            params=20_000,
            steps=2,
            out=f"{folder}/first",
        )
        config = prepared(method, options, signal, parameters)
        with PeakMemory() as peak:
            # (what is not yet a shape has a surface without end)
            fit_field(signal, config, steps=300 if signal.kind == "shape" else steps, out=f"{folder}/run")
        return {
            "taken": peak.bytes,
            "estimate": memory_estimate(config, signal),
            "parameters": count_parameters(config, signal.domain, signal.channels),
        }


def row(name: str) -> dict:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.memory", "--in-process", name], check=True, stdout=subprocess.PIPE, text=True
    )
    found = json.loads(done.stdout.strip().splitlines()[-1])
    print(name, found, file=sys.stderr, flush=True)
    return {
        "id": name,
        "value": round(found["estimate"] / 1e6),
        "unit": "MB",
        "against": "measured",
        "against_value": round(found["taken"] / 1e6),
        "ratio": round(found["estimate"] / found["taken"], 2),
        "parameters": found["parameters"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    parser.add_argument("--only", metavar="ID", help="rows whose id begins like this")
    parser.add_argument("--in-process", metavar="ID", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.in_process:
        print(json.dumps(measure(options.in_process)))
        return
    chosen = QUICK if options.quick else [name for name in CASES if name.startswith(options.only or "")]
    emit(report("memory", [row(name) for name in chosen]), options)


if __name__ == "__main__":
    main()
