"""Where the light of a radiance field comes from, as cameras see it: places along their rays, gathered in cells."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from fields.render.volume import RayColors
from fields.surface.implicit import sphere
from fields.surface.radiance import Radiance
from scenes.posed.cameras import PathCamera
from scenes.posed.path import looking_at
from scenes.posed.view import Intrinsics

# Places a ray, drawn in proportion to what light they send, from which it is decided how small cells are; rays together.
PLACES = 4
CHUNK = 1 << 15
# Without cameras: so many on a sphere around the box, of so many pixels along a side.
AROUND, PIXELS, FIELD_OF_VIEW = 64, 160, 40.0
# Directions that the light of a cell is counted in.
VIEWS = 64
# Cells that add up to this little of all light are left out; light that is dimmer tells nothing of how opaque a cell is.
FAINT, DIM = 0.005, 0.02
# Rays that a look is taken along first; drawn places, and rays that meet something, for each cell; rays in all.
DRAFT, FEWEST, RAYS, MAX_RAYS = 40_000, 5, 2, 6_000_000
ROUNDS = 8
KEYS = 1 << 20  # more cells than there are along a side


@dataclass(frozen=True)
class Cells:
    """n cells that light comes from, of side `size` in the scene's coordinates (its cube, or that which all of space is bent into).

    corners `[n, 3]`: their lower corners in those coordinates; places `[n, 3]` float64: the mean of where light comes from, in the scene's
    cube (beyond it too, where that has no bounds); spreads `[n, 3, 3]`: its covariance; opacities `[n]`: the share of
    the light through a cell that is lost there; seen `[n, VIEWS]`: the share of the light that goes to an eye looking in each direction of `sphere(VIEWS)`; pixels `[n]`: how large a pixel
    of the cameras is there, in sides of the cube.
    """

    size: float
    corners: Tensor
    places: Tensor
    spreads: Tensor
    opacities: Tensor
    seen: Tensor
    pixels: Tensor

    def __len__(self) -> int:
        return len(self.corners)


@torch.no_grad()
def lit_cells(scene: Radiance, cameras: Sequence[PathCamera], count: int) -> Cells | None:
    """About `count` cells with the most light, as small as that makes them; None where no ray meets anything.

    Some rays tell how many of them meet something; their size is decided from places along as many as that takes, and the rest is measured
    along others, all spread evenly over the pixels of the cameras.
    """
    first = _places(scene, cameras, DRAFT, 6)
    if not len(first[0]):
        return None
    met = PLACES * min(DRAFT, _pixels(cameras)) / len(first[0])
    points, light = _places(scene, cameras, round(met * FEWEST / PLACES * count), 8)
    size, keys = _sized(scene.coords(points), light, count)
    tally = _Accumulator(scene, keys, size)
    for traced in _traced(scene, cameras, round(met * RAYS * count), 7):
        tally.add(*traced)
    return tally.cells()


def _places(scene: Radiance, cameras: Sequence[PathCamera], rays: int, seed: int) -> tuple[Tensor, Tensor]:
    """Points `[n, 3]` that light comes from along about so many rays, and how much `[n]`."""
    drawn = [
        _drawn(*traced[:3], np.random.Generator(np.random.Philox(key=[seed, number])))
        for number, traced in enumerate(_traced(scene, cameras, rays, seed))
    ]
    return torch.cat([points for points, _ in drawn]), torch.cat([light for _, light in drawn])


def _pixels(cameras: Sequence[PathCamera]) -> int:
    return sum(camera.intrinsics.width * camera.intrinsics.height for camera in cameras)


def cameras_around(scene: Radiance) -> list[PathCamera]:
    """A sphere of cameras that have the whole box in their pictures."""
    middle = scene.corner + scene.side * np.array(scene.extents) / 2
    radius = scene.side * float(np.linalg.norm(scene.extents)) / 2
    distance = radius / np.sin(np.radians(FIELD_OF_VIEW / 2))
    focal = 0.5 * PIXELS / np.tan(np.radians(FIELD_OF_VIEW / 2))
    intrinsics = Intrinsics(PIXELS, PIXELS, focal, focal, PIXELS / 2, PIXELS / 2)
    return [
        PathCamera(
            looking_at(middle + distance * direction, middle, "x" if abs(direction[2]) > 0.9 else "z"), intrinsics
        )
        for direction in sphere(AROUND)
    ]


def _traced(
    scene: Radiance, cameras: Sequence[PathCamera], rays: int, seed: int
) -> Iterator[tuple[RayColors, Tensor, Tensor, float]]:
    """What about so many rays see, some at a time, and the focal length in pixels; always the same ones."""
    share = min(1.0, min(rays, MAX_RAYS) / _pixels(cameras))
    generator = np.random.Generator(np.random.Philox(key=[seed, 0x5A]))
    for camera in cameras:
        count = camera.intrinsics.width * camera.intrinsics.height
        chosen = np.sort(generator.permutation(count)[: max(1, round(count * share))])
        origins, directions = (part[chosen] for part in camera.rays())
        for first in range(0, len(chosen), CHUNK):
            yield *scene.look(origins[first : first + CHUNK], directions[first : first + CHUNK]), camera.intrinsics.fl_x


def _drawn(
    seen: RayColors, origins: Tensor, directions: Tensor, generator: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """PLACES points `[n, 3]` on every ray that has light, drawn evenly along what it gathers, and the light `[n]` that each stands for."""
    samples = seen.samples
    ends = torch.cat([seen.weights.new_zeros(1, dtype=torch.float64), seen.weights.double().cumsum(0)])
    low, high = ends[samples.offsets[:-1]], ends[samples.offsets[1:]]
    lit = (high - low > 1e-3).nonzero().flatten()
    start = torch.from_numpy(generator.random((len(lit), 1))).to(low.device)
    at = low[lit, None] + (start + torch.arange(PLACES, device=low.device)) / PLACES * (high - low)[lit, None]
    ray = lit.repeat_interleave(PLACES)
    index = torch.searchsorted(ends, at.reshape(-1), right=True) - 1
    index = torch.minimum(torch.maximum(index, samples.offsets[ray]), samples.offsets[ray + 1] - 1)
    share = torch.from_numpy(generator.random(len(index), np.float32)).to(samples.t_starts)
    distance = torch.lerp(samples.t_starts[index], samples.t_ends[index], share)
    return torch.addcmul(origins[ray], distance[:, None], directions[ray]), seen.opacity[ray] / PLACES


def _sized(coords: Tensor, light: Tensor, count: int) -> tuple[float, Tensor]:
    """The side of about `count` cells that have nearly all the light at `coords` `[M, 3]`, and their keys, increasing."""
    size, low, high, count = 1 / 64, 1 / 4096, 1 / 4, max(1, min(count, len(coords) // FEWEST))
    for _ in range(ROUNDS):
        keys, of_cell = torch.unique(_keys(coords, size), return_inverse=True)
        total = torch.zeros(len(keys), dtype=torch.float64, device=coords.device).index_add_(0, of_cell, light.double())
        order = total.argsort()
        keys = keys[order[total[order].cumsum(0) >= FAINT * total.sum()]].sort().values
        if abs(len(keys) - count) <= 0.02 * count:
            break
        low, high = (low, size) if len(keys) < count else (size, high)
        # Surfaces have about as many cells as squares of their side.
        size = min(max(size * (len(keys) / count) ** 0.45, 0.9 * low + 0.1 * high), 0.9 * high + 0.1 * low)
    return size, keys


def _keys(coords: Tensor, size: float) -> Tensor:
    x, y, z = (coords / size).long().unbind(-1)
    return (x * KEYS + y) * KEYS + z


class _Accumulator:
    """What is added up for the cells with these keys."""

    def __init__(self, scene: Radiance, keys: Tensor, size: float) -> None:
        self.scene, self.keys, self.size = scene, keys, size
        corner = torch.stack([keys // KEYS**2, keys // KEYS % KEYS, keys % KEYS], dim=1).float() * size
        self.corners, self.middles = corner, scene.points((corner + size / 2).clamp(max=1 - 1e-3))
        self.views = torch.from_numpy(sphere(VIEWS)).float().to(scene.device)
        self.light, self.lost, self.came, self.pixels = (self._zeros() for _ in range(4))
        self.first, self.second = self._zeros(3), self._zeros(9)
        self.seen = torch.zeros(len(keys) * VIEWS, device=scene.device)

    def _zeros(self, *shape: int) -> Tensor:
        return torch.zeros(len(self.keys), *shape, dtype=torch.float64, device=self.scene.device)

    def add(self, seen: RayColors, origins: Tensor, directions: Tensor, focal: float) -> None:
        samples, weights = seen.samples, seen.weights.double()
        points = samples.positions(origins, directions)
        keys = _keys(self.scene.coords(points), self.size)
        cell = torch.searchsorted(self.keys, keys).clamp(max=len(self.keys) - 1)
        known = (self.keys[cell] == keys).nonzero().flatten()
        cell, ray, weights_in = cell[known], samples.ray_indices[known], weights[known]
        # A ray's way through a cell is some samples one after the other: the light before the first of them, and what they take of it.
        summed = weights.cumsum(0) - weights
        before = torch.cat([summed, summed.new_zeros(1)])[samples.offsets[:-1].clamp(max=len(summed))]
        coming = 1.0 - (summed[known] - before[ray])
        enters = torch.ones_like(cell, dtype=torch.bool)
        enters[1:] = (cell[1:] != cell[:-1]) | (ray[1:] != ray[:-1])
        way = enters.cumsum(0) - 1
        entered = coming[enters]
        lost = torch.zeros_like(entered).index_add_(0, way, weights_in)
        bright = entered > DIM
        self.came.index_add_(0, cell[enters][bright], entered[bright])
        self.lost.index_add_(0, cell[enters][bright], lost[bright])
        some = (weights_in > 0).nonzero().flatten()
        cell, ray, light, points = cell[some], ray[some], weights_in[some], points[known[some]]
        self.pixels.index_add_(0, cell, light * samples.middles[known[some]] / focal)
        away = (points - self.middles[cell]).double()
        self.light.index_add_(0, cell, light)
        self.first.index_add_(0, cell, away * light[:, None])
        self.second.index_add_(0, cell, (away[:, :, None] * away[:, None, :] * light[:, None, None]).reshape(-1, 9))
        towards = (directions @ self.views.T).argmax(dim=1)[ray]
        self.seen.index_add_(0, cell * VIEWS + towards, light.float())

    def cells(self) -> Cells | None:
        lit = (self.light > 0).nonzero().flatten()
        if not len(lit):
            return None
        light = self.light[lit]
        mean = self.first[lit] / light[:, None]
        spreads = (self.second[lit] / light[:, None]).reshape(-1, 3, 3) - mean[:, :, None] * mean[:, None, :]
        return Cells(
            self.size,
            self.corners[lit],
            self.middles[lit].double() + mean,
            spreads,
            self.lost[lit] / self.came[lit].clamp(min=1e-9),
            self.seen.reshape(-1, VIEWS)[lit] / light[:, None].float(),
            self.pixels[lit] / light,
        )
