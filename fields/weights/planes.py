"""Tri-planes as images that a network reads, and their augmentation without the object (Cardace et al. 2024).

The classifier never sees the decoder. Two fits of one object agree up to the order of channels, and as the decoder is
the object's own, up to their signs too; what is done here respects both.
"""

from __future__ import annotations

from itertools import permutations, product

import torch
from torch import Tensor
from torch.nn import functional

from fields.methods.triplane import TriPlane
from fields.weights.dataset import FieldDataset
from scenes.errors import BadInput

# Name of a tri-plane's table in a state dict.
TABLE = "encoder.grid.table"
# Axes (columns, rows) of the three planes.
PLANES = ((0, 1), (0, 2), (1, 2))
# Smallest part of a side, and largest change of its proportions, that a random crop keeps.
MIN_CROP, MAX_ASPECT = 0.7, 4 / 3
# Length of features below which differences do not count (planes begin with 1e-3), and what keeps from dividing by 0.
MIN_LENGTH, SMALL = 1e-3, 1e-6
# Nodes by which maps are moved in training, at most.
MAX_SHIFT = 2
# The rotations of a cube, (axis that each axis becomes, sign of each axis).
Turn = tuple[tuple[int, int, int], tuple[int, int, int]]


def check_planes(dataset: FieldDataset) -> int:
    """Nodes along each axis of the planes of a dataset. Raises BadInput where its fields are no tri-planes."""
    method = dataset.method
    if not isinstance(method, TriPlane) or not dataset.has(TABLE):
        raise BadInput(f"{dataset.path}: its fields are of the method {dataset.method.name}; tri-planes are needed")
    if set(method.proportions) != {1.0} or method.levels != 1 or method.combine != "sum":
        raise BadInput(f"{dataset.path}: planes of one level with as many nodes along each axis, summed, are needed")
    return int(method.resolution)


def planes_of(dataset: FieldDataset, index: int) -> Tensor:
    """The planes `[3, C, R, R]` float32 of an item: (x, y), (x, z), (y, z), rows along the second axis."""
    nodes = int(dataset.method.resolution)  # pyright: ignore[reportAttributeAccessIssue]
    return planes_of_table(dataset.tensor(index, TABLE), nodes)


def planes_of_table(table: Tensor, nodes: int) -> Tensor:
    """The planes `[3, C, R, R]` float32 in a table `[3 R R, C]`."""
    return table.float().reshape(3, nodes, nodes, -1).permute(0, 3, 1, 2)


def normalized(planes: Tensor) -> Tensor:
    """Channels `[3 C, R, R]` of planes `[3, C, R, R]`, of unit length at each pixel across all channels.

    Planes are small numbers, of which an untouched network would see zeros. The length is taken across channels, so it
    commutes with their order.
    """
    return functional.normalize(planes.flatten(0, 1), dim=0, eps=1e-12)


def feature_maps(planes: Tensor) -> Tensor:
    """What of planes `[3, C, R, R]` does not depend on the decoder: `[3, 4, R, R]`.

    The logarithm of the features' length, standardized; the cosines between a node's features and those of its two
    next neighbours; and of theirs and the plane's mean. Any rotation of feature space, and so any order and sign of
    channels, leaves these as they are.
    """
    length = planes.norm(dim=1, keepdim=True)
    unit = planes / (length + SMALL)
    right = functional.pad((unit[..., 1:] * unit[..., :-1]).sum(dim=1, keepdim=True), (0, 1))
    down = functional.pad((unit[..., 1:, :] * unit[..., :-1, :]).sum(dim=1, keepdim=True), (0, 0, 0, 1))
    mean = functional.normalize(planes.mean(dim=(2, 3), keepdim=True), dim=1)
    along = (unit * mean).sum(dim=1, keepdim=True)
    log = torch.log(length + MIN_LENGTH)
    log = (log - log.mean()) / (log.std() + SMALL)
    return torch.cat([log, right, down, along], dim=1)


def upright_rotations() -> list[Turn]:
    """The 4 rotations of a cube about its axis y."""
    return [turn for turn in cube_rotations() if turn[0][1] == 1 and turn[1][1] == 1]


