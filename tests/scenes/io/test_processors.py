"""Threads that pay: the processors of the process, less where control groups or slow cores limit them."""

import os

import pytest

from scenes.io import processors


@pytest.fixture(autouse=True)
def sixteen_processors(monkeypatch, tmp_path):
    monkeypatch.setattr(processors, "_affinity", lambda: set(range(16)))
    monkeypatch.setattr(processors, "DEVICES", tmp_path / "devices")
    monkeypatch.setattr("scenes.io.cgroups.CGROUP_TABLE", tmp_path / "absent")


def describe(folder, name: str, text: object) -> None:
    path = folder / "devices" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{text}\n")


def test_without_limits_every_processor_counts():
    assert processors.usable_threads() == 16


@pytest.mark.parametrize(
    ("limit", "threads"), [("200000 100000", 2), ("250000 100000", 3), ("5000 100000", 1), ("max 100000", 16)]
)
def test_quotas_of_version_2_are_rounded_up(cgroups, limit, threads):
    cgroups("0::/box/inner\n", box={"cpu.max": limit}, box__inner={"cpu.max": "max 100000"})
    assert processors.usable_threads() == threads


@pytest.mark.parametrize(("quota", "threads"), [(400000, 4), (-1, 16)])
def test_quotas_of_version_1(cgroups, quota, threads):
    files = {"cpu.cfs_quota_us": f"{quota}\n", "cpu.cfs_period_us": "100000\n"}
    cgroups("4:cpu,cpuacct:/box\n7:memory:/box\n", cpu__box=files)
    assert processors.usable_threads() == threads


def test_slow_cores_of_hybrid_processors_do_not_count(tmp_path):
    describe(tmp_path, "cpu_core/cpus", "0-5,8")
    assert processors.usable_threads() == 7


def test_capacities_tell_slow_cores(tmp_path):
    for core in range(16):
        describe(tmp_path, f"system/cpu/cpu{core}/cpu_capacity", 1024 if core >= 12 else 420)
    assert processors.usable_threads() == 4


def test_no_kernel_wants_more_than_64(monkeypatch):
    monkeypatch.setattr(processors, "_affinity", lambda: set(range(128)))
    assert processors.usable_threads() == 64


def test_the_environment_is_left_alone_where_it_names_a_number_or_nothing_limits(monkeypatch, cgroups):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    processors.limit_threads()
    assert "OMP_NUM_THREADS" not in os.environ
    cgroups("0::/\n", **{"": {"cpu.max": "300000 100000"}})
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    processors.limit_threads()
    assert os.environ["OMP_NUM_THREADS"] == "7"
    monkeypatch.delenv("OMP_NUM_THREADS")
    processors.limit_threads()
    assert os.environ["OMP_NUM_THREADS"] == "3"
