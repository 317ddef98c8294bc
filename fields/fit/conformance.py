"""Checks that every method passes, ours and those of plug-ins: `fit-a-scene check PACKAGE:METHOD`.

A check is a function that returns what it found, and raises AssertionError (or anything else) for what is wrong.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fields.fit.objectives.base import Objective
from fields.fit.trainer import Trainer
from fields.kinds import objective_for
from fields.methods.base import Method
from fields.methods.radiance import RadianceMethod
from fields.models.field import Field, FrameField, PointField, RadianceField
from fields.runs.run import load_field, save_field
from scenes.posed.pose import orbit
from scenes.posed.signal import RadianceScene
from scenes.posed.view import PosedViews, View, split_of
from scenes.procedural import Waves
from scenes.signal import Signal

# Samples along the axes of the signal that is fitted, by number of axes.
SHAPES = {1: (512,), 2: (40, 48), 3: (12, 16, 14), 4: (6, 8, 7, 5)}
# Cycles of its waves along an axis.
CYCLES = {1: 3.0, 2: 1.5, 3: 1.0, 4: 0.5}
# Steps of the fit.
STEPS = 500
# How much better than the mean value the fit has to be, in dB.
BETTER_DB = 10.0
# For methods that build radiance fields: how much better than the untrained field, in dB, and the scene that is fitted.
BETTER_SCENE_DB = 3.0
SCENE_VIEWS = 12
SCENE_SIDE = 16
SCENE_DISTANCE = 4.0
SCENE_COLOR = (220, 120, 40, 255)


@dataclass(frozen=True)
class Result:
    """Result of one check. `detail` is what was found, or what is wrong."""

    name: str
    passed: bool
    detail: str


class WavesObjective(Objective[Waves, Field]):
    """Fits points of a procedural signal, or its whole frames for fields that give only frames."""

    requires = Field

    def loss(self, field: Field, batch: tuple[Tensor, ...]) -> Tensor:
        if isinstance(field, FrameField):
            return (self._frames(field) - self._target()).square().mean()
        return super().loss(field, batch)

    def evaluate(self, field: Field, seconds: float = math.inf) -> dict[str, float]:
        with torch.no_grad():
            if isinstance(field, FrameField):
                error = (self._frames(field) - self._target()).square().mean()
            else:
                coords, values = (torch.from_numpy(array) for array in self.signal.whole())
                error = (field(coords) - values).square().mean()
        return {"psnr": -10 * math.log10(max(float(error), 1e-12))}

    def _frames(self, field: FrameField) -> Tensor:
        count = self.signal.domain.grid_shape[-1]
        return field.frames((torch.arange(count) + 0.5) / count)

    def _target(self) -> Tensor:
        width, height, count = self.signal.domain.grid_shape
        return torch.from_numpy(self.signal.whole()[1]).reshape(count, height, width, -1).permute(0, 3, 1, 2)

    def evaluation_seconds(self, field: Field) -> float:
        return 0.0

    def preview(self, field: Field, longest_side: int = 1024) -> np.ndarray:
        return self.signal.preview()

    def save_preview(self, field: Field, path: Path) -> None:
        raise NotImplementedError("a check writes no image")


def check_method(cls: type[Method], options: dict[str, Any] | None = None, steps: int = STEPS) -> list[Result]:
    """Run every check with signals of every number of axes that the method declares. A failed check stops no other.

    `options`: of the method. `steps`: of the fit.
    """
    results = [_try("config", lambda: config(cls))]
    for dimensions in sorted(set(cls.dimensions) & set(SHAPES)):
        signal = _signal(cls, dimensions)
        name = f"{dimensions}-D"
        results.append(_try(f"{name} prepare", lambda: prepare(cls, options, signal)))  # noqa: B023
        if not results[-1].passed:
            continue
        method = cls(**(options or {})).prepare(signal)
        for check in (parameters, build, shapes, outside, gradients, storage):
            results.append(_try(f"{name} {check.__name__}", lambda: check(method, signal)))  # noqa: B023
        results.append(_try(f"{name} fit", lambda: fit(method, signal, steps)))  # noqa: B023
    return results


def config(cls: type[Method]) -> str:
    """Class variables, options and their descriptions."""
    assert isinstance(cls, type) and issubclass(cls, Method), "is not a subclass of fields.methods.base.Method"
    for attribute in ("name", "summary", "paper", "dimensions"):
        assert getattr(cls, attribute, None), f"has no class variable {attribute!r}"
    assert set(cls.dimensions) <= set(SHAPES), f"dimensions {cls.dimensions} are not among {tuple(SHAPES)}"
    default = cls.model_validate({})
    assert cls.model_validate_json(default.model_dump_json()) == default, "its options do not survive JSON"
    for name, entry in cls.model_fields.items():
        assert entry.description, f"option {name} has no description"
    return f"{len(cls.model_fields)} options"


def prepare(cls: type[Method], options: dict[str, Any] | None, signal: Signal) -> str:
    """`prepare` decides every option, and preparing twice changes nothing."""
    method = cls(**(options or {})).prepare(signal)
    left = [name for name, value in method.model_dump().items() if value is None]
    assert not left, f"prepare leaves {', '.join(left)} open"
    assert method.prepare(signal) == method, "preparing twice changes it"
    return "nothing is left open"


def parameters(method: Method, signal: Signal) -> str:
    """The number of parameters is known before building."""
    counted = method.count_parameters(signal.domain, signal.channels)
    built = _built(method, signal).num_parameters
    assert counted == built, f"counts {counted:,} parameters before building and has {built:,} after"
    return f"{built:,} parameters"


def build(method: Method, signal: Signal) -> str:
    """Weights depend on the seed alone, and are float32."""
    a, b, c = (_built(method, signal, seed).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(a[name], b[name]) for name in a), "the same seed gives other weights"
    assert any(not torch.equal(a[name], c[name]) for name in a), "another seed gives the same weights"
    assert a and all(tensor.dtype == torch.float32 or not tensor.is_floating_point() for tensor in a.values()), (
        "weights are not float32"
    )
    return "seeded"


def shapes(method: Method, signal: Signal) -> str:
    """Values have the right shape and type, are finite, and do not depend on the batch."""
    field, channels = _built(method, signal), len(signal.channels)
    assert field.domain == signal.domain and field.channels == signal.channels, (
        "does not carry the signal's domain and channels"
    )
    if isinstance(field, PointField):
        for shape in ((7,), (2, 3), (1,), (0,)):
            values = field(_points(*shape, field.domain.dimensions))
            assert values.shape == (*shape, channels), (
                f"coords {[*shape, field.domain.dimensions]} gave {list(values.shape)}"
            )
            assert values.dtype == torch.float32, f"values are {values.dtype}"
            assert values.isfinite().all(), "values are not finite"
        x = _points(5, field.domain.dimensions)
        torch.testing.assert_close(
            field(x)[2], field(x[2]), rtol=1e-4, atol=1e-5, msg="a point's value depends on its batch"
        )
    elif isinstance(field, FrameField):
        width, height, _ = field.domain.shape
        frames = field.frames(torch.tensor([0.1, 0.9]))
        assert frames.shape == (2, channels, height, width), f"two frames are {list(frames.shape)}"
        assert frames.isfinite().all(), "values are not finite"
    else:
        assert isinstance(field, RadianceField), "is none of PointField, FrameField, RadianceField"
        time = _points(7, 1)[:, 0] if field.moving else None
        density, feature = field.density(_points(7, 3), time, None)
        color = field.color(feature, torch.nn.functional.normalize(_points(7, 3) - 0.5, dim=-1))
        assert density.shape == (7,) and color.shape == (7, 3), (
            f"density is {list(density.shape)}, color {list(color.shape)}"
        )
        assert (density >= 0).all() and color.isfinite().all(), "densities are negative or colors not finite"
    return type(field).__name__


def outside(method: Method, signal: Signal) -> str:
    """Coordinates a little outside the domain occur: a crop that reaches over the edge, a ray that leaves the box."""
    field = _built(method, signal)
    if not isinstance(field, PointField):
        return "takes no points"
    with torch.no_grad():
        values = field(_points(64, field.domain.dimensions) * 2 - 0.5)
    assert values.isfinite().all(), "values just outside [0, 1] are not finite"
    return "finite in [-0.5, 1.5]"


def gradients(method: Method, signal: Signal) -> str:
    """Every parameter is in one group and gets a finite gradient."""
    field = _built(method, signal)
    groups = method.field_groups(field)
    assert all(group["params"] for group in groups), "a parameter group is empty"
    listed = [id(parameter) for group in groups for parameter in group["params"]]
    trained = {id(parameter): name for name, parameter in field.named_parameters() if parameter.requires_grad}
    assert len(listed) == len(set(listed)), "a parameter is in two groups"
    missing = [name for key, name in trained.items() if key not in set(listed)]
    assert not missing, f"no group trains {', '.join(missing)}"
    objective = _objective(signal, field)
    objective.parameter_groups(method)
    objective.before_step(field, 0, None)
    loss, penalty = objective.loss(field, objective.batch(0, 4096, 0, torch.device("cpu"))), field.regularisation()
    (loss if penalty is None else loss + penalty).backward()
    for name, parameter in field.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, f"{name} gets no gradient"
            assert parameter.grad.isfinite().all(), f"the gradient of {name} is not finite"
    assert any((parameter.grad != 0).any() for parameter in field.parameters() if parameter.grad is not None), (
        "all gradients are zero"
    )
    return f"{len(groups)} groups"


def storage(method: Method, signal: Signal) -> str:
    """A stored field gives the same values."""
    field = _built(method, signal)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "field.safetensors"
        save_field(path, field, method)
        again = load_field(path)
        size = path.stat().st_size
    assert all(torch.equal(tensor, again.state_dict()[name]) for name, tensor in field.state_dict().items()), (
        "weights changed on disk"
    )
    if isinstance(field, PointField):
        x = _points(33, field.domain.dimensions)
        with torch.no_grad():
            assert torch.equal(field(x), again(x)), "the stored field gives other values"
    return f"{size:,} bytes"


def fit(method: Method, signal: Signal, steps: int) -> str:
    """A short fit is better than the mean value; of a scene, better than the untrained field."""
    field = _built(method, signal)
    objective = _objective(signal, field)
    before = objective.evaluate(field)["psnr"] if isinstance(field, RadianceField) else 0.0
    trainer = Trainer(field, objective, method, steps=steps)
    trainer.run()
    if not isinstance(signal, Waves):
        reached = objective.evaluate(field)["psnr"]
        assert reached >= before + BETTER_SCENE_DB, (
            f"{steps} steps reach {reached:.1f} dB; the untrained field has {before:.1f} dB"
        )
        return f"{reached:.1f} dB after {steps} steps; the untrained field has {before:.1f}"
    values = signal.whole()[1]
    mean = -10 * math.log10(float(((values - values.mean(0)) ** 2).mean()))
    reached = objective.evaluate(field)["psnr"]
    assert reached >= mean + BETTER_DB, f"{steps} steps reach {reached:.1f} dB; the mean value alone has {mean:.1f} dB"
    return f"{reached:.1f} dB after {steps} steps; the mean value has {mean:.1f}"


def _signal(cls: type[Method], dimensions: int) -> Signal:
    """The signal that is fitted, as one of a kind that the method takes."""
    if issubclass(cls, RadianceMethod):
        return _ball_scene(moving=dimensions == 4)
    of_kind: type[Waves] = type("WavesOfKind", (Waves,), {"kind": cls.kinds[0] if cls.kinds else Waves.kind})
    return of_kind(SHAPES[dimensions], cycles=CYCLES[dimensions])


def _ball_scene(moving: bool) -> RadianceScene:
    """Views of an orange ball of radius 1, from all around, with alpha."""
    views = []
    for index in range(SCENE_VIEWS):
        camera = orbit(
            360.0 * index / SCENE_VIEWS, 20.0, SCENE_DISTANCE, (SCENE_SIDE, SCENE_SIDE), target=(0.0, 0.0, 0.0), up="z"
        )
        origins, directions = camera.rays()
        middle = (origins * directions).sum(1)
        hit = middle**2 - (origins**2).sum(1) + 1.0 > 0
        pixels = hit[:, None] * np.array(SCENE_COLOR)
        views.append(
            View(
                pose=camera.pose,
                intrinsics=camera.intrinsics,
                time=index / (SCENE_VIEWS - 1) if moving else None,
                name=str(index),
                split=split_of(index),
                pixels=pixels.reshape(SCENE_SIDE, SCENE_SIDE, 4).astype(np.uint8),
            )
        )
    return RadianceScene(PosedViews(tuple(views)), {"path": "a ball", "sha256": ""})


def _objective(signal: Signal, field: Field) -> Objective:
    if isinstance(signal, Waves):
        return WavesObjective(signal, "l2")
    return objective_for(signal, field, "l2")


def _built(method: Method, signal: Signal, seed: int = 0) -> Field:
    return method.build_field(signal.domain, signal.channels, seed)


def _points(*shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0))


def _try(name: str, check: Callable[[], str]) -> Result:
    try:
        return Result(name, True, check())
    except Exception as error:  # noqa: BLE001  (whatever a method raises is a finding)
        text = " ".join(str(error).split()) or "failed"
        return Result(name, False, text if isinstance(error, AssertionError) else f"{type(error).__name__}: {text}")
