"""A run: the folder in which a fit lives.

    run.json            what was fitted, how, on which machine, and how far it came (a versioned header)
    field.safetensors   the weights, with the method, domain and channels in its header: enough to query the field
    history.jsonl       a row per log step
    metrics.json        the final metrics
    preview.png         target, fit and error
    checkpoint/         the state from which a resumed fit continues

Each file is written to a temporary file, synchronised and renamed, so that a killed run leaves whole files only.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from fields.methods.base import Method
from fields.methods.registry import make_method
from fields.runs.renamed import current_header, current_objective_state, current_state
from fields.runs.small_file import about_compressed, is_compressed, load_compressed
from fields.runs.storage import decode_state, stored_state
from scenes.domain import Channels, Domain
from scenes.errors import BadInput
from scenes.io.atomic import append_line, atomic_write, is_unfinished, remove_unfinished
from scenes.posed.camera import Camera
from scenes.posed.camera_file import CAMERAS_FILE, cameras_in
from scenes.posed.frame import read_json_object

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from fields.models.field import Field

# Version of the files in a run's folder; a newer one is refused.
FORMAT = 1
# Entries that the header of every run has.
ENTRIES = {"kind": str, "method": str}
# What a folder may hold before it becomes that of a run: the cameras that were found of its photographs, the fit of all
# that these show and the subject that was cut out, and the studio's record of what was asked for.
BEFORE = ("poses", "whole", "subject", "reconstruct.json")
# Status of a run whose fit was removed.
FORGOTTEN = "forgotten"
# Where a checkpoint keeps the tensors of the field, of the objective and of the optimizer.
FIELD, OBJECTIVE, OPTIMIZER = "field", "objective", "optimizer"


class Resumable(Protocol):
    """What a checkpoint is made of: a trainer."""

    field: Field
    device: torch.device
    index: int

    def state(self) -> dict[str, Any]:
        """Everything besides the weights that continuing needs: plain values, and tensors under "optimizer" and
        "objective"."""
        ...

    def restore(self, state: dict[str, Any]) -> None:
        """Take up where `state()` was taken; the field's weights are loaded before."""
        ...


