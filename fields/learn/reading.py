"""Ask a model: the class of a file or a run, and embeddings of whole datasets."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

import scenes
from fields.batch.request import BatchRequest
from fields.batch.sources import Source
from fields.batch.stack_fit import StackFit, open_stack
from fields.learn.inputs import shape_distribution
from fields.learn.models import Memory, Model
from fields.learn.networks import FlatMlp, MapNet, PartDecoder, PlaneTransformer, PointNet
from fields.methods.triplane import TriPlane
from fields.runs.run import Run
from fields.weights.dataset import POINTS, FieldDataset
from fields.weights.planes import TABLE, centre_crop, feature_maps, normalized, planes_of, planes_of_table
from scenes.errors import BadInput
from scenes.shape.signal import Shape

# Probability below which an answer is called unsure.
UNSURE = 0.5
# Neighbours that are listed.
NEIGHBOURS = 8


@dataclass(frozen=True)
class Answer:
    """The classes of an object with their probabilities, the most probable first; `quality`: scores of the fit."""

    classes: list[str]
    probabilities: list[float]
    quality: dict[str, float]

    @property
    def sure(self) -> bool:
        """Whether the first class has at least `UNSURE`."""
        return self.probabilities[0] >= UNSURE


def predict(model: Model, source: str) -> Answer:
    """The class of a mesh or point cloud, whose field is fitted on the way, or of the field of a run.

    Raises BadInput for models that do not classify planes or points, and for what has another kind of field.
    """
    if model.header["task"] != "classify":
        raise BadInput(f"{model.path}: segments parts; a model of `fit-a-scene learn classify` is needed")
    if model.header["on"] == "weights":
        raise BadInput(
            f"{model.path}: reads flattened weights, which say nothing of a field with another start; "
            "train one on planes"
        )
    if (Path(source) / "run.json").is_file():
        return _answer(model, _run_input(model, Run.open(Path(source))), {})
    return _answer(model, *_fitted_input(model, source))


def _run_input(model: Model, run: Run) -> Tensor:
    """What the model reads of a run's field, `[1, ...]`."""
    if model.header["on"] not in ("planes", "maps"):
        raise BadInput(f"{model.path}: reads points; give the file that the run was fitted to")
    wanted, fields = model.method, model.header["fields"]
    if run.header["method"] != fields["method"] or run.header["channels"]["space"] != fields["channels"]["space"]:
        raise BadInput(
            f"{run.path}: is a field of {run.header['method']} ({_spoken(run.header['channels']['space'])}), and the "
            f"model reads {fields['method']} ({_spoken(fields['channels']['space'])})"
        )
    table = run.load_field().state_dict()[TABLE]
    assert isinstance(wanted, TriPlane)
    nodes, features = int(wanted.resolution), int(wanted.features or 0)
    if tuple(table.shape) != (3 * nodes * nodes, features):
        own = run.header["options"]
        raise BadInput(
            f"{run.path}: its planes have {own.get('resolution')} nodes and {own.get('features')} features, and the "
            f"model reads {nodes} and {features}"
        )
    return _cropped(model, planes_of_table(table, nodes))


def _fitted_input(model: Model, source: str) -> tuple[Tensor, dict[str, float]]:
    """What the model reads of a file, and the scores of the fit."""
    fields = model.header["fields"]
    fit = {"quantity": _QUANTITIES.get(fields["channels"]["space"]), **fields["fit"]}
    signal = scenes.load(source)
    if not isinstance(signal, Shape):
        raise BadInput(f"{source}: is of the kind {signal.kind}, and the model reads fields of shapes")
    # Signed distances are also those of what `auto` decides; an open mesh has no inside that could be read.
    item = Source(Path(source).name, None, lambda: scenes.load(source))
    if fit["quantity"] in ("unsigned", "occupancy"):
        item = Source(item.name, None, lambda: scenes.load(source, "shape", quantity=fit["quantity"]))
    request = BatchRequest(source=source, stack=1, **fit)
    opened = open_stack([item], request, model.channels)
    if opened.failed:
        raise BadInput(opened.failed[0][1])
    if model.header["on"] not in ("planes", "maps"):
        points = torch.from_numpy(opened.samples[0].surface).float()
        return _points_input(model, points), {}
    if fields["shared"]:
        dataset = FieldDataset.open(model.header["dataset"])
        fitting = StackFit(opened, model.method, request, start=dataset.shared_state(), frozen=True)
    else:
        fitting = StackFit(opened, model.method, request)
    fitting.train(on_step=lambda fit: True)
    result = fitting.result()
    if not result.items:
        raise BadInput(result.failed[0][1])
    nodes = int(model.method.resolution)  # pyright: ignore[reportAttributeAccessIssue]
    return _cropped(model, planes_of_table(result.state[TABLE][0], nodes)), result.items[0].quality


