"""A comparison: a folder in which one signal is fitted by several methods, with equal parameters or equal time.

    comparison.json     what is compared, and a row for each finished fit
    METHOD-SEED/        the run of each fit, a run folder like any other, with `curve.jsonl` and `shown.png` added
    target.png, curves.png, crops.png, comparison.html    made from those (`fields.compare.report`)

Finished fits are kept: a comparison that was cut off continues where it was.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import fields.fit.fit as fitting
from fields.compare.curve import Curve, late_gain, read_curve
from fields.compare.images import save_image
from fields.compare.request import CompareRequest
from fields.fit.trainer import Trainer
from fields.kinds import objective_for
from fields.methods.registry import make_method
from fields.runs.machine import machine, versions
from fields.runs.peak_memory import PeakMemory
from fields.runs.run import Run, read_header, write_json
from scenes.errors import BadInput
from scenes.io.atomic import holds_anything
from scenes.signal import Signal

# Version of the header; a newer one is refused.
FORMAT = 1
# Name of the file of the header.
HEADER = "comparison.json"
# Longest side of the images that are shown, in pixels.
SHOWN_SIDE = 1024
# Entries of the header in which two comparisons must agree to be continued as one.
IDENTITY = ("kind", "parameters", "seconds", "steps", "held_out")

# Called before each fit; returns callbacks for it.
Begin = Callable[[Trainer, Run], Sequence[Callable[[Trainer], None]]]


class Comparison:
    """An opened comparison folder. `header` is the content of `comparison.json`."""

    def __init__(self, path: Path, header: dict) -> None:
        self.path = path
        self.header = header
        self._trainer: Trainer | None = None
        self._stopped = False

    @classmethod
    def open(cls, path: Path) -> Comparison:
        """Open the comparison in a folder. Raises BadInput where there is none."""
        if not (path / HEADER).is_file():
            raise BadInput(f"{path}: not a comparison (it has no {HEADER})")
        return cls(path, read_header(path / HEADER))

    @classmethod
    def create(cls, request: CompareRequest, path: Path) -> Comparison:
        """The comparison in the folder `path`, new or continued.

        Every method is tried on the signal before the first fit begins. Raises BadInput where one cannot take the
        signal or the size, or where the folder holds something else.
        """
        signal = request.load()
        sizes = {name: _checked_size(request, name, signal) for name in request.methods}
        header = {
            "format": FORMAT,
            "kind": signal.kind,
            "source": signal.source,
            "signal": signal.describe(),
            "methods": list(request.methods),
            "seeds": request.seeds,
            "parameters": request.params,
            "seconds": request.budget["seconds"],
            "steps": request.steps,
            "held_out": request.held_out,
            "sizes": sizes,
            "machine": machine(),
            "versions": versions(),
            "rows": [],
        }
        if (path / HEADER).is_file():
            header = _continued(cls.open(path).header, header, path)
        elif holds_anything(path):
            raise BadInput(f"`out={path}`: is not an empty folder; give another folder")
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BadInput(
                f"`out={path}`: cannot be written ({error.strerror or error}); give another folder"
            ) from None
        comparison = cls(path, header)
        comparison._save()
        return comparison

    @property
    def rows(self) -> list[dict]:
        """A row of the table for each finished or failed fit."""
        return self.header["rows"]

    @property
    def wanted(self) -> list[tuple[str, int]]:
        """Method and seed of every fit, the first seed of all methods first.

        So a comparison that is cut off has a fit of each method to compare.
        """
        return [(method, seed) for seed in range(self.header["seeds"]) for method in self.header["methods"]]

    @property
    def missing(self) -> list[tuple[str, int]]:
        """Method and seed of the fits that are not finished."""
        done = {(row["method"], row["seed"]) for row in self.rows}
        return [pair for pair in self.wanted if pair not in done]

    def folder(self, method: str, seed: int) -> Path:
        """The run folder of a fit."""
        return self.path / f"{method}-{seed}"

    def stop(self) -> None:
        """End `run` after the current step. May be called from another thread or a signal handler."""
        self._stopped = True
        if self._trainer is not None:
            self._trainer.stop()

    def run(self, request: CompareRequest, begin: Begin = lambda trainer, run: ()) -> bool:
        """Make the fits that are missing. Returns False where it was stopped before the last of them.

        `begin`: called before each fit with its trainer and run; returns callbacks for it.
        """
        for method, seed in self.missing:
            if self._stopped:
                return False
            row = self._fit(request, method, seed, begin)
            if row is None:
                return False
            self.rows.append(row)
            self.rows.sort(key=lambda row: self.wanted.index((row["method"], row["seed"])))
            self._save()
        return True

    def _fit(self, request: CompareRequest, method: str, seed: int, begin: Begin) -> dict | None:
        """Make one fit and return its row of the table; None where it was stopped first."""
        folder = self.folder(method, seed)
        with PeakMemory() as peak:
            started = time.perf_counter()
            signal = request.load()
            if (folder / "run.json").is_file():
                run = Run.open(folder)
                trainer = fitting.resume(signal, run, request.device, started)
            else:
                fit = request.fit(method, seed, folder)
                trainer, run = fitting.prepare_request(signal, fit, started=started)
                assert run is not None
            self._trainer = trainer
            # `stop` may have been called before there was a trainer to stop.
            if self._stopped:
                trainer.stop()
            try:
                result = fitting.finish(trainer, run, [Curve(trainer, folder / "curve.jsonl"), *begin(trainer, run)])
            except BadInput as error:
                if isinstance(error.__cause__, OSError):
                    # A full disk is no fault of the method: the fit is made when the comparison goes on.
                    raise
                return {"method": method, "seed": seed, "run": folder.name, "status": "failed", "error": str(error)}
            finally:
                self._trainer = None
        if not result.finished:
            return None
        if not (self.path / "target.png").is_file():
            save_image(self.path / "target.png", trainer.objective.target(SHOWN_SIDE))
        save_image(folder / "shown.png", trainer.objective.preview(result.field, SHOWN_SIDE))
        stored = run.metrics()
        assert stored is not None
        return {
            "method": method,
            "seed": seed,
            "run": folder.name,
            "status": "finished",
            "parameters": stored["parameters"],
            "bytes": stored["bytes"],
            "steps": stored["steps"],
            "seconds": stored["seconds"],
            "memory": peak.bytes,
            "backend": run.header["backend"],
            "metrics": stored["metrics"],
            "late_gain": late_gain(read_curve(folder / "curve.jsonl")),
            **({"scored": stored["scored"]} if "scored" in stored else {}),
        }

    def _save(self) -> None:
        write_json(self.path / HEADER, self.header)


def _checked_size(request: CompareRequest, name: str, signal: Signal) -> int:
    """The number of parameters of a method as it will be fitted.

    Raises BadInput where the method cannot take the signal or the size.
    """
    config = make_method(name).prepare(signal)
    if request.params:
        config = config.sized_field(signal.domain, signal.channels, request.params)
    field = config.build_field(signal.domain, signal.channels, seed=0)
    objective_for(signal, field, config.loss, config.gradient_terms)
    return config.count_parameters(signal.domain, signal.channels)


def _continued(old: dict, new: dict, path: Path) -> dict:
    """The header of a comparison that is continued, with the methods and seeds that are new in the request."""
    other = [name for name in IDENTITY if old[name] != new[name]]
    if other:
        values = ", ".join(str(old[name]) for name in other)
        raise BadInput(
            f"`out={path}`: holds a comparison with other {', '.join(other)} ({values}); give another folder"
        )
    if old["source"]["sha256"] != new["source"]["sha256"]:
        raise BadInput(f"`out={path}`: compares another signal ({old['source']['path']}); give another folder")
    methods = [*old["methods"], *(name for name in new["methods"] if name not in old["methods"])]
    return {
        **old,
        "methods": methods,
        "seeds": max(old["seeds"], new["seeds"]),
        "sizes": {**old["sizes"], **new["sizes"]},
    }
