"""Networks on coordinates train in one native pass whose gradients are autograd's."""

import numpy as np
import pytest
import torch

import fields
from fields.fit.fit import finish, prepare, resume
from fields.methods.registry import make_method
from fields.models.field import CoordinateField
from fields.ops.mlp import why_not_matmul_dtype
from fields.runs.run import Run, load_field
from scenes.domain import Channels
from scenes.errors import BadInput
from scenes.image.signal import Image

METHODS = {
    "siren": {"width": 24, "hidden_layers": 2},
    "finer": {"width": 24, "hidden_layers": 2},
    "wire": {"width": 20, "hidden_layers": 2},
    "frequency": {"width": 24, "hidden_layers": 2},
    "fourier": {"width": 24, "hidden_layers": 2},
    "nerf": {"width": 24, "hidden_layers": 4},
    "cam": {"width": 24, "hidden_layers": 2, "frequencies": 16, "nodes": 8},
}
# For comparisons with autograd.
EXACT = {"matmul_dtype": "float32"}
needs_bfloat16 = pytest.mark.skipif(
    why_not_matmul_dtype("bfloat16") is not None, reason="no bfloat16 products on this processor"
)


@pytest.fixture(scope="module")
def image():
    y, x = np.mgrid[:24, :24] / 24.0
    return Image.from_array(np.stack([x, y, 0.5 + 0.5 * np.sin(9 * x * y)], axis=-1).astype(np.float32), "srgb")


def build(name, signal, channels=None, **settings):
    method = make_method(name, METHODS[name] | settings).prepare(signal)
    return method.build(signal.domain, channels or signal.channels, seed=0)


def autograd(field, loss, coords, targets, samples=None):
    """Loss and gradients of the field's parameters, errors in their units."""
    units = torch.tensor(field.channels.error_units)
    values, targets = field(coords) / units, targets / units
    losses = (values - targets).abs() if loss == "l1" else (values - targets) ** 2
    if loss == "relative_l2":
        losses = losses / (values.detach() ** 2 + 0.01)
    mean = (losses if samples is None else losses * samples[:, None]).mean()
    found = torch.autograd.grad(mean, list(field.parameters()), allow_unused=True)
    return [mean.detach(), *(torch.zeros_like(p) if g is None else g for g, p in zip(found, field.parameters()))]


def assert_step_equals_autograd(field, loss="l2", samples=True):
    random = torch.Generator().manual_seed(0)
    coords = torch.rand(700, field.domain.dimensions, generator=random)
    targets = torch.rand(700, len(field.channels), generator=random)
    batch = (coords, targets, torch.rand(700, generator=random)) if samples else (coords, targets)
    step = field.fused_step(loss)
    assert step is not None
    value = step(*batch)
    ours = [value.float(), *(p.grad for p in field.parameters())]
    for a, b in zip(ours, autograd(field, loss, *batch), strict=True):
        assert a.shape == b.shape and (a - b).norm() <= 1e-4 * b.norm() + 1e-8


@pytest.mark.parametrize("loss", ("l1", "l2", "relative_l2"))
@pytest.mark.parametrize("name", METHODS)
def test_native_step_equals_autograd(name, loss, image):
    field = build(name, image)
    assert field.backend == "native-cpu"
    assert_step_equals_autograd(field, loss)


@pytest.mark.parametrize("options", [{"through_scale": True}, {"width": 300}])
def test_native_step_of_finer_variants_equals_autograd(options, image):
    assert_step_equals_autograd(build("finer", image, **options), samples=False)


def test_channels_with_a_unit_of_their_own_are_left_to_autograd(image):
    one = build("siren", image, Channels(("distance",), "signed_distance"))
    assert_step_equals_autograd(one)
    mixed = build("siren", image, Channels(("distance", "red"), "signed_distance"))
    assert len(set(mixed.channels.error_units)) == 2 and mixed.fused_step("l2") is None


def test_a_part_of_its_own_rules_out_the_native_step(image):
    class Squared(CoordinateField):
        def decode(self, features):
            return super().decode(features) ** 2

    field = build("siren", image)
    assert field.fused_step("l2") is not None
    field.__class__ = Squared
    assert field.fused_step("l2") is None
    assert build("siren", image).double().fused_step("l2") is None
    assert build("siren", image, width=520).fused_step("l2") is None


