"""The fit of all that photographs show, of which the depths are used and nothing else."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from pathlib import Path

from fields.fit import fit as fitting
from fields.fit.callbacks import Checkpointer, History
from fields.fit.objectives.radiance import RadianceObjective
from fields.fit.request import FitRequest
from fields.fit.trainer import Trainer
from fields.methods.registry import make_method
from fields.models.field import RadianceField
from fields.runs.run import Run
from scenes.posed.signal import RadianceScene

METHOD = "hashgrid"
# Samples of a step: more and smaller steps than a fit that takes minutes has. Half of them in fewer seconds than SHORT:
# on the fox, 380 such steps have 20.3 dB, and 200 of the others, which take as long, 18.4.
BATCH, SHORT_BATCH = 1 << 15, 1 << 14
SHORT = 60.0


class UnscoredObjective(RadianceObjective[RadianceScene]):
    """The objective of a field whose pictures nobody sees: no time is spent on scores."""

    def evaluate(self, field: RadianceField, seconds: float = math.inf) -> dict[str, float]:
        return {}

    def evaluation_seconds(self, field: RadianceField) -> float:
        return 0.0


def whole_trainer(
    signal: RadianceScene, request: FitRequest, folder: Path, started: float | None = None
) -> tuple[Trainer | None, Run]:
    """The trainer of a fit of the whole scene, new or continued, and its run; no trainer where the fit is finished.

    request: its budget and seed count. started: `time.perf_counter()` from which the time counts.
    """
    run = Run.open(folder) if (folder / "run.json").is_file() else None
    if run is not None and run.header["status"] == "finished":
        return None, run
    budget = request.budget
    short = budget["seconds"] is not None and budget["seconds"] < SHORT
    options = {"batch": SHORT_BATCH if short else BATCH} if run is None else run.header["options"]
    config = make_method(METHOD, options).prepare(signal)
    field = fitting.build(config, signal, request.seed, fitting.resolve_device(request.device))
    signal.set_budget(budget["seconds"], budget["steps"], config.batch)
    objective = UnscoredObjective(signal, config.loss, config.gradient_terms)
    trainer = Trainer(field, objective, config, **budget, seed=request.seed, started=started)
    if run is None:
        asked = request.model_copy(update={"method": METHOD, "out": folder, "settings": {}})
        run = fitting.new_run(trainer, asked, kind=signal.kind, source=signal.source, origin={})
    elif run.checkpoint.is_file():
        run.load_checkpoint(trainer)
    return trainer, run


def fit_whole(trainer: Trainer, run: Run, callbacks: Iterable[Callable[[Trainer], None]]) -> bool:
    """Fit to the end, or until the trainer is stopped; returns whether it was the end. The run keeps the field."""
    trainer.callbacks += [History(run), Checkpointer(run), *callbacks]
    trainer.run()
    run.save_checkpoint(trainer)
    run.save_field(trainer.field, trainer.method, trainer.bits)
    run.write_header(status="finished" if trainer.done else "stopped", steps_done=trainer.index)
    return trainer.done
