"""What a fitted field consists of, as HTML: grids level by level, planes, kernels, modulation, frequencies, spectra.

One function per kind of part; `PARTS` lists them. A function returns nothing for fields without such a part.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np
import torch
from markupsafe import Markup

from apps.studio.images import data_url, encode_png
from apps.studio.templating import render
from apps.studio.view_renderer import OpenRun
from fields.compare.chart import NARROW, Line, svg
from fields.encoders.factor_grid import FactorGrid
from fields.encoders.hash_grid import HashGrid
from fields.encoders.rbf import GridAndKernels
from fields.encoders.tri_plane import TriPlane
from fields.fit.spectra import run_spectra
from fields.models.cam import CamField
from fields.models.field import CoordinateField, PointField
from fields.models.neurbf import NeuRbfField
from fields.models.spectral import SpectralField
from fields.render.feature_images import diverging_image, evaluate_on_plane, feature_image, kernel_ellipses
from fields.render.raster import evaluate_image, sample_centers
from fields.runs.run import Run
from scenes.image.color import to_bytes, to_display

# Kernels that are drawn, a random choice of them.
MAX_KERNELS = 3000
# Kernels in three dimensions are drawn if they are nearer to the middle of the third axis than this, in its lengths,
# as dots whose radius is this fraction of the longest side.
SLICE_THICKNESS = 0.03
DOT_RADIUS = 0.004
# Width of the image that is drawn behind kernels, in pixels; its brightness where it is transparent.
BACKGROUND_WIDTH = 420
BACKGROUND_GREY = 0.8
# Line width of kernels, in longest sides.
KERNEL_STROKE = 0.0012
# Arrows along each side of a drawing of flow.
ARROWS = 16
# Spectra with more bins than this have a logarithmic axis, and are averaged over eighths of octaves.
MAX_LINEAR_BINS = 256
# Smaller fractions of the magnitude are drawn as this one: the axis is logarithmic.
MIN_MAGNITUDE = 1e-7


@dataclass(frozen=True)
class Tile:
    """A small image with a line below it. `image`: `[H, W, 3]` uint8."""

    image: np.ndarray
    caption: str

    @property
    def source(self) -> str:
        return data_url(encode_png(self.image))


@dataclass(frozen=True)
class Part:
    """One section of the page: a title, a sentence, and tiles or drawings (SVG)."""

    title: str
    text: str = ""
    tiles: list[Tile] = field(default_factory=list)
    drawings: list[Markup] = field(default_factory=list)


def inspect(opened: OpenRun) -> Markup:
    """Everything that can be shown of the field of a run, as HTML."""
    points = opened.field.point_field
    parts = [] if points is None else [part for make in PARTS for part in make(points)]
    return render("inspector", parts=parts)


def spectra(run: Run, progress: Callable[[float, str], None] = lambda done, text: None) -> Markup:
    """The spectra of a run's target and fit, and FreSh's choice, as HTML. `progress`: as of `run_spectra`."""
    found = run_spectra(run, progress)
    logarithmic = max(map(len, found.curves.values())) > MAX_LINEAR_BINS
    lines = []
    for name, magnitudes in found.curves.items():
        cycles = np.arange(1.0, len(magnitudes) + 1)
        if logarithmic:
            cycles, magnitudes = _octave_means(cycles, magnitudes)
        levels = np.log10(np.maximum(magnitudes, MIN_MAGNITUDE))
        lines.append(Line(name, list(zip(cycles.tolist(), levels.tolist()))))
    drawing = svg(
        lines,
        "cycles across the signal",
        "fraction of magnitude, log10",
        logarithmic=logarithmic,
        label="Spectra of signal and field",
        size=NARROW,
    )
    return render("spectra", drawing=drawing, text=found.text)


def kernels(points: PointField) -> Iterable[Part]:
    """NeuRBF's kernels as ellipses, over the fit of an image; as dots in a volume."""
    if not isinstance(points, NeuRbfField):
        return
    layer = points.encoder.kernels
    positions, extents = (tensor.detach().cpu().double().numpy() for tensor in (layer.centres, layer.extents))
    count, longest = len(positions), extents.max()
    if positions.shape[1] == 2:
        chosen = np.random.default_rng(0).permutation(count)[:MAX_KERNELS]
        half_axes, angles = kernel_ellipses(layer.shapes[chosen], layer.kernel)
        some = f", {MAX_KERNELS:,} of them shown" if count > MAX_KERNELS else ""
        text = (
            f"{count:,} kernels{some}. On its ellipse a kernel has fallen to about a half. Kernels gather where the "
            "signal has detail."
        )
    else:
        distance = np.abs(positions[:, 2] - 0.5 * extents[2])
        near = np.flatnonzero(distance < SLICE_THICKNESS * extents[2])
        chosen = near[:MAX_KERNELS]
        half_axes, angles = np.full((len(chosen), 2), DOT_RADIUS * longest), np.zeros(len(chosen))
        text = f"{count:,} kernels. Shown as dots: the {len(near):,} nearest to the middle of the third axis."
    ellipses = [
        {"x": x, "y": y, "rx": rx, "ry": ry, "angle": angle}
        for (x, y), (rx, ry), angle in zip(positions[chosen, :2], half_axes, angles)
    ]
    width, height = extents[:2]
    drawing = render(
        "kernels",
        width=width,
        height=height,
        stroke=KERNEL_STROKE * longest,
        ellipses=ellipses,
        background=_background(points, height / width) if positions.shape[1] == 2 else "",
    )
    yield Part("Kernels", text, drawings=[drawing])


