"""The texture of a mesh from photographs: the texels that agree best with every pixel that shows them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from fields.surface.extract import ProgressCallback, no_progress
from fields.surface.padding import fill_unused
from fields.surface.texturing.atlas import Atlas, bilinear_taps, interpolated, make_atlas
from fields.surface.texturing.collect import collect_pixels, collection_notes, pixels_per_texel
from fields.surface.texturing.footprints import MeshInViews
from fields.surface.texturing.gains import level_exposures
from fields.surface.texturing.rows import PixelRows, texel_taps, weighted_mean
from fields.surface.texturing.solve import (
    Regularisation,
    grid_laplacian,
    solve_colors,
)
from scenes.errors import BadInput
from scenes.image.color import to_bytes
from scenes.posed.view import View

# Pixels of all photographs together that a texel should have: texels without would be guesses.
LEAST_PIXELS = 0.5
MIN_SIZE = 64
# Fractions of the time after which no more photographs are read, and no more steps taken.
COLLECT_UNTIL = 0.6
SOLVE_UNTIL = 0.93
# Weight of the prior of texels that no photograph sees, in place of 1.
UNSEEN_PRIOR = 50.0
# Weight of a texel's pixels, relative to the median, from which on it counts as seen.
SEEN_WEIGHT = 1e-3

# PSNR in dB of the photographs' pixels against the texture below which this is said: a varnished cow has 24.
MIN_AGREEMENT = 19.0

# sRGB colors in [0, 1] `[N, 3]` of positions `[N, 3]` on the mesh.
Fallback = Callable[[np.ndarray], np.ndarray]


@dataclass
class PhotoTexture:
    """A texture and how it was made.

    texture: `[S, S, 3]` uint8 sRGB, row 0 at the top; every texel has a color.
    seen: fraction of the texels in charts that a photograph shows; the others have the fallback's color.
    psnr: of the pixels that were used against the texture, dB, after exposures were levelled.
    gains: the factor by which each photograph is brighter than their mean, `[views, 3]`.
    pixels: number of pixels used.
    notes: sentences that a person should read.
    """

    texture: np.ndarray
    seen: float
    psnr: float
    gains: np.ndarray
    pixels: int
    notes: list[str] = field(default_factory=list)


def photo_texture(
    vertices: np.ndarray,
    faces: np.ndarray,
    uv: np.ndarray,
    views: Sequence[View],
    size: int,
    *,
    fallback: Fallback | None = None,
    seconds: float | None = None,
    progress: ProgressCallback = no_progress,
) -> PhotoTexture:
    """The texture of a mesh that agrees best with photographs of it.

    vertices: `[V, 3]` in the scene's units, split where charts end, copies of a vertex equal to the bit.
    faces: `[F, 3]`, counter-clockwise from outside. uv: `[V, 2]`, origin at the lower left.
    views: photographs; alpha and masks say which pixels show the mesh.
    size: texels along each side; less is used where photographs do not have `LEAST_PIXELS` pixels for a texel.
    fallback: colors of what no photograph sees; without it they come from the surroundings.
    seconds: time, after which it returns the best that it has.

    Every pixel is the mean of bilinear look-ups at 2 x 2 points, so texels are the solution of sparse linear equations:
    the weighted mean of the pixels that show a texel, then conjugate gradients with Huber weights, in 8-bit sRGB
    values. Exposures are levelled before, and points on seams are tied together. What depends on the direction is left
    at its mean.

    Raises BadInput where no pixel of any view shows the mesh.
    """
    began = time.monotonic()
    budget = np.inf if seconds is None else seconds
    size, notes = _fitting_size(vertices, faces, uv, views, size)
    mesh = MeshInViews.of(vertices, faces, uv, size)
    atlas = make_atlas(vertices, faces, uv, size)
    progress(0.05)
    collected = collect_pixels(
        mesh,
        views,
        texel_taps(atlas, faces, uv),
        atlas.num_texels,
        reduction=_reduction(mesh, views),
        deadline=began + COLLECT_UNTIL * budget,
        progress=lambda fraction: progress(0.05 + 0.4 * fraction),
    )
    rows = collected.rows
    if not rows:
        raise BadInput("no photograph shows the mesh: mesh and cameras are not in the same coordinates")
    notes += collection_notes(collected, len(views))
    gains = level_exposures(rows, atlas.parts(), len(views), lambda fraction: progress(0.45 + 0.1 * fraction))
    mean, weight = weighted_mean(rows)
    progress(0.56)
    seen = _seen(atlas, weight, pixels_per_texel(mesh, views) * collected.reduction**-2)
    prior = _prior(atlas, mesh, mean, weight, seen, fallback)
    progress(0.6)
    solution = solve_colors(
        rows,
        prior,
        texel_regularisation(atlas, seen),
        deadline=began + SOLVE_UNTIL * budget,
        progress=lambda fraction: progress(0.6 + 0.37 * fraction),
    )
    colors = np.clip(solution.colors, 0, 1)
    texture = to_bytes(fill_unused(atlas.image(colors), atlas.number >= 0))
    psnr = pixels_psnr(rows, colors)
    if psnr < MIN_AGREEMENT:
        notes.append(
            f"The photographs show other colors from each side (they agree by {psnr:.0f} dB): a mirror has none of its "
            "own, or cameras or shape are not right"
        )
    progress(1.0)
    return PhotoTexture(
        texture=texture,
        seen=float(seen[atlas.faces >= 0].mean()),
        psnr=psnr,
        gains=gains,
        pixels=sum(map(len, rows)),
        notes=notes,
    )


def texel_regularisation(atlas: Atlas, seen: np.ndarray) -> Regularisation:
    """Neighbours within charts, points of seams, and a stronger prior for texels that are not seen `[U]`."""
    padded = np.pad(atlas.number, 1, constant_values=-1)
    row, column = np.divmod(atlas.texels, atlas.size)
    neighbours = np.stack([padded[row + dy, column + dx] for dy, dx in ((0, 1), (1, 0), (1, 2), (2, 1))], axis=1)
    same = (neighbours >= 0) & (np.take(atlas.charts, neighbours) == atlas.charts[:, None])
    return Regularisation(
        laplacian=grid_laplacian(np.where(same, neighbours, -1)),
        ties=seam_ties(atlas),
        prior_factor=np.where(seen, 1, UNSEEN_PRIOR).astype(np.float32),
    )


def seam_ties(atlas: Atlas):
    """Differences `[K, U]` between bilinear look-ups on both sides of seams, or None where there is no seam."""
    from scipy.sparse import csr_matrix

    count = len(atlas.seams)
    if not count:
        return None
    texels, weights = bilinear_taps(atlas.seams.reshape(-1, 2), atlas.size)
    numbers = np.take(atlas.number, texels).reshape(count, 8)
    signed = weights.reshape(count, 2, 4) * np.array([1, -1], np.float32)[:, None]
    data = np.where(numbers >= 0, signed.reshape(count, 8), 0)
    starts = np.arange(0, 8 * count + 1, 8, dtype=np.int32)
    ties = csr_matrix((data.reshape(-1), np.maximum(numbers, 0).reshape(-1), starts), shape=(count, atlas.num_texels))
    ties.sum_duplicates()
    return ties


def _fitting_size(
    vertices: np.ndarray, faces: np.ndarray, uv: np.ndarray, views: Sequence[View], size: int
) -> tuple[int, list[str]]:
    """The size of the texture for which the photographs have enough pixels, and a note where it is less than asked."""
    wanted, mesh = size, MeshInViews.of(vertices, faces, uv, size)
    # Half of the mesh faces a camera, at most.
    pixels = pixels_per_texel(mesh, views) * len(views) / 2
    while size > MIN_SIZE and pixels < LEAST_PIXELS:
        size, pixels = size // 2, pixels * 4
    if size == wanted:
        return size, []
    return size, [f"The texture has {size} x {size} texels: the photographs have no detail for {wanted} x {wanted}"]


def _reduction(mesh: MeshInViews, views: Sequence[View]) -> int:
    """Pixels along each side that can be averaged without losing detail that the texture can hold."""
    return max(1, int(pixels_per_texel(mesh, views) ** 0.5))


def _seen(atlas: Atlas, weight: np.ndarray, pixels: float) -> np.ndarray:
    """Texels `[U]` bool that photographs show: those with weight, and those between the samples of one pixel."""
    known = weight > SEEN_WEIGHT * np.median(weight[weight > 0])
    found = np.full(atlas.size**2, False)
    found[atlas.texels] = known
    found = found.reshape(atlas.size, atlas.size)
    # Samples are half a pixel apart.
    for _ in range(int(np.ceil(0.5 * max(pixels, 1e-4) ** -0.5))):
        for side in (found, found.T):
            grown = side.copy()
            grown[1:] |= side[:-1]
            grown[:-1] |= side[1:]
            side[:] = grown
    return found.reshape(-1)[atlas.texels]


def _prior(
    atlas: Atlas,
    mesh: MeshInViews,
    mean: np.ndarray,
    weight: np.ndarray,
    seen: np.ndarray,
    fallback: Fallback | None,
) -> np.ndarray:
    """The mean `[U, 3]` with colors for the texels without: from texels nearby if seen, else from the fallback."""
    known = weight > 0
    colors = mean.astype(np.float32)
    unseen = ~seen & (atlas.faces >= 0)
    if fallback is not None and unseen.any():
        positions = interpolated(mesh.vertices, mesh.faces, atlas.faces[unseen], atlas.weights[unseen])
        colors[unseen] = fallback(positions)
        known = known | unseen
    image = np.zeros(atlas.size**2, bool)
    image[atlas.texels] = known
    filled = fill_unused(atlas.image(colors), image.reshape(atlas.size, atlas.size))
    return np.ascontiguousarray(filled.reshape(-1, 3)[atlas.texels])


def pixels_psnr(rows: list[PixelRows], colors: np.ndarray) -> float:
    """PSNR in dB of the pixels against the colors, all pixels alike."""
    total = sum(float(((np.clip(block.predicted(colors), 0, 1) - block.colors) ** 2).sum()) for block in rows)
    return float(-10 * np.log10(max(total / (3 * sum(map(len, rows))), 1e-12)))
