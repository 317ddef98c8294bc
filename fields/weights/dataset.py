"""A dataset of fields: a folder in which many fields of one layout lie.

    dataset.json               method with its options, channels, whether the decoder is shared (a versioned header)
    decoder.safetensors        the tensors of the decoder, where all items share one
    shard-00000.safetensors    items that were written together: the tensors of their state dicts, stacked along a new
                               first axis under the names that a `field.safetensors` has; points on the surfaces of
                               shapes, `source.points` [n, 2048, 3] float16 in the unit cube, and the index of the part
                               of each, `source.parts` [n, 2048] uint8; the items' descriptions in the file's metadata

A shard is written whole or not at all and needs no other file to be understood, so what a killed program leaves is a
smaller dataset. Nothing is read before it is asked for: an item is a slice of its shard's tensors.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fields.methods.base import Method
from fields.methods.registry import make_method
from fields.models.field import Field
from fields.runs.run import read_header, write_json
from scenes.domain import Channels, Domain
from scenes.errors import BadInput
from scenes.io.atomic import atomic_write_bytes

# Version of the files; a newer one is refused.
FORMAT = 1
HEADER, DECODER = "dataset.json", "decoder.safetensors"
# Tensors of the sources beside those of the fields.
SOURCE, POINTS, PARTS = "source.", "source.points", "source.parts"
# Name of the entry of a shard's metadata.
ENTRY = "field_studio"
# Open files that are kept, each mapped into memory.
MAX_OPEN = 256


@dataclass(frozen=True)
class Item:
    """One field of a dataset.

    name: unique in the dataset. label: its class; None where there are no classes. source: what was fitted, as
    `Signal.source`. domain: the field's, as JSON. quality: scores of the fit. parts: names of its parts, if it has any.
    """

    name: str
    label: str | None
    source: dict[str, Any]
    domain: dict[str, Any]
    quality: dict[str, float] = field(default_factory=dict)
    parts: list[str] = field(default_factory=list)


class FieldDataset:
    """An opened dataset. `items` are its fields in the order in which they were written.

    Iterating or indexing reads tensors; everything else reads headers alone.
    """

    def __init__(self, path: Path, header: dict[str, Any]) -> None:
        self.path = path
        self.header = header
        self.items: list[Item] = []
        self._places: list[tuple[Path, int]] = []
        self._opened: dict[Path, Any] = {}
        self._shared: dict[str, Tensor] | None = None
        self.method: Method = make_method(header["method"], header["options"])
        self.channels = Channels.from_json(header["channels"])

    @classmethod
    def create(
        cls, path: Path, method: Method, channels: Channels, *, shared: Sequence[str] = (), **more: Any
    ) -> FieldDataset:
        """Begin a dataset. shared: names of tensors that all items share. more: entries of the header.

        Raises BadInput where the folder cannot be written.
        """
        header = {
            "format": FORMAT,
            "method": method.name,
            "options": method.model_dump(mode="json"),
            "channels": channels.to_json(),
            "shared": list(shared),
            **more,
        }
        try:
            path.mkdir(parents=True, exist_ok=True)
            write_json(path / HEADER, header)
        except OSError as error:
            raise BadInput(f"{path}: cannot be written ({error.strerror or error}); give another folder") from None
        return cls(path, header)

    @classmethod
    def open(cls, path: Path | str) -> FieldDataset:
        """Open a dataset. Raises BadInput where there is none, a shard is damaged, or layouts are mixed."""
        path = Path(path)
        if not (path / HEADER).is_file():
            raise BadInput(f"{path}: not a dataset of fields (it has no {HEADER}); `fit-a-scene batch` makes one")
        header = read_header(path / HEADER)
        try:
            dataset = cls(path, header)
        except (KeyError, TypeError) as error:
            raise BadInput(f"{path / HEADER}: not the header of a dataset of fields ({error})") from None
        shapes: dict[str, list[int]] | None = None
        for file in sorted(path.glob("shard-*.safetensors")):
            opened = dataset._open(file)
            own = {name: opened.get_slice(name).get_shape()[1:] for name in sorted(opened.keys())}
            if shapes is not None and own != shapes:
                name = next(n for n in {**own, **shapes} if own.get(n) != shapes.get(n))
                raise BadInput(
                    f"{file}: its fields have another layout than those before ({name} is {own.get(name)}, not "
                    f"{shapes.get(name)}); a dataset has one layout"
                )
            shapes = own
            described = (opened.metadata() or {}).get(ENTRY)
            if described is None:
                raise BadInput(f"{file}: was not written by Field Studio")
            dataset._append(file, [Item(**entry) for entry in json.loads(described)["items"]])
        return dataset

    def _append(self, file: Path, items: Sequence[Item]) -> None:
        self.items += items
        self._places += [(file, row) for row in range(len(items))]

    def add(self, items: Sequence[Item], state: Mapping[str, Tensor]) -> None:
        """Write a shard. state: tensors `[n, ...]` of the n items; of shared ones `[...]`, which replace the last."""
        from safetensors.torch import save

        shared = {name: tensor.contiguous() for name, tensor in state.items() if name in self.header["shared"]}
        own = {name: tensor.contiguous() for name, tensor in state.items() if name not in shared}
        if any(len(tensor) != len(items) for tensor in own.values()):
            raise ValueError(f"tensors of {len(items)} items have {len(items)} rows")
        file = self.path / f"shard-{len(list(self.path.glob('shard-*.safetensors'))):05d}.safetensors"
        described = json.dumps({"format": FORMAT, "items": [asdict(item) for item in items]}, allow_nan=False)
        if shared:
            atomic_write_bytes(self.path / DECODER, save(shared))
            self._shared = shared
        atomic_write_bytes(file, save(own, {ENTRY: described}))
        self._append(file, items)

    def __len__(self) -> int:
        return len(self.items)

    def tensor(self, index: int, name: str) -> Tensor:
        """One tensor of an item, read from its shard alone."""
        if name in self.header["shared"]:
            return self.shared_state()[name]
        file, row = self._places[index]
        opened = self._open(file)
        if name not in opened.keys():  # noqa: SIM118
            raise BadInput(f"{self.path}: its items have no {name}; they were fitted by {self.method.name}")
        return opened.get_slice(name)[row]

    def has(self, name: str) -> bool:
        """Whether items have a tensor of this name."""
        return bool(self.items) and name in self._open(self._places[0][0]).keys()  # noqa: SIM118

    def shared_state(self) -> dict[str, Tensor]:
        """The tensors that all items share. Raises BadInput where their file is missing."""
        if self._shared is None:
            file = self.path / DECODER
            if self.header["shared"] and not file.is_file():
                raise BadInput(f"{file}: is missing, and all items of this dataset need it")
            from safetensors.torch import load_file

            self._shared = load_file(file) if self.header["shared"] else {}
        return self._shared

    def state(self, index: int) -> dict[str, Tensor]:
        """The state dict of an item's field."""
        file, _ = self._places[index]
        names = [name for name in self._open(file).keys() if not name.startswith(SOURCE)]  # noqa: SIM118
        own = {name: self.tensor(index, name) for name in names}
        return {**own, **self.shared_state()}

    def field(self, index: int) -> Field:
        """The field of an item, to be queried in its source's units, rendered or exported."""
        return field_of(self.method, self.items[index], self.channels, self.state(index))

    def find(self, name: str) -> int:
        """Index of the item of this name. Raises BadInput, with the near names, where there is none."""
        from fields.options import near

        names = [item.name for item in self.items]
        if name not in names:
            raise BadInput(f"{self.path}: there is no item {name!r}; {near(name, names)}")
        return names.index(name)

    @property
    def labels(self) -> list[str]:
        """The classes, sorted."""
        return sorted({item.label for item in self.items if item.label is not None})

    def _open(self, file: Path) -> Any:
        from safetensors import SafetensorError, safe_open

        if file not in self._opened:
            while len(self._opened) >= MAX_OPEN:
                self._opened.pop(next(iter(self._opened)))
            try:
                self._opened[file] = safe_open(str(file), framework="pt")
            except (OSError, SafetensorError) as error:
                raise BadInput(f"{file}: cannot be read ({str(error).splitlines()[0]})") from None
        return self._opened[file]

    def __getstate__(self) -> dict[str, Any]:
        # Loaders hand the dataset to other processes, which open the files themselves.
        return {**self.__dict__, "_opened": {}}


