"""Choose batch and learning rates for the time of a fit, from the measured cost of a step (`fields.methods.pace`)."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection

import torch

from fields.fit.objectives.base import Objective
from fields.methods.base import Method
from fields.methods.pace import Pace
from fields.models.field import Field
from fields.ops.adam import Adam
from scenes.signal import Signal

# Batches whose steps are timed, and how often after a first time. The fastest counts, as other programs disturb.
PROBED_BATCHES = (1024, 4096)
REPEATS = 3
# Steps of a scene that are timed, after some in which the number of rays has followed the samples that light reaches.
SCENE_FIRST_STEPS, SCENE_STEPS = 3, 3
# Fraction of the budget that probing may take, about.
PROBE_FRACTION = 0.03
# Fraction of the budget that is left for training.
TRAINING_FRACTION = 0.85


def paced(method: Method, field: Field, objective: Objective, *, seconds: float, given: Collection[str]) -> Method:
    """A copy whose batch and learning rates suit a fit of so many seconds.

    `method`: prepared. `field`: an untrained field of it, which is trained a little and has to be thrown away.
    `given`: names of the options that the user has set, which stay as they are.
    """
    pace = pace_of(method, objective.signal)
    if pace is None or "batch" in given:
        return method
    if objective.signal.channels.is_radiance:
        fixed, per_sample = 0.0, scene_step_cost(method, field, objective, pace.min_batch) / pace.min_batch
    else:
        fixed, per_sample = step_cost(method, field, objective, PROBE_FRACTION * seconds)
    batch = pace.batch(method.batch, fixed, per_sample, TRAINING_FRACTION * seconds)
    factor = pace.rate_factor(batch, method.batch)
    rates = {name: getattr(method, name) * factor for name in method.learning_rates() if name not in given}
    return method.model_copy(update={"batch": batch, **rates})


def pace_of(method: Method, signal: Signal) -> Pace | None:
    """The rule of a method for a signal; None where the batch is the same for all times."""
    return method.scene_pace if signal.channels.is_radiance else method.present_pace


def scene_step_cost(method: Method, field: Field, objective: Objective, batch: int) -> float:
    """Seconds of a step of `batch` samples that light reaches, in the field as it is now.

    Later steps take about as long: as space empties, the samples come from more rays.
    """
    method = method.model_copy(update={"batch": batch})
    optimizer = Adam(method.field_groups(field) + objective.parameter_groups(method))
    return _fastest(field, objective, optimizer, None, batch=batch, first=SCENE_FIRST_STEPS, steps=SCENE_STEPS)


def step_cost(method: Method, field: Field, objective: Objective, seconds: float) -> tuple[float, float]:
    """Seconds that a step takes, as a part that is the same for all batches and a part for each sample.

    `seconds`: time that measuring may take, about.
    """
    groups = method.field_groups(field) + objective.parameter_groups(method)
    optimizer, fused = Adam(groups), field.fused_step(objective.loss_name)
    began = time.perf_counter()
    costs = []
    for batch in PROBED_BATCHES:
        costs.append(_fastest(field, objective, optimizer, fused, batch=batch, end=began + seconds))
        if time.perf_counter() - began > seconds:
            break
    if len(costs) == 1:
        return 0.0, costs[0] / PROBED_BATCHES[0]
    per_sample = max(0.0, (costs[1] - costs[0]) / (PROBED_BATCHES[1] - PROBED_BATCHES[0]))
    return max(0.0, costs[0] - PROBED_BATCHES[0] * per_sample), per_sample


def _fastest(
    field: Field,
    objective: Objective,
    optimizer: Adam,
    fused: Callable[..., torch.Tensor] | None,
    *,
    batch: int,
    first: int = 1,
    steps: int = REPEATS,
    end: float = float("inf"),
) -> float:
    """Seconds of the fastest of some steps after `first` ones, which are slower. `end`: the time at which to stop."""
    fastest = float("inf")
    for step in range(first + steps):
        objective.before_step(field, step, None)
        begun = time.perf_counter()
        samples = objective.batch(step, batch, 0, field.device)
        if fused is not None and objective.plain:
            fused(*samples)
        else:
            optimizer.zero_grad()
            objective.loss(field, samples).backward()
        optimizer.step()
        if field.device.type == "cuda":
            torch.cuda.synchronize()
        now = time.perf_counter()
        # The first steps count only where there is no time for more.
        if step >= first or now > end:
            fastest = min(fastest, now - begun)
        if now > end:
            break
    return fastest
