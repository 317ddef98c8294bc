"""CAM against the same network without modulation and without normalisation, at equal parameters (Lee et al. 2024, table 1).

The paper, pictures of 512 x 512, 263 K against 266 K numbers: 30.30 to 32.21 dB on natural pictures, 34.44 to 50.17 dB on text. `widened` has
no grids and as many numbers as CAM; `norm only` is the row without which the gain of the normalisation would be credited to CAM.

`cam-1d` is the authors' demonstration on a curve: a network without any activation, so a statement on modulation alone (error: theirs are
4.97, 3.34, 0.07 and 0.03). `cam-time` modulates by time alone, 30 numbers more, on discs that move (theirs, dynamic scenes: 32.22 to
33.78 dB). `cam-bits` trains for weights of 8 bits (theirs: 0.15 dB less than with 32).
"""

from __future__ import annotations

import math

import numpy as np

from benchmarks.papers.fits import photograph, psnr_of, summary

# side, width, frequencies, sigma, nodes, steps, batch, seeds
SETTINGS = {"quick": (64, 64, 64, 5.0, 16, 600, 16384, 2), "small": (256, 128, 128, 10.0, 32, 600, 4096, 2),
            "paper": (512, 256, 256, 10.0, 32, 2000, 1 << 18, 3)}
PICTURES = {"natural": ("astronaut", "chelsea", "coffee"), "text": ("text", "page")}


def measure(size: str) -> list[dict]:
    seeds = SETTINGS[size][-1]
    return pictures(size) + curve(seeds) + discs(seeds) + eight_bits(seeds)


def curve(seeds: int) -> list[dict]:
    """Section 3 of the authors' page: ten waves of 5 to 50 Hz at 200 places, four layers of 64 without activations, 1,500 whole batches."""
    import torch
    from torch import nn

    from fields.networks.cam import Modulation

    def error(encoded: bool, modulated: bool, seed: int) -> float:
        torch.manual_seed(seed)
        x = torch.linspace(0, 1, 200)[:, None]
        hertz = torch.arange(5, 51, 5)
        target = torch.sin(2 * math.pi * (hertz * x + torch.rand(10))).sum(1, keepdim=True)
        angles = x * 2.0 ** torch.arange(16)
        features = torch.cat([x, angles.sin(), angles.cos()], dim=1) if encoded else x
        layers = nn.ModuleList(nn.Linear(n, 64) for n in (features.shape[1], 64, 64, 64))
        output = nn.Linear(64, 1)
        modulation = Modulation(1, (0,), (64,), 4) if modulated else None
        parameters = [p for part in (layers, output, modulation) if part is not None for p in part.parameters()]
        optimizer = torch.optim.Adam(parameters, 1e-3)
        for _ in range(1500):
            optimizer.zero_grad()
            scales = modulation(x) if modulated else [(1.0, 0.0)] * 4
            values = features
            for layer, (scale, shift) in zip(layers, scales):
                values = layer(values) * scale + shift
            loss = (output(values) - target).square().mean()
            loss.backward()
            optimizer.step()
        return float(loss.detach())

    rows = []
    for name, encoded, modulated, theirs in (("without", False, False, 4.97), ("octaves", True, False, 3.34), ("cam", False, True, 0.07),
                                             ("octaves and cam", True, True, 0.03)):
        found = summary(f"cam-1d:{name}", [error(encoded, modulated, seed) for seed in range(seeds)], paper=theirs)
        rows.append(found | {"unit": "mean squared error"})
    return rows


def discs(seeds: int) -> list[dict]:
    """Four discs on circles and a ripple of brightness over 12 frames of 24 x 24; the grids have five nodes along time alone."""
    from fields.methods.registry import make_method
    from scenes.video import Video

    y, x = (np.mgrid[0:24, 0:24] + 0.5) / 24
    frames = np.empty((12, 24, 24, 3), np.float32)
    colours = ((0.9, 0.2, 0.1), (0.1, 0.8, 0.3), (0.2, 0.3, 0.9), (0.9, 0.8, 0.2))
    for index, frame in enumerate(frames):
        t = index / 12
        frame[:] = 0.3 + 0.15 * math.sin(2 * math.pi * 3 * t) * (y < 0.5)[..., None]
        for number, colour in enumerate(colours):
            angle = 2 * math.pi * ((number + 1) * t / 2 + number / 4)
            inside = (x - 0.5 - 0.28 * math.cos(angle)) ** 2 + (y - 0.5 - 0.28 * math.sin(angle)) ** 2 < 0.12 ** 2
            frame[inside] = colour
    clip = Video.from_array(np.round(frames * 255).astype(np.uint8))
    base = {"width": 64, "frequencies": 64, "sigma": 1.5, "nodes": 5, "grid_axes": "time", "batch": 8192}
    variants = {"without": {"modulate": False, "normalise": False}, "norm only": {"modulate": False}, "cam without norm": {"normalise": False},
                "cam": {}}
    rows = []
    for name, changes in variants.items():
        found = [psnr_of(clip, make_method("cam", base | changes), steps=400, seed=seed) for seed in range(seeds)]
        rows.append(summary(f"cam-time:{name}", [psnr for psnr, _ in found], numbers=found[0][1], steps=400))
    return rows


def eight_bits(seeds: int) -> list[dict]:
    from fields.methods.registry import make_method

    image = photograph("astronaut", 64)
    base = {"width": 64, "frequencies": 64, "sigma": 5.0, "nodes": 16, "batch": 4096}
    rows = []
    for name, changes in (("cam", {}), ("without", {"modulate": False, "normalise": False})):
        for bits in (32, 8):
            values = [psnr_of(image, make_method("cam", base | changes), steps=600, seed=seed, bits=bits)[0] for seed in range(seeds)]
            rows.append(summary(f"cam-bits:{name}, {bits} bits", values, steps=600, side=64))
    return rows


def pictures(size: str) -> list[dict]:
    from fields.methods.registry import make_method

    side, width, frequencies, sigma, nodes, steps, batch, seeds = SETTINGS[size]
    base = {"width": width, "frequencies": frequencies, "sigma": sigma, "nodes": nodes, "batch": batch}
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
