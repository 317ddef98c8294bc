"""Cases of the kernel benchmark: each runs, and its plain contender keeps to the device that it is given."""

import sys

import pytest
import torch

from benchmarks.kernels import __main__ as command
from benchmarks.kernels import grids, mlps, networks, planes, rbf, step
from benchmarks.kernels.measure import CASES

PLAIN = {case.id: case for case in CASES if "torch" in case.contenders}


@pytest.fixture(autouse=True)
def few_points(monkeypatch):
    for module in (grids, mlps, networks, planes, rbf, step):
        monkeypatch.setattr(module, "POINTS", 128)


@pytest.mark.parametrize(
    "id",
    ["hashgrid2d-15-fwdbwd", "mlp-64", "triplane", "tensorf-vm", "gaussian-layer", "step2d-15"]
    + [f"network-{activation}-4x64-step" for activation in ("sine", "gabor")],
)
def test_plain_contenders_keep_to_their_device(id):
    """On torch's device without data a tensor that was left on the CPU raises, as it does on a GPU."""
    PLAIN[id].prepare("torch", id, "meta")()


@pytest.mark.parametrize(
    "id", ["hashgrid2d-15-fwdbwd", "mlp-64", "triplane", "gaussian-layer", "step2d-15", "network-sine-4x64-step"]
)
def test_native_contenders_run_through_autograd_as_on_a_gpu(id):
    """On a GPU the whole steps are autograd's; `cuda` decides that, and plain torch computes where no kernel does."""
    case = PLAIN[id]
    case.prepare("native", id, "cpu")()
    assert case.contenders_on("cuda")[0] == "native"


def test_contenders_of_a_gpu_are_those_that_compute_there():
    cases = {case.id: case for case in CASES}
    assert cases["hashgrid2d-15-fwd"].contenders_on("cuda") == ("native", "torch", "torch-compiled", "tcnn")
    assert cases["march"].contenders_on("cuda") == ("native", "torch", "torch-compiled", "nerfacc")
    assert cases["mlp-64-bf16"].contenders_on("cuda") == () == cases["mlp-64-half"].contenders_on("cpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_nothing_is_measured_on_one(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["kernels", "--device", "cuda", "--json"])
    with pytest.raises(SystemExit) as ended:
        command.main()
    said = capsys.readouterr()
    assert ended.value.code == 2 and "--device cuda: needs a GPU" in said.err and not said.out
