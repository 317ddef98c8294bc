"""A batch: a folder in which all signals of another folder are fitted.

    batch.json              what is fitted and how (a versioned header)
    results.jsonl           a row for each item: its scores, or why it could not be fitted
    dataset.json, shard-*   the fields that were fitted together, as a dataset (`fields.weights.dataset`)
    runs/NAME/              the run of each item that was fitted alone
    stack.safetensors       state of the stack in progress, from which the same command continues

A stack's fields are written in one file, and rows follow. What a killed program leaves is whole, and the same command
continues: items with a row or a field are not fitted again.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from fields.batch.request import BatchRequest
from fields.batch.sources import Source, sources_of
from fields.batch.stack import NETWORK, why_not_stacked
from fields.batch.stack_fit import FittedStack, StackFit, open_stack
from fields.fit.fit import fit_field, resolve_device
from fields.methods.base import Method
from fields.methods.registry import make_method
from fields.models.field import Field
from fields.runs.machine import machine, versions
from fields.runs.run import Run, read_header, write_json
from fields.weights.dataset import HEADER as DATASET
from fields.weights.dataset import FieldDataset
from scenes.errors import BadInput
from scenes.io.atomic import append_line, atomic_write_bytes, holds_anything
from scenes.shape.signal import Shape
from scenes.signal import Signal

# Version of the header; a newer one is refused.
FORMAT = 1
HEADER, RESULTS, CHECKPOINT, RUNS = "batch.json", "results.jsonl", "stack.safetensors", "runs"
# Options of methods that suit a few hundred steps of a thousand points. Six shapes of Labeled PSB, 300 steps of 1,024
# points: IoU of 0.945 to 0.987, and 0.10 to 0.97 with the method's own, of which ten octaves are the paper's.
SHORT_FITS: dict[str, dict[str, Any]] = {"triplane": {"octaves": 2, "learning_rate": 5e-4, "table_rate": 2e-2}}
# Options of the header in which two requests must agree to be one batch.
IDENTITY = ("method", "options", "shared_decoder", "init", "quantity", "samples", "seed", "init_from")


@dataclass(frozen=True)
class Progress:
    """How far a batch is. done: items with a row; total: all of them. seconds_left is None while it is unknown."""

    done: int
    total: int
    failed: int
    doing: str
    seconds: float
    seconds_left: float | None


class Batch:
    """An opened batch. `rows` are the finished and failed items, in the order in which they ended."""

    def __init__(self, path: Path, request: BatchRequest, sources: list[Source]) -> None:
        self.path, self.request, self.sources = path, request, sources
        self.rows: list[dict[str, Any]] = _read_rows(path / RESULTS)
        self.dataset: FieldDataset | None = FieldDataset.open(path) if (path / DATASET).is_file() else None
        self._stopped = False
        self._begun = time.perf_counter()
        self._report: Callable[[Progress], None] = lambda progress: None
        self._worked = 0.0

    @classmethod
    def create(cls, request: BatchRequest) -> Batch:
        """The batch of a request, new or continued.

        Raises BadInput for an empty folder, a method that cannot be made, and an `out` that holds something else or a
        batch with other options.
        """
        if request.out is None:
            raise BadInput("`out` is missing: the folder of the result")
        make_method(request.method, request.settings)
        options = {"quantity": request.quantity} if request.quantity else {}
        sources = sources_of(request.source, kind=request.kind, items=request.items, **options)
        path = request.out
        header = {
            "format": FORMAT,
            "source": {"path": str(request.source)},
            **request.to_header(),
            "machine": machine(),
            "versions": versions(),
        }
        if (path / HEADER).is_file():
            old = read_header(path / HEADER)
            wanted = json.loads(json.dumps(header))
            if names := ", ".join(name for name in IDENTITY if old.get(name) != wanted.get(name)):
                raise BadInput(
                    f"`out={path}`: holds a batch with other {names}; repeat its options, or give another folder"
                )
        elif holds_anything(path):
            raise BadInput(f"`out={path}`: is not an empty folder; give another folder")
        try:
            path.mkdir(parents=True, exist_ok=True)
            write_json(path / HEADER, header)
        except OSError as error:
            raise BadInput(
                f"`out={path}`: cannot be written ({error.strerror or error}); give another folder"
            ) from None
        batch = cls(path, request, sources)
        batch._adopt_fields()
        return batch

    def _adopt_fields(self) -> None:
        """Write the rows of fields whose shard was written and whose rows were not."""
        if self.dataset is not None:
            known = self.done
            for item in self.dataset.items:
                if item.name not in known:
                    self._add_row({"name": item.name, "label": item.label, "status": "fitted", **item.quality})

    @property
    def done(self) -> set[str]:
        """Names of the items that have a row."""
        return {row["name"] for row in self.rows}

    @property
    def missing(self) -> list[Source]:
        """The items without a row."""
        done = self.done
        return [source for source in self.sources if source.name not in done]

    @property
    def stopped(self) -> bool:
        """Whether `stop` was called."""
        return self._stopped

    def stop(self) -> None:
        """End `run` after the present step. May be called from a signal handler."""
        self._stopped = True

    def run(self, report: Callable[[Progress], None] = lambda progress: None) -> bool:
        """Fit what is missing. Returns False where it was stopped before the last item.

        report: called often with the progress.
        """
        self._report, self._begun, self._worked = report, time.perf_counter(), 0.0
        if self.request.engine == "ray":
            from fields.batch.ray_engine import run_with_ray

            return run_with_ray(self)
        while (missing := self.missing) and not self._stopped:
            if not self._next(missing):
                return False
        (self.path / CHECKPOINT).unlink(missing_ok=True)
        return not self.missing

    def _next(self, missing: list[Source]) -> bool:
        """Fit the next stack, or the next item where it is fitted alone. Returns False where it was stopped."""
        begun = time.perf_counter()
        seconds = self._share(len(missing))
        first = self.first_that_opens(missing)
        if first is None:
            return True
        source, signal, field, method = first
        if why_not_stacked(field) is not None or not isinstance(signal, Shape):
            return self._fit_alone(source, signal, seconds)
        channels = None if self.dataset is None else self.dataset.channels
        self.tell("sampling", 0.0)
        # Without those that were found not to open.
        opened = open_stack(self._told(self.missing), self.request, channels)
        for failed, why in opened.failed:
            self.fail(failed, why)
        opened.failed.clear()
        if not opened.shapes:
            return True
        if self._stopped:
            return False
        start, frozen = self._start()
        device = resolve_device(self.request.device)
        fit = StackFit(opened, method, self.request, start=start, frozen=frozen, device=device)
        fit.resume(self.path / CHECKPOINT)
        own = None if seconds is None else seconds * len(opened.shapes) - (time.perf_counter() - begun)
        if not fit.train(own, checkpoint=self.path / CHECKPOINT, on_step=self._on_step):
            return False
        self.keep(fit.result(), method, time.perf_counter() - begun)
        return True

    def _share(self, missing: int) -> float | None:
        """Seconds for each missing item; None where steps are given."""
        if self.request.seconds is None:
            return None
        left = self.request.seconds - (time.perf_counter() - self._begun)
        return max(left, 0.0) / missing

    def first_that_opens(self, missing: list[Source]) -> tuple[Source, Signal, Field, Method] | None:
        """The first item that can be opened and built, with its field and method; those before it are recorded."""
        for source in missing:
            try:
                signal = source.open()
                if isinstance(signal, Shape):
                    signal.drop_colors()
                method = prepared(self.request, signal)
                return source, signal, method.build_field(signal.domain, signal.channels, 0), method
            except BadInput as error:
                self.fail(source, str(error))
        return None

    def _told(self, sources: list[Source]) -> Iterator[Source]:
        """The sources, with a report before each and an end where the batch is stopped."""
        for number, source in enumerate(sources):
            if self._stopped:
                return
            self.tell(f"sampling {source.name}", 0.2 * number / len(sources))
            yield source

    def _start(self) -> tuple[dict[str, Any] | None, bool]:
        """Tensors that a stack's fields begin with, and whether the networks stay as they are."""
        if self.request.shared_decoder and self.dataset is not None:
            return self.dataset.shared_state(), True
        return starting_weights(self.request), False

    def _on_step(self, fit: StackFit) -> bool:
        fraction = fit.step / fit.total if fit.total else 0.0
        loss = float(fit.losses.mean())
        self.tell(
            f"{len(fit.stack)} fields, step {fit.step}/{fit.total or '?'}, loss {loss:.3g}", fraction * len(fit.stack)
        )
        return not self._stopped

    def tell(self, doing: str, worth: float) -> None:
        """Report. worth: items that the work on the present stack amounts to."""
        total, done = len(self.sources), len(self.rows)
        spent = time.perf_counter() - self._begun
        fitted = self._worked + worth
        left = spent / fitted * (total - done - worth) if fitted > 0.5 else None
        failed = sum(row["status"] == "failed" for row in self.rows)
        self._report(Progress(done, total, failed, doing, spent, left))

    def keep(self, fitted: FittedStack, method: Method, seconds: float) -> None:
        """Write a stack's fields and the rows of its items."""
        for source, why in fitted.failed:
            self.fail(source, why)
        if fitted.items:
            if self.dataset is None:
                shared = (
                    [name for name in fitted.state if name.startswith(NETWORK)] if self.request.shared_decoder else []
                )
                self.dataset = FieldDataset.create(
                    self.path, method, fitted.channels, shared=shared, kind="shape", source=str(self.request.source)
                )
            self.dataset.add(fitted.items, fitted.state)
        each = round(seconds / max(1, len(fitted.items)), 3)
        for item in fitted.items:
            self._add_row(
                {
                    "name": item.name,
                    "label": item.label,
                    "status": "fitted",
                    **item.quality,
                    "steps": fitted.steps,
                    "seconds": each,
                }
            )
        (self.path / CHECKPOINT).unlink(missing_ok=True)

    def _fit_alone(self, source: Source, signal: Signal, seconds: float | None) -> bool:
        """Fit one item into a run of its own."""
        request = self.request
        out = self.path / RUNS / source.name.replace("/", "--")
        self.tell(f"fitting {source.name}", 0.0)
        # Fits alone have their own default, a time.
        budget = {"steps": request.steps} if seconds is None else {"seconds": seconds}
        begun = time.perf_counter()
        _remove_unfinished(out)

        def check(trainer: Any) -> None:
            if self._stopped:
                trainer.stop()
            fraction = trainer.index / trainer.total if trainer.total else 0.0
            self.tell(f"fitting {source.name}, step {trainer.index}/{trainer.total or '?'}", fraction)

        try:
            result = fit_field(
                signal,
                request.method,
                settings=request.settings,
                params=request.params,
                seed=request.seed,
                device=request.device,
                start=request.init_from,
                out=out,
                callbacks=[check],
                **budget,
            )
        except BadInput as error:
            if isinstance(error.__cause__, OSError):
                # A full disk is no fault of the item: it is fitted when the batch goes on.
                raise
            self.fail(source, str(error))
            return True
        if not result.finished:
            return False
        self._add_row(
            {
                "name": source.name,
                "label": source.label,
                "status": "fitted",
                **{name: round(value, 6) for name, value in result.metrics.items()},
                "steps": result.steps,
                "seconds": round(time.perf_counter() - begun, 3),
                "run": str(out.relative_to(self.path)),
            }
        )
        return True

    def fail(self, source: Source, why: str) -> None:
        self._add_row({"name": source.name, "label": source.label, "status": "failed", "error": why})

    def _add_row(self, row: dict[str, Any]) -> None:
        self.rows.append(row)
        self._worked += 1
        append_line(self.path / RESULTS, json.dumps(row))

    def summary(self) -> dict[str, Any]:
        """Counts, and the median and the least of each score of the fitted items."""
        fitted = [row for row in self.rows if row["status"] == "fitted"]
        known = {"name", "label", "status", "steps", "seconds", "run"}
        scores = dict.fromkeys(key for row in fitted for key in row if key not in known)
        values = {key: [row[key] for row in fitted if key in row] for key in scores}
        return {
            "items": len(self.sources),
            "fitted": len(fitted),
            "not_fitted": [
                {"name": row["name"], "error": row["error"]} for row in self.rows if row["status"] == "failed"
            ],
            "scores": {key: {"median": median(v), "min": min(v), "max": max(v)} for key, v in values.items()},
        }


