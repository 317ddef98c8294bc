"""CAM against the same network without modulation and without normalisation, at equal parameters (Lee et al. 2024,
table 1).

The paper, images of 512 x 512, 263 K against 266 K parameters: 30.30 to 32.21 dB on natural images, 34.44 to 50.17 dB
on text. `widened` has no grids and as many parameters as CAM; `norm only` is the row without which the gain of the
normalisation would be credited to CAM.

`cam-halves` is fitted to every second pixel along both axes and scored on all (theirs: 27.48 to 28.19 and 30.04 to
33.09 dB). `cam-1d` is the authors' demonstration on a curve: a network without any activation, so a statement on
modulation alone (error: theirs are 4.97, 3.34, 0.07 and 0.03). `cam-time` modulates by time alone, 30 parameters more,
on discs that move (theirs, dynamic scenes: 32.22 to 33.78 dB). `cam-frames` is the norm and modulation of a generator
of frames, on shapes that move and on a clip that fades (theirs, rate and distortion on 1080p: about 0.5 to 0.8 dB).
`cam-rays` is a scene with the same number of samples on every ray, once with the product's norm of each sample, once
with theirs over all samples of a ray (theirs, with it: 33.09 to 33.42 dB). `cam-bits` trains for weights of 8 bits
(theirs: 0.15 dB less than with 32).
"""

from __future__ import annotations

import math

import numpy as np

from benchmarks.papers.claims import Claim
from benchmarks.papers.fits import every_second_pixel, fitted, photograph, psnr_of, summary
from fields.methods.base import Method

# side, width, frequencies, sigma, nodes, steps, batch, seeds
SETTINGS = {
    "quick": (64, 64, 64, 5.0, 16, 600, 16384, 2),
    "small": (256, 128, 128, 10.0, 32, 600, 4096, 2),
    "paper": (512, 256, 256, 10.0, 32, 2000, 1 << 18, 3),
}
PLAIN = {"modulate": False, "normalise": False}
PICTURES = {"natural": ("astronaut", "chelsea"), "text": ("text", "page")}
# epochs of 16 frames
EPOCHS = {"quick": 20, "small": 60, "paper": 300}
# width, rays, samples, steps, views, seeds
RAYS = {"quick": (32, 128, 32, 60, 2, 1), "small": (64, 192, 48, 300, 3, 2), "paper": (256, 4096, 128, 50_000, 20, 2)}
CLAIMS = (
    Claim(
        "images, all pixels, natural: + 1.91 dB over the same network",
        "cam-natural:cam",
        "cam-natural:widened",
        least=1.9,
    ),
    Claim("images, all pixels, text: + 15.73 dB", "cam-text:cam", "cam-text:widened", least=2.5),
    Claim("every second pixel, natural: + 0.71 dB", "cam-halves-natural:cam", "cam-halves-natural:widened"),
    Claim("every second pixel, text: + 3.05 dB", "cam-halves-text:cam", "cam-halves-text:widened"),
    Claim(
        "norm and modulation help together: modulation adds to the norm, natural",
        "cam-natural:cam",
        "cam-natural:norm only",
        least=0.8,
    ),
    Claim("the same on text", "cam-text:cam", "cam-text:norm only"),
    Claim("the norm adds to modulation, natural", "cam-natural:cam", "cam-natural:cam without norm", least=1.5),
    Claim(
        "curve: an error of 4.97 without grids, 0.07 with them",
        "cam-1d:cam",
        "cam-1d:without",
        better="lower",
        factor=True,
        least=20,
    ),
    Claim(
        "curve behind octaves: 3.34 and 0.03",
        "cam-1d:octaves and cam",
        "cam-1d:octaves",
        better="lower",
        factor=True,
        least=20,
    ),
    Claim(
        "curve: shifts alone do less than scales alone",
        "cam-1d:octaves and scales",
        "cam-1d:octaves and shifts",
        better="lower",
        factor=True,
        least=2,
        ours=True,
    ),
    Claim(
        "time alone, 30 parameters more: 32.22 to 33.78 dB on dynamic scenes",
        "cam-time:cam",
        "cam-time:norm only",
        least=0.7,
    ),
    Claim(
        "the same without norm, as in their code for dynamic scenes",
        "cam-time:cam without norm",
        "cam-time:without",
        least=2.0,
    ),
    Claim(
        "generator of frames, shapes that move: about 0.5 dB over none",
        "cam-frames-moving:cam",
        "cam-frames-moving:without",
        least=0.3,
    ),
    Claim(
        "generator of frames, fades: over the norm alone",
        "cam-frames-fading:cam",
        "cam-frames-fading:norm only",
        least=0.5,
    ),
    Claim(
        "scenes: 33.09 to 33.42 dB, with the norm over the samples of a ray",
        "cam-rays:cam, ray norm",
        "cam-rays:without",
        least=0.1,
    ),
    Claim(
        "the product's norm of each sample does as well",
        "cam-rays:cam",
        "cam-rays:cam, ray norm",
        least=-0.3,
        ours=True,
    ),
    Claim("8 bits cost 0.15 dB", "cam-bits:cam, 8 bits", "cam-bits:cam, 32 bits", least=-0.5),
    Claim("8 bits with modulation are ahead of 32 without", "cam-bits:cam, 8 bits", "cam-bits:widened, 32 bits"),
)


