"""The subject of photographs that show more than it: what many cameras have in the middle of their images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

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
# A plane is looked for among so many points, in a box so many times as large, by so many tries. Its points lie within a
# width, as a fraction of the box's longest side.
PLANE_POINTS = 20_000
PLANE_REACH = 1.7
PLANE_TRIES = 300
PLANE_WIDTH = 0.012
# Cells along the box's longest side in which the plane's extent is measured, and the least extent around the box as a
# multiple of that within.
PLANE_CELLS = 32
CONTINUES = 0.6
# Fraction of the other points that must be on the cameras' side of the plane, and of all points.
PLANE_BEFORE = 0.8
PLANE_REST = 0.08
# Times that the pixels of a mask along its border are halved.
HALVINGS = 2
# Holes in a mask, and components of it, that have less than these fractions of its pixels are noise.
MIN_HOLE, MIN_COMPONENT = 0.015, 0.1


@dataclass(frozen=True)
class Subject:
    """The part of a scene that is wanted, in units of the field's cube.

    lower, upper: corners `[3]` of its box.
    plane: of what it stands on or hangs at and that goes on beyond the box, as a unit normal `[3]` towards the cameras
        and an offset: points with `normal @ point > offset` belong to the subject. None where there is no such plane.
    """

    lower: np.ndarray
    upper: np.ndarray
    plane: tuple[np.ndarray, float] | None = None

    def contains(self, points: np.ndarray) -> np.ndarray:
        """Which points `[..., 3]` belong to the subject, `[...]` bool."""
        inside = np.all((points > self.lower) & (points < self.upper), axis=-1)
        return inside if self.plane is None else inside & (points @ self.plane[0] > self.plane[1])


def find_subject(maps: Sequence[DepthMap]) -> Subject | None:
    """What cameras look at, without the wall or ground behind it; None where nothing is seen.

    Each camera votes for the cells in which it sees a surface, with a weight that falls from the middle of its image.
    What lies behind the subject gets few votes, as other cameras see other things there. The box holds the largest
    connected part of the cells with many votes. A plane of which as much lies around the box as in it is no part of the
    subject, unless little else is in the box.
    """
    points, weights, voters = _central_points(maps)
    box = _voted_box(points, weights, voters, len(maps))
    if box is None:
        return None
    eyes = np.stack([part.camera.position for part in maps])
    plane = _plane_behind(points, *box, eyes)
    if plane is None:
        return Subject(*box)
    kept = points @ plane[0] > plane[1]
    rest = _voted_box(points[kept], weights[kept], voters[kept], len(maps))
    return Subject(*box) if rest is None else Subject(*rest, plane)


def _voted_box(
    points: np.ndarray, weights: np.ndarray, voters: np.ndarray, cameras: int
) -> tuple[np.ndarray, np.ndarray] | None:
    """Lower and upper corner `[3]` around the connected cells with many votes. Arguments as of `_central_points`."""
    central = points[weights > BOUNDING_WEIGHT]
    if not len(central):
        return None
    lower, upper = np.quantile(central, BOUNDS, axis=0)
    # The second time with smaller cells, around what was found with large ones.
    for _ in range(2):
        side = float((upper - lower).max())
        lower, upper = _bounds_of_votes(
            points, weights, voters, cameras, lower - ENLARGED * side, upper + ENLARGED * side
        )
    margin = MARGIN * float((upper - lower).max())
    return lower - margin, upper + margin


def _bounds_of_votes(
    points: np.ndarray, weights: np.ndarray, voters: np.ndarray, cameras: int, lower: np.ndarray, upper: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The box of the largest connected cells with many votes, of the cells in a box."""
    from scipy import ndimage

    cell = max(float((upper - lower).max()) / CELLS, 1e-9)
    inside = ((points > lower) & (points < upper)).all(axis=1)
    shape = tuple(int(np.ceil(extent / cell)) + 1 for extent in upper - lower)
    at = np.asarray(np.ravel_multi_index(tuple(((points[inside] - lower) / cell).astype(np.int64).T), shape))
    votes = np.zeros(int(np.prod(shape)))
    for camera in range(cameras):
        mine = voters[inside] == camera
        best = np.zeros(len(votes))
        np.maximum.at(best, at[mine], weights[inside][mine])
        votes += best
    kept = (votes >= BELONGS * votes.max()).reshape(shape)
    # Cells with a gap of one between them are one part.
    labels, count = cast("tuple[np.ndarray, int]", ndimage.label(ndimage.binary_dilation(kept), np.ones((3, 3, 3))))
    largest = 1 + int(np.argmax(ndimage.sum(votes.reshape(shape) * kept, labels, np.arange(1, count + 1))))
    cells = np.argwhere(kept & (labels == largest))
    return lower + cells.min(axis=0) * cell, lower + (cells.max(axis=0) + 1) * cell


