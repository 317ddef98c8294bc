"""The subject of photographs that show more than it: what many cameras have in the middle of their images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from fields.models.field import RadianceField
from fields.surface.depth_maps import DepthMap, ray_depths
from fields.surface.extract import ProgressCallback, no_progress
from scenes.posed.camera import Camera

# Standard deviation of the weight of a pixel, by its distance from the middle of its image in images' sides.
CENTRAL = 0.2
# Least weight of the points that bound where the subject is looked for, and the quantiles of them that do.
BOUNDING_WEIGHT = 0.6
BOUNDS = (0.02, 0.98)
# Cells along the longest side of these bounds, which are enlarged by this fraction of it on each side.
CELLS = 64
ENLARGED = 0.5
# A cell belongs to the subject if the cameras' weights for it sum up to this fraction of the largest sum.
BELONGS = 0.3
# The box is enlarged by this fraction of its longest side on each side: tips are seldom in the middle of images.
MARGIN = 0.06
# Times that the pixels of a mask along its border are halved.
HALVINGS = 2
# Components of a mask, and holes in it, that have less than this fraction of its pixels are noise.
MIN_PART = 2e-3


def subject_box(maps: Sequence[DepthMap]) -> tuple[np.ndarray, np.ndarray] | None:
    """Lower and upper corner `[3]` of the box around the subject, in units of the cube; None where nothing is seen.

    Each camera votes for the cells in which it sees a surface, with a weight that falls from the middle of its image.
    What lies behind the subject gets few votes, as other cameras see other things there. The box holds the largest
    connected part of the cells with many votes.
    """
    from scipy import ndimage

    points, weights, voters = _central_points(maps)
    central = points[weights > BOUNDING_WEIGHT]
    if not len(central):
        return None
    lower, upper = np.quantile(central, BOUNDS, axis=0)
    side = float((upper - lower).max())
    lower, upper = lower - ENLARGED * side, upper + ENLARGED * side
    cell = max(float((upper - lower).max()) / CELLS, 1e-9)
    inside = ((points > lower) & (points < upper)).all(axis=1)
    shape = tuple(int(np.ceil(extent / cell)) + 1 for extent in upper - lower)
    at = np.ravel_multi_index(tuple(((points[inside] - lower) / cell).astype(np.int64).T), shape)
    votes = np.zeros(int(np.prod(shape)))
    for camera in range(len(maps)):
        mine = voters[inside] == camera
        best = np.zeros(len(votes))
        np.maximum.at(best, at[mine], weights[inside][mine])
        votes += best
    kept = (votes >= BELONGS * votes.max()).reshape(shape)
    # Cells with a gap of one between them are one part.
    labels, count = ndimage.label(ndimage.binary_dilation(kept), np.ones((3, 3, 3)))
    largest = 1 + int(np.argmax(ndimage.sum(votes.reshape(shape) * kept, labels, np.arange(1, count + 1))))
    cells = np.argwhere(kept & (labels == largest))
    first, last = lower + cells.min(axis=0) * cell, lower + (cells.max(axis=0) + 1) * cell
    margin = MARGIN * float((last - first).max())
    return first - margin, last + margin


def _central_points(maps: Sequence[DepthMap]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Surface points `[N, 3]` that the maps see, the weight of each by its place in its image, and whose it is."""
    points, weights, voters = [], [], []
    for index, part in enumerate(maps):
        y, x = (axis.numpy() + 0.5 for axis in torch.isfinite(part.depth).nonzero().unbind(-1))
        height, width = part.depth.shape
        squared = (x / width - 0.5) ** 2 + (y / height - 0.5) ** 2
        points.append(part.points().numpy())
        weights.append(np.exp(-squared / (2 * CENTRAL**2)))
        voters.append(np.full(len(x), index))
    return np.concatenate(points), np.concatenate(weights), np.concatenate(voters)


@torch.no_grad()
def subject_mask(
    field: RadianceField,
    camera: Camera,
    box: tuple[np.ndarray, np.ndarray],
    *,
    progress: ProgressCallback = no_progress,
) -> np.ndarray:
    """How much of each pixel of a small image shows what is in a box, `[H, W]` float32: 0 or 1, and between at borders.

    camera: with its pose in units of the field's cube and an image that is small; its lens may distort.
    box: lower and upper corner `[3]` in units of the cube.

    The result has four times as many pixels along both sides: those along the border of the mask are halved twice.
    """
    mask = np.zeros((0, 0), bool)
    for halving in range(HALVINGS + 1):
        width, height = camera.intrinsics.width << halving, camera.intrinsics.height << halving
        larger = camera.resized(width, height)
        if halving == 0:
            mask = _in_box(field, larger, np.arange(width * height), box).reshape(height, width)
            continue
        mask = np.repeat(np.repeat(_without_specks(mask), 2, axis=0), 2, axis=1)
        border = np.flatnonzero(_border(mask))
        mask.reshape(-1)[border] = _in_box(field, larger, border, box)
        progress((halving + 1) / (HALVINGS + 1))
    return _without_specks(mask).astype(np.float32)


def _in_box(field: RadianceField, camera: Camera, pixels: np.ndarray, box: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Whether the surface that pixels (indices `[N]`) see lies in the box, `[N]` bool."""
    row, column = np.divmod(pixels, camera.intrinsics.width)
    origins, directions = camera.rays_through(column + 0.5, row + 0.5)
    distance = ray_depths(field, origins, directions).distance.numpy()
    met = np.isfinite(distance)
    points = origins + np.where(met, distance, 0.0)[:, None] * directions
    return met & ((points > box[0]) & (points < box[1])).all(axis=1)


def _border(mask: np.ndarray) -> np.ndarray:
    """Pixels of a mask with pixels of the other kind within two pixels: `[H, W]` bool."""
    from scipy.ndimage import maximum_filter, minimum_filter

    return maximum_filter(mask, 5) != minimum_filter(mask, 5)


def _without_specks(mask: np.ndarray) -> np.ndarray:
    """The mask without small components and small holes."""
    from scipy import ndimage

    least = MIN_PART * mask.sum()
    for value in (True, False):
        labels, count = ndimage.label(mask == value)
        sizes = ndimage.sum_labels(np.ones(mask.shape), labels, np.arange(count + 1))
        small = sizes < least
        small[0] = False
        mask = np.where(small[labels], not value, mask)
    return mask


def small_camera(camera: Camera, pixels: int, corner: np.ndarray, side: float) -> Camera:
    """The camera with an image of about `pixels` pixels, with its pose in units of the cube.

    corner, side: lower corner `[3]` and side of the cube in units of the scene.
    """
    scale = min(1.0, (pixels / camera.num_pixels) ** 0.5)
    width, height = (max(2, round(scale * n)) for n in (camera.intrinsics.width, camera.intrinsics.height))
    pose = np.concatenate([camera.pose[:, :3], ((camera.position - corner) / side)[:, None]], axis=1)
    return replace(Camera(camera.pose, camera.intrinsics, camera.time).resized(width, height), pose=pose)