def frequencies(points: PointField) -> Iterable[Part]:
    """NSTR's local frequency as a map, and how its transport says that it changes."""
    if not isinstance(points, SpectralField):
        return
    values = evaluate_on_plane(points, lambda coords: points.frequency(coords)[..., None])[..., 0]
    low, high = float(values.min()), float(values.max())
    tile = Tile(diverging_image(values, float(values.mean())), f"{low:.1f} to {high:.1f} cycles across the domain")
    text = "Local frequency of the waves that the field is made of: blue is below the mean, orange above it."
    yield Part("Frequency map", text, tiles=[tile])
    if points.state_changes is None:
        return
    positions = sample_centers(ARROWS)
    coords = torch.full((ARROWS, ARROWS, points.domain.dimensions), 0.5)
    coords[..., 0], coords[..., 1] = positions[None, :], positions[:, None]
    flow = points.flow(coords.to(points.device)).cpu().numpy()[..., :2]
    flow = flow / (float(np.linalg.norm(flow, axis=-1).max()) or 1.0) / ARROWS
    arrows = [
        {"x": x, "y": y, "dx": float(flow[row, column, 0]), "dy": float(flow[row, column, 1])}
        for row, y in enumerate(positions.tolist())
        for column, x in enumerate(positions.tolist())
    ]
    drawing = render("flow", background=tile.source, arrows=arrows)
    text = "Direction in which the frequency rises, and how fast, above the map."
    yield Part("Flow", text, drawings=[drawing])