@pytest.mark.parametrize("name", METHODS)
def test_stopped_and_resumed_run_has_bit_identical_weights(name, image, tmp_path):
    settings = METHODS[name] | {"batch": 200}
    whole = fields.fit_field(image, name, steps=20, settings=settings, seed=1)
    trainer, run = prepare(image, name, steps=20, settings=settings, seed=1, out=tmp_path / "run")
    assert trainer.fused
    finish(trainer, run, [lambda t: t.stop() if t.index == 7 else None])
    kept = Run.open(tmp_path / "run")
    again = finish(resume(image, kept), kept)
    assert again.finished
    for other in (again.field, load_field(tmp_path / "run")):
        for (key, ours), exact in zip(other.state_dict().items(), whole.field.state_dict().values(), strict=True):
            assert torch.equal(ours, exact), key


@pytest.mark.parametrize("name", ("siren", "wire"))
def test_training_with_rounded_weights_takes_the_native_step(name, image):
    """The straight-through gradient is that at the rounded weights, as autograd gives it."""
    settings = METHODS[name] | EXACT | {"batch": 300}
    states = []
    for native in (True, False):
        trainer, _ = prepare(image, name, steps=3, settings=settings, bits=8)
        assert trainer.fused
        if not native:
            trainer._fused = None
        for _ in range(3):
            trainer.step()
        states.append(trainer.field.state_dict())
    for key, ours in states[0].items():
        assert (ours - states[1][key]).norm() <= 1e-3 * states[1][key].norm(), key


@needs_bfloat16
@pytest.mark.parametrize("asked", ("bfloat16", "auto"))
def test_products_are_bfloat16_until_the_last_part_of_the_training(asked, image):
    method = make_method("siren", METHODS["siren"] | {"matmul_dtype": asked}).prepare(image)
    field = method.build_field(image.domain, image.channels, seed=0)
    exact = method.model_copy(update=EXACT).build_field(image.domain, image.channels, seed=0)
    assert (field.training_dtype, exact.training_dtype) == ("bfloat16", "float32")
    random = torch.Generator().manual_seed(0)
    batch = torch.rand(700, 2, generator=random), torch.rand(700, 3, generator=random)
    losses = {}
    for name, built in (("rounded", field), ("exact", exact)):
        step = built.fused_step("l2")
        for index in (0, 89, 90):
            built.before_step(index, 100)
            losses[name, index] = float(step(*batch))
    assert losses["rounded", 0] == losses["rounded", 89] != losses["exact", 0]
    assert losses["rounded", 89] == pytest.approx(losses["exact", 89], rel=1e-2)
    assert losses["rounded", 90] == losses["exact", 90]


def test_auto_is_float32_where_the_processor_has_no_bfloat16(image, tmp_path, monkeypatch):
    """And a run that was begun elsewhere says that it goes on in another type."""
    settings = METHODS["siren"] | {"batch": 200}
    monkeypatch.setattr("fields.networks.native.why_not_rounded", lambda *_: None)
    monkeypatch.setattr("fields.models.field.why_not_matmul_dtype", lambda _: None)
    trainer, run = prepare(image, "siren", steps=20, settings=settings, out=tmp_path / "run")
    assert run.header["matmul_dtype"] == "bfloat16" and run.header["options"]["matmul_dtype"] == "auto"
    monkeypatch.setattr("fields.networks.native.why_not_rounded", lambda *_: "it has none")
    monkeypatch.setattr("fields.models.field.why_not_matmul_dtype", lambda _: "it has none")
    again = resume(image, Run.open(tmp_path / "run"))
    assert again.matmul_dtype == "float32"
    assert ["bfloat16" in remark and "float32" in remark for remark in again.remarks] == [True]
    with pytest.raises(BadInput, match="matmul_dtype=bfloat16.*it has none"):
        prepare(image, "siren", steps=20, settings=settings | {"matmul_dtype": "bfloat16"})


@needs_bfloat16
@pytest.mark.parametrize("name", ("siren", "cam"))
def test_training_precision_rounds_products_of_autograd_while_it_is_open(name, image):
    method = make_method(name, METHODS[name]).prepare(image)
    field = method.build_field(image.domain, image.channels, seed=0)
    coords = torch.rand(300, 2, generator=torch.Generator().manual_seed(0))
    before = field(coords)
    with field.training_precision():
        rounded = field(coords)
        assert not torch.equal(rounded, before) and (rounded - before).norm() < 0.05 * before.norm()
        rounded.mean().backward()
    assert torch.equal(field(coords), before)
    field.before_step(99, 100)
    with field.training_precision():
        assert torch.equal(field(coords), before)
