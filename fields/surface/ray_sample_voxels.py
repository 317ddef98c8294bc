"""Ray-sample voxels: where the light of a radiance field comes from as cameras see it, gathered from the samples of
rays.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from fields.render.volume import RayColors
from fields.surface.implicit import fibonacci_sphere
from fields.surface.radiance import MARGIN, Radiance
from scenes.posed.camera import Camera, Intrinsics
from scenes.posed.pose import look_at

# Points drawn per ray, in proportion to the light they send. They decide the size of the voxels.
POINTS_PER_RAY = 4
# Rays rendered at once.
CHUNK = 1 << 15
# Cameras around the scene where it has none of its own, pixels along a side of their images, and their field of view in
# degrees.
NUM_CAMERAS = 64
IMAGE_SIDE = 160
FIELD_OF_VIEW = 40.0
# Directions of view in which the light of a voxel is counted.
NUM_DIRECTIONS = 64
# Voxels whose light adds up to this fraction of all light are dropped.
MAX_DROPPED_LIGHT = 0.005
# Fraction of a ray's light below which a voxel's opacity is not measured by it.
MIN_LIGHT = 0.02
# Opacity below which no points are drawn on a ray.
MIN_OPACITY = 1e-3
# Rays of a first rendering, which tells the fraction of rays that meet something.
DRAFT_RAYS = 40_000
# Points per voxel for the choice of its size; rays that meet something, per voxel, for its measurement; rays in all.
POINTS_PER_VOXEL = 5
RAYS_PER_VOXEL = 2
MAX_RAYS = 6_000_000
# Largest number of rounds in the search for the size of the voxels.
SIZE_ROUNDS = 8
# More voxels than there are along a side of the cube.
KEY_BASE = 1 << 20
# Seeds of the rays of the draft, of those that decide the size and of those that measure.
DRAFT_SEED = 6
SIZE_SEED = 8
MEASURE_SEED = 7


@dataclass(frozen=True)
class RayVoxels:
    """n voxels that light comes from.

    size: their side in the field's coordinates, in which all space is a unit cube.
    corners: lower corners in these coordinates, `[n, 3]`.
    means: mean of the points that light comes from, `[n, 3]` float64, in units of the scene's cube; in an unbounded
        scene they may lie outside it.
    covariances: covariance of these points, `[n, 3, 3]`.
    opacities: fraction of the light through a voxel that is lost there, `[n]`.
    directions: fraction of a voxel's light that goes to eyes looking in each direction of
        `fibonacci_sphere(NUM_DIRECTIONS)`, `[n, NUM_DIRECTIONS]`.
    pixel_sizes: size of the cameras' pixels at the voxel, `[n]`, in sides of the cube.
    """

    size: float
    corners: Tensor
    means: Tensor
    covariances: Tensor
    opacities: Tensor
    directions: Tensor
    pixel_sizes: Tensor

    def __len__(self) -> int:
        return len(self.corners)


class _Rendered(NamedTuple):
    """Rays that were rendered together, and the focal length of their camera in pixels."""

    seen: RayColors
    origins: Tensor
    directions: Tensor
    focal: float


@torch.no_grad()
def ray_voxels(scene: Radiance, cameras: Sequence[Camera], count: int) -> RayVoxels | None:
    """About `count` voxels with the most light; None if no ray meets anything.

    A first set of rays tells how many of them meet something. The size of the voxels is chosen from points along as
    many rays as that needs, and the voxels are measured along others. All rays are spread evenly over the cameras'
    pixels.
    """
    drafted, _ = _lit_points(scene, cameras, DRAFT_RAYS, DRAFT_SEED)
    if not len(drafted):
        return None
    rays_per_hit = POINTS_PER_RAY * min(DRAFT_RAYS, _num_pixels(cameras)) / len(drafted)
    sizing_rays = round(rays_per_hit * POINTS_PER_VOXEL / POINTS_PER_RAY * count)
    points, light = _lit_points(scene, cameras, sizing_rays, SIZE_SEED)
    size, keys = _voxel_size(scene.to_coords(points), light, count)
    accumulator = _Accumulator(scene, keys, size)
    for rendered in _rendered(scene, cameras, round(rays_per_hit * RAYS_PER_VOXEL * count), MEASURE_SEED):
        accumulator.add(rendered)
    return accumulator.voxels()


def cameras_around(scene: Radiance) -> list[Camera]:
    """Cameras on a sphere around the scene's cube, with the whole cube in their images."""
    centre = scene.corner + scene.side * np.array(scene.extents) / 2
    radius = scene.side * float(np.linalg.norm(scene.extents)) / 2
    distance = radius / np.sin(np.radians(FIELD_OF_VIEW / 2))
    focal = 0.5 * IMAGE_SIDE / np.tan(np.radians(FIELD_OF_VIEW / 2))
    intrinsics = Intrinsics.pinhole(IMAGE_SIDE, IMAGE_SIDE, focal)
    return [
        Camera(look_at(centre + distance * direction, centre, "x" if abs(direction[2]) > 0.9 else "z"), intrinsics)
        for direction in fibonacci_sphere(NUM_CAMERAS)
    ]