def hash_grid_levels(points: PointField) -> Iterable[Part]:
    """A hash grid, level by level, over the first two axes, in the middle of the others."""
    grid = _grid_of(points)
    if not isinstance(grid, HashGrid):
        return
    count = grid.layout.features
    features = evaluate_on_plane(points, grid)
    tiles = [
        Tile(feature_image(features[..., level * count : (level + 1) * count]), f"level {level + 1}")
        for level in range(grid.layout.outputs // count)
    ]
    cut = ", cut through the middle" if points.domain.dimensions > 2 else ""
    text = f"Features of each level, coarse to fine{cut}, as red, green and blue."
    yield Part("Hash grid, level by level", text, tiles)


def planes(points: PointField) -> Iterable[Part]:
    """Planes, lines and blocks of a factorized grid."""
    grid = _grid_of(points)
    if not isinstance(grid, FactorGrid):
        return
    names = [axis.name for axis in points.domain.axes]
    tiles, lines = [], []
    for factor, values in zip(grid.layout.factors, grid.grids):
        values = values.detach().cpu()
        label = " ".join(names[axis] for axis in factor.axes)
        if len(factor.axes) == 1:
            rms = values.square().mean(-1).sqrt().tolist()
            lines.append(Line(label, [(i / max(1, len(rms) - 1), value) for i, value in enumerate(rms)]))
        elif len(factor.axes) == 2:
            size = " x ".join(str(n) for n in reversed(values.shape[:-1]))
            tiles.append(Tile(feature_image(values.numpy()), f"{label}, {size}"))
        elif len(factor.axes) == 3:
            tiles.append(Tile(feature_image(values[len(values) // 2].numpy()), f"{label}, middle slice"))
    if tiles:
        text = "The three principal components of each plane's features as red, green and blue."
        yield Part("Planes", text, tiles)
    if lines:
        drawing = svg(lines, "along the axis", "size of the features", size=NARROW)
        yield Part("Lines", drawings=[drawing])


def modulation(points: PointField) -> Iterable[Part]:
    """CAM's scales and shifts, as a map or a curve for each layer."""
    if not isinstance(points, CamField) or points.network.modulation is None:
        return
    module = points.network.modulation
    values, axes = module.grid.grids[0].detach().cpu().numpy(), module.grid.layout.factors[0].axes
    title = "Scales and shifts"
    if len(axes) == 1:
        axis = points.domain.axes[axes[0]].name
        curves = (
            _layer_curves(values[:, : module.layers], axis, "scale"),
            _layer_curves(values[:, module.layers :], axis, "shift"),
        )
        yield Part(title, drawings=list(curves))
        return
    if values.ndim > 3:
        values = values[len(values) // 2]
    tiles = []
    for layer in range(module.layers):
        scale, shift = values[..., layer], values[..., module.layers + layer]
        tiles += [
            Tile(diverging_image(scale, 1.0), f"scale of layer {layer + 1}: {scale.min():.2f} to {scale.max():.2f}"),
            Tile(diverging_image(shift, 0.0), f"shift of layer {layer + 1}: {shift.min():.2f} to {shift.max():.2f}"),
        ]
    text = "Factor and offset of each hidden layer, over the signal: blue is less, orange more."
    yield Part(title, text, tiles)


PARTS: tuple[Callable[[PointField], Iterable[Part]], ...] = (
    kernels,
    frequencies,
    hash_grid_levels,
    planes,
    modulation,
)


def _grid_of(points: PointField) -> HashGrid | FactorGrid | None:
    encoder = points.encoder if isinstance(points, CoordinateField) else None
    if isinstance(encoder, (GridAndKernels, TriPlane)):
        encoder = encoder.grid
    return encoder if isinstance(encoder, (HashGrid, FactorGrid)) else None


def _background(points: PointField, aspect: float) -> str:
    """Address of a small image of the fit; `aspect`: its height over its width."""
    values = evaluate_image(points, BACKGROUND_WIDTH, max(1, round(BACKGROUND_WIDTH * aspect)))
    return data_url(encode_png(to_bytes(to_display(values, points.channels, BACKGROUND_GREY))))


def _layer_curves(values: np.ndarray, axis: str, name: str) -> Markup:
    """Curves of values `[N, layers]` along an axis."""
    x = np.linspace(0, 1, len(values)).tolist()
    lines = [Line(f"layer {layer + 1}", list(zip(x, values[:, layer].tolist()))) for layer in range(values.shape[1])]
    return svg(lines, axis, name, size=NARROW)


def _octave_means(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means over bands of an eighth of an octave: audio has thousands of frequencies."""
    band = np.round(8 * np.log2(x)).astype(int)
    bands = np.unique(band)
    return np.array([x[band == b].mean() for b in bands]), np.array([y[band == b].mean() for b in bands])
