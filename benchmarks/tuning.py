"""Batch and learning rates of networks for the time of a fit: is the rule of `fields.methods.pace` the best choice?

    python -m benchmarks.tuning --methods siren,cam --kinds image --budgets 10,30 --store

For each method, kind and budget, the rule chooses a batch and rates. Fits with these, and with a half and twice of the
batch and of the rates, show what is lost where the rule is off by a factor of two. The signals are none of those whose
results docs/ shows.

A fit has as many steps as the cost of a step, measured once, allows in the budget. So the machine need not be quiet
while the fits run.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from benchmarks.report import add_arguments, emit, report
from fields.methods.base import Method
from scenes.signal import Signal

METHODS = ("siren", "finer", "wire", "fourier", "frequency", "cam")
KINDS = ("image", "audio", "shape")
BUDGETS = (15.0, 30.0)
# Side of the photograph, in pixels. A budget counts for a photograph of 768 x 512, and this one gets its part of it.
SIDE = 256
PIXELS = 768 * 512
# Metric of each kind, and its unit.
METRICS = {"image": ("psnr", "dB"), "audio": ("snr", "dB"), "shape": ("iou", "1")}
# Multiples of the rule's batch and rates that are tried.
CROSS = ((1.0, 1.0), (0.5, 1.0), (2.0, 1.0), (1.0, 0.5), (1.0, 2.0))


@dataclass(frozen=True)
class Case:
    """A method on a signal, for a fit of so many seconds; `fixed` and `per_sample` are the cost of its steps."""

    method: str
    kind: str
    signal: Signal
    seconds: float
    fixed: float
    per_sample: float

    def quality(self, batch: int, factor: float) -> float:
        """Score of the fit with this batch and rates that are `factor` times the rule's for that batch."""
        from fields.fit.fit import finish, prepare

        settings = {"batch": batch, **self._rates(batch, factor)}
        steps = max(1, int(self.seconds / (self.fixed + batch * self.per_sample)))
        trainer, _ = prepare(self.signal, self.method, steps=steps, settings=settings)
        return finish(trainer, None).metrics.get(METRICS[self.kind][0], 0.0)

    def rule(self) -> int:
        """The batch that the rule chooses."""
        method = self._prepared()
        assert method.present_pace is not None
        return method.present_pace.batch(method.batch, self.fixed, self.per_sample, self.seconds)

    def _prepared(self) -> Method:
        from fields.methods.registry import make_method

        return make_method(self.method, {}).prepare(self.signal)

    def _rates(self, batch: int, factor: float) -> dict[str, float]:
        method = self._prepared()
        assert method.present_pace is not None
        factor *= method.present_pace.rate_factor(batch, method.batch)
        return {name: min(1.0, getattr(method, name) * factor) for name in method.learning_rates()}


def signal_of(kind: str) -> Signal:
    """The signal on which a kind is tuned."""
    from benchmarks.papers.fits import photograph
    from scenes.audio.signal import Audio

    if kind == "image":
        return photograph("coffee", SIDE)
    if kind == "audio":
        return Audio.from_array(chirps(), 22050)
    import trimesh

    from scenes.shape.signal import Shape

    parts = [trimesh.creation.torus(0.35, 0.12, 64, 32), trimesh.creation.icosphere(3, 0.2)]
    vertices = np.concatenate([np.asarray(part.vertices) for part in parts])
    faces = np.concatenate([np.asarray(parts[0].faces), np.asarray(parts[1].faces) + len(parts[0].vertices)])
    return Shape.from_mesh(vertices, faces, "auto", 200_000)


def chirps(samples: int = 59_535, rate: int = 22_050, seed: int = 0) -> np.ndarray:
    """Whistles with trills and overtones, like a bird's song: float32 `[samples]`."""
    random = np.random.default_rng(seed)
    time = np.arange(samples) / rate
    sound = random.normal(size=samples) * 0.004
    for _ in range(14):
        start, length = random.uniform(0, samples / rate - 0.3), random.uniform(0.06, 0.25)
        low, high = random.uniform(2200, 6500, 2)
        share = np.clip((time - start) / length, 0, 1)
        trill = random.uniform(100, 700) * np.sin(2 * np.pi * random.uniform(15, 60) * time)
        phase = 2 * np.pi * np.cumsum(low + (high - low) * share + trill) / rate
        tone = np.sin(phase) + 0.3 * np.sin(2 * phase) + 0.1 * np.sin(3 * phase)
        sound += np.sin(np.pi * share) ** 2 * tone * random.uniform(0.2, 1)
    return (0.9 * sound / np.abs(sound).max()).astype(np.float32)


def measured(method: str, kind: str, signal: Signal, seconds: float) -> Case:
    """The case of a method and a signal, with the cost of its steps on this machine."""
    from fields.fit.fit import prepare
    from fields.fit.pace import step_cost

    trainer, _ = prepare(signal, method, steps=1)
    fixed, per_sample = step_cost(trainer.method, trainer.field, trainer.objective, seconds=5.0)
    return Case(method, kind, signal, seconds, fixed, per_sample)


def rows_of(case: Case, name: str) -> Iterator[dict]:
    """The rule's quality, and what is lost or won with other batches and rates."""
    rule = case.rule()
    unit = METRICS[case.kind][1]
    scores = {}
    for batches, rates in CROSS:
        batch = round(rule * batches)
        scores[batches, rates] = case.quality(batch, rates)
        print(f"{name}: batch {batch}, rates x {rates:g}: {scores[batches, rates]:.3f} {unit}", file=sys.stderr)
    chosen, best = scores[1.0, 1.0], max(scores.values())
    yield {
        "id": name,
        "value": chosen,
        "unit": unit,
        "against": "the best of five",
        "against_value": best,
        "ratio": chosen / best if best else None,
        "batch": rule,
        "steps": int(case.seconds / (case.fixed + rule * case.per_sample)),
        "seconds_fixed": case.fixed,
        "seconds_per_sample": case.per_sample,
        "lost": {f"batch x {b:g}, rates x {r:g}": chosen - scores[b, r] for b, r in CROSS[1:]},
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tuning", description=(__doc__ or "").split("\n")[0])
    add_arguments(parser)
    parser.add_argument("--methods", default=",".join(METHODS), help="names, separated by commas")
    parser.add_argument("--kinds", default=",".join(KINDS), help="image, audio, shape")
    parser.add_argument("--budgets", default=",".join(f"{b:g}" for b in BUDGETS), help="seconds")
    options = parser.parse_args()
    rows = []
    for kind in options.kinds.split(","):
        signal = signal_of(kind)
        for method in options.methods.split(","):
            for budget in map(float, options.budgets.split(",")):
                share = SIDE**2 / PIXELS if kind == "image" else 1.0
                seconds = budget * share * (0.2 if options.quick else 1.0)
                rows += rows_of(measured(method, kind, signal, seconds), f"{method}:{kind}:{budget:g}s")
    emit(report("tuning", rows), options, partial=True)


if __name__ == "__main__":
    main()