CURVES = {
    "without": (False, "", 4.97),
    "octaves": (True, "", 3.34),
    "cam": (False, "both", 0.07),
    "octaves and cam": (True, "both", 0.03),
    "octaves and scales": (True, "scales", None),
    "octaves and shifts": (True, "shifts", None),
}


def curve(seeds: int, names: tuple[str, ...] = tuple(CURVES)) -> list[dict]:
    """Section 3 of the authors' page.

    Ten waves of 5 to 50 Hz at 200 places, four layers of 64 without activations, 1,500 whole batches.
    """
    import torch
    from torch import nn

    from fields.networks.cam import Modulation

    def error(encoded: bool, modulated: str, seed: int) -> tuple[float, int]:
        torch.manual_seed(seed)
        x = torch.linspace(0, 1, 200)[:, None]
        hertz = torch.arange(5, 51, 5)
        target = torch.sin(2 * math.pi * (hertz * x + torch.rand(10))).sum(1, keepdim=True)
        angles = x * 2.0 ** torch.arange(16)
        features = torch.cat([x, angles.sin(), angles.cos()], dim=1) if encoded else x
        layers = nn.ModuleList(nn.Linear(n, 64) for n in (features.shape[1], 64, 64, 64))
        output = nn.Linear(64, 1)
        modulation = Modulation(1, (0,), (64,), 4) if modulated else None
        if modulation is not None and modulated in ("scales", "shifts"):
            # The first four channels of the grid are scales.
            keep = torch.arange(8) < 4 if modulated == "scales" else torch.arange(8) >= 4
            modulation.grid.table.register_hook(lambda gradient: gradient * keep)
        parameters = [p for part in (layers, output, modulation) if part is not None for p in part.parameters()]
        optimizer = torch.optim.Adam(parameters, 1e-3)
        loss = torch.zeros(())
        for _ in range(1500):
            optimizer.zero_grad()
            if modulation is None:
                scales = [(1.0, 0.0)] * 4
            else:
                columns = modulation(x).split(1, dim=-1)
                scales = list(zip(columns[:4], columns[4:]))
            values = features
            for layer, (scale, shift) in zip(layers, scales):
                values = layer(values) * scale + shift
            loss = (output(values) - target).square().mean()
            loss.backward()
            optimizer.step()
        return float(loss.detach()), sum(p.numel() for p in parameters)

    rows = []
    for name in names:
        encoded, modulated, theirs = CURVES[name]
        found = [error(encoded, modulated, seed) for seed in range(seeds)]
        row = summary(
            f"cam-1d:{name}",
            [value for value, _ in found],
            parameters=found[0][1],
            **({} if theirs is None else {"paper": theirs}),
        )
        rows.append(row | {"unit": "mean squared error"})
    return rows


def frames(epochs: int, seeds: int, kinds: tuple[str, ...] = ("moving", "fading")) -> list[dict]:
    """16 frames of 64 x 64 from a generator with blocks of 4, 2 and 2; all variants have as many parameters."""
    from fields.methods.registry import make_method

    rows = []
    for kind in kinds:
        clip = _clip(kind == "fading")
        cam = make_method(
            "nerv",
            {
                "strides": "4,2,2",
                "grid_channels": 16,
                "lower_width": 12,
                "hidden": 64,
                "frequencies": 12,
                "time_nodes": 6,
            },
        ).prepare(clip)
        count = cam.parameters(3, 3)

        def with_nodes(nodes: int, cam: Method = cam, count: int = count) -> Method:
            """The stem widened until there are as many parameters."""
            return min(
                (cam.model_copy(update={"time_nodes": nodes, "hidden": hidden}) for hidden in range(64, 128)),
                key=lambda m: abs(m.parameters(3, 3) - count),
            )

        for name, method, frozen in (
            ("without", with_nodes(0), False),
            ("norm only", with_nodes(2), True),
            ("cam", cam, False),
        ):
            found = [_frames_psnr(clip, method, frozen, epochs * 16, seed) for seed in range(seeds)]
            rows.append(
                summary(
                    f"cam-frames-{kind}:{name}", [psnr for psnr, _ in found], parameters=found[0][1], steps=epochs * 16
                )
            )
    return rows


