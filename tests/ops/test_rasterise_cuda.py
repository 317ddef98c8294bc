"""CUDA rasterisation against the reference: on a GPU if there is one, and always compiled for the CPU.

The kernels compiled for the CPU (`cuda_on_host`) show that the arithmetic is right, not that a GPU runs them.
"""

import sys

import pytest
import torch
from cuda_helpers import HOST, call_on_host, compiled_for_host, declared_fields, declared_functions, on_gpu
from test_rasterise import random_mesh

from fields.ops import rasterise_cuda
from fields.ops.rasterise import RasteriseCall, rasterise


@pytest.fixture(scope="session")
def host_library(tmp_path_factory):
    return compiled_for_host(tmp_path_factory, "rasterise")


@pytest.fixture(params=["host", pytest.param("cuda", marks=on_gpu)])
def device(request, monkeypatch):
    """Device of the tensors. On the CPU, CUDA calls go to the kernels that were compiled for the host."""
    if request.param == "cuda":
        return "cuda"
    call_on_host(monkeypatch, request.getfixturevalue("host_library"))
    module = sys.modules["fields.ops.rasterise"]
    monkeypatch.setattr(module, "_run", lambda call, _: rasterise_cuda.rasterise(call, HOST))
    return "cpu"


@pytest.mark.parametrize("kind", ["smooth", "lattice"])
@pytest.mark.parametrize("faces, height, width", [(0, 3, 5), (70, 33, 20), (400, 17, 90)])
def test_image_equals_reference_to_the_last_bit(kind, faces, height, width, device):
    positions, indices = random_mesh(60, faces, height, width, 3, kind)
    ours = rasterise(positions.to(device), indices.to(device), height, width, backend="native")
    for found, expected in zip(ours, rasterise(positions, indices, height, width, backend="torch")):
        assert torch.equal(found.cpu(), expected)


def test_python_mirrors_the_struct_of_the_call():
    assert declared_fields("rasterise.h", "RasteriseCall") == list(RasteriseCall._fields_)


def test_python_mirrors_the_declared_functions():
    assert declared_functions("rasterise.h") == rasterise_cuda.SIGNATURES