_QUANTITIES = {"signed_distance": "signed", "unsigned_distance": "unsigned", "occupancy": "occupancy"}


def _spoken(space: str) -> str:
    return space.replace("_", " ")


def _cropped(model: Model, planes: Tensor) -> Tensor:
    if model.header["on"] == "maps":
        return feature_maps(planes)[None]
    return centre_crop(normalized(planes), model.header["sizes"]["side"])[None]


def _points_input(model: Model, points: Tensor) -> Tensor:
    """Points `[N, 3]` in the unit cube as the model reads them, `[1, ...]`."""
    if model.header["on"] == "histogram":
        return torch.from_numpy(shape_distribution(points.double().numpy()))[None]
    return points[None] * 2 - 1


@torch.no_grad()
def _answer(model: Model, given: Tensor, quality: dict[str, float]) -> Answer:
    if isinstance(model.network, Memory):
        label = int(model.network.nearest(given))
        return Answer([model.classes[label]], [1.0], quality)
    logits = model.network(given)[0] / model.header.get("temperature", 1.0)
    probabilities = torch.softmax(logits, dim=0)
    order = probabilities.argsort(descending=True).tolist()
    return Answer([model.classes[i] for i in order], [float(probabilities[i]) for i in order], quality)


@torch.no_grad()
def embeddings(model: Model, dataset: FieldDataset) -> np.ndarray:
    """What the model's last layer sees of each item, of unit length: `[n, width]` float32.

    Raises BadInput where the model reads other fields than the dataset has.
    """
    network = model.network
    if isinstance(network, PartDecoder):
        network = network.encoder
    fields = model.header["fields"]
    if dataset.method.name != fields["method"] or dataset.channels != model.channels:
        raise BadInput(
            f"{dataset.path}: has fields of {dataset.method.name} ({_spoken(dataset.channels.space)}), and the model "
            f"reads {fields['method']} ({_spoken(fields['channels']['space'])})"
        )
    if isinstance(network, PlaneTransformer | MapNet):
        rows = [network.embedding(_cropped(model, planes_of(dataset, i)))[0] for i in range(len(dataset))]
    elif isinstance(network, PointNet):
        points = (dataset.tensor(i, POINTS).float() for i in range(len(dataset)))
        rows = [network.embedding(_points_input(model, each))[0] for each in points]
    else:
        name = "flattened weights" if isinstance(network, FlatMlp) else "shape distributions"
        raise BadInput(f"{model.path}: reads {name}; embed with a model of planes or points")
    return functional.normalize(torch.stack(rows), dim=1).numpy()


def nearest(vectors: np.ndarray, index: int, count: int = NEIGHBOURS) -> list[tuple[int, float]]:
    """The items most like one, (index, cosine of the angle), without itself. vectors: `[n, width]` of unit length."""
    likeness = vectors @ vectors[index]
    order = [int(i) for i in np.argsort(-likeness, kind="stable") if i != index]
    return [(i, float(likeness[i])) for i in order[:count]]


def flat_map(vectors: np.ndarray) -> np.ndarray:
    """Places in the plane, `[n, 2]` in [0, 1], by the two principal components."""
    centred = vectors - vectors.mean(axis=0)
    _, _, axes = np.linalg.svd(centred, full_matrices=False)
    places = centred @ axes[:2].T
    spread = np.maximum(np.ptp(places, axis=0), 1e-9)
    return (places - places.min(axis=0)) / spread
