"""Memory that fits take, against the estimate made before them (`fields.fit.estimate`).

    python -m benchmarks.memory [--json] [--quick] [--store] [--only ID]

One row per kind and method, each in a process of its own: the peak resident size while a fit of a few steps is made,
scored and written, above the resident size with the signal open and everything imported (a fit of a small image goes
before). `ratio` is the estimate divided by the memory taken: 1 is exact, above 1 is cautious. All signals come with
scikit-image or are computed from formulas.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.report import add_arguments, emit, report

# Signal, method, options and number of parameters (None: the method's default) of each row. A signal without a colon is
# an example of the studio.
CASES = {
    "image:hashgrid": ("skimage:astronaut", "hashgrid", {}, None),
    "image:hashgrid:8M": ("skimage:astronaut", "hashgrid", {}, 8_000_000),
    "image:siren": ("skimage:astronaut", "siren", {}, None),
    "image:cam": ("skimage:astronaut", "cam", {}, None),
    "image:neurbf": ("skimage:astronaut", "neurbf", {}, None),
    "image:densegrid": ("skimage:astronaut", "densegrid", {}, None),
    "audio:hashgrid": ("Bells", "hashgrid", {}, None),
    "audio:siren": ("Bells", "siren", {}, None),
    "video:hashgrid": ("Ripples", "hashgrid", {}, None),
    "video:nerv": ("Ripples", "nerv", {}, None),
    "shape:hashgrid": ("Knot", "hashgrid", {}, None),
    "volume:hashgrid": ("Gyroid", "hashgrid", {}, None),
    "volume:triplane": ("Gyroid", "triplane", {}, None),
    "radiance:hashgrid": ("procedural:duck", "hashgrid", {}, None),
    "radiance:triplane": ("procedural:duck", "triplane", {}, None),
}
QUICK = ("image:hashgrid", "image:siren", "audio:hashgrid")
# Steps of a fit.
STEPS = 24
# Steps of a fit of a shape: before that its field has no bounded surface that could be scored.
SHAPE_STEPS = 300


def measure(name: str, steps: int = STEPS) -> dict:
    """Bytes that a fit takes, the estimate, and the number of parameters.

    Run in a process that has done nothing else.
    """
    import numpy as np

    import scenes
    from apps.studio import examples
    from apps.studio.folders import Folders
    from apps.studio.method_options import prepared_method
    from fields.fit.estimate import memory_estimate
    from fields.fit.fit import fit_field
    from fields.kinds import import_packages
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
        config = prepared_method(method, options, signal, parameters)
        with PeakMemory() as peak:
            fit_field(signal, config, steps=SHAPE_STEPS if signal.kind == "shape" else steps, out=f"{folder}/run")
        return {
            "taken": peak.bytes,
            "estimate": memory_estimate(config, signal),
            "parameters": config.count_parameters(signal.domain, signal.channels),
        }


def row(name: str) -> dict:
    """Row of the report for a key of CASES, measured in a new process."""
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
    """Measure the chosen rows and print or store the report."""
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