def cube_rotations() -> list[Turn]:
    """The 24 rotations that map a cube to itself."""
    turns = []
    for axes in permutations(range(3)):
        parity = 1 if axes in ((0, 1, 2), (1, 2, 0), (2, 0, 1)) else -1
        turns += [(axes, signs) for signs in product((1, -1), repeat=3) if signs[0] * signs[1] * signs[2] == parity]
    return turns


def turned(planes: Tensor, turn: Turn) -> Tensor:
    """The planes `[3, C, R, R]` of the same object rotated: its axis a lies along axis `turn[0][a]`, with a sign."""
    axes, signs = turn
    result = [planes[0]] * 3
    for plane, (column, row) in zip(planes, PLANES):
        flips = [dim for dim, axis in ((-1, column), (-2, row)) if signs[axis] < 0]
        image = plane.flip(flips) if flips else plane
        pair = axes[column], axes[row]
        if pair[0] > pair[1]:
            image, pair = image.transpose(-1, -2), pair[::-1]
        result[PLANES.index(pair)] = image
    return torch.stack(result)


def random_crop(channels: Tensor, side: int, generator: torch.Generator) -> Tensor:
    """A random part of channels `[K, R, R]`, the same of all, resampled to `[K, side, side]`."""
    whole = channels.shape[-1]
    area, tilt = torch.rand(2, generator=generator).tolist()
    length = whole * (MIN_CROP + (1 - MIN_CROP) * area)
    aspect = MAX_ASPECT ** (tilt - 0.5)
    height, width = (max(2, min(whole, round(length * factor))) for factor in (aspect, 1 / aspect))
    top = int(torch.randint(whole - height + 1, (1,), generator=generator))
    left = int(torch.randint(whole - width + 1, (1,), generator=generator))
    part = channels[None, :, top : top + height, left : left + width]
    return functional.interpolate(part, (side, side), mode="bilinear", antialias=True)[0]


def centre_crop(channels: Tensor, side: int) -> Tensor:
    """The middle of channels `[K, R, R]`, `[K, side, side]`."""
    first = (channels.shape[-1] - side) // 2
    return channels[:, first : first + side, first : first + side]


class PlaneImages(torch.utils.data.Dataset[tuple[Tensor, int]]):
    """Items of a dataset of tri-planes as (channels `[3 C, side, side]`, class), one read from its file at a time.

    indices: the items. side: of the crop; None: two nodes less than the planes, as in the paper's code.
    augment: whether each reading is turned, cropped and has channels of random sign. any_direction: whether it is
    turned about all axes, or about y alone. maps: whether items are `feature_maps` `[3, 4, R, R]` instead.
    seed: of the augmentation, together with the number of the epoch, which `set_epoch` tells.
    """

    def __init__(
        self,
        dataset: FieldDataset,
        indices: list[int],
        *,
        side: int | None = None,
        augment: bool = False,
        any_direction: bool = True,
        maps: bool = False,
        seed: int = 0,
    ) -> None:
        nodes = check_planes(dataset)
        self.dataset, self.indices = dataset, indices
        self.side = side or nodes - 2
        self.augment, self.maps, self.seed, self.epoch = augment, maps, seed, 0
        self.classes = dataset.labels
        self._turns = cube_rotations() if any_direction else upright_rotations()

    def set_epoch(self, epoch: int) -> None:
        """Draw other augmentations from now on."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, position: int) -> tuple[Tensor, int]:
        index = self.indices[position]
        planes = planes_of(self.dataset, index)
        if self.augment:
            channels = self._augmented(planes, index)
        else:
            channels = feature_maps(planes) if self.maps else centre_crop(normalized(planes), self.side)
        label = self.dataset.items[index].label
        return channels, -1 if label is None else self.classes.index(label)

    def _augmented(self, planes: Tensor, index: int) -> Tensor:
        generator = torch.Generator().manual_seed((self.seed * 1_000_003 + self.epoch) * 1_000_003 + index)
        planes = turned(planes, self._turns[int(torch.randint(len(self._turns), (1,), generator=generator))])
        if self.maps:
            shift = torch.randint(-MAX_SHIFT, MAX_SHIFT + 1, (2,), generator=generator).tolist()
            return torch.roll(feature_maps(planes), shift, dims=(-2, -1))
        channels = normalized(planes)
        signs = torch.randint(2, (len(channels), 1, 1), generator=generator) * 2.0 - 1.0
        return random_crop(channels * signs, self.side, generator)