def _frames_psnr(clip, method, frozen: bool, steps: int, seed: int) -> tuple[float, int]:
    """`frozen`: scales stay 1 and shifts 0, which leaves the norm."""
    from fields.fit.fit import finish, prepare
    from fields.networks.cam import TimeModulation

    trainer, _ = prepare(clip, method, steps=steps, seed=seed)
    for module in trainer.field.modules() if frozen else ():
        if isinstance(module, TimeModulation):
            module.curves.table.register_hook(lambda gradient: 0.0 * gradient)
    result = finish(trainer, None)
    return result.metrics["psnr"], result.field.num_parameters


def _clip(fading: bool):
    """A disc and a bar that move over a gradient; if it fades, every frame at another brightness and contrast."""
    from scenes.video.signal import Video

    y, x = (np.mgrid[0:64, 0:64] + 0.5) / 64
    frames = np.empty((16, 64, 64, 3), np.float32)
    for index, frame in enumerate(frames):
        t = index / 16
        frame[:] = np.stack([0.3 + 0.4 * x, 0.5 - 0.2 * y, 0.4 + 0.2 * x * y], axis=-1)
        frame[
            (x - 0.5 - 0.3 * math.cos(2 * math.pi * t)) ** 2 + (y - 0.5 - 0.3 * math.sin(2 * math.pi * t)) ** 2
            < 0.15**2
        ] = (0.9, 0.3, 0.1)
        frame[np.abs(x - 0.1 - 0.8 * t) < 0.04] = (0.1, 0.7, 0.9)
        if fading:
            frame *= 0.25 + 0.75 * abs(math.sin(math.pi * 3 * (t + 0.05)))
    return Video.from_array(np.round(frames * 255).astype(np.uint8))


def scene(size: str) -> list[dict]:
    """The same network without grids, with the product's norm of each sample, and with the authors' over the samples of
    a ray.
    """
    from benchmarks.papers import rays

    width, count, samples, steps, views, seeds = RAYS[size]
    signal, name = rays.scene()
    base = {"width": width, "hidden_layers": 4, "color_layers": 1, "learning_rate": 2e-3}
    rows = []
    for variant, options, mixed in (
        ("without", {"modulate": False, "normalise": False}, False),
        ("norm only", {"modulate": False}, False),
        ("cam", {}, False),
        ("cam, ray norm", {}, True),
    ):
        found = [
            rays.scored(signal, base | options, mixed, steps=steps, rays=count, samples=samples, views=views, seed=seed)
            for seed in range(seeds)
        ]
        rows.append(
            summary(
                f"cam-rays:{variant}",
                [psnr for psnr, _ in found],
                parameters=found[0][1],
                steps=steps,
                rays=count,
                samples=samples,
                scene=name,
            )
        )
    return rows


def halves(size: str) -> list[dict]:
    """Every second pixel fitted, all scored."""
    side, *_, steps, _, seeds = SETTINGS[size]
    rows = []
    for kind, names in PICTURES.items():
        scores: dict[str, list[float]] = {}
        for name in names[:1] if size == "quick" else names:
            image = photograph(name, side)
            sparse, all_pixels = every_second_pixel(image)
            variants = _variants(image, size)
            for variant in ("widened", "cam"):
                for seed in range(seeds):
                    scores.setdefault(variant, []).append(
                        all_pixels(fitted(sparse, variants[variant], steps=steps, seed=seed).field)
                    )
        rows += [
            summary(f"cam-halves-{kind}:{variant}", values, steps=steps, side=side)
            for variant, values in scores.items()
        ]
    return rows