def field_of(method: Method, item: Item, channels: Channels, state: Mapping[str, Tensor]) -> Field:
    """A field with the tensors of a state dict."""
    built = method.build_field(Domain.from_json(item.domain), channels, seed=0)
    built.load_state_dict(dict(state))
    return built.eval()


def copied(dataset: FieldDataset, path: Path, indices: Iterable[int], per_shard: int = 64) -> FieldDataset:
    """A new dataset with some of the items. At most `per_shard` items are in memory."""
    header = {k: v for k, v in dataset.header.items() if k not in ("format", "method", "options", "channels", "shared")}
    new = FieldDataset.create(path, dataset.method, dataset.channels, shared=dataset.header["shared"], **header)
    for part in _parts(indices, per_shard):
        kept = [name for name in (POINTS, PARTS) if dataset.has(name)]
        states = [{**dataset.state(i), **{name: dataset.tensor(i, name) for name in kept}} for i in part]
        stacked = {
            name: tensor if name in new.header["shared"] else torch.stack([state[name] for state in states])
            for name, tensor in states[0].items()
        }
        new.add([dataset.items[i] for i in part], stacked)
    return new


def _parts(indices: Iterable[int], size: int) -> Iterator[list[int]]:
    part: list[int] = []
    for index in indices:
        part.append(index)
        if len(part) == size:
            yield part
            part = []
    if part:
        yield part
