"""The tasks: say the class of a field, and the part that a point of it belongs to."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import Dataset

from fields.learn.inputs import FlatWeights, LabelledPoints, PointClouds, labels_of, shape_distribution
from fields.learn.models import CHECKPOINT, Memory, Model, new_model, plane_side
from fields.learn.request import LearnRequest
from fields.learn.splits import Split, stratified_split
from fields.learn.training import Learning, batches
from fields.weights.dataset import POINTS, FieldDataset
from fields.weights.planes import PlaneImages
from scenes.errors import BadInput
from scenes.io.atomic import holds_anything

# Items that are scored at a time.
SCORED = 64
# Temperatures that are tried so that the network is as sure as it is right on the items of validation.
TEMPERATURES = [2 ** (i / 4) for i in range(-8, 13)]
OnEpoch = Callable[[Learning], None]


def classify(request: LearnRequest, out: Path, on_epoch: OnEpoch = lambda learning: None) -> Model:
    """Train a classifier on a dataset of fields and score it on the items that it was not trained on.

    A training in progress in `out` is continued. Raises BadInput for datasets without classes, of other fields than
    the input needs, and where `out` holds another model.
    """
    dataset = FieldDataset.open(request.source)
    split = stratified_split(dataset.items, request.seed)
    if request.on == "histogram":
        return _nearest_neighbour(request, dataset, split, out)
    train, validation, test, sizes = _classifier_inputs(request, dataset, split)
    model = new_model(out, "classify", request, dataset, sizes)
    chosen_by = validation if len(split.validation) else train

    def loss(network: nn.Module, batch: list[Tensor]) -> Tensor:
        return functional.cross_entropy(network(batch[0]), batch[1], label_smoothing=0.1)

    def score(network: nn.Module) -> dict[str, float]:
        logits, labels = class_logits(network, chosen_by)
        return {"accuracy": _accuracy(logits, labels), "nll": float(functional.cross_entropy(logits, labels))}

    learning = _learn(model, request, train, loss, score, on_epoch)
    if learning is None:
        return model
    temperature = _temperature(*class_logits(model.network, chosen_by))
    logits, labels = class_logits(model.network, test)
    scores = {
        "accuracy": _accuracy(logits, labels),
        "nll": float(functional.cross_entropy(logits / temperature, labels)),
        "validation_accuracy": learning.best_scores["accuracy"],
    }
    predicted = logits.argmax(dim=1).tolist()
    _finish(model, dataset, split, scores, temperature=temperature, predicted=predicted)
    return model


def segment(request: LearnRequest, out: Path, on_epoch: OnEpoch = lambda learning: None) -> Model:
    """Train a network that says the part of each point of a field, and score it. Arguments and errors as `classify`."""
    dataset = FieldDataset.open(request.source)
    split = stratified_split(dataset.items, request.seed)
    if request.on not in ("planes", "points"):
        raise BadInput(f"`on={request.on}`: segment takes planes or points")
    on_planes = request.on == "planes"
    sizes = {"side": plane_side(dataset, whole=True)} if on_planes else {}

    def inputs(indices: list[int], seed: int) -> LabelledPoints:
        # Points belong to the planes as they are: nothing is turned or cropped.
        planes = PlaneImages(dataset, indices, side=sizes["side"]) if on_planes else None
        return LabelledPoints(dataset, indices, planes, seed=seed)

    train, validation, test = (inputs(part, request.seed) for part in (split.train, split.validation, split.test))
    model = new_model(out, "segment", request, dataset, sizes)
    chosen_by = validation if len(split.validation) else train

    def ask(network: nn.Module, batch: list[Tensor]) -> Tensor:
        channels, points, labels, _ = batch
        return network(channels, points, labels) if on_planes else network(points * 2 - 1, labels)

    def loss(network: nn.Module, batch: list[Tensor]) -> Tensor:
        return functional.cross_entropy(ask(network, batch).flatten(0, 1), batch[3].flatten())

    def score(network: nn.Module) -> dict[str, float]:
        return part_scores(network, ask, chosen_by)

    if _learn(model, request, train, loss, score, on_epoch) is not None:
        _finish(model, dataset, split, part_scores(model.network, ask, test))
    return model


def _classifier_inputs(
    request: LearnRequest, dataset: FieldDataset, split: Split
) -> tuple[Dataset, Dataset, Dataset, dict[str, int]]:
    """Items that train, choose and test, and the sizes of the network that reads them."""
    parts = split.train, split.validation, split.test
    if request.on in ("planes", "maps"):
        maps = request.on == "maps"
        train = PlaneImages(
            dataset, split.train, augment=True, any_direction=request.turned, maps=maps, seed=request.seed
        )
        validation, test = (PlaneImages(dataset, part, maps=maps) for part in parts[1:])
        return train, validation, test, {"side": train.side}
    if request.on == "points":
        train = PointClouds(dataset, split.train, augment=True, any_direction=request.turned, seed=request.seed)
        validation, test = (PointClouds(dataset, part) if part else train for part in parts[1:])
        return train, validation, test, {}
    own = FlatWeights(dataset, split.train)
    validation, test = (FlatWeights(dataset, part, own.statistics) if part else own for part in parts[1:])
    return own, validation, test, {"numbers": own.numbers.shape[1]}


def _learn(
    model: Model,
    request: LearnRequest,
    train: Dataset,
    loss: Callable[[nn.Module, list[Tensor]], Tensor],
    score: Callable[[nn.Module], dict[str, float]],
    on_epoch: OnEpoch,
) -> Learning | None:
    """Train the model's network, continuing what is there. None where it was stopped before the end."""
    checkpoint = model.path / CHECKPOINT
    learning = Learning(
        model.network,
        train,
        loss=loss,
        score=score,
        epochs=request.epochs,
        batch=request.batch,
        rate=request.learning_rate,
        seed=request.seed,
    )
    if (model.path / "model.json").is_file():
        known = Model.load(model.path).header
        own = request.to_header()
        other = [name for name in own if known.get(name) != own[name]]
        if known["task"] != model.header["task"] or known["dataset"] != model.header["dataset"]:
            other.append("data")
        if other:
            raise BadInput(f"`out={model.path}`: holds a model with other {', '.join(other)}; give another folder")
        if checkpoint.is_file():
            learning.resume(checkpoint)
    elif holds_anything(model.path):
        raise BadInput(f"`out={model.path}`: is not an empty folder; give another folder")
    model.save()

    def after(learning: Learning) -> None:
        model.write_history(learning.history)
        on_epoch(learning)

    return learning if learning.run(after, checkpoint) else None