def _plane_behind(
    points: np.ndarray, lower: np.ndarray, upper: np.ndarray, eyes: np.ndarray
) -> tuple[np.ndarray, float] | None:
    """The plane `(normal, offset)` of a wall or ground that a box cuts out of, as in `Subject`; None where none is.

    points: on surfaces, `[N, 3]`. eyes: positions of the cameras, `[M, 3]`.
    """
    side, middle = float((upper - lower).max()), (lower + upper) / 2
    around = np.abs(points - middle) < PLANE_REACH * (upper - lower) / 2
    near = points[around.all(axis=1)]
    random = np.random.default_rng(0)
    near = near[random.permutation(len(near))[:PLANE_POINTS]]
    if len(near) < 3:
        return None
    corners = near[random.integers(len(near), size=(PLANE_TRIES, 3))]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    # Three points on a line, or of which two are one, say nothing.
    apart = length[:, 0] > 1e-4 * side**2
    if not apart.any():
        return None
    corners, normals = corners[apart], normals[apart] / length[apart]
    offsets = (normals * corners[:, 0]).sum(axis=1)
    best = int(np.argmax([(np.abs(near @ n - d) < PLANE_WIDTH * side).sum() for n, d in zip(normals, offsets)]))
    normal, offset = normals[best], offsets[best]
    for _ in range(3):
        on = near[np.abs(near @ normal - offset) < PLANE_WIDTH * side]
        normal = np.linalg.svd(on - on.mean(axis=0), full_matrices=False)[2][2]
        offset = float(normal @ on.mean(axis=0))
    if (eyes @ normal > offset).mean() < 0.5:
        normal, offset = -normal, -offset
    height = near @ normal - offset
    noise = 1.5 * float(np.median(np.abs(height[np.abs(height) < 2 * PLANE_WIDTH * side])))
    above = float(np.clip(3 * noise, PLANE_WIDTH * side, 2 * PLANE_WIDTH * side))
    inside = ((near > lower) & (near < upper)).all(axis=1)
    on = np.abs(height) < above
    continues = _footprint(near[on & ~inside], normal, side) >= CONTINUES * _footprint(near[on & inside], normal, side)
    rest = height[inside & ~on]
    before = (rest > 0).sum() >= PLANE_BEFORE * len(rest) and (rest > 0).sum() >= PLANE_REST * inside.sum()
    return (normal, offset + above) if continues and before else None


def _footprint(points: np.ndarray, normal: np.ndarray, side: float) -> int:
    """Number of cells of a plane with points in them."""
    across = np.linalg.svd(normal[None], full_matrices=True)[2][1:]
    return len(np.unique(np.floor(points @ across.T / side * PLANE_CELLS).astype(np.int64), axis=0))


def _central_points(maps: Sequence[DepthMap]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Surface points `[N, 3]` that the maps see, the weight of each by its place in its image, and whose it is."""
    points, weights, voters = [], [], []
    for index, part in enumerate(maps):
        y, x = (axis.numpy() + 0.5 for axis in torch.isfinite(part.depth).nonzero().unbind(-1))
        height, width = part.depth.shape
        squared = (x / width - 0.5) ** 2 + (y / height - 0.5) ** 2
        points.append(part.points().numpy().astype(np.float64))
        weights.append(np.exp(-squared / (2 * CENTRAL**2)))
        voters.append(np.full(len(x), index))
    return np.concatenate(points), np.concatenate(weights), np.concatenate(voters)


def only_subject(part: DepthMap, subject: Subject) -> DepthMap:
    """The depth map without depths of what does not belong to the subject."""
    y, x = torch.meshgrid(*(torch.arange(n) + 0.5 for n in part.depth.shape), indexing="ij")
    seen = torch.isfinite(part.depth)
    points = part.points_at(x.to(part.depth), y.to(part.depth), torch.where(seen, part.depth, 0.0))
    kept = seen & torch.from_numpy(subject.contains(points.cpu().numpy())).to(seen.device)
    depth, spread = (torch.where(kept, values, torch.inf) for values in (part.depth, part.spread))
    return replace(part, depth=depth, spread=spread)


@torch.no_grad()
def subject_mask(
    field: RadianceField, camera: Camera, subject: Subject, *, progress: ProgressCallback = no_progress
) -> np.ndarray:
    """The pixels that show the subject, `[H, W]` bool.

    camera: with its pose in units of the field's cube and an image that is small; its lens may distort.

    The result has four times as many pixels along both sides: those along the border of the mask are halved twice.
    """
    mask = np.zeros((0, 0), bool)
    for halving in range(HALVINGS + 1):
        width, height = camera.intrinsics.width << halving, camera.intrinsics.height << halving
        larger = camera.resized(width, height)
        if halving == 0:
            mask = _shows(field, larger, np.arange(width * height), subject).reshape(height, width)
            continue
        mask = np.repeat(np.repeat(_without_specks(mask), 2, axis=0), 2, axis=1)
        border = np.flatnonzero(_border(mask))
        mask.reshape(-1)[border] = _shows(field, larger, border, subject)
        progress((halving + 1) / (HALVINGS + 1))
    return _without_specks(mask)


def _shows(field: RadianceField, camera: Camera, pixels: np.ndarray, subject: Subject) -> np.ndarray:
    """Whether pixels (indices `[N]`) show the subject, `[N]` bool."""
    row, column = np.divmod(pixels, camera.intrinsics.width)
    origins, directions = camera.rays_through(column + 0.5, row + 0.5)
    distance = ray_depths(field, origins, directions).distance.cpu().numpy()
    met = np.isfinite(distance)
    return met & subject.contains(origins + np.where(met, distance, 0.0)[:, None] * directions)


def _border(mask: np.ndarray) -> np.ndarray:
    """Pixels of a mask with pixels of the other kind within two pixels: `[H, W]` bool."""
    from scipy.ndimage import maximum_filter, minimum_filter

    return maximum_filter(mask, 5) != minimum_filter(mask, 5)


def _without_specks(mask: np.ndarray) -> np.ndarray:
    """The mask without small components and small holes."""
    from scipy import ndimage

    for value, least in ((True, MIN_COMPONENT), (False, MIN_HOLE)):
        labels, count = cast("tuple[np.ndarray, int]", ndimage.label(mask == value))
        sizes = ndimage.sum_labels(np.ones(mask.shape), labels, np.arange(count + 1))
        small = sizes < least * mask.sum()
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
