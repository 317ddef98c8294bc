"""What a network sees of the fields of a dataset: planes, flattened weights, or points of the sources."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from fields.weights.dataset import PARTS, POINTS, FieldDataset
from fields.weights.planes import cube_rotations, upright_rotations
from scenes.errors import BadInput

# Standard deviation of the noise that is added to points in training, in unit cubes, and range of their scale.
JITTER, SCALE = 0.005, (0.8, 1.2)
# Of the shape distributions: pairs of points, and bins of each histogram.
PAIRS, BINS = 20_000, 48
# Prefix of the tensors of networks in a state dict.
NETWORK = "network."


def labels_of(dataset: FieldDataset, indices: Sequence[int]) -> list[int]:
    """Class numbers of items, -1 for items without a class."""
    classes = dataset.labels
    found = (dataset.items[i].label for i in indices)
    return [-1 if label is None else classes.index(label) for label in found]


class PointClouds(Dataset[tuple[Tensor, int]]):
    """Items as (points `[N, 3]` about the origin, class).

    count: points of each item; in training a random choice, turned and scaled as planes are.
    """

    def __init__(
        self,
        dataset: FieldDataset,
        indices: list[int],
        *,
        count: int = 256,
        augment: bool = False,
        any_direction: bool = True,
        seed: int = 0,
    ) -> None:
        if not dataset.has(POINTS):
            raise BadInput(f"{dataset.path}: has no points of its sources")
        self.indices, self.augment, self.seed, self.epoch, self.count = indices, augment, seed, 0, count
        self.points = torch.stack([dataset.tensor(i, POINTS) for i in indices]).float() * 2 - 1
        self.labels = labels_of(dataset, indices)
        self._turns = torch.stack(
            [_matrix(turn) for turn in (cube_rotations() if any_direction else upright_rotations())]
        )

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, position: int) -> tuple[Tensor, int]:
        points = self.points[position]
        if not self.augment:
            return points[: self.count], self.labels[position]
        generator = torch.Generator().manual_seed((self.seed * 1_000_003 + self.epoch) * 1_000_003 + position)
        chosen = points[torch.randperm(len(points), generator=generator)[: self.count]]
        turn = self._turns[int(torch.randint(len(self._turns), (1,), generator=generator))]
        scale = SCALE[0] + (SCALE[1] - SCALE[0]) * torch.rand(3, generator=generator)
        noise = JITTER * torch.randn(chosen.shape, generator=generator)
        return chosen @ turn.T * scale + noise, self.labels[position]


def _matrix(turn: tuple[tuple[int, int, int], tuple[int, int, int]]) -> Tensor:
    """The rotation `[3, 3]` of `fields.weights.planes.turned`: axis a comes to lie along `axes[a]`."""
    matrix = torch.zeros(3, 3)
    for a, (axis, sign) in enumerate(zip(*turn)):
        matrix[axis, a] = sign
    return matrix


class FlatWeights(Dataset[tuple[Tensor, int]]):
    """Items as (the weights of their networks in one row, class), each column of zero mean and unit deviation.

    statistics: mean and deviation `[numbers]` of the training items; None: those of these items.
    """

    def __init__(
        self, dataset: FieldDataset, indices: list[int], statistics: tuple[Tensor, Tensor] | None = None
    ) -> None:
        rows = []
        for index in indices:
            state = dataset.state(index)
            rows.append(torch.cat([state[name].flatten() for name in sorted(state) if name.startswith(NETWORK)]))
        if dataset.header["shared"]:
            raise BadInput(f"{dataset.path}: all items share one network, so that its weights tell nothing of them")
        numbers = torch.stack(rows)
        self.statistics = statistics or (numbers.mean(0), numbers.std(0).clamp_min(1e-6))
        self.numbers = (numbers - self.statistics[0]) / self.statistics[1]
        self.indices, self.labels = indices, labels_of(dataset, indices)

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, position: int) -> tuple[Tensor, int]:
        return self.numbers[position], self.labels[position]


def shape_distribution(points: np.ndarray, seed: int = 0) -> np.ndarray:
    """Histograms of a cloud `[N, 3]` (Osada et al. 2002): D1, D2 and A3, each of unit sum, `[3 bins]` float32.

    Distances are in units of their mean: to the centroid, between two points; and the angle at one of three points.
    """
    generator = np.random.Generator(np.random.Philox(key=[seed, 77]))
    a, b, c = (points[generator.integers(0, len(points), PAIRS)] for _ in range(3))
    centre = np.linalg.norm(points - points.mean(axis=0), axis=1)
    between = np.linalg.norm(a - b, axis=1)
    cosine = ((a - b) * (c - b)).sum(axis=1) / np.maximum(between * np.linalg.norm(c - b, axis=1), 1e-9)
    measured = (
        (centre / centre.mean(), 3.0),
        (between / between.mean(), 3.0),
        (np.arccos(np.clip(cosine, -1, 1)), np.pi),
    )
    histograms = [np.histogram(values, BINS, (0, upper))[0] / len(values) for values, upper in measured]
    return np.concatenate(histograms).astype(np.float32)


class LabelledPoints(Dataset[tuple[Tensor, ...]]):
    """Items as (channels of the planes or nothing, points `[N, 3]` in [0, 1], class, part of each point `[N]`).

    Parts are numbered across all classes: `names` has (class, part) of each. planes: a dataset of planes of the same
    items without turns, or None.
    """

    def __init__(
        self, dataset: FieldDataset, indices: list[int], planes: Dataset | None, *, count: int = 256, seed: int = 0
    ) -> None:
        if not dataset.has(PARTS):
            raise BadInput(f"{dataset.path}: its items have no labelled parts; fit `procedural:parts`")
        self.names = part_names(dataset)
        self.indices, self.planes, self.count, self.seed, self.epoch = indices, planes, count, seed, 0
        self.points = torch.stack([dataset.tensor(i, POINTS) for i in indices]).float()
        self.labels = labels_of(dataset, indices)
        self.parts = torch.stack([self._numbered(dataset, index) for index in indices])

    def _numbered(self, dataset: FieldDataset, index: int) -> Tensor:
        item = dataset.items[index]
        numbers = torch.tensor([self.names.index((str(item.label), part)) for part in item.parts])
        return numbers[dataset.tensor(index, PARTS).long()]

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch
        if self.planes is not None and hasattr(self.planes, "set_epoch"):
            self.planes.set_epoch(epoch)  # pyright: ignore[reportAttributeAccessIssue]

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, position: int) -> tuple[Tensor, ...]:
        generator = torch.Generator().manual_seed((self.seed * 1_000_003 + self.epoch) * 1_000_003 + position)
        chosen = torch.randperm(self.points.shape[1], generator=generator)[: self.count]
        points, parts = self.points[position, chosen], self.parts[position, chosen]
        channels = torch.zeros(0) if self.planes is None else self.planes[position][0]
        return channels, points, torch.tensor(self.labels[position]), parts


def part_names(dataset: FieldDataset) -> list[tuple[str, str]]:
    """(class, part) of every part that occurs, sorted."""
    return sorted({(str(item.label), part) for item in dataset.items for part in item.parts})