class Run:
    """An opened run folder. `header` is the content of `run.json`, with today's names of options."""

    def __init__(self, path: Path, header: dict) -> None:
        self.path = path
        self.header = header

    @classmethod
    def create(cls, path: Path, header: dict) -> Run:
        """Create a run. Raises BadInput for a folder that holds anything, so that nothing is ever overwritten.

        A run whose fit was forgotten is the exception.
        """
        taken = path.exists() and (
            not path.is_dir() or any(file.name not in BEFORE and not is_unfinished(file) for file in path.iterdir())
        )
        if taken and not ((path / "run.json").is_file() and not has_fit(path)):
            if (path / "run.json").is_file():
                raise BadInput(f"`out={path}`: holds a run already; give another folder, or `resume` to continue it")
            raise BadInput(f"`out={path}`: is not an empty folder; give another folder")
        try:
            path.mkdir(parents=True, exist_ok=True)
            run = cls(path, {"format": FORMAT, **header})
            run.write_header()
        except OSError as error:
            raise BadInput(
                f"`out={path}`: cannot be written ({error.strerror or error}); give another folder"
            ) from None
        return run

    @classmethod
    def open(cls, path: Path) -> Run:
        """Open the run in a folder (or whose `run.json` is given), or in the single file that `export` writes."""
        path = Path(path)
        # (Of a name that is too long `Path.is_file` raises an error.)
        if os.path.isfile(path) and is_compressed(path):
            return CompressedRun(path)
        if path.name == "run.json":
            path = path.parent
        file = path / "run.json"
        if not os.path.isdir(path):
            raise BadInput(f"{path}: there is no such run folder")
        if not file.is_file():
            raise BadInput(f"{path}: not a run (it has no run.json)")
        header = read_header(file)
        if wrong := [name for name, kind in ENTRIES.items() if not isinstance(header.get(name), kind)]:
            raise BadInput(f"{file}: not a whole header (it has no {', no '.join(wrong)})")
        return cls(path, header)

    def write_header(self, **changes: object) -> None:
        """Write `run.json`, with `changes` to the header."""
        self.header.update(changes)
        write_json(self.path / "run.json", self.header)

    def forget(self) -> None:
        """Remove the fit, so that another one may begin in the folder, beside what else it holds."""
        self.write_header(status=FORGOTTEN)
        for file in (self.weights, self.checkpoint, *(self.path / name for name in ("metrics.json", "history.jsonl"))):
            file.unlink(missing_ok=True)

    @property
    def weights(self) -> Path:
        """The file of the weights."""
        return self.path / "field.safetensors"

    def cameras(self) -> list[Camera]:
        """The cameras of a scene's photographs, views for testing first; empty for runs of other kinds."""
        content = self.camera_content()
        return cameras_in(content, f"{self.path}: {CAMERAS_FILE}") if content else []

    def camera_content(self) -> dict | None:
        """Content of `cameras.json`; None where there is none."""
        file = self.path / CAMERAS_FILE
        return read_json_object(file) if file.is_file() else None

    @property
    def background(self) -> str:
        """The background on which the images of a scene are scored, "white" or "black"."""
        return self.header["source"].get("options", {}).get("background", "white")

    def beside(self, name: str) -> Path:
        """Default path of a file that is made from this run."""
        return self.path / name

    def save_field(self, field: Field, method: Method, bits: int = 32) -> None:
        save_field(self.weights, field, method, bits)

    def load_field(self, device: str | torch.device = "cpu") -> Field:
        """The fitted field. Raises BadInput where the fit has not come far enough to have one."""
        if not self.weights.is_file():
            raise BadInput(f"{self.path}: this run has no field.safetensors yet; continue its fit first (`resume`)")
        return load_field(self.weights, device)

    def save_metrics(self, metrics: dict) -> None:
        write_json(self.path / "metrics.json", metrics)

    def metrics(self) -> dict | None:
        """Content of `metrics.json`; None before the fit has ended."""
        file = self.path / "metrics.json"
        return read_json_object(file) if file.is_file() else None

    def log(self, row: dict) -> None:
        """Append a row to `history.jsonl`."""
        append_line(self.path / "history.jsonl", json.dumps(row))

    def history(self) -> list[dict]:
        """The logged rows, without an incomplete last line that a killed run may leave."""
        file = self.path / "history.jsonl"
        lines = file.read_text(encoding="utf-8").split("\n")[:-1] if file.is_file() else []
        try:
            return [json.loads(line) for line in lines]
        except ValueError as error:
            raise BadInput(f"{file}: is damaged ({_first_line(error)})") from None

    @property
    def checkpoint(self) -> Path:
        """The file of the checkpoint."""
        return self.path / "checkpoint" / "state.safetensors"

    def save_checkpoint(self, trainer: Resumable) -> None:
        """Write weights, optimizer state and position to one file, so that they always belong together."""
        from safetensors.torch import save

        state = trainer.state()
        optimizer, objective = state.pop(OPTIMIZER), state.pop(OBJECTIVE)
        tensors = {f"{FIELD}.{name}": tensor for name, tensor in trainer.field.state_dict().items()}
        tensors |= {f"{OBJECTIVE}.{name}": tensor for name, tensor in objective.items()}
        for index, entry in optimizer.items():
            tensors |= {f"{OPTIMIZER}.{index}.{name}": tensor for name, tensor in entry.items()}
        metadata = {"field_studio": json.dumps({"format": FORMAT, **state})}
        with suppress(OSError):
            # Where that fails, writing tells why.
            self.checkpoint.parent.mkdir(exist_ok=True)
        _write(self.checkpoint, save({name: t.contiguous() for name, t in tensors.items()}, metadata))

    def take_up(self, trainer: Resumable) -> None:
        """Put a new trainer where the last checkpoint left the run; at step 0 where there is none.

        What was logged after that is dropped, as it is done again. Raises BadInput where the checkpoint does not fit.
        """
        for folder in (self.path, self.checkpoint.parent):
            remove_unfinished(folder)
        if self.checkpoint.is_file():
            self.load_checkpoint(trainer)
        self._rewind_history(trainer.index)
        self.write_header(status="running")

    def _rewind_history(self, index: int) -> None:
        """Drop the rows of `history.jsonl` after a step, and lines that are none."""
        file = self.path / "history.jsonl"
        if not file.is_file():
            return
        kept = []
        for line in file.read_text(encoding="utf-8", errors="replace").split("\n"):
            with suppress(ValueError, TypeError, KeyError):
                if json.loads(line)["step"] <= index:
                    kept.append(line)
        _write(file, "".join(f"{line}\n" for line in kept).encode())

    def load_checkpoint(self, trainer: Resumable) -> None:
        """Put a new trainer where the checkpoint left the old one. Raises BadInput where the file does not fit."""
        tensors, state = _read_tensors(self.checkpoint, trainer.device)
        field: dict[str, Tensor] = {}
        objective: dict[str, Tensor] = {}
        optimizer: dict[int, dict[str, Tensor]] = {}
        for key, tensor in tensors.items():
            part, _, name = key.partition(".")
            if part == OPTIMIZER:
                index, _, name = name.partition(".")
                optimizer.setdefault(int(index), {})[name] = tensor
            else:
                (field if part == FIELD else objective)[name] = tensor
        try:
            trainer.field.load_state_dict(current_state(field, trainer.field.state_dict()))
            trainer.restore({**state, OPTIMIZER: optimizer, OBJECTIVE: current_objective_state(objective)})
        except (RuntimeError, KeyError, ValueError) as error:
            raise BadInput(f"{self.checkpoint}: does not fit this run's method ({_first_line(error)})") from None


