"""From a signal to a fitted field in one call; the command line, the studio and Python scripts all come through here."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import torch

import scenes
from fields.fit.callbacks import Checkpointer, History, Previewer
from fields.fit.fresh import apply_fresh, save_spectra
from fields.fit.trainer import Trainer
from fields.kinds import default_method, objective_for
from fields.methods.base import Method
from fields.methods.radiance import build_field, count_parameters, sized_field
from fields.methods.registry import make_method
from fields.models.field import Field
from fields.runs.machine import machine, refuse_too_large, versions
from fields.runs.run import Run
from fields.runs.storage import decode_state, stored_state
from scenes.errors import BadInput
from scenes.signal import Signal

DEFAULT_SECONDS = 30.0


@dataclass
class Fit:
    """What a fit gives: the field to query, what it scored, and where it lives (`run` is None if it was not kept)."""

    field: Field
    method: Method
    metrics: dict[str, float]
    steps: int
    seconds: float
    finished: bool
    run: Run | None


def fit_field(
    signal: Signal,
    method: str | Method | None = None,
    *,
    steps: int | None = None,
    seconds: float | None = None,
    parameters: int | None = None,
    seed: int = 0,
    device: str = "auto",
    bits: int = 32,
    keep: float = 1.0,
    out: str | Path | None = None,
    options: dict[str, object] | None = None,
    callbacks: Iterable[Callable[[Trainer], None]] = (),
    started: float | None = None,
) -> Fit:
    """Fits a field to `signal` and scores it.

    `method` is a name (with `options` for its config) or a config, by default the one of the signal's kind;
    `parameters` asks for a size, met to within 3 %; `bits` (8 or 16) trains for weights stored in as many; `keep` below 1 keeps that share of the weights
    and sets the smaller ones to zero on the way. `steps` or
    `seconds` is the budget (30 s unless given). With `out`
    the run is kept in that folder. Raises BadInput for anything the user can put right.
    """
    started = time.perf_counter() if started is None else started
    trainer, run = prepare(
        signal,
        method,
        steps=steps,
        seconds=seconds,
        parameters=parameters,
        seed=seed,
        device=device,
        bits=bits,
        keep=keep,
        out=out,
        options=options,
        started=started,
    )
    return finish(trainer, run, callbacks)


def prepare(
    signal: Signal,
    method: str | Method | None = None,
    *,
    steps: int | None = None,
    seconds: float | None = None,
    parameters: int | None = None,
    seed: int = 0,
    device: str = "auto",
    bits: int = 32,
    keep: float = 1.0,
    out: str | Path | None = None,
    options: dict[str, object] | None = None,
    start: Run | None = None,
    init: str = "default",
    started: float | None = None,
) -> tuple[Trainer, Run | None]:
    """The trainer of a new fit, and its run folder if `out` is given; `finish` does the rest.

    `start` is a run whose weights (and so whose method) the fit begins with; `options` may still change how it trains.
    `init="fresh"` has the method's frequency option chosen from the signal's spectrum (`fields.fit.fresh`).
    """
    if steps is None and seconds is None:
        seconds = DEFAULT_SECONDS
    if start is not None:
        config = make_method(start.header["method"], {**start.header["options"], **(options or {})}).prepare(signal)
    else:
        method = method or default_method(signal.kind)
        config = (make_method(method, options) if isinstance(method, str) else method).prepare(signal)
    if parameters is not None:
        config = sized_field(config, signal.domain, signal.channels, parameters)
    fresh = choice = None
    if init == "fresh":
        if start is not None or (parameters is not None and config.frequency_option == "growth"):
            raise BadInput(
                "--init fresh chooses what --from brings along; give one of them"
                if start is not None
                else f"--init fresh chooses the growth of {config.name}, which --params solves; give one of them"
            )
        config, fresh, choice = apply_fresh(config, signal)
        if parameters is not None:  # (other octaves are other inputs)
            config = sized_field(config, signal.domain, signal.channels, parameters)
    signal.set_budget(seconds, steps, config.batch)
    trainer = _trainer(signal, config, steps, seconds, seed, bits, keep, resolve_device(device), started)
    if start is not None:
        _take_weights(trainer.field, start)
    if out is None:
        return trainer, None
    run = new_run(
        Path(out),
        trainer,
        signal.kind,
        signal.source,
        steps,
        seconds,
        {"from": str(start.path) if start else None, "init": fresh},
    )
    if choice is not None:
        save_spectra(choice, fresh["option"], run.path / "fresh.png")
    return trainer, run


def new_run(
    out: Path, trainer: Trainer, kind: str, source: dict, steps: int | None, seconds: float | None, origin: dict
) -> Run:
    """The folder of a fit that is about to begin; `origin` is what its header says of where it comes from."""
    field, config = trainer.field, trainer.method
    run = Run.create(
        out,
        {
            "status": "running",
            "kind": kind,
            "source": source,
            "domain": field.domain.to_json(),
            "channels": field.channels.to_json(),
            "method": config.name,
            "options": config.model_dump(),
            "parameters": field.num_parameters,
            "seed": trainer.seed,
            "bits": trainer.bits,
            "keep": trainer.keep,
            "steps": steps,
            "seconds": seconds,
            **origin,
            "device": str(trainer.device),
            "backend": field.backend,
            "fused": trainer.fused,
            "threads": torch.get_num_threads(),
            "machine": machine(),
            "versions": versions(),
        },
    )
    trainer.objective.save_sidecar(run.path)
    return run


def reopen(run: Run) -> Signal:
    """The signal that a run was begun on; refused where its file is gone or another."""
    return scenes.reopen(run.header["kind"], run.header["source"])


def open_other(path: str, run: Run) -> Signal:
    """Another signal of the run's kind, whose transparent pixels show what they show in the run's own views."""
    backdrop = run.header["source"].get("options", {}).get("backdrop")
    return scenes.load(path, run.header["kind"], **({"backdrop": backdrop} if backdrop else {}))


def score(run: Run, field: Field, signal: Signal, other: bool) -> dict[str, float]:
    """The metrics of a run's field on a signal of its kind, in the field's own units, and what the field tells of itself. `other`: the
    signal is another than the run was fitted to. BadInput where the two do not go together."""
    if len(signal.channels) != len(field.channels):
        raise BadInput(
            f"{signal.source['path']} has the channels {', '.join(signal.channels.names)}; "
            f"the field has {', '.join(field.channels.names)}"
        )
    signal.rescale_to(field.channels)
    objective = objective_for(signal, field, run.header["options"]["loss"])
    if other:
        objective.exclude_training_views(run)
    return objective.evaluate(field) | field.diagnostics()


def resume(signal: Signal, run: Run, device: str = "auto", started: float | None = None) -> Trainer:
    """The trainer of a run that was cut off, where its last checkpoint left it (at step 0 if there was none yet)."""
    header = run.header
    config = make_method(header["method"], header["options"]).prepare(
        signal
    )  # (nothing is open; kernels are placed by the signal)
    trainer = _trainer(
        signal,
        config,
        header["steps"],
        header["seconds"],
        header["seed"],
        header.get("bits", 32),
        header.get("keep", 1.0),
        resolve_device(device),
        started,
    )
    if run.checkpoint.is_file():
        run.load_checkpoint(trainer)
    run.write_header(status="running")
    return trainer


def finish(trainer: Trainer, run: Run | None, callbacks: Iterable[Callable[[Trainer], None]] = ()) -> Fit:
    """Runs the trainer to its end (or until it is stopped), scores the field and writes the run's files."""
    if run is not None:
        trainer.callbacks += [History(run), Checkpointer(run), Previewer(run)]
    trainer.callbacks += callbacks
    trainer.run()
    field, method = trainer.field, trainer.method
    if run is not None:
        run.save_checkpoint(trainer)  # with the exact weights, before they are rounded to what is stored
    field.load_state_dict(decode_state(stored_state(field, trainer.bits)))
    metrics = trainer.objective.evaluate(field) | field.diagnostics()
    result = Fit(field, method, metrics, trainer.index, trainer.elapsed, trainer.done, run)
    if run is not None:
        run.save_field(field, method, trainer.bits)
        run.save_metrics(
            {
                "metrics": metrics,
                "parameters": field.num_parameters,
                "bytes": run.weights.stat().st_size,
                "steps": result.steps,
                "seconds": round(result.seconds, 3),
                **trainer.objective.details(),
            }
        )
        trainer.objective.save_preview(field, run.path / "preview.png")
        run.write_header(
            status="finished" if trainer.done else "stopped",
            steps=trainer.total or trainer.index,
            steps_done=trainer.index,
        )
    return result


