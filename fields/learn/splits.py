"""Which items of a dataset train, choose and test a network."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fields.weights.dataset import FieldDataset, Item
from scenes.errors import BadInput
from scenes.sampling import philox

# Fractions of the items of each class that choose the best epoch, and that test. The others train.
VALIDATION, TEST = 0.15, 0.25
# Stream of the random generator.
STREAM = 41


@dataclass(frozen=True)
class Split:
    """Indices of items. Copies of one source are in one part."""

    train: list[int]
    validation: list[int]
    test: list[int]


def stratified_split(items: list[Item], seed: int = 0, *, validation: float = VALIDATION, test: float = TEST) -> Split:
    """A random split in which every class has its fraction in each part; a pure function of its arguments.

    Items whose source has the same content are kept together, so that no copy of a tested object is trained on. A class
    of one source trains only, and of two trains and tests.

    Raises BadInput where fewer than two classes have items.
    """
    classes: dict[str, dict[str, list[int]]] = {}
    for index, item in enumerate(items):
        if item.label is not None:
            sources = classes.setdefault(item.label, {})
            sources.setdefault(item.source.get("sha256") or item.name, []).append(index)
    if len(classes) < 2:
        raise BadInput(
            f"the items have {len(classes)} class{'es' * (not classes)}, and at least two are needed; put the files of "
            "a class into a folder of its own before they are fitted"
        )
    generator = np.random.Generator(philox(seed, STREAM))
    parts: tuple[list[int], list[int], list[int]] = [], [], []
    for label in sorted(classes):
        groups = list(classes[label].values())
        order = generator.permutation(len(groups))
        tested = max(1, round(test * len(groups))) if len(groups) > 1 else 0
        chosen = max(1, round(validation * len(groups))) if len(groups) > 2 else 0
        for place, group in enumerate(order):
            part = 2 if place < tested else 1 if place < tested + chosen else 0
            parts[part].extend(groups[group])
    return Split(*(sorted(part) for part in parts))


def single_classes(dataset: FieldDataset) -> list[str]:
    """Classes with one item, which can be trained on and not tested."""
    counts: dict[str, int] = {}
    for item in dataset.items:
        if item.label is not None:
            counts[item.label] = counts.get(item.label, 0) + 1
    return sorted(label for label, count in counts.items() if count == 1)
