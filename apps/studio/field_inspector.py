"""What a fitted field is made of, as pictures: spectra, grids level by level, planes, scales and shifts.

One function a kind of part; `PARTS` lists them, and a part that a field does not have is left out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from html import escape

import numpy as np
import torch
from torch import Tensor

from apps.studio.images import inline
from apps.studio.view_renderer import Opened
from fields.compare.chart import NARROW, Line, svg
from fields.encoders.factor_grid import FactorGrid
from fields.encoders.hash_grid import HashGrid
from fields.fit.fit import reopen
from fields.fit.fresh import SIDES, apply_fresh
from fields.init.spectrum import diagonal_spectrum
from fields.methods.registry import make_method
from fields.models.cam import CamField
from fields.models.field import Field, PointField
from fields.models.neurbf import NeuRbfField
from fields.models.spectral import SpectralField
from fields.ops.rbf_gather import full_shapes, unpack_shapes
from fields.render.raster import centres, lattice, picture
from fields.runs.run import Run
from scenes.errors import BadInput
from scenes.image.color import to_bytes, to_display

SIDE = 160
BINS = 64
MAX_ELLIPSES = 3000
ARROWS = 16
# From low through nothing to high.
COLD, CALM, WARM = np.array([47, 134, 173]), np.array([246, 244, 240]), np.array([196, 84, 40])


@dataclass(frozen=True)
class Tile:
    """A small picture with a line below it."""

    picture: np.ndarray
    caption: str


def parts(opened: Opened) -> str:
    """Everything that can be shown of this field, as HTML."""
    shown = [part(opened) for part in PARTS]
    return (
        "\n".join(part for part in shown if part)
        or "<p class='quiet'>This method has no grids, planes or maps to look at.</p>"
    )


def section(title: str, text: str, tiles: list[Tile]) -> str:
    figures = "".join(
        f'<figure><img src="{inline(tile.picture)}" alt="{escape(tile.caption)}"><figcaption>{escape(tile.caption)}</figcaption></figure>'
        for tile in tiles
    )
    return f'<section class="part"><h3>{escape(title)}</h3><p class="quiet">{escape(text)}</p><div class="tiles">{figures}</div></section>'


def _points(opened: Opened) -> Field:
    """The field of points that has grids, planes or maps: of a scene its trunk."""
    return getattr(opened.field, "trunk", opened.field)


def levels(opened: Opened) -> str:
    """A hash grid, one level after another, over the first two axes (the others in their middle)."""
    field = _points(opened)
    grid = getattr(field, "encoder", None)
    grid = grid if isinstance(grid, HashGrid) else getattr(grid, "grid", None)
    if not isinstance(grid, HashGrid):
        return ""
    layout = grid.layout
    features = _on_plane(field, grid)
    tiles = [
        Tile(_three(features[..., level * layout.features : (level + 1) * layout.features]), f"level {level + 1}")
        for level in range(layout.outputs // layout.features)
    ]
    where = ", cut through the middle" if field.domain.dimensions > 2 else ""
    return section(
        "Hash grid, level by level",
        f"What each level adds, coarse to fine{where}: its features as red, green and blue.",
        tiles,
    )


def planes(opened: Opened) -> str:
    """The planes and lines of a factorised grid."""
    field = _points(opened)
    grid = getattr(field, "encoder", None)
    grid = grid if isinstance(grid, FactorGrid) else getattr(grid, "grid", None)
    if not isinstance(grid, FactorGrid):
        return ""
    names = [axis.name for axis in field.domain.axes]
    tiles, curves = [], []
    for factor, values in zip(grid.layout.factors, grid.grids):
        values = values.detach().cpu()
        label = " ".join(names[axis] for axis in factor.axes)
        if len(factor.axes) == 2:
            tiles.append(
                Tile(_three(values.numpy()), f"{label}, {' x '.join(str(n) for n in reversed(values.shape[:-1]))}")
            )
        elif len(factor.axes) == 1:
            rms = values.square().mean(-1).sqrt().tolist()
            curves.append(Line(label, [(i / max(1, len(rms) - 1), value) for i, value in enumerate(rms)]))
        elif len(factor.axes) == 3:
            tiles.append(Tile(_three(values[values.shape[0] // 2].numpy()), f"{label}, middle slice"))
    text = "Each plane's strongest directions among its features as red, green and blue."
    drawing = (
        f'<figure class="drawing">{svg(curves, "along the axis", "size of the features", size=NARROW)}</figure>'
        if curves
        else ""
    )
    return (section("Planes", text, tiles) if tiles else "") + (
        f'<section class="part"><h3>Lines</h3>{drawing}</section>' if curves else ""
    )


def modulation(opened: Opened) -> str:
    """CAM's scales and shifts, a map (or a curve) a layer."""
    field = _points(opened)
    network = getattr(field, "network", None)
    if not isinstance(field, CamField) or network.modulation is None:
        return ""
    grid = network.modulation.grid
    values, axes = grid.grids[0].detach().cpu().numpy(), grid.layout.factors[0].axes
    count = network.modulation.layers
    if len(axes) == 1:
        x = np.linspace(0, 1, len(values))
        name = field.domain.axes[axes[0]].name
        draw = [
            svg(
                [Line(f"layer {layer + 1}", list(zip(x, values[:, first + layer]))) for layer in range(count)],
                name,
                what,
                size=NARROW,
            )
            for first, what in ((0, "scale"), (count, "shift"))
        ]
        return f'<section class="part"><h3>Scales and shifts</h3>{"".join(f"<figure class=drawing>{d}</figure>" for d in draw)}</section>'
    if values.ndim > 3:
        values = values[values.shape[0] // 2]
    tiles = []
    for layer in range(count):
        scale, shift = values[..., layer], values[..., count + layer]
        tiles += [
            Tile(_around(scale, 1.0), f"scale of layer {layer + 1}: {scale.min():.2f} to {scale.max():.2f}"),
            Tile(_around(shift, 0.0), f"shift of layer {layer + 1}: {shift.min():.2f} to {shift.max():.2f}"),
        ]
    return section(
        "Scales and shifts",
        "What each hidden layer is multiplied with and moved by, over the signal: blue is less, orange more.",
        tiles,
    )


def kernels(opened: Opened) -> str:
    """NeuRBF's kernels as ellipses, over the fit where that is a picture."""
    field = _points(opened)
    if not isinstance(field, NeuRbfField):
        return ""
    layer = field.encoder.kernels
    centres_of, extents = (tensor.detach().cpu().double().numpy() for tensor in (layer.centres, layer.extents))
    if centres_of.shape[1] != 2:
        middle = 0.5 * extents[2]
        near = np.abs(centres_of[:, 2] - middle) < 0.03 * extents[2]
        text = (
            f"{len(centres_of):,} kernels; shown are the {near.sum():,} nearest the middle of the third axis, as dots."
        )
        dots = "".join(
            f'<circle cx="{x:.4f}" cy="{y:.4f}" r="{0.004 * extents.max():.4f}"/>'
            for x, y in centres_of[near][:MAX_ELLIPSES, :2]
        )
    else:
        chosen = np.random.default_rng(0).permutation(len(centres_of))[:MAX_ELLIPSES]
        text = (
            f"{len(centres_of):,} kernels"
            + (f", {MAX_ELLIPSES:,} of them shown" if len(centres_of) > MAX_ELLIPSES else "")
            + ". Each ellipse is where a kernel has fallen to about a half; they gather where the signal has detail."
        )
        halves, turns = ellipses(layer.shapes[chosen], layer.kernel)
        dots = "".join(_ellipse(centres_of[index], half, turn) for index, half, turn in zip(chosen, halves, turns))
    under = ""
    if opened.run.header["kind"] == "image":
        sheet = to_bytes(
            to_display(picture(field, 420, max(1, round(420 * extents[1] / extents[0]))), field.channels, 0.8)
        )
        under = f'<image href="{inline(sheet)}" width="{extents[0]:.4f}" height="{extents[1]:.4f}" opacity=".55"/>'
    drawing = (
        f'<svg class="kernels" viewBox="0 0 {extents[0]:.4f} {extents[1]:.4f}" role="img" aria-label="Kernels of the field">{under}'
        f'<g fill="none" stroke="#b4501c" stroke-width="{0.0012 * extents.max():.5f}">{dots}</g></svg>'
    )
    return f'<section class="part"><h3>Kernels</h3><p class="quiet">{escape(text)}</p><figure class="drawing">{drawing}</figure></section>'


def ellipses(shapes: Tensor, kernel: str) -> tuple[np.ndarray, np.ndarray]:
    """Half axes `[N, 2]` and turns `[N]` in degrees of the ellipses `<o, K o> = 1` (for hats, whose K is not squared, `|K o| = 1`)."""
    values, vectors = np.linalg.eigh(unpack_shapes(full_shapes(shapes.detach().cpu().double(), 2)).numpy())
    strength = np.abs(values) if kernel == "hat" else np.sqrt(np.abs(values))
    return 1 / np.maximum(strength, 1e-6), np.degrees(np.arctan2(vectors[:, 1, 0], vectors[:, 0, 0]))


def _ellipse(centre: np.ndarray, half: np.ndarray, turn: float) -> str:
    return (
        f'<ellipse cx="{centre[0]:.4f}" cy="{centre[1]:.4f}" rx="{half[0]:.5f}" ry="{half[1]:.5f}" '
        f'transform="rotate({turn:.1f} {centre[0]:.4f} {centre[1]:.4f})"/>'
    )


def spectral(opened: Opened) -> str:
    """NSTR's frequency from place to place, and how its transport says that changes."""
    field = _points(opened)
    if not isinstance(field, SpectralField):
        return ""
    frequency = _on_plane(field, lambda coords: field.frequency(coords)[..., None])[..., 0]
    low, high = float(frequency.min()), float(frequency.max())
    tiles = [Tile(_around(frequency, float(frequency.mean())), f"{low:.1f} to {high:.1f} cycles across the domain")]
    page = section(
        "Frequency map",
        "How fast the waves are that each place is made of: blue is slower than their mean, orange faster.",
        tiles,
    )
    if field.state_changes is None:
        return page
    places = centres(ARROWS)
    dimensions = field.domain.dimensions
    coords = torch.full((ARROWS, ARROWS, dimensions), 0.5)
    coords[..., 0], coords[..., 1] = places[None, :], places[:, None]
    flow = field.flow(coords.to(next(field.parameters()).device)).cpu().numpy()[..., :2]
    longest = float(np.linalg.norm(flow, axis=-1).max()) or 1.0
    arrows = "".join(
        f'<line x1="{x:.3f}" y1="{y:.3f}" x2="{x + dx:.4f}" y2="{y + dy:.4f}" marker-end="url(#tip)"/>'
        for row, y in zip(flow / longest / ARROWS, places.tolist())
        for (dx, dy), x in zip(row, places.tolist())
    )
    drawing = (
        '<svg class="kernels" viewBox="0 0 1 1" role="img" aria-label="Flow of the frequencies"><defs><marker id="tip" viewBox="0 0 6 6" refX="5" refY="3" '
        'markerWidth="4" markerHeight="4" orient="auto"><path d="M0 0L6 3L0 6z" fill="#b4501c"/></marker></defs>'
        f'<image href="{inline(tiles[0].picture)}" width="1" height="1" opacity=".5" preserveAspectRatio="none"/>'
        f'<g stroke="#b4501c" stroke-width=".004">{arrows}</g></svg>'
    )
    text = "Which way the waves become faster, and how soon; the map lies below the arrows."
    return (
        page
        + f'<section class="part"><h3>Flow</h3><p class="quiet">{text}</p><figure class="drawing">{drawing}</figure></section>'
    )


PARTS: list[Callable[[Opened], str]] = [kernels, spectral, levels, planes, modulation]


def spectra(run: Run) -> str:
    """The spectra of target and fit, and what FreSh would choose for this method, as HTML; takes some seconds."""
    header, field = run.header, run.load_field()
    signal = reopen(run)
    dimensions = signal.domain.dimensions
    if dimensions not in SIDES or not isinstance(field, PointField) or None in signal.domain.shape:
        raise BadInput(
            f"spectra are of pictures, sounds, clips and volumes on a grid, and this run is of the kind {header['kind']}"
        )
    side = min(SIDES[dimensions], *signal.domain.shape)
    target = torch.from_numpy(signal.on_grid(side))
    bins = side // 2 - 1 if dimensions == 1 else min(BINS, side // 2 - 1)
    if bins < 4:
        raise BadInput(f"{side} samples along an axis are too few for a spectrum")
    fit = torch.from_numpy(np.moveaxis(lattice(field, *[centres(side)] * dimensions), -1, 0).copy())
    lines = [_spectrum("target", target, bins), _spectrum("fit", fit, bins)]
    text = ""
    method = make_method(header["method"], header["options"])
    if method.frequency_option:
        try:
            _, report, choice = apply_fresh(method, signal)
        except BadInput as reason:  # (with these options there is nothing to choose)
            text = str(reason)
        else:
            if choice is None:
                text = report["remark"]
            else:
                network = choice.network / choice.network.sum()
                lines.append(Line("FreSh's pick", [(q + 1, float(v)) for q, v in enumerate(network)]))
                text = f"FreSh would choose {report['option']} = {report['value']:g}; this run has {getattr(method, method.frequency_option):g}."
                text += f" {report['remark']}" if report.get("remark") else ""
    many = bins > 4 * BINS
    drawing = svg(
        [
            Line(
                line.name,
                [(x, float(np.log10(max(y, 1e-7)))) for x, y in (_octaves(line.points) if many else line.points)],
            )
            for line in lines
        ],
        "cycles across the signal",
        "share of magnitude, log10",
        logarithmic=many,
        label="Spectra of target and fit",
        size=NARROW,
    )
    return f'<figure class="drawing">{drawing}</figure><p>{escape(text)}</p>'


def _spectrum(name: str, values: Tensor, bins: int) -> Line:
    spectrum = diagonal_spectrum(values, bins)
    total = float(spectrum.sum()) or 1.0
    return Line(name, [(q + 1, float(v) / total) for q, v in enumerate(spectrum)])


def _octaves(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Means over bands that are an eighth of an octave wide: a sound has thousands of frequencies."""
    x, y = np.array(points).T
    band = np.round(8 * np.log2(x)).astype(int)
    return [(float(x[band == b].mean()), float(y[band == b].mean())) for b in np.unique(band)]


@torch.no_grad()
def _on_plane(field: Field, function: Callable[[Tensor], Tensor]) -> np.ndarray:
    """`[SIDE, SIDE, F]` over the first two axes; a signal of one axis fills the rows with itself."""
    dimensions = field.domain.dimensions
    x, y = centres(SIDE), centres(SIDE)
    coords = torch.full((SIDE, SIDE, dimensions), 0.5)
    coords[..., 0] = x[None, :]
    if dimensions > 1:
        coords[..., 1] = y[:, None]
    device = next(field.parameters()).device
    return function(coords.reshape(-1, dimensions).to(device)).reshape(SIDE, SIDE, -1).cpu().numpy()


def _three(features: np.ndarray) -> np.ndarray:
    """`[h, w, F]` as red, green and blue: up to three features as they are, more by their principal directions; grey is the mean."""
    flat = features.reshape(-1, features.shape[-1]).astype(np.float64)
    flat = flat - flat.mean(0)
    if flat.shape[1] > 3:
        _, directions = np.linalg.eigh(flat.T @ flat)
        flat = flat @ directions[:, :-4:-1]
    flat = flat / (2.5 * flat.std() + 1e-12)
    shown = np.full((len(flat), 3), 0.5)
    shown[:, : flat.shape[1]] += 0.5 * flat[:, :3]
    if flat.shape[1] == 1:
        shown[:] = shown[:, :1]
    picture = (shown.clip(0, 1) * 255).astype(np.uint8).reshape(*features.shape[:2], 3)
    return _large_enough(picture)


def _around(values: np.ndarray, middle: float) -> np.ndarray:
    """`[h, w]` from blue (less than the middle) to orange."""
    share = (values - middle) / max(float(np.abs(values - middle).max()), 1e-9)
    share = share[..., None]
    return _large_enough((CALM + np.where(share > 0, (WARM - CALM) * share, (COLD - CALM) * -share)).astype(np.uint8))


def _large_enough(picture: np.ndarray) -> np.ndarray:
    """Small grids are shown with their cells as squares; large ones at 256 pixels at most."""
    from PIL import Image

    height, width = picture.shape[:2]
    if max(height, width) > 256:
        scale = 256 / max(height, width)
        return np.asarray(
            Image.fromarray(picture).resize((max(1, round(width * scale)), max(1, round(height * scale))))
        )
    times = max(1, SIDE // max(height, width))
    return np.repeat(np.repeat(picture, times, 0), times, 1)
