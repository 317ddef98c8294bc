"""Tests of small files: exact after quantization, as small as the entropy of their weights, and whole or refused."""

import numpy as np
import pytest
import torch

from fields.fit.fit import finish, fit_field, prepare, resume
from fields.fit.prune import Pruner
from fields.methods.registry import make_method
from fields.runs.run import Run
from fields.runs.small_file import load_compressed, pack, quantized, save_compressed, unpack
from scenes.errors import BadInput
from scenes.image.signal import Image
from scenes.video.signal import Video


@pytest.fixture(scope="module")
def made():
    video = Video.from_array(np.zeros((6, 36, 64, 3), np.uint8) + 7)
    method = make_method("nervpp").prepare(video)
    return method.build(video.domain, video.channels, seed=0), method


@pytest.mark.parametrize("bits", [8, 6, 4, 2])
def test_unpacked_weights_are_the_quantized_ones(made, bits):
    field, method = made
    again = unpack(pack(field, method, bits)).state_dict()
    for name, tensor in field.state_dict().items():
        if tensor.dim() > 1:
            numbers, scales, group = quantized(tensor, bits)
            assert len(scales) == -(-len(numbers) // group)
            scales = np.repeat(scales, group)[: len(numbers)]
            expected = numbers.reshape(len(numbers), -1) * scales[:, None]
            assert np.array_equal(again[name].numpy().reshape(len(numbers), -1), expected)
            error = np.abs(expected.reshape(tensor.shape) - tensor.numpy())
            assert (error.reshape(len(numbers), -1).max(axis=1) <= 0.5001 * scales).all()
        else:
            torch.testing.assert_close(again[name], tensor, atol=1e-3, rtol=1e-3)


def test_file_is_as_small_as_the_entropy_of_its_weights(made):
    field, method = made
    numbers = np.concatenate([quantized(t, 8)[0].ravel() for t in field.state_dict().values() if t.dim() > 1])
    _, counts = np.unique(numbers, return_counts=True)
    entropy = -(counts * np.log2(counts / counts.sum())).sum() / 8
    side = 4 * sum(len(quantized(t, 8)[1]) for t in field.state_dict().values() if t.dim() > 1) + 2 * sum(
        t.numel() for t in field.state_dict().values() if t.dim() < 2
    )
    assert len(pack(field, method, 8)) == pytest.approx(entropy + side, rel=0.08)
    assert len(pack(field, method, 4)) < 0.7 * len(pack(field, method, 8))


def test_pruned_weights_stay_zero_and_take_hardly_any_bytes(made):
    _, method = made
    video = Video.from_array(np.zeros((6, 36, 64, 3), np.uint8) + 7)
    field = method.build(video.domain, video.channels, seed=1)
    full = len(pack(field, method, 8))
    pruner = Pruner(field, 0.4)
    with torch.no_grad():
        for parameter in field.parameters():
            parameter.add_(0.01)
    pruner()
    weights = [t for name, t in field.named_parameters() if t.dim() > 1 and "head" not in name]
    kept = sum(int((t != 0).sum()) for t in weights) / sum(t.numel() for t in weights)
    assert kept == pytest.approx(0.4, abs=0.01)
    assert len(pack(field, method, 8)) < 0.75 * full


def test_refuses_damaged_files_and_wrong_numbers_of_bits(made, tmp_path):
    field, method = made
    size = save_compressed(tmp_path / "a.fsq", field, method)
    assert size == (tmp_path / "a.fsq").stat().st_size
    loaded = load_compressed(tmp_path / "a.fsq")
    assert torch.equal(loaded.frames(torch.tensor([0.5])), unpack(pack(field, method)).frames(torch.tensor([0.5])))
    content = (tmp_path / "a.fsq").read_bytes()
    for damaged in (b"", content[:100], content[:-3], b"XXXX" + content[4:]):
        (tmp_path / "b.fsq").write_bytes(damaged)
        with pytest.raises(BadInput, match="b.fsq"):
            load_compressed(tmp_path / "b.fsq")
    for bits in (1, 9):
        with pytest.raises(BadInput, match="bits"):
            pack(field, method, bits)
    with pytest.raises(BadInput, match="kept"):
        Pruner(field, 0.0)


@pytest.mark.parametrize("bits", [32, 8])
def test_fit_with_keep_fraction_prunes_resumes_and_still_learns(tmp_path, astronaut, bits):
    """Pruned on the way, the same after a resume, and learned all the same."""
    image = Image.from_array(astronaut[60:124, 180:276])
    options = {"batch": 1024, "table_size": 1024, "width": 16}
    whole = fit_field(image, steps=200, keep_fraction=0.3, bits=bits, settings=options, out=tmp_path / "whole")
    tensors = [t for t in whole.field.state_dict().values() if t.dim() > 1]
    kept = sum(int((t != 0).sum()) for t in tensors) / sum(t.numel() for t in tensors)
    assert 0.2 < kept <= 0.35
    assert fit_field(image, steps=200, bits=bits, settings=options).metrics["psnr"] > whole.metrics["psnr"] > 20
    for stop in (90, 170):  # before and after the weights are dropped
        trainer, run = prepare(
            image, "hashgrid", steps=200, keep_fraction=0.3, bits=bits, settings=options, out=tmp_path / f"cut{stop}"
        )
        finish(trainer, run, [lambda t, stop=stop: t.stop() if t.index == stop else None])
        again = finish(resume(image, Run.open(tmp_path / f"cut{stop}")), run)
        assert all(
            torch.equal(a, b) for a, b in zip(again.field.state_dict().values(), whole.field.state_dict().values())
        )
