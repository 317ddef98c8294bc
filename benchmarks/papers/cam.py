"""CAM against the same network without modulation and without normalisation, at equal parameters (Lee et al. 2024, table 1).

The paper, pictures of 512 x 512, 263 K against 266 K numbers: 30.30 to 32.21 dB on natural pictures, 34.44 to 50.17 dB on text. `widened` has
no grids and as many numbers as CAM; `norm only` is the row without which the gain of the normalisation would be credited to CAM.
"""

from __future__ import annotations

from benchmarks.papers.fits import photograph, psnr_of, summary

# side, width, frequencies, sigma, nodes, steps, seeds
SETTINGS = {"quick": (64, 64, 64, 5.0, 16, 600, 2), "small": (256, 128, 128, 10.0, 32, 1000, 2), "paper": (512, 256, 256, 10.0, 32, 2000, 3)}
PICTURES = {"natural": ("astronaut", "chelsea", "coffee"), "text": ("text", "page")}
BATCH = 16384


def measure(size: str) -> list[dict]:
    from fields.methods.registry import make_method

    side, width, frequencies, sigma, nodes, steps, seeds = SETTINGS[size]
    base = {"width": width, "frequencies": frequencies, "sigma": sigma, "nodes": nodes, "batch": BATCH}
    plain = {"modulate": False, "normalise": False}
    rows = []
    for kind, names in PICTURES.items():
        images = {name: photograph(name, side) for name in (names[:1] if size == "quick" else names)}
        some = next(iter(images.values()))
        size_of_cam = make_method("cam", base).prepare(some).parameters(2, len(some.channels))
        widened = make_method("cam", base | plain).prepare(some)
        widened = min((widened.model_copy(update={"width": w}) for w in range(width, 2 * width)),
                      key=lambda m: abs(m.parameters(2, len(some.channels)) - size_of_cam))  # noqa: B023
        variants = {
            "without": base | plain,
            "widened": base | plain | {"width": widened.width},
            "norm only": base | {"modulate": False},
            "cam without norm": base | {"normalise": False},
            "cam": base,
        }
        scores: dict[str, list[float]] = {}
        numbers: dict[str, int] = {}
        for variant, options in variants.items():
            for image in images.values():
                for seed in range(seeds):
                    psnr, numbers[variant] = psnr_of(image, make_method("cam", options), steps=steps, seed=seed)
                    scores.setdefault(variant, []).append(psnr)
        ours = sum(scores["cam"]) / len(scores["cam"])
        for variant, values in scores.items():
            row = summary(f"cam-{kind}:{variant}", values, numbers=numbers[variant], steps=steps, side=side)
            if variant == "cam":
                against = sum(scores["widened"]) / len(scores["widened"])
                row |= {"against": "widened", "against_value": round(against, 2), "ratio": round(ours / against, 3),
                        "gain": round(ours - against, 2), "paper": {"natural": 1.91, "text": 15.73}[kind]}
            rows.append(row)
    return rows
