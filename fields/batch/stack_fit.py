"""Fit one stack of shapes: open and sample them, train them in one step, score each."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from fields.batch.request import BatchRequest
from fields.batch.samples import ShapeSamples, StackSamples, draw_samples
from fields.batch.sources import Source
from fields.batch.stack import FieldStack
from fields.fit.metrics.shape import intersection_over_union
from fields.methods.base import Method
from fields.ops.fused_step import Loss
from fields.weights.dataset import PARTS, POINTS, Item, field_of
from scenes.domain import Channels
from scenes.errors import BadInput
from scenes.io.atomic import atomic_write_bytes
from scenes.shape.signal import Shape

# Steps of each field where neither steps nor seconds are given.
DEFAULT_STEPS = 300
# Steps by which the cost of a step is measured where there is a time to keep.
MEASURED_STEPS = 8
# Fraction of the time of a stack that scoring and writing it take.
SCORING = 0.06
# Samples at which a fit's mean error is measured.
ERROR_SAMPLES = 4096
# Seconds between checkpoints of a stack.
CHECKPOINT_SECONDS = 60.0


@dataclass
class Opened:
    """The shapes of a stack with their samples, and what could not be opened: name, label and reason."""

    sources: list[Source] = field(default_factory=list)
    shapes: list[Shape] = field(default_factory=list)
    samples: list[ShapeSamples] = field(default_factory=list)
    failed: list[tuple[Source, str]] = field(default_factory=list)


@dataclass
class FittedStack:
    """Result of a stack: items with their scores, and the stacked tensors of their fields."""

    channels: Channels
    items: list[Item]
    state: dict[str, Tensor]
    failed: list[tuple[Source, str]]
    steps: int


def open_stack(sources: Iterable[Source], request: BatchRequest, channels: Channels | None) -> Opened:
    """Open shapes until a stack is full. What cannot be used is listed with the reason; other kinds are passed over.

    channels: those that the shapes must have; None: those of the first.
    """
    opened = Opened()
    for source in sources:
        try:
            shape = source.open()
            if not isinstance(shape, Shape):
                # It is fitted alone, in its turn.
                continue
            shape.drop_colors()
            channels = channels or shape.channels
            if shape.channels != channels:
                raise BadInput(
                    f"{source.name}: is fitted as {shape.channels.space.replace('_', ' ')}, and this batch as "
                    f"{channels.space.replace('_', ' ')}; give all the same with `quantity`"
                )
            opened.samples.append(draw_samples(shape, request.samples))
            opened.sources.append(source)
            opened.shapes.append(shape)
        except BadInput as error:
            opened.failed.append((source, str(error)))
        except (ValueError, IndexError, MemoryError, RuntimeError, OSError) as error:
            # A file that a reader stumbles over must not end a batch of hours.
            opened.failed.append((source, f"{source.name}: cannot be read ({type(error).__name__}: {error})"))
        if len(opened.sources) == request.stack:
            break
    return opened


class StackFit:
    """The training of one stack, which can be continued from its checkpoint.

    start: tensors that all begin with. frozen: whether the network is given and stays.
    """

    def __init__(
        self,
        opened: Opened,
        method: Method,
        request: BatchRequest,
        *,
        start: dict[str, Tensor] | None = None,
        frozen: bool = False,
        device: torch.device | str = "cpu",
    ) -> None:
        self.opened, self.method, self.request = opened, method, request
        shapes = opened.shapes
        seeds = [request.seed + (source.seed if request.init == "random" else 0) for source in opened.sources]
        self.stack = FieldStack(
            method,
            [shape.domain for shape in shapes],
            shapes[0].channels,
            seeds,
            loss=_loss_of(method),
            shared=request.shared_decoder,
            start=start,
            frozen=frozen,
            device=device,
        )
        self.samples = StackSamples(shapes, opened.samples, device)
        self.step = 0
        self.total = request.steps or (None if request.seconds else DEFAULT_STEPS)
        self.losses = torch.zeros(len(shapes), dtype=torch.float64)

    @property
    def names(self) -> list[str]:
        return [source.name for source in self.opened.sources]

    def train(
        self,
        seconds: float | None = None,
        *,
        checkpoint: Path | None = None,
        on_step: Callable[[StackFit], bool] = lambda fit: True,
    ) -> bool:
        """Train for the request's steps, or for about `seconds`. Returns False where `on_step` stopped it."""
        begun = saved = time.perf_counter()
        while self.total is None or self.step < self.total:
            batch = self.samples.batch(self.step, self.request.points, self.request.seed)
            # Constant for the first tenth, during which the number of steps is decided.
            self.losses = self.stack.train(*batch, self.method.rate_factor(self.step, self.total))
            self.step += 1
            now = time.perf_counter()
            if self.total is None and self.step == MEASURED_STEPS:
                assert seconds is not None
                cost = (now - begun) / MEASURED_STEPS
                self.total = max(2 * MEASURED_STEPS, int(seconds * (1 - SCORING) / max(cost, 1e-6)))
            if checkpoint is not None and now - saved > CHECKPOINT_SECONDS:
                self.save(checkpoint)
                saved = now
            if not on_step(self):
                if checkpoint is not None:
                    self.save(checkpoint)
                return False
        return True

    def save(self, path: Path) -> None:
        """Write the state of the training to one file, whole or not at all."""
        from safetensors.torch import save

        described = json.dumps({"names": self.names, "step": self.step, "total": self.total})
        tensors = {name: tensor.contiguous() for name, tensor in self.stack.tensors().items()}
        atomic_write_bytes(path, save(tensors, {"stack": described}))

    def resume(self, path: Path) -> bool:
        """Continue from a checkpoint. Returns False where it is of another stack, or damaged."""
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(str(path), framework="pt") as opened:
                described = json.loads((opened.metadata() or {})["stack"])
                if described["names"] != self.names:
                    return False
                self.stack.restore({name: opened.get_tensor(name) for name in opened.keys()})  # noqa: SIM118
        except (OSError, SafetensorError, KeyError, RuntimeError, ValueError):
            return False
        self.step, self.total = described["step"], described["total"]
        return True

    def result(self) -> FittedStack:
        """Items with their scores; a field that diverged is among the failed instead."""
        kept, items, failed = [], [], list(self.opened.failed)
        for i, source in enumerate(self.opened.sources):
            shape = self.opened.shapes[i]
            state = self.stack.state_of(i)
            item = Item(source.name, source.label, shape.source, shape.domain.to_json())
            if not all(bool(tensor.isfinite().all()) for tensor in state.values()):
                failed.append((source, f"{source.name}: its fit diverged; lower the rates of the method"))
                continue
            scores = self._scores(i, item, state)
            items.append(replace(item, quality=scores, parts=list(self.opened.samples[i].part_names)))
            kept.append(i)
        state = {
            name: (tensor[0] if self.request.shared_decoder and len(tensor) == 1 else tensor[kept]).cpu()
            for name, tensor in self.stack.state.items()
        }
        return FittedStack(self.stack.channels, items, {**state, **self._seen(kept)}, failed, self.step)

    def _seen(self, kept: list[int]) -> dict[str, Tensor]:
        """What is kept of the sources beside their fields: points on their surfaces, and the parts of these."""
        samples = [self.opened.samples[i] for i in kept]
        if not samples:
            return {}
        seen = {POINTS: torch.from_numpy(np.stack([s.surface for s in samples])).half()}
        parts = [s.parts for s in samples if s.parts is not None]
        if len(parts) == len(samples):
            seen[PARTS] = torch.from_numpy(np.stack(parts))
        return seen

    @torch.no_grad()
    def _scores(self, index: int, item: Item, state: dict[str, Tensor]) -> dict[str, float]:
        samples = self.opened.samples[index]
        fitted = field_of(self.method, item, self.stack.channels, state)
        part = slice(None, None, max(1, len(samples.coords) // ERROR_SAMPLES))
        values = fitted(torch.from_numpy(samples.coords[part]).float()).numpy()
        scores = {"error": float(abs(values - samples.values[part]).mean())}
        if samples.inside is not None:
            values = fitted(torch.from_numpy(samples.scored).float()).numpy()[:, 0]
            inside = values > 0.5 if self.opened.shapes[index].quantity == "occupancy" else values < 0
            scores["iou"] = float(intersection_over_union(inside, samples.inside))
        return {name: round(value, 6) for name, value in scores.items() if math.isfinite(value)}


def _loss_of(method: Method) -> Loss:
    """The loss of a prepared method."""
    assert method.loss != "auto"
    return method.loss
