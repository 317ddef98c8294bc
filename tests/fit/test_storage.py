"""Tests of weights in 8 and 16 bits: training uses the stored values, and the file is smaller."""

import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import fields
from apps.cli.main import main
from fields.fit.fit import finish, prepare
from fields.runs.run import load_field
from fields.runs.storage import StraightThrough, decode, decode_state, encode, encode_state
from scenes.image.signal import Image

OPTIONS = {"batch": 1024, "table_size": 4096, "width": 32}


@pytest.fixture(scope="module")
def image(astronaut):
    return Image.from_array(astronaut[60:124, 180:276])


@given(st.integers(1, 9), st.integers(1, 9), st.floats(1e-30, 1e30), st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_rounding_error_is_at_most_half_a_step_and_rounding_again_changes_nothing(rows, columns, size, seed):
    tensor = size * torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed))
    rounded = decode(*encode(tensor, 8))
    assert (rounded - tensor).abs().max() <= tensor.abs().max() / 254 * 1.001
    torch.testing.assert_close(decode(*encode(rounded, 8)), rounded, rtol=1e-6, atol=0)


def test_vectors_and_buffers_are_not_rounded():
    for tensor in (torch.randn(5), torch.tensor(2.0), torch.arange(6).reshape(2, 3), torch.randn(2, 2).double()):
        assert encode(tensor, 8)[0] is tensor
    assert torch.equal(decode(*encode(torch.zeros(3, 3), 8)), torch.zeros(3, 3))
    assert decode(*encode(torch.full((2, 2), 1e6), 16)).isfinite().all()
    state = {"a": torch.randn(4, 4), "b": torch.randn(4), "c.scale": torch.randn(2, 2)}
    assert list(decode_state(encode_state(state, 8))) == list(state)


def test_gradient_is_that_of_rounded_weights_and_exact_weights_return():
    layer = torch.nn.Linear(3, 2)
    before = layer.weight.clone()
    rounded = decode(*encode(before.detach(), 8))
    x = torch.randn(7, 3, generator=torch.Generator().manual_seed(0))
    with StraightThrough(layer, 8):
        assert torch.equal(layer.weight, rounded)
        layer(x).square().sum().backward()
    assert torch.equal(layer.weight, before)
    (expected,) = torch.autograd.grad((x @ rounded.requires_grad_().T + layer.bias).square().sum(), rounded)
    torch.testing.assert_close(layer.weight.grad, expected)


@pytest.mark.parametrize("bits", [8, 16])
def test_fit_with_few_bits_is_smaller_and_nearly_as_good(image, tmp_path, bits):
    exact = fields.fit_field(image, steps=300, settings=OPTIONS, out=tmp_path / "exact")
    few = fields.fit_field(image, steps=300, settings=OPTIONS, bits=bits, out=tmp_path / "few")
    assert few.metrics["psnr"] > exact.metrics["psnr"] - 1.5
    fraction = (tmp_path / "few" / "field.safetensors").stat().st_size / (
        tmp_path / "exact" / "field.safetensors"
    ).stat().st_size
    assert fraction < bits / 32 + 0.06
    again = load_field(tmp_path / "few")
    assert all(torch.equal(tensor, again.state_dict()[name]) for name, tensor in few.field.state_dict().items())


def test_resumed_fit_continues_from_exact_weights(image, tmp_path):
    from fields.fit.fit import resume
    from fields.runs.run import Run

    whole = fields.fit_field(image, steps=40, settings=OPTIONS, bits=8)
    trainer, run = prepare(image, steps=40, settings=OPTIONS, bits=8, out=tmp_path / "run")
    finish(trainer, run, [lambda t: t.stop() if t.index == 15 else None])
    again = Run.open(tmp_path / "run")
    result = finish(resume(image, again), again)
    assert all(
        torch.equal(tensor, whole.field.state_dict()[name]) for name, tensor in result.field.state_dict().items()
    )


def test_bits_flag_is_stored_and_wrong_numbers_of_bits_are_refused(photograph, tmp_path, capsys):
    out = tmp_path / "run"
    small = ["--set", "table_size=256", "width=16", "--steps", "3"]
    assert main(["fit", str(photograph), *small, "--bits", "8", "--out", str(out), "--json"]) == 0
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert report["bytes"] < 2 * report["parameters"] + 4000
    assert main(["evaluate", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["metrics"]["psnr"] == pytest.approx(
        report["metrics"]["psnr"], abs=1e-4
    )
    assert main(["fit", str(photograph), "--bits", "7"]) == 2