def resolve_device(name: str) -> torch.device:
    """ "auto" is CUDA where torch can use it, else the CPU; asking for a CUDA that is not there is refused."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise BadInput("--device cuda: torch finds no usable CUDA device here; use --device cpu")
    return torch.device(name)


def build(config: Method, signal: Signal, seed: int, device: torch.device) -> Field:
    """The untrained field of a prepared config, or BadInput where memory does not suffice."""
    refuse_too_large(count_parameters(config, signal.domain, signal.channels))
    return build_field(config, signal.domain, signal.channels, seed).to(device)


def _take_weights(field: Field, start: Run) -> None:
    weights = start.load_field().state_dict()
    own = field.state_dict()
    wrong = [name for name in own if name not in weights or own[name].shape != weights[name].shape]
    if wrong:
        raise BadInput(
            f"--from {start.path}: its {wrong[0]} is {_shape(weights.get(wrong[0]))}, here it would be "
            f"{_shape(own[wrong[0]])}; a run of the same method, size and channels is needed"
        )
    field.load_state_dict(weights)


def _shape(tensor) -> str:
    return "absent" if tensor is None else " x ".join(str(n) for n in tensor.shape)


def _trainer(
    signal: Signal,
    config: Method,
    steps: int | None,
    seconds: float | None,
    seed: int,
    bits: int,
    keep: float,
    device: torch.device,
    started: float | None,
) -> Trainer:
    field = build(config, signal, seed, device)
    return Trainer(
        field,
        objective_for(signal, field, config.loss, config.gradient_terms),
        config,
        steps=steps,
        seconds=None if steps else seconds,
        seed=seed,
        bits=bits,
        keep=keep,
        started=started,
    )
