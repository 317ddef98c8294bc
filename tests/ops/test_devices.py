"""Which device an option means, and what is said of it. GPUs are pretended where the choice itself is what is tried."""

import warnings

import numpy as np
import pytest
import torch
from fit.posed_scene import write_scene
from PIL import Image
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import cuda_ext
import scenes
from apps.cli.main import main
from fields.fit.fit import prepare
from fields.ops import backends, devices
from fields.ops.devices import DeviceNote, resolve_device
from scenes.errors import BadInput


def resolved(name):
    """The device of an option, and the sentences that are told."""
    with warnings.catch_warnings(record=True) as notes:
        warnings.simplefilter("always")
        device = resolve_device(name)
    assert all(issubclass(note.category, DeviceNote) for note in notes)
    return str(device), [str(note.message) for note in notes]


@pytest.fixture
def pretend(monkeypatch, tmp_path):
    """A function that pretends a machine: whether torch can use its GPU, its driver, its CUDA library."""
    devices.why_kernels_fail.cache_clear()

    def machine(*, usable, driver=True, built_for="13.0", library=None, kernels=None):
        file = tmp_path / "version"
        if driver:
            file.touch()
        monkeypatch.setattr(devices, "DRIVER", file)
        monkeypatch.setattr(torch.cuda, "is_available", lambda: usable)
        monkeypatch.setattr(torch.version, "cuda", built_for)
        monkeypatch.setattr(cuda_ext, "why_absent", lambda device="cpu": library if device == "cuda" else None)
        monkeypatch.setattr(devices, "_driver_cuda", lambda: "12.4")

        def parity(device):
            if kernels:
                raise RuntimeError(kernels)
            return {"verdict": "agree"}

        monkeypatch.setattr(devices, "hash_grid_parity", parity)

    yield machine
    devices.why_kernels_fail.cache_clear()


def test_auto_is_the_cpu_without_a_word_where_there_is_no_gpu(pretend):
    pretend(usable=False, driver=False, built_for=None)
    assert resolved("auto") == ("cpu", [])


def test_auto_is_the_gpu_where_its_kernels_run(pretend):
    pretend(usable=True)
    assert resolved("auto") == ("cuda", [])


@pytest.mark.parametrize("error", ["no kernel image is available", "CUDA driver version is insufficient"])
def test_auto_falls_back_with_one_sentence_where_the_library_does_not_fit(pretend, error):
    pretend(usable=True, kernels=f"hash_grid failed on the GPU: {error}\nmore")
    device, (sentence,) = resolved("auto")
    assert device == "cpu" and error in sentence and "more" not in sentence and "`make cuda`" in sentence


def test_auto_falls_back_with_one_sentence_where_torch_does_not_fit_the_driver(pretend):
    pretend(usable=False)
    device, (sentence,) = resolved("auto")
    assert device == "cpu" and "CUDA 13.0" in sentence and "serves 12.4" in sentence and "update the driver" in sentence


def test_a_torch_without_cuda_beside_a_gpu_is_told_of(pretend):
    pretend(usable=False, built_for=None)
    device, (sentence,) = resolved("auto")
    assert device == "cpu" and "built without CUDA" in sentence and "pip install torch" in sentence


def test_hidden_gpus_are_told_of(pretend, monkeypatch):
    pretend(usable=False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with pytest.raises(BadInput, match="`device=cuda`: .*CUDA_VISIBLE_DEVICES hides"):
        resolve_device("cuda")


def test_a_gpu_without_the_library_computes_in_plain_torch_and_says_so(pretend):
    pretend(usable=True, library="libfield_studio_cuda.so was not built")
    device, (sentence,) = resolved("auto")
    assert device == "cuda" and "plain torch" in sentence and "was not built" in sentence


def test_mps_is_said_to_be_slow_and_refused_where_it_is_not(monkeypatch):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(BadInput, match="`device=mps`: torch finds no Apple GPU"):
        resolve_device("mps")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    device, (sentence,) = resolved("mps")
    assert device == "mps" and "slow" in sentence


def test_the_command_line_prints_the_sentence_once_as_a_note(pretend, tmp_path, capsys):
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / "dark.png")
    pretend(usable=False)
    command = ["fit", str(tmp_path / "dark.png"), "--steps", "2", "--out", str(tmp_path / "run")]
    assert main(command) == 0
    assert capsys.readouterr().err.count("note: the GPU is not used, but the CPU: torch finds no usable") == 1
    assert main([*command[:-1], str(tmp_path / "quiet"), "--quiet"]) == 0
    assert "GPU" not in capsys.readouterr().err


def test_doctor_says_what_is_wrong_and_what_auto_is(pretend, capsys):
    pretend(usable=False)
    assert main(["doctor"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "update the driver" in said and "--device auto cpu; the GPU is not used" in said
    assert "--set backend=tcnn" in said and "--set march=nerfacc" in said


class NoDoubles(TorchDispatchMode):
    """Refuses what Apple's GPUs lack: tensors of float64."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        results = func(*args, **(kwargs or {}))
        for result in tree_leaves(results):
            if isinstance(result, torch.Tensor) and result.dtype in (torch.float64, torch.complex128):
                raise TypeError(f"{func} makes {result.dtype}")
        return results


@pytest.mark.parametrize("method", ["hashgrid", "siren", "wire", "cam", "neurbf"])
def test_steps_in_plain_torch_need_no_float64(method, tmp_path, monkeypatch):
    """As far as the CPU can tell: on mps no kernel serves, and steps are computed in float32 alone."""
    pixels = np.random.default_rng(0).integers(0, 255, (12, 12, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "image.png")
    monkeypatch.setattr(backends, "device_type", lambda of: "mps")
    trainer, _ = prepare(scenes.load(tmp_path / "image.png"), method, steps=9, settings={"batch": 64})
    trainer.step()
    batch = trainer.objective.batch(1, 64, 0, torch.device("cpu"))
    with NoDoubles():
        trainer._gradients(batch)
        trainer.optimizer.step()
    assert np.isfinite(trainer.loss)
    with pytest.raises(TypeError, match="float64"), NoDoubles():
        torch.ones(1).double()


def test_scenes_are_refused_on_mps(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    with pytest.raises(BadInput, match="`device=mps`: scenes are composited in float64"):
        prepare(scenes.load(write_scene(tmp_path / "scene", side=8, train=4, test=1)), steps=1, device="mps")