class CompressedRun(Run):
    """A run in one file (`fields.runs.small_file`): field, header and metrics, without history. It is read-only."""

    def __init__(self, path: Path) -> None:
        kept = about_compressed(path)
        if "run" not in kept:
            raise BadInput(f"{path}: holds a field without what it was fitted to; export it from its run")
        super().__init__(path, {**current_header(kept["run"]), "stored_bits": kept["bits"]})
        self._metrics, self._cameras = kept["metrics"], kept.get("cameras")

    @property
    def weights(self) -> Path:
        return self.path

    def beside(self, name: str) -> Path:
        return self.path.with_name(f"{self.path.stem}-{name}")

    def load_field(self, device: str | torch.device = "cpu") -> Field:
        return load_compressed(self.path).to(device)

    def camera_content(self) -> dict | None:
        return self._cameras

    def metrics(self) -> dict | None:
        return self._metrics

    def history(self) -> list[dict]:
        return []

    @property
    def checkpoint(self) -> Path:
        # A file that never exists: there are no checkpoints.
        return self.path.with_name(self.path.name + ".checkpoint")

    def write_header(self, **changes: object) -> None:
        raise BadInput(f"{self.path}: is a single file, which is read-only; continue the run it was exported from")


def has_fit(path: Path) -> bool:
    """Whether a folder holds a run whose fit is begun or finished."""
    file = path / "run.json"
    return file.is_file() and read_header(file).get("status") != FORGOTTEN


def save_field(path: Path, field: Field, method: Method, bits: int = 32) -> None:
    """Write a field to one safetensors file: its weights, and what is needed to build it again.

    `bits`: bits per stored weight, see `fields.runs.storage`.
    """
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


def load_field(path: str | Path, device: str | torch.device = "cpu") -> Field:
    """The field in a `field.safetensors`, in the run folder that holds one, or in a compressed file.

    Raises BadInput where there is none, or the file is damaged.
    """
    path = Path(path)
    if path.is_dir() or is_compressed(path):
        return Run.open(path).load_field(device) if path.is_dir() else load_compressed(path).to(device)
    tensors, header = _read_tensors(path, device)
    try:
        header = current_header(header)
        method = make_method(header["method"], header["options"])
        field = method.build_field(Domain.from_json(header["domain"]), Channels.from_json(header["channels"]), seed=0)
        field.load_state_dict(current_state(decode_state(tensors), field.state_dict()))
    except (KeyError, TypeError, RuntimeError) as error:
        raise BadInput(f"{path}: not a whole field ({_first_line(error)})") from None
    return field.to(device)


def write_json(path: Path, data: object) -> None:
    """Write plain data as JSON, whole or not at all."""
    _write(path, (json.dumps(data, indent=2, allow_nan=False) + "\n").encode())


def _write(path: Path, content: bytes) -> None:
    with atomic_write(path) as temporary:
        Path(temporary).write_bytes(content)


def read_header(file: Path) -> dict:
    """The header of a run or a comparison, with today's names of options. Raises BadInput where it is none."""
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise BadInput(f"{file}: cannot be read ({_first_line(error)})") from None
    if not isinstance(data, dict) or not isinstance(data.get("format"), int):
        raise BadInput(f"{file}: not the header of a run")
    _check_format(file, data["format"])
    try:
        return current_header(data)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise BadInput(f"{file}: not a whole header ({type(error).__name__}: {_first_line(error)})") from None


def _read_tensors(file: Path, device: str | torch.device) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors of a file and our header.

    The header is one entry of the file's metadata, so that equal fields make equal files.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(os.fspath(file), framework="pt", device=str(device)) as opened:
            metadata: Mapping[str, str] = opened.metadata() or {}
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