def _num_pixels(cameras: Sequence[Camera]) -> int:
    return sum(camera.num_pixels for camera in cameras)


def _rendered(scene: Radiance, cameras: Sequence[Camera], num_rays: int, seed: int) -> Iterator[_Rendered]:
    """About `num_rays` rays through random pixels of all cameras, rendered in chunks.

    The same seed gives the same rays.
    """
    fraction = min(1.0, min(num_rays, MAX_RAYS) / _num_pixels(cameras))
    generator = np.random.Generator(np.random.Philox(key=[seed, 0x5A]))
    for camera in cameras:
        chosen = np.sort(generator.permutation(camera.num_pixels)[: max(1, round(camera.num_pixels * fraction))])
        origins, directions = (part[chosen] for part in camera.rays())
        for first in range(0, len(chosen), CHUNK):
            rays = scene.render(origins[first : first + CHUNK], directions[first : first + CHUNK])
            yield _Rendered(*rays, camera.intrinsics.fl_x)


def _lit_points(scene: Radiance, cameras: Sequence[Camera], num_rays: int, seed: int) -> tuple[Tensor, Tensor]:
    """Points `[n, 3]` that light comes from along about `num_rays` rays, and the light `[n]` that each stands for."""
    drawn = [
        _drawn(rendered, np.random.Generator(np.random.Philox(key=[seed, number])))
        for number, rendered in enumerate(_rendered(scene, cameras, num_rays, seed))
    ]
    return torch.cat([points for points, _ in drawn]), torch.cat([light for _, light in drawn])


def _drawn(rendered: _Rendered, generator: np.random.Generator) -> tuple[Tensor, Tensor]:
    """POINTS_PER_RAY points on every ray with light, at equal steps of the light gathered along it."""
    seen, origins, directions, _ = rendered
    samples = seen.samples
    ends = torch.cat([seen.weights.new_zeros(1, dtype=torch.float64), seen.weights.double().cumsum(0)])
    low, high = ends[samples.offsets[:-1]], ends[samples.offsets[1:]]
    lit = (high - low > MIN_OPACITY).nonzero().flatten()
    start = torch.from_numpy(generator.random((len(lit), 1))).to(low.device)
    fraction = (start + torch.arange(POINTS_PER_RAY, device=low.device)) / POINTS_PER_RAY
    at = low[lit, None] + fraction * (high - low)[lit, None]
    ray = lit.repeat_interleave(POINTS_PER_RAY)
    index = torch.searchsorted(ends, at.reshape(-1), right=True) - 1
    index = torch.minimum(torch.maximum(index, samples.offsets[ray]), samples.offsets[ray + 1] - 1)
    within = torch.from_numpy(generator.random(len(index), np.float32)).to(samples.t_starts)
    distance = torch.lerp(samples.t_starts[index], samples.t_ends[index], within)
    return torch.addcmul(origins[ray], distance[:, None], directions[ray]), seen.opacity[ray] / POINTS_PER_RAY