def prepared(request: BatchRequest, signal: Signal) -> Method:
    """The request's method with every option decided for this signal."""
    if request.init_from is not None:
        run = Run.open(request.init_from)
        if run.header["method"] != request.method:
            raise BadInput(
                f"`init_from={request.init_from}`: is a run of {run.header['method']}, not of {request.method}"
            )
        return make_method(run.header["method"], {**run.header["options"], **request.settings}).prepare(signal)
    short = SHORT_FITS.get(request.method, {}) if isinstance(signal, Shape) else {}
    method = make_method(request.method, {**short, **request.settings}).prepare(signal)
    if request.params is None:
        return method
    return method.sized_field(signal.domain, signal.channels, request.params)


def starting_weights(request: BatchRequest) -> dict[str, Any] | None:
    """The tensors of the run that fields begin with; None where there is none."""
    return None if request.init_from is None else Run.open(request.init_from).load_field().state_dict()


def _read_rows(file: Path) -> list[dict[str, Any]]:
    """The rows of a results file, without an incomplete last line that a killed program may leave."""
    if not file.is_file():
        return []
    text = file.read_text(encoding="utf-8")
    lines = text.split("\n")
    if lines[-1]:
        # What follows must begin on a line of its own.
        atomic_write_bytes(file, "".join(f"{line}\n" for line in lines[:-1]).encode())
    return [json.loads(line) for line in lines[:-1]]


def _remove_unfinished(folder: Path) -> None:
    """Remove the run of an item that was cut off: it is fitted again."""
    import shutil

    if (folder / "run.json").is_file():
        shutil.rmtree(folder)
