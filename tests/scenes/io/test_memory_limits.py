"""Available and total memory: the machine's, or less where a control group limits the process."""

import psutil
import pytest

from scenes.io import memory

GIB = 1 << 30


def v2(limit: object, used: int, reclaimable: int = 0) -> dict[str, str]:
    return {
        "memory.max": f"{limit}\n",
        "memory.current": f"{used}\n",
        "memory.stat": f"anon 5\ninactive_file {reclaimable}\n",
    }


def v1(limit: int, used: int, reclaimable: int = 0) -> dict[str, str]:
    return {
        "memory.limit_in_bytes": f"{limit}\n",
        "memory.usage_in_bytes": f"{used}\n",
        "memory.stat": f"inactive_file 1\ntotal_inactive_file {reclaimable}\n",
    }


@pytest.fixture
def large_machine(monkeypatch):
    machine = psutil.virtual_memory()._replace(total=64 * GIB, available=32 * GIB)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: machine)


def test_without_cgroups_the_machine_decides(cgroups, large_machine):
    assert memory.available_memory() == 32 * GIB
    assert memory.total_memory() == 64 * GIB


def test_unlimited_cgroup_changes_nothing(cgroups, large_machine):
    cgroups("0::/\n", **{"": v2("max", GIB)})
    assert memory.available_memory() == 32 * GIB
    assert memory.total_memory() == 64 * GIB


def test_limit_of_cgroup_v2_counts_without_its_file_cache(cgroups, large_machine):
    cgroups("0::/\n", **{"": v2(4 * GIB, 3 * GIB, reclaimable=2 * GIB)})
    assert memory.available_memory() == 3 * GIB
    assert memory.total_memory() == 4 * GIB


def test_smallest_limit_of_nested_groups_counts(cgroups, large_machine):
    cgroups("0::/slice/job\n", slice=v2(2 * GIB, GIB), slice__job=v2("max", GIB))
    assert memory.available_memory() == GIB
    assert memory.total_memory() == 2 * GIB


def test_limit_of_cgroup_v1_counts(cgroups, large_machine):
    cgroups("5:devices:/\n4:memory:/job\n0::/\n", memory__job=v1(2 * GIB, GIB), memory=v1(2**63 - 4096, 5 * GIB))
    assert memory.available_memory() == GIB
    assert memory.total_memory() == 2 * GIB


def test_path_of_the_host_falls_back_to_the_mounted_root(cgroups, large_machine):
    cgroups("0::/docker/abc\n", **{"": v2(8 * GIB, 2 * GIB)})
    assert memory.available_memory() == 6 * GIB


def test_group_above_its_limit_leaves_nothing(cgroups, large_machine):
    cgroups("0::/\n", **{"": v2(GIB, 2 * GIB)})
    assert memory.available_memory() == 0


def test_this_machine_has_memory():
    assert 0 < memory.available_memory() <= memory.total_memory()