def _finish(model: Model, dataset: FieldDataset, split: Split, scores: dict[str, float], **more: Any) -> None:
    model.save(
        status="finished",
        scores={name: round(value, 6) for name, value in scores.items()},
        items={"train": len(split.train), "validation": len(split.validation), "test": len(split.test)},
        tested=[dataset.items[i].name for i in split.test],
        **more,
    )
    (model.path / CHECKPOINT).unlink(missing_ok=True)


@torch.no_grad()
def class_logits(network: nn.Module, items: Dataset) -> tuple[Tensor, Tensor]:
    """Logits `[n, classes]` of items, and their classes `[n]`."""
    count = len(items)  # pyright: ignore[reportArgumentType]
    found = [(network(batch[0]), batch[1]) for batch in batches(items, list(range(count)), SCORED)]
    logits, labels = (torch.cat(column) for column in zip(*found))
    return logits, labels


def _accuracy(logits: Tensor, labels: Tensor) -> float:
    return float((logits.argmax(dim=1) == labels).float().mean())


def _temperature(logits: Tensor, labels: Tensor) -> float:
    """The factor by which logits are divided so that probabilities fit best (Guo et al. 2017)."""
    return min(TEMPERATURES, key=lambda t: float(functional.cross_entropy(logits / t, labels)))


@torch.no_grad()
def part_scores(
    network: nn.Module, ask: Callable[[nn.Module, list[Tensor]], Tensor], items: LabelledPoints
) -> dict[str, float]:
    """Mean over items of the mean IoU of the parts of their class, and the fraction of points that are right.

    Only the parts of an item's class compete. A part that neither is nor is said to be there has an IoU of 1.
    """
    ious, right, count = [], 0, 0
    items.set_epoch(0)
    for batch in batches(items, list(range(len(items))), SCORED):
        logits, labels, parts = ask(network, batch), batch[2], batch[3]
        for row, label, truth in zip(logits, labels.tolist(), parts):
            own = [i for i, (name, _) in enumerate(items.names) if name == sorted({n for n, _ in items.names})[label]]
            said = torch.tensor(own)[row[:, own].argmax(dim=1)]
            each = []
            for part in own:
                either = ((said == part) | (truth == part)).sum().item()
                both = ((said == part) & (truth == part)).sum().item()
                each.append(both / either if either else 1.0)
            ious.append(sum(each) / len(each))
            right, count = right + int((said == truth).sum()), count + len(truth)
    return {"miou": sum(ious) / max(1, len(ious)), "points_right": right / max(1, count)}


def _nearest_neighbour(request: LearnRequest, dataset: FieldDataset, split: Split, out: Path) -> Model:
    """The baseline without training: the class of the nearest shape distribution."""
    if not dataset.has(POINTS):
        raise BadInput(f"{dataset.path}: has no points of its sources")

    def histograms(indices: list[int]) -> Tensor:
        rows = [shape_distribution(dataset.tensor(i, POINTS).double().numpy(), i) for i in indices]
        return torch.stack([torch.from_numpy(row) for row in rows])

    known = histograms(split.train + split.validation)
    model = new_model(out, "classify", request, dataset, {"items": len(known), "numbers": known.shape[1]})
    assert isinstance(model.network, Memory)
    model.network.rows.copy_(known)
    model.network.labels.copy_(torch.tensor(labels_of(dataset, split.train + split.validation)))
    found = model.network.nearest(histograms(split.test))
    right = (found == torch.tensor(labels_of(dataset, split.test))).float().mean()
    _finish(model, dataset, split, {"accuracy": float(right)}, predicted=found.tolist())
    return model


def chance(dataset: FieldDataset) -> float:
    """Accuracy of saying the largest class always."""
    counts: dict[str, int] = {}
    for item in dataset.items:
        if item.label is not None:
            counts[item.label] = counts.get(item.label, 0) + 1
    return max(counts.values()) / sum(counts.values()) if counts else math.nan
