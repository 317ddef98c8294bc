"""The decoders of `densegrid` against its MLP: the same grids, as many numbers in the decoder, equal steps; seconds beside them."""

from __future__ import annotations

import time
from typing import get_args

from benchmarks.papers.fits import photograph, psnr_of, summary

# side, numbers, steps, seeds, pictures
SETTINGS = {"quick": (64, 12_000, 300, 1, ("astronaut",)), "small": (256, 100_000, 1000, 2, ("astronaut", "coffee", "gravel")),
            "paper": (512, 400_000, 3000, 3, ("astronaut", "coffee", "gravel"))}


def measure(size: str) -> list[dict]:
    from fields.methods.heads import Head
    from fields.methods.registry import make_method

    side, numbers, steps, seeds, names = SETTINGS[size]
    images = [photograph(name, side) for name in names]
    rows = []
    against = None
    for head in get_args(Head):
        scores, seconds = [], 0.0
        for image in images:
            channels = len(image.channels)
            mlp = make_method("densegrid", {"batch": 16384}).prepare(image).sized(2, channels, numbers)
            widths = (mlp.model_copy(update={"head": head, "width": width}) for width in range(1, 129))  # noqa: B023
            method = min(widths, key=lambda m: abs(m.parameters(2, channels) - mlp.parameters(2, channels)))  # noqa: B023
            begun = time.perf_counter()
            found = [psnr_of(image, method, steps=steps, seed=seed) for seed in range(seeds)]
            seconds += (time.perf_counter() - begun) / seeds / len(images)
            scores += [psnr for psnr, _ in found]
        mean = sum(scores) / len(scores)
        row = summary(f"head:{head}", scores, numbers=found[-1][1], seconds=round(seconds, 1), steps=steps)
        if against is None:
            against = mean
        else:
            row |= {"against": "mlp", "against_value": round(against, 2), "ratio": round(mean / against, 3)}
        rows.append(row)
    return rows
