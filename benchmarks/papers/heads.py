"""The decoders of `densegrid` against its MLP.

The same grids, as many parameters in the decoder, equal steps; what a step takes beside them.
"""

from __future__ import annotations

from typing import get_args

from benchmarks.papers.claims import Claim
from benchmarks.papers.fits import photograph, psnr_of, summary

# side, parameters, steps, seeds, images, batch
SETTINGS = {
    "quick": (64, 12_000, 300, 1, ("astronaut",), 4096),
    "small": (256, 100_000, 600, 2, ("astronaut", "gravel"), 4096),
    "paper": (512, 400_000, 3000, 3, ("astronaut", "coffee", "gravel"), 16384),
}

CLAIMS = (
    Claim(
        "KAN (Liu et al. 2024): learned functions on edges beat MLPs of as many parameters",
        "head:kan-spline",
        "head:mlp",
    ),
    Claim("the same with Gaussians (Li 2024)", "head:kan-gaussian", "head:mlp"),
    Claim("wide streams with narrow blocks beat an MLP", "head:hourglass", "head:mlp"),
    Claim("quadratic neurons (Fan et al. 2020) beat linear ones", "head:quadratic", "head:mlp"),
)


def images(size: str) -> list[dict]:
    side, _, steps, seeds, names, _ = SETTINGS[size]
    rows = []
    scores: dict[str, list[float]] = {}
    parameters: dict[str, int] = {}
    for name in names:
        image = photograph(name, side)
        for head, method in _methods(image, size).items():
            found = [psnr_of(image, method, steps=steps, seed=seed) for seed in range(seeds)]
            scores.setdefault(head, []).extend(psnr for psnr, _ in found)
            parameters[head] = found[0][1]
    for head, values in scores.items():
        rows.append(summary(f"head:{head}", values, parameters=parameters[head], steps=steps))
    against = rows[0]["value"]
    return rows[:1] + [
        row | {"against": "mlp", "against_value": against, "ratio": round(row["value"] / against, 3)}
        for row in rows[1:]
    ]


def cost(size: str) -> list[dict]:
    """Medians of a step of each, taken in turns."""
    import time

    from fields.fit.fit import prepare

    image = photograph(SETTINGS[size][4][0], SETTINGS[size][0])
    trainers = {head: prepare(image, method, steps=10_000)[0] for head, method in _methods(image, size).items()}
    taken: dict[str, list[float]] = {head: [] for head in trainers}
    for turn in range((3 if size == "quick" else 15) + 2):
        for head, trainer in trainers.items():
            begun = time.perf_counter()
            trainer.step()
            if turn > 1:
                taken[head].append(time.perf_counter() - begun)
    medians = {head: round(1000 * sorted(times)[len(times) // 2], 2) for head, times in taken.items()}
    return [
        {
            "id": f"head-step:{head}",
            "value": value,
            "unit": "ms",
            "against": "mlp",
            "against_value": medians["mlp"],
            "ratio": round(medians["mlp"] / value, 2),
        }
        for head, value in medians.items()
    ]


def _methods(image, size: str) -> dict:
    """`densegrid` with each decoder, as wide as has the MLP's parameters."""
    from fields.methods.heads import Head
    from fields.methods.registry import make_method

    channels = len(image.channels)
    _, parameters, *_, batch = SETTINGS[size]
    mlp = make_method("densegrid", {"batch": batch}).prepare(image).sized(2, channels, parameters)

    def of(head: str):
        widths = (mlp.model_copy(update={"head": head, "width": width}) for width in range(1, 129))
        return min(widths, key=lambda m: abs(m.parameters(2, channels) - mlp.parameters(2, channels)))

    return {"mlp": mlp} | {head: of(head) for head in get_args(Head) if head != "mlp"}


PARTS = {"images": images, "cost": cost}
