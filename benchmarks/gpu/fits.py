"""Fits of a photograph, a shape and a scene on the GPU beside the CPU: quality after equal time, time to equal quality.

    python -m benchmarks.gpu.fits DATA [--seconds S] [--only NAME] [--settings KEY=VALUE ...] [--rehearse]

DATA is the folder of the shared data. Each signal is fitted in S seconds on the CPU, then on the GPU in S / 16, S / 8,
... seconds until the fit is as good, and in S seconds. Each row is also a line `ROW {...}` as soon as it is known. With
`--rehearse` both are the CPU, for a second or two: what runs is the same, and what it prints means nothing.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SECONDS = 15.0
# Fractions of the CPU's time in which the GPU tries to be as good, the shortest first.
FRACTIONS = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0)
# Seconds of the fits of a rehearsal, and the one fraction of them that is tried.
REHEARSED_SECONDS, REHEARSED_FRACTIONS = 1.5, (1.0,)


@dataclass(frozen=True)
class Fitted:
    """One of the signals: its path in the shared data, and the metric that counts, which more is better of."""

    path: str
    metric: str
    unit: str


SIGNALS = {
    "kodim05": Fitted("images/kodim05.png", "psnr", "dB"),
    "bunny": Fitted("meshes/stanford_bunny.obj", "iou", ""),
    "lego_200": Fitted("nerf/lego_200", "psnr", "dB"),
}


def compared(name: str, data: Path, seconds: float, settings: dict[str, Any], rehearse: bool) -> Iterator[dict]:
    """Rows of one signal."""
    import scenes
    from fields.fit.fit import fit_field

    what = SIGNALS[name]
    gpu = "cpu" if rehearse else "cuda"
    seconds = REHEARSED_SECONDS if rehearse else seconds

    def quality(device: str, fraction: float, chosen: dict[str, Any]) -> tuple[float, int]:
        """The metric and the steps of a fit in this fraction of the time, loading included."""
        begun = time.perf_counter()
        signal = scenes.load(data / what.path)
        fit = fit_field(signal, device=device, settings=chosen, started=begun, seconds=seconds * fraction)
        return fit.metrics[what.metric], fit.steps

    if not rehearse:
        # The first fit of a process starts the GPU, which takes seconds.
        fit_field(scenes.load(data / what.path), device=gpu, settings=settings, steps=5)
    wanted, steps = quality("cpu", 1.0, {})
    found: dict[float, tuple[float, int]] = {}
    for fraction in REHEARSED_FRACTIONS if rehearse else FRACTIONS:
        found[fraction] = quality(gpu, fraction, settings)
        value = found[fraction][0]
        if value >= wanted:
            yield {
                "id": f"fit-{name}-seconds-to-equal-quality",
                "value": round(seconds * fraction, 3),
                "unit": "s",
                "against": "cpu",
                "against_value": seconds,
                "ratio": round(1 / fraction, 2),
                "note": f"{what.metric} {value:.4g}, the CPU's {wanted:.4g}; the shortest budget that reaches it",
            }
            break
    value, gpu_steps = found[1.0] if 1.0 in found else quality(gpu, 1.0, settings)
    yield {
        "id": f"fit-{name}-quality",
        "value": round(value, 4),
        "unit": what.unit,
        "against": "cpu",
        "against_value": round(wanted, 4),
        "note": f"{what.metric} after equal time; {gpu_steps} steps, the CPU's {steps}",
    }


def main() -> None:
    """Fit the chosen signals and print the rows."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu.fits")
    parser.add_argument("data", type=Path)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--only", default="", choices=["", *SIGNALS])
    parser.add_argument(
        "--settings", nargs="*", default=[], metavar="KEY=VALUE", help="options of the method on the GPU"
    )
    parser.add_argument("--rehearse", action="store_true")
    options = parser.parse_args()
    settings = dict(setting.split("=", 1) for setting in options.settings)
    for name in SIGNALS:
        if options.only in ("", name):
            for row in compared(name, options.data, options.seconds, settings, options.rehearse):
                print(f"ROW {json.dumps(row)}", flush=True)


if __name__ == "__main__":
    main()
