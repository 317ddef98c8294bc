"""Steps of fits of each kind by the CUDA library: its kernels compiled for the host, and on a GPU where there is one.

On the host, tensors are the CPU's and everything else is what a GPU's would meet: which kernels serve, which steps are
left to autograd, and what the kernels compute. Losses are those of the CPU's own kernels.
"""

import sys

import nerfacc_stand_in
import numpy as np
import pytest
import torch
from cuda_helpers import HostKernels, call_on_host, compiled_for_host, on_gpu
from fit.posed_scene import write_scene
from PIL import Image
from torch.utils._python_dispatch import TorchDispatchMode

import cuda_ext
import scenes
from fields.fit.fit import prepare
from fields.ops import backends, nerfacc_rays
from fields.ops.cuda_calls import CudaFunctions
from scenes.errors import BadInput

STEPS = 3
GRID = {"levels": 3, "table_size": 256, "width": 16, "growth": 1.5}
# Signal, method, its options, and functions of the library that its steps must call.
FITS = {
    "image hashgrid": (
        "image",
        "hashgrid",
        GRID,
        ("grid_mlp_forward", "grid_mlp_backward", "hash_grid_backward", "adam"),
    ),
    "image siren": ("image", "siren", {"width": 32, "hidden_layers": 1}, ("mlp_forward", "mlp_backward", "adam")),
    "volume triplane": ("volume", "triplane", {}, ("factor_grid_forward", "factor_grid_backward", "mlp_forward")),
    "image neurbf": ("image", "neurbf", {}, ("nearest", "rbf_gather_forward", "rbf_gather_backward")),
    "image rbf": ("image", "rbf", {}, ("gaussian_layer_forward", "gaussian_layer_backward")),
    "shape hashgrid": ("shape", "hashgrid", GRID, ("grid_mlp_forward", "grid_mlp_backward")),
    "scene hashgrid": (
        "scene",
        "hashgrid",
        {**GRID, "ray_step": 0.05, "cells": 16, "hull": False},
        ("ray_box", "march_count", "march_write", "composite_forward", "composite_backward", "grid_mlp_backward"),
    ),
}


@pytest.fixture(scope="module")
def host_kernels(tmp_path_factory):
    names = ("grid_mlp", "mlp", "factor_grid", "rays", "rbf")
    return HostKernels([compiled_for_host(tmp_path_factory, name) for name in names])


@pytest.fixture(scope="module")
def signals(tmp_path_factory):
    """Signals by their kind, made when they are asked for."""
    return Signals(tmp_path_factory.mktemp("signals"))


class Signals(dict):
    def __init__(self, folder):
        super().__init__()
        self.folder = folder

    def __missing__(self, kind):
        self[kind] = scenes.load(getattr(self, kind)(), {"scene": "radiance"}.get(kind, kind))
        return self[kind]

    def waves(self):
        x, y, z = np.meshgrid(*[np.linspace(0, 1, 12)] * 3, indexing="ij")
        return np.stack([np.sin(7 * x + 3 * y), np.cos(5 * y + z), x * y], axis=-1) * 0.5 + 0.5

    def image(self):
        Image.fromarray((255 * self.waves()[:, :, 3]).astype(np.uint8)).save(self.folder / "image.png")
        return self.folder / "image.png"

    def volume(self):
        np.save(self.folder / "volume.npy", self.waves()[..., 0].astype(np.float32))
        return self.folder / "volume.npy"

    def shape(self):
        pytest.importorskip("trimesh").creation.icosphere(1).export(self.folder / "ball.obj")
        return self.folder / "ball.obj"

    def scene(self):
        return write_scene(self.folder / "scene", side=12, train=5, test=1)


def losses(signal, method, options, device="cpu"):
    """Losses of the first steps, from the same seed."""
    trainer, _ = prepare(signal, method, steps=STEPS, seed=3, device=device, settings={"batch": 96, **options})
    found = []
    for _ in range(STEPS):
        trainer.step()
        found.append(trainer.loss)
    return torch.tensor(found), trainer.field.backend


@pytest.fixture
def called(monkeypatch):
    """Names of the CUDA library's functions that a test calls."""
    names, run = set(), CudaFunctions.run

    def recorded(self, name, *arguments, **options):
        names.add(name.removeprefix("fs_"))
        return run(self, name, *arguments, **options)

    monkeypatch.setattr(CudaFunctions, "run", recorded)
    return names