def discs(seeds: int, steps: int = 400, only: tuple[str, ...] = ()) -> list[dict]:
    """Four discs on circles and a ripple of brightness over 12 frames of 24 x 24.

    The grids have five nodes along time alone.
    """
    from fields.methods.registry import make_method
    from scenes.video.signal import Video

    y, x = (np.mgrid[0:24, 0:24] + 0.5) / 24
    frames = np.empty((12, 24, 24, 3), np.float32)
    colors = ((0.9, 0.2, 0.1), (0.1, 0.8, 0.3), (0.2, 0.3, 0.9), (0.9, 0.8, 0.2))
    for index, frame in enumerate(frames):
        t = index / 12
        frame[:] = 0.3 + 0.15 * math.sin(2 * math.pi * 3 * t) * (y < 0.5)[..., None]
        for number, color in enumerate(colors):
            angle = 2 * math.pi * ((number + 1) * t / 2 + number / 4)
            inside = (x - 0.5 - 0.28 * math.cos(angle)) ** 2 + (y - 0.5 - 0.28 * math.sin(angle)) ** 2 < 0.12**2
            frame[inside] = color
    clip = Video.from_array(np.round(frames * 255).astype(np.uint8))
    base = {"width": 64, "frequencies": 64, "sigma": 1.5, "nodes": 5, "grid_axes": "time", "batch": 8192}
    variants = {
        "without": {"modulate": False, "normalise": False},
        "norm only": {"modulate": False},
        "cam without norm": {"normalise": False},
        "cam": {},
    }
    rows = []
    for name, changes in variants.items():
        if only and name not in only:
            continue
        found = [psnr_of(clip, make_method("cam", base | changes), steps=steps, seed=seed) for seed in range(seeds)]
        rows.append(summary(f"cam-time:{name}", [psnr for psnr, _ in found], parameters=found[0][1], steps=steps))
    return rows


def eight_bits(seeds: int) -> list[dict]:
    from fields.methods.registry import make_method

    image = photograph("astronaut", 64)
    base = {"width": 64, "frequencies": 64, "sigma": 5.0, "nodes": 16, "batch": 4096, "optimizer": "adam"}
    cam = make_method("cam", base).prepare(image)
    rows = []
    for name, method in (("cam", cam), ("widened", _widened(cam, image))):
        for bits in (32, 8):
            values = [psnr_of(image, method, steps=600, seed=seed, bits=bits)[0] for seed in range(seeds)]
            rows.append(summary(f"cam-bits:{name}, {bits} bits", values, steps=600, side=64))
    return rows


def images(size: str) -> list[dict]:
    side, *_, steps, _, seeds = SETTINGS[size]
    rows = []
    for kind, names in PICTURES.items():
        scores: dict[str, list[float]] = {}
        parameters: dict[str, int] = {}
        for name in names[:1] if size == "quick" else names:
            image = photograph(name, side)
            for variant, method in _variants(image, size).items():
                for seed in range(seeds):
                    psnr, parameters[variant] = psnr_of(image, method, steps=steps, seed=seed)
                    scores.setdefault(variant, []).append(psnr)
        ours = sum(scores["cam"]) / len(scores["cam"])
        for variant, values in scores.items():
            row = summary(f"cam-{kind}:{variant}", values, parameters=parameters[variant], steps=steps, side=side)
            if variant == "cam":
                against = sum(scores["widened"]) / len(scores["widened"])
                row |= {
                    "against": "widened",
                    "against_value": round(against, 2),
                    "ratio": round(ours / against, 3),
                    "gain": round(ours - against, 2),
                    "paper": {"natural": 1.91, "text": 15.73}[kind],
                }
            rows.append(row)
    return rows


def _variants(image, size: str) -> dict:
    """Methods by what they have; `widened` has as many parameters as `cam`."""
    from fields.methods.registry import make_method

    _, width, frequencies, sigma, nodes, _, batch, _ = SETTINGS[size]
    base = {"width": width, "frequencies": frequencies, "sigma": sigma, "nodes": nodes, "batch": batch}
    base["optimizer"] = "adam"
    cam = make_method("cam", base).prepare(image)
    return {
        "without": cam.model_copy(update=PLAIN),
        "widened": _widened(cam, image),
        "norm only": make_method("cam", base | {"modulate": False}),
        "cam without norm": make_method("cam", base | {"normalise": False}),
        "cam": cam,
    }


def _widened(cam, image):
    """The same network without grids and norm, with as many parameters."""
    channels = len(image.channels)
    return min(
        (cam.model_copy(update=PLAIN | {"width": width}) for width in range(cam.width, 2 * cam.width)),
        key=lambda m: abs(m.parameters(2, channels) - cam.parameters(2, channels)),
    )


PARTS = {
    "images": images,
    "halves": halves,
    "curve": lambda size: curve(SETTINGS[size][-1]),
    "time": lambda size: discs(SETTINGS[size][-1]),
    "frames": lambda size: frames(EPOCHS[size], SETTINGS[size][-1]),
    "rays": scene,
    "bits": lambda size: eight_bits(SETTINGS[size][-1]),
}
