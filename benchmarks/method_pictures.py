"""Draws docs/methods/pictures: what each method makes of one small signal in a few hundred steps.

    python -m benchmarks.method_pictures [NAME ...]

Images: scikit-image's astronaut at 160 x 160 (target, fit, ten times the error); methods that take no images get a
volume or a clip by formula. Neither time nor parameters are equal: this shows characters, not ranks. neurbf also draws
its kernels, nstr its frequencies; `fresh` draws what `--init fresh` sees of a photograph, `heads` the functions of a
Kolmogorov-Arnold edge.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import numpy as np

from benchmarks.papers.fits import photograph

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "methods" / "pictures"
SIDE, STEPS = 160, 300
FRAME_STEPS = 1000  # of generators, a frame each
NETWORK = {"width": 64, "batch": 4096}
OPTIONS = {
    "frequency": NETWORK,
    "nerf": NETWORK,
    "fourier": NETWORK | {"frequencies": 64, "learning_rate": 3e-3},
    "cam": NETWORK | {"frequencies": 64},
    "nerv": {"strides": "4,2,2"},
    "nervpp": {"strides": "4,2,2"},
    "siren": NETWORK | {"first_omega": 60.0},
    "finer": NETWORK,
    "wire": {"width": 45, "batch": 4096},
    "nstr": {"width": 64, "waves": 64, "nodes": 8, "learning_rate": 2e-3, "batch": 4096},
}


def main() -> None:
    from fields.methods.registry import BUILT_IN

    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.method_pictures",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="methods (default: all)")
    for name in parser.parse_args().names or (*BUILT_IN, *OTHERS):
        OTHERS.get(name, draw)(name)


def draw(name: str) -> None:
    import fields
    from fields.kinds import objective_for
    from fields.methods.registry import make_method, method_class

    signal = signal_for(method_class(name))
    result = fields.fit_field(
        signal,
        make_method(name, OPTIONS.get(name, {"batch": 4096})),
        steps=FRAME_STEPS if method_class(name).kinds == ("video",) else STEPS,
    )
    FOLDER.mkdir(parents=True, exist_ok=True)
    objective_for(signal, result.field, result.method.loss).save_preview(result.field, FOLDER / f"{name}.png")
    print(
        name,
        {key: round(value, 2) for key, value in result.metrics.items()},
        f"{result.field.num_parameters:,} parameters",
        flush=True,
    )
    if name == "neurbf":
        _kernels(signal, result.field)
    if name == "nstr":
        from benchmarks.papers.images import split
        from fields.export.outputs.maps import draw_map

        options = {"waves": 56, "width": 56, "nodes": 8, "learning_rate": 2e-3, "batch": 4096}
        halves = fields.fit_field(split(256), make_method(name, options), steps=STEPS)
        draw_map(halves.field, "flow", FOLDER / "nstr-flow.png", width=256, height=256, window=(0.0, 0.0, 1.0, 1.0))


def _fresh(name: str) -> None:
    """Both spectra and the distances of the candidates."""
    from fields.fit.fresh import apply_fresh, save_spectra
    from fields.methods.registry import make_method

    image = photograph("camera", 256, grey=True)
    _, report, choice = apply_fresh(make_method("siren", NETWORK).prepare(image), image)
    assert choice is not None
    save_spectra(choice, "first_omega", FOLDER / f"{name}.png")
    print(name, report["value"], flush=True)


def _heads(name: str) -> None:
    """The eight functions of each basis, and an edge as it begins."""
    import torch
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from fields.networks.kan import KanLayer

    x = torch.linspace(-3, 3, 301)[:, None]
    figure = Figure((9, 2.6), layout="constrained")
    for axes, basis in zip(figure.subplots(1, 2, sharey=True), ("spline", "gaussian")):
        layer = KanLayer(1, 1, basis, torch.Generator().manual_seed(0))
        with torch.no_grad():
            axes.plot(x, layer.functions(x), color="#2f4858", linewidth=0.8)
            axes.plot(x, layer(x), color="#e07a3f", label="an edge as it begins")
        axes.set(title=f"kan-{basis}", xlabel="feature")
        axes.spines[["top", "right"]].set_visible(False)
    figure.axes[0].legend(frameon=False)
    FigureCanvasAgg(figure)
    figure.savefig(FOLDER / f"{name}.png", dpi=110)


OTHERS = {"fresh": _fresh, "heads": _heads}


def signal_for(method):
    from scenes.video.signal import Video
    from scenes.volume.signal import Volume

    if method.kinds == ("video",):
        y, x = (np.mgrid[0:64, 0:96] + 0.5) / 64
        frames = [
            np.stack(
                [
                    0.5 + 0.4 * np.sin(8 * x + t),
                    0.5 + 0.4 * np.cos(9 * y - t),
                    0.15 + 0.7 * (np.hypot(x - 0.5 - 0.25 * math.sin(t), y - 0.5) < 0.2),
                ],
                -1,
            )
            for t in np.linspace(0, 6, 12)
        ]
        return Video.from_array(np.round(np.clip(frames, 0, 1) * 255).astype(np.uint8))
    if 2 not in method.dimensions:
        z, y, x = (np.mgrid[0:48, 0:48, 0:48] + 0.5) / 48 - 0.5
        rings = np.cos(40 * np.hypot(np.hypot(x, y) - 0.28, z)) * np.exp(
            -((np.hypot(np.hypot(x, y) - 0.28, z) / 0.12) ** 2)
        )
        return Volume.from_array((0.5 + 0.5 * rings).astype(np.float32))
    return photograph("astronaut", SIDE)


def _kernels(image, field) -> None:
    """The centres, and the ellipses at which kernels are a half."""
    import torch
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.collections import EllipseCollection
    from matplotlib.figure import Figure

    from fields.ops.rbf_gather import full_shapes, unpack_shapes

    kernels = field.encoder.kernels
    values, vectors = torch.linalg.eigh(unpack_shapes(full_shapes(kernels.shapes, 2)))
    widths = (2 * values.rsqrt()).numpy()
    angles = -torch.rad2deg(torch.atan2(vectors[:, 1, 0], vectors[:, 0, 0])).numpy()  # (y goes down)
    figure = Figure((4, 4), layout="constrained")
    axes = figure.subplots()
    axes.imshow(image.preview(), extent=(0, 1, 1, 0), alpha=0.6)
    axes.add_collection(
        EllipseCollection(
            widths[:, 0],
            widths[:, 1],
            angles,
            units="xy",
            offsets=kernels.centres.numpy(),
            offset_transform=axes.transData,
            facecolors="none",
            edgecolors="#c8102e",
            linewidths=0.5,
        )
    )
    axes.set_axis_off()
    FigureCanvasAgg(figure)
    figure.savefig(FOLDER / "neurbf-kernels.png", dpi=100)


if __name__ == "__main__":
    main()
