"""`make gpu`: parts fail alone, go on where they stopped, and store nothing without a GPU; and its small cases."""

import json
import sys
import time

import pytest
import torch

from benchmarks.gpu import __main__ as command
from benchmarks.gpu import record, small_cases
from benchmarks.gpu.machine import Gpu, Here, missing_packages, wheels_to_install
from benchmarks.gpu.parts import PARTS, Context, Outcome, Part, Ran
from benchmarks.gpu.record import DONE, FAILED, LATER, NEEDS_GPU

H200 = Gpu("NVIDIA H200", "580.1", "9.0")


def here(gpu=H200, why=None, packages=()):
    return Here(gpu, why, sys.executable, "2.13.0", dict.fromkeys(("nvcc", "cmake", "compute-sanitizer")), [*packages])


def run(monkeypatch, tmp_path, works, machine=None, *arguments):
    """States after a call with these parts, by name."""
    machine = machine or here()
    parts = [Part(name, "", 60, 1, work) for name, work in works.items()]
    monkeypatch.setattr(command, "PARTS", parts)
    monkeypatch.setattr(command, "look", lambda site: machine)
    monkeypatch.setattr(command, "RESULTS", tmp_path / "results")
    (tmp_path / "results").mkdir(exist_ok=True)
    monkeypatch.setattr(sys, "argv", ["gpu", "--out", str(tmp_path), *arguments])
    status = command.main()
    return status, json.loads((tmp_path / "parts.json").read_text())["parts"]


def test_a_part_that_fails_does_not_stop_the_next_and_is_tried_again(monkeypatch, tmp_path):
    calls = []

    def good(context):
        calls.append("good")
        return Outcome(DONE, "all is well", [{"id": "speed", "value": 2.0, "unit": "ms"}])

    def bad(context):
        calls.append("bad")
        raise RuntimeError("the driver went away")

    works = {"first": bad, "second": good}
    status, states = run(monkeypatch, tmp_path, works)
    assert status == 1 and states["second"]["state"] == DONE
    assert states["first"] == {"state": FAILED, "detail": "RuntimeError: the driver went away", "seconds": 0.0}
    kept = json.loads((tmp_path / "gpu-nvidia-h200.json").read_text())
    assert kept["machine"]["gpu"] == "NVIDIA H200" and kept["benchmark"] == "gpu-nvidia-h200"
    assert kept["rows"] == [{"id": "speed", "value": 2.0, "unit": "ms"}]
    run(monkeypatch, tmp_path, works)
    assert calls == ["bad", "good", "bad"]
    run(monkeypatch, tmp_path, works, None, "--again", "--only", "second", "--store")
    assert calls[3:] == ["good"] and (tmp_path / "results" / "gpu-nvidia-h200.json").is_file()


def test_parts_of_another_commit_are_done_again(monkeypatch, tmp_path):
    calls = []

    def work(context):
        calls.append(context.name)
        return Outcome(DONE, "")

    run(monkeypatch, tmp_path, {"part": work})
    monkeypatch.setattr(record, "commit", lambda: "another")
    run(monkeypatch, tmp_path, {"part": work})
    assert calls == ["part", "part"]


def test_without_a_gpu_no_rows_are_written(monkeypatch, tmp_path):
    def work(context):
        return Outcome(NEEDS_GPU, "", [{"id": "speed", "value": 1.0, "unit": "ms"}])

    status, states = run(monkeypatch, tmp_path, {"part": work}, here(None, "there is no driver"), "--store")
    assert status == 0 and states["part"]["state"] == NEEDS_GPU
    assert not list(tmp_path.rglob("gpu-*.json"))


def test_a_part_for_which_no_time_is_left_waits_for_the_next_run(monkeypatch, tmp_path):
    _, states = run(monkeypatch, tmp_path, {"part": lambda context: Outcome(DONE, "")}, None, "--minutes", "0.01")
    assert states["part"]["state"] == LATER


def test_a_command_that_takes_too_long_is_ended_and_its_rows_are_kept(tmp_path):
    context = Context(here(), tmp_path, None, None, seconds=20, name="part")
    code = 'import time; print(\'ROW {"id": "a", "value": 1}\', flush=True); time.sleep(60)'
    begun = time.monotonic()
    ran = context.python("-c", code, seconds=2)
    assert time.monotonic() - begun < 15
    assert ran.status is None and ran.rows == [{"id": "a", "value": 1}] and "its time was over" in ran.why
    assert "ROW" in (tmp_path / "part.log").read_text()


def test_failures_are_told_by_their_last_lines():
    assert Ran(1, "begin\n\none\ntwo\nthree\n").why == "one | two | three"


def test_wheels_of_what_is_missing_are_chosen(tmp_path):
    for name in ("pydantic-2.14-py3-none-any.whl", "torch-2.13-cp311-linux.whl", "safetensors-0.8-cp38-abi3-linux.whl"):
        (tmp_path / name).touch()
    machine = here(packages=("torch", "numpy", "safetensors"))
    assert [wheel.name.split("-")[0] for wheel in wheels_to_install(tmp_path, machine)] == ["pydantic"]
    assert {"pydantic", "pytest"} <= set(missing_packages(machine)) and "numpy" not in missing_packages(machine)


def test_parts_fit_into_a_few_calls_of_eight_minutes_the_proof_first():
    names = [part.name for part in PARTS]
    assert names[:4] == ["packages", "build", "loads", "tests"]
    assert sum(part.least for part in PARTS) < 60 * command.MINUTES


@pytest.mark.parametrize("name", small_cases.CASES)
def test_small_cases_agree_with_their_references(name):
    case = small_cases.CASES[name]
    assert small_cases.difference(case("native", "cpu"), case("torch", "cpu")) <= small_cases.TOLERANCE


def test_differences_of_values_and_shapes_are_found():
    ones = [torch.ones(3)]
    assert small_cases.difference([torch.ones(4)], ones) == float("inf")
    assert small_cases.difference([torch.tensor([1.0, 1.0, 1.5])], ones) == pytest.approx(0.5)
    assert small_cases.difference([torch.tensor([1.0, torch.nan, 1.0])], ones) == pytest.approx(1.0)