def _voxel_size(coords: Tensor, light: Tensor, count: int) -> tuple[float, Tensor]:
    """The side of about `count` voxels with nearly all the light at `coords` `[M, 3]`, and their ascending keys."""
    size, low, high = 1 / 64, 1 / 4096, 1 / 4
    count = max(1, min(count, len(coords) // POINTS_PER_VOXEL))
    keys = light.new_zeros(0, dtype=torch.int64)
    for _ in range(SIZE_ROUNDS):
        keys, voxel = torch.unique(_keys(coords, size), return_inverse=True)
        total = torch.zeros(len(keys), dtype=torch.float64, device=coords.device).index_add_(0, voxel, light.double())
        order = total.argsort()
        keys = keys[order[total[order].cumsum(0) >= MAX_DROPPED_LIGHT * total.sum()]].sort().values
        if abs(len(keys) - count) <= 0.02 * count:
            break
        low, high = (low, size) if len(keys) < count else (size, high)
        # The number of voxels on a surface grows about with the inverse square of their side.
        size = min(max(size * (len(keys) / count) ** 0.45, 0.9 * low + 0.1 * high), 0.9 * high + 0.1 * low)
    return size, keys


def _keys(coords: Tensor, size: float) -> Tensor:
    """One integer per point: the key of the voxel that contains it."""
    x, y, z = (coords / size).long().unbind(-1)
    return (x * KEY_BASE + y) * KEY_BASE + z


class _Accumulator:
    """Sums over the samples of rays in each of the voxels with these keys."""

    def __init__(self, scene: Radiance, keys: Tensor, size: float) -> None:
        self.scene, self.keys, self.size = scene, keys, size
        index = torch.stack([keys // KEY_BASE**2, keys // KEY_BASE % KEY_BASE, keys % KEY_BASE], dim=1)
        self.corners = index.float() * size
        self.centres = scene.to_points((self.corners + size / 2).clamp(max=1 - MARGIN))
        self.views = torch.from_numpy(fibonacci_sphere(NUM_DIRECTIONS)).float().to(scene.device)
        # Light that comes from each voxel, light that it takes, light that enters it, and light times pixel size.
        self.light, self.lost, self.entered, self.pixels = (self._zeros() for _ in range(4))
        # First and second moments of the points that light comes from, about the voxel's centre.
        self.first, self.second = self._zeros(3), self._zeros(9)
        self.directions = torch.zeros(len(keys) * NUM_DIRECTIONS, device=scene.device)

    def _zeros(self, *shape: int) -> Tensor:
        return torch.zeros(len(self.keys), *shape, dtype=torch.float64, device=self.scene.device)

    def add(self, rendered: _Rendered) -> None:
        """Add the samples of rays."""
        samples, weights = rendered.seen.samples, rendered.seen.weights.double()
        points = samples.positions(rendered.origins, rendered.directions)
        keys = _keys(self.scene.to_coords(points), self.size)
        voxel = torch.searchsorted(self.keys, keys).clamp(max=len(self.keys) - 1)
        known = (self.keys[voxel] == keys).nonzero().flatten()
        voxel, ray, light = voxel[known], samples.ray_indices[known], weights[known]
        self._add_losses(samples.offsets, weights, known, voxel, ray)
        lit = (light > 0).nonzero().flatten()
        known, voxel, ray, light = known[lit], voxel[lit], ray[lit], light[lit]
        self.pixels.index_add_(0, voxel, light * samples.midpoints[known] / rendered.focal)
        away = (points[known] - self.centres[voxel]).double()
        self.light.index_add_(0, voxel, light)
        self.first.index_add_(0, voxel, away * light[:, None])
        self.second.index_add_(0, voxel, (away[:, :, None] * away[:, None, :] * light[:, None, None]).reshape(-1, 9))
        view = (rendered.directions @ self.views.T).argmax(dim=1)[ray]
        self.directions.index_add_(0, voxel * NUM_DIRECTIONS + view, light.float())

    def _add_losses(self, offsets: Tensor, weights: Tensor, known: Tensor, voxel: Tensor, ray: Tensor) -> None:
        """Add what each ray brings into the voxels that it passes, and what it loses there.

        A ray passes a voxel in consecutive samples: the light before the first of them, and the sum of their weights.
        """
        summed = weights.cumsum(0) - weights
        before = torch.cat([summed, summed.new_zeros(1)])[offsets[:-1].clamp(max=len(summed))]
        incoming = 1.0 - (summed[known] - before[ray])
        first = torch.ones_like(voxel, dtype=torch.bool)
        first[1:] = (voxel[1:] != voxel[:-1]) | (ray[1:] != ray[:-1])
        entered = incoming[first]
        lost = torch.zeros_like(entered).index_add_(0, first.cumsum(0) - 1, weights[known])
        bright = entered > MIN_LIGHT
        self.entered.index_add_(0, voxel[first][bright], entered[bright])
        self.lost.index_add_(0, voxel[first][bright], lost[bright])

    def voxels(self) -> RayVoxels | None:
        """The voxels that got light, or None."""
        lit = (self.light > 0).nonzero().flatten()
        if not len(lit):
            return None
        light = self.light[lit]
        mean = self.first[lit] / light[:, None]
        second = (self.second[lit] / light[:, None]).reshape(-1, 3, 3)
        return RayVoxels(
            self.size,
            self.corners[lit],
            self.centres[lit].double() + mean,
            second - mean[:, :, None] * mean[:, None, :],
            self.lost[lit] / self.entered[lit].clamp(min=1e-9),
            self.directions.reshape(-1, NUM_DIRECTIONS)[lit] / light[:, None].float(),
            self.pixels[lit] / light,
        )
