"""A learned model: a folder with a network, what it reads, and how it scored.

model.json            what the network reads and says, how it was trained and how it scored (a versioned header)
model.safetensors     its weights
history.jsonl         a row for each epoch
learning.safetensors  state of a training in progress
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from fields.learn.inputs import part_names
from fields.learn.networks import FlatMlp, MapNet, PartDecoder, PlaneTransformer, PointNet, PointNetParts
from fields.learn.request import LearnRequest
from fields.methods.base import Method
from fields.methods.registry import make_method
from fields.runs.run import read_header, write_json
from fields.weights.dataset import FieldDataset
from fields.weights.planes import check_planes
from scenes.domain import Channels
from scenes.errors import BadInput
from scenes.io.atomic import atomic_write_bytes

# Version of the header; a newer one is refused.
FORMAT = 1
HEADER, WEIGHTS, HISTORY, CHECKPOINT = "model.json", "model.safetensors", "history.jsonl", "learning.safetensors"


@dataclass
class Model:
    """A network with the header that says what it reads."""

    path: Path
    header: dict[str, Any]
    network: nn.Module

    @property
    def classes(self) -> list[str]:
        return self.header["classes"]

    @property
    def parts(self) -> list[tuple[str, str]]:
        """(class, part) of each logit of a segmentation; empty for classifiers."""
        return [(a, b) for a, b in self.header["parts"]]

    @property
    def method(self) -> Method:
        """The method of the fields that it reads."""
        return make_method(self.header["fields"]["method"], self.header["fields"]["options"])

    @property
    def channels(self) -> Channels:
        return Channels.from_json(self.header["fields"]["channels"])

    def save(self, **changes: Any) -> None:
        """Write header and weights, each whole or not at all; `changes` are to the header."""
        from safetensors.torch import save

        self.header.update(changes)
        self.path.mkdir(parents=True, exist_ok=True)
        tensors = {name: tensor.contiguous() for name, tensor in self.network.state_dict().items()}
        atomic_write_bytes(self.path / WEIGHTS, save(tensors))
        write_json(self.path / HEADER, self.header)

    def write_history(self, rows: list[dict[str, Any]]) -> None:
        lines = "".join(f"{json.dumps(row)}\n" for row in rows)
        atomic_write_bytes(self.path / HISTORY, lines.encode())

    @classmethod
    def load(cls, path: Path | str) -> Model:
        """Read a model. Raises BadInput where there is none, or it is damaged."""
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        path = Path(path)
        if not (path / HEADER).is_file():
            raise BadInput(f"{path}: not a model (it has no {HEADER}); `fit-a-scene learn classify` makes one")
        header = read_header(path / HEADER)
        try:
            network = network_of(header)
            network.load_state_dict(load_file(path / WEIGHTS))
        except (OSError, SafetensorError, KeyError, TypeError, RuntimeError) as error:
            raise BadInput(f"{path}: not a whole model ({str(error).splitlines()[0]})") from None
        return cls(path, header, network.eval())


def new_model(path: Path, task: str, request: LearnRequest, dataset: FieldDataset, sizes: dict[str, int]) -> Model:
    """An untrained model for a dataset. sizes: of the input, as `network_of` needs them."""
    header = {
        "format": FORMAT,
        "task": task,
        "status": "running",
        "dataset": str(dataset.path),
        **request.to_header(),
        "classes": dataset.labels,
        "parts": part_names(dataset) if task == "segment" else [],
        "sizes": sizes,
        "fields": {
            "kind": dataset.header.get("kind", "shape"),
            "method": dataset.method.name,
            "options": dataset.method.model_dump(mode="json"),
            "channels": dataset.channels.to_json(),
            "shared": dataset.header["shared"],
            "fit": fit_options(dataset),
        },
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(request.seed)
        return Model(path, header, network_of(header))


def fit_options(dataset: FieldDataset) -> dict[str, Any]:
    """Steps, points and samples by which the dataset's fields were fitted, for fitting one more like them."""
    file = dataset.path / "batch.json"
    if not file.is_file():
        return {}
    header = read_header(file)
    return {name: header[name] for name in ("steps", "points", "samples", "quantity") if header.get(name)}


def network_of(header: dict[str, Any]) -> nn.Module:
    """The untrained network of a header."""
    sizes, classes = header["sizes"], len(header["classes"])
    on, task = header["on"], header["task"]
    if on == "planes":
        encoder = PlaneTransformer(sizes["side"], classes, width=header["width"], layers=header["layers"])
        return encoder if task == "classify" else PartDecoder(encoder, classes, len(header["parts"]))
    if on == "maps" and task == "classify":
        return MapNet(classes, header["width"])
    if on == "points":
        return PointNet(classes) if task == "classify" else PointNetParts(classes, len(header["parts"]))
    if on == "weights" and task == "classify":
        return FlatMlp(sizes["numbers"], classes)
    if on == "histogram" and task == "classify":
        return Memory(sizes["items"], sizes["numbers"])
    raise BadInput(f"`on={on}`: {task} takes planes or points")


class Memory(nn.Module):
    """Nearest neighbour: remembers the histograms of items `[items, numbers]` and their classes."""

    rows: Tensor
    labels: Tensor

    def __init__(self, items: int, numbers: int) -> None:
        super().__init__()
        self.register_buffer("rows", torch.zeros(items, numbers))
        self.register_buffer("labels", torch.zeros(items, dtype=torch.long))

    def nearest(self, histograms: Tensor) -> Tensor:
        """Class of the nearest item of each histogram `[B, numbers]` by the sum of absolute differences, `[B]`."""
        return self.labels[torch.cdist(histograms, self.rows, p=1).argmin(dim=1)]


def plane_side(dataset: FieldDataset, *, whole: bool) -> int:
    """Pixels along a side of what the transformer sees: the planes, or their crop."""
    nodes = check_planes(dataset)
    return nodes if whole else nodes - 2
