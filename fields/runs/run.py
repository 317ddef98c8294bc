"""A run: the folder in which a fit lives.

    run.json            what was fitted, how, with what, how far it came (a versioned header)
    field.safetensors   the weights, with the method, domain and channels in its header: enough to query the field
    history.jsonl       a row a log step
    metrics.json        the final metrics
    preview.png         target, fit and error
    checkpoint/         the state that `--resume` continues from

Each file is written to a temporary file, synchronised and renamed, so a killed run leaves whole files only.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from fields.runs.small_file import about_compressed, is_compressed, load_compressed
from fields.runs.storage import decode_state, stored_state
from fields.methods.base import Method
from fields.methods.radiance import build_field
from fields.methods.registry import make_method
from scenes.io.atomic import atomic_write
from scenes.domain import Channels, Domain
from scenes.errors import BadInput
from scenes.posed.cameras import CAMERAS, PathCamera, cameras_in, read_content

if TYPE_CHECKING:
    from fields.models.field import Field
    from fields.fit.trainer import Trainer

FORMAT = 1


class Run:
    """An opened run folder; `header` is the content of `run.json`."""

    def __init__(self, path: Path, header: dict) -> None:
        self.path = path
        self.header = header

    @classmethod
    def create(cls, path: Path, header: dict) -> Run:
        """A new run; a folder that holds anything is refused, so nothing is ever overwritten."""
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            what = "holds a run" if (path / "run.json").is_file() else "is not an empty folder"
            raise BadInput(
                f"--out {path}: {what} already; give another folder"
                + (", or --resume to continue it" if "run" in what else "")
            )
        try:
            path.mkdir(parents=True, exist_ok=True)
            run = cls(path, {"format": FORMAT, **header})
            run.write_header()
        except OSError as error:
            raise BadInput(
                f"--out {path}: cannot be written ({error.strerror or error}); give another folder"
            ) from None
        return run

    @classmethod
    def open(cls, path: Path) -> Run:
        """The run in a folder (or whose `run.json` is given), or in the single file that `export` writes."""
        path = Path(path)
        if path.is_file() and is_compressed(path):
            return CompressedRun(path)
        if path.name == "run.json":
            path = path.parent
        file = path / "run.json"
        if not path.is_dir():
            raise BadInput(f"{path}: there is no such run folder")
        if not file.is_file():
            raise BadInput(f"{path}: not a run (it has no run.json)")
        return cls(path, read_json(file))

    def write_header(self, **changes: object) -> None:
        self.header.update(changes)
        write_json(self.path / "run.json", self.header)

    @property
    def weights(self) -> Path:
        return self.path / "field.safetensors"

    def cameras(self) -> list[PathCamera]:
        """From where a scene was photographed, views for testing first; none in runs of other kinds."""
        content = self.camera_content()
        return cameras_in(content, f"{self.path}: {CAMERAS}") if content else []

    def camera_content(self) -> dict | None:
        """What `cameras.json` holds, where there is one."""
        file = self.path / CAMERAS
        return read_content(file) if file.is_file() else None

    def beside(self, name: str) -> Path:
        """Where a file that is made of this run goes when nobody says."""
        return self.path / name

    def save_field(self, field: Field, method: Method, bits: int = 32) -> None:
        save_field(self.weights, field, method, bits)

    def load_field(self, device: str = "cpu") -> Field:
        if not self.weights.is_file():
            raise BadInput(
                f"{self.path}: this run has no field.safetensors; continue it with "
                f"fit-a-scene fit --resume --out {self.path}"
            )
        return load_field(self.weights, device)

    def save_metrics(self, metrics: dict) -> None:
        write_json(self.path / "metrics.json", metrics)

    def metrics(self) -> dict | None:
        file = self.path / "metrics.json"
        return json.loads(file.read_text()) if file.is_file() else None

    def log(self, row: dict) -> None:
        with open(self.path / "history.jsonl", "a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")

    def history(self) -> list[dict]:
        """The logged rows; what a cut-off write left of a last line is passed over."""
        file = self.path / "history.jsonl"
        lines = file.read_text(encoding="utf-8").split("\n")[:-1] if file.is_file() else []
        return [json.loads(line) for line in lines]

    @property
    def checkpoint(self) -> Path:
        return self.path / "checkpoint" / "state.safetensors"

    def save_checkpoint(self, trainer: Trainer) -> None:
        """Weights, optimiser state and position, in one file so that they always belong together."""
        from safetensors.torch import save

        state = trainer.state()
        optimizer, objective = state.pop("optimizer"), state.pop("objective")
        tensors = {f"field.{name}": tensor for name, tensor in trainer.field.state_dict().items()}
        tensors |= {f"objective.{name}": tensor for name, tensor in objective.items()}
        for index, entry in optimizer.items():
            tensors |= {f"optimizer.{index}.{name}": tensor for name, tensor in entry.items()}
        metadata = {"field_studio": json.dumps({"format": FORMAT, **state})}
        self.checkpoint.parent.mkdir(exist_ok=True)
        _write(self.checkpoint, save({name: t.contiguous() for name, t in tensors.items()}, metadata))

    def load_checkpoint(self, trainer: Trainer) -> None:
        tensors, state = _read_tensors(self.checkpoint, trainer.device)
        parts: dict[str, dict] = {"field": {}, "objective": {}}
        optimizer: dict = {}
        for key, tensor in tensors.items():
            kind, _, rest = key.partition(".")
            if kind in parts:
                parts[kind][rest] = tensor
            else:
                index, _, name = rest.partition(".")
                optimizer.setdefault(int(index), {})[name] = tensor
        try:
            trainer.field.load_state_dict(parts["field"])
            trainer.restore({**state, "optimizer": optimizer, "objective": parts["objective"]})
        except (RuntimeError, KeyError, ValueError) as error:
            raise BadInput(f"{self.checkpoint}: does not fit this run's method ({_first_line(error)})") from None


class CompressedRun(Run):
    """A run in one file (`fields.runs.small_file`): its field and header, what it scored, no history; only to be read."""

    def __init__(self, path: Path) -> None:
        kept = about_compressed(path)
        if "run" not in kept:
            raise BadInput(f"{path}: holds a field without what it was fitted to; export it from its run")
        super().__init__(path, {**kept["run"], "stored_bits": kept["bits"]})
        self._metrics, self._cameras = kept["metrics"], kept.get("cameras")

    @property
    def weights(self) -> Path:
        return self.path

    def beside(self, name: str) -> Path:
        return self.path.with_name(f"{self.path.stem}-{name}")

    def load_field(self, device: str = "cpu") -> Field:
        return load_compressed(self.path).to(device)

    def camera_content(self) -> dict | None:
        return self._cameras

    def metrics(self) -> dict | None:
        return self._metrics

    def history(self) -> list[dict]:
        return []

    @property
    def checkpoint(self) -> Path:
        return self.path.with_name(self.path.name + ".checkpoint")  # there is none

    def write_header(self, **changes: object) -> None:
        raise BadInput(f"{self.path}: is a single file, which is only read; continue the run that it was exported from")


def save_field(path: Path, field: Field, method: Method, bits: int = 32) -> None:
    """Weights and everything that is needed to build the field again, in one safetensors file; `bits` as in `fields.runs.storage`."""
    from safetensors.torch import save

    header = {
        "format": FORMAT,
        "method": method.name,
        "options": method.model_dump(),
        "domain": field.domain.to_json(),
        "channels": field.channels.to_json(),
    }
    _write(
        path,
        save(
            {name: t.contiguous() for name, t in stored_state(field, bits).items()},
            {"field_studio": json.dumps(header)},
        ),
    )


def load_field(path: str | Path, device: str = "cpu") -> Field:
    """The field in a `field.safetensors`, in the run folder that holds one, or in a compressed file."""
    path = Path(path)
    if path.is_dir() or is_compressed(path):
        return Run.open(path).load_field(device) if path.is_dir() else load_compressed(path).to(device)
    tensors, header = _read_tensors(path, device)
    try:
        method = make_method(header["method"], header["options"])
        field = build_field(method, Domain.from_json(header["domain"]), Channels.from_json(header["channels"]), seed=0)
        field.load_state_dict(decode_state(tensors))
    except (KeyError, TypeError, RuntimeError) as error:
        raise BadInput(f"{path}: not a whole field ({_first_line(error)})") from None
    return field.to(device)


def write_json(path: Path, data: object) -> None:
    _write(path, (json.dumps(data, indent=2, allow_nan=False) + "\n").encode())


def _write(path: Path, content: bytes) -> None:
    with atomic_write(path) as temporary:
        Path(temporary).write_bytes(content)


def read_json(file: Path) -> dict:
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadInput(f"{file}: cannot be read ({_first_line(error)})") from None
    if not isinstance(data, dict) or not isinstance(data.get("format"), int):
        raise BadInput(f"{file}: not the header of a run")
    _check_format(file, data["format"])
    return data


def _read_tensors(file: Path, device) -> tuple[dict, dict]:
    """Tensors and our header; that is one entry of the file's metadata, so equal fields make equal files."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(os.fspath(file), framework="pt", device=str(device)) as opened:
            metadata = opened.metadata() or {}
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise BadInput(f"{file}: cannot be read ({_first_line(error)})") from None
    try:
        header = json.loads(metadata["field_studio"])
        _check_format(file, header["format"])
    except (KeyError, TypeError, json.JSONDecodeError):
        raise BadInput(f"{file}: was not written by Field Studio") from None
    return tensors, header


def _check_format(file: Path, version: int) -> None:
    if version > FORMAT:
        raise BadInput(
            f"{file}: written by a newer Field Studio (format {version}; this one reads up to {FORMAT}); update it"
        )


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0]
