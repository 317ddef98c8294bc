"""Test of a disk that becomes full while a run is written."""

import subprocess
import sys

import pytest


@pytest.fixture
def small_disk(tmp_path):
    """A folder with room for 200 kB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(folder)], capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"a small disk cannot be mounted here ({mounted.stderr.strip()})")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_fit_on_a_full_disk_fails_with_one_line_and_leaves_nothing(small_disk, photograph):
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "apps.cli.main",
            "fit",
            str(photograph),
            "--steps",
            "5",
            "--params",
            "200k",
            "--out",
            str(small_disk / "run"),
        ],
        capture_output=True,
        text=True,
        timeout=120,
    )
    lines = done.stderr.strip().splitlines()
    assert done.returncode == 2, done.stderr
    assert lines[-1].startswith("error: ")
    assert "full" in lines[-1]
    assert not (small_disk / "run" / "field.safetensors").exists()
    assert not list(small_disk.rglob(".writing*"))