@pytest.mark.parametrize("fit", FITS)
def test_steps_by_kernels_compiled_for_the_host_are_those_of_the_cpu(fit, signals, host_kernels, called, monkeypatch):
    kind, method, options, expected = FITS[fit]
    reference, _ = losses(signals[kind], method, options)
    cpu = cuda_ext.load("cpu")
    call_on_host(monkeypatch, host_kernels)
    # What the CPU's library alone can do, such as the search for the neighbours of a shape's points, stays with it.
    monkeypatch.setattr(cuda_ext, "load", lambda device: host_kernels if device == "cuda" else cpu)
    monkeypatch.setattr(backends, "device_type", lambda of: "cuda")
    found, _ = losses(signals[kind], method, options)
    assert set(expected) <= called, sorted(called)
    torch.testing.assert_close(found, reference, rtol=2e-3, atol=1e-6)


@on_gpu
@pytest.mark.parametrize("fit", FITS)
def test_steps_on_a_gpu_are_those_of_the_cpu(fit, signals, called):
    kind, method, options, expected = FITS[fit]
    reference, _ = losses(signals[kind], method, options)
    found, backend = losses(signals[kind], method, options, "cuda")
    assert set(expected) <= called and backend == "native-cuda"
    torch.testing.assert_close(found, reference, rtol=5e-3, atol=1e-6)


class Waits(TorchDispatchMode):
    """Records operations for which the processor waits for a GPU, because their results decide what comes next."""

    NAMES = ("_local_scalar_dense", "nonzero", "masked_select", "equal", "is_nonzero", "unique", "repeat_interleave")

    def __init__(self):
        super().__init__()
        self.found = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        sized = name == "repeat_interleave" and (kwargs or {}).get("output_size") is not None
        if any(name.lstrip("_").startswith(known.lstrip("_")) for known in self.NAMES) and not sized:
            self.found.append(name)
        return func(*args, **(kwargs or {}))


# Waits of a step after the first: of scenes, the longest ray, the number of samples, and those that light reaches.
WAITS = {"scene hashgrid": 3}


@pytest.mark.parametrize("fit", FITS)
def test_steps_wait_for_a_gpu_only_where_sizes_depend_on_results(fit, signals, host_kernels, monkeypatch):
    kind, method, options, _ = FITS[fit]
    cpu = cuda_ext.load("cpu")
    call_on_host(monkeypatch, host_kernels)
    monkeypatch.setattr(cuda_ext, "load", lambda device: host_kernels if device == "cuda" else cpu)
    monkeypatch.setattr(backends, "device_type", lambda of: "cuda")
    trainer, _ = prepare(signals[kind], method, steps=50, seed=3, device="cpu", settings={"batch": 96, **options})
    trainer.step()
    with Waits() as waits:
        trainer.step()
    assert len(waits.found) <= WAITS.get(fit, 0), waits.found


def test_steps_by_nerfacc_are_ours(signals, monkeypatch):
    kind, method, options, _ = FITS["scene hashgrid"]
    expected, _ = losses(signals[kind], method, options)
    monkeypatch.setitem(sys.modules, "nerfacc", nerfacc_stand_in)
    monkeypatch.setattr(nerfacc_rays, "why_not", lambda device: None)
    found, _ = losses(signals[kind], method, {**options, "march": "nerfacc"})
    torch.testing.assert_close(found, expected, rtol=5e-3, atol=1e-6)


def test_nerfacc_is_refused_where_it_cannot_serve(signals):
    kind, method, options, _ = FITS["scene hashgrid"]
    with pytest.raises(BadInput, match="march=nerfacc: nerfacc.*; use `march=native`"):
        losses(signals[kind], method, {**options, "march": "nerfacc"})


@on_gpu
def test_steps_by_nerfacc_on_a_gpu_are_ours(signals):
    if reason := nerfacc_rays.why_absent():
        pytest.skip(reason)
    kind, method, options, _ = FITS["scene hashgrid"]
    expected, _ = losses(signals[kind], method, options, "cuda")
    found, _ = losses(signals[kind], method, {**options, "march": "nerfacc"}, "cuda")
    torch.testing.assert_close(found, expected, rtol=2e-2, atol=1e-6)
