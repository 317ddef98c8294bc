"""Files are written whole or not at all."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from small_disk import disk_of_64k, file_size_limit

from scenes.errors import BadInput
from scenes.io.atomic import atomic_write, atomic_write_bytes, check_path_writable, holds_anything, is_unfinished


def test_writes_the_content_and_leaves_no_other_file(tmp_path: Path):
    atomic_write_bytes(tmp_path / "a.png", b"one")
    atomic_write_bytes(tmp_path / "a.png", b"two")
    assert (tmp_path / "a.png").read_bytes() == b"two"
    assert os.listdir(tmp_path) == ["a.png"]


def test_the_temporary_file_has_the_same_ending_and_folder(tmp_path: Path):
    with atomic_write(tmp_path / "a.tar.exr") as temporary:
        assert temporary.suffix == ".exr" and temporary.parent == tmp_path and temporary.exists()
        temporary.write_bytes(b"x")


def test_readers_see_the_old_content_until_the_block_ends(tmp_path: Path):
    path = tmp_path / "a"
    atomic_write_bytes(path, b"old")
    with atomic_write(path) as temporary:
        temporary.write_bytes(b"new")
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, BadInput])
def test_an_exception_leaves_the_old_content(tmp_path: Path, error: type[BaseException]):
    path = tmp_path / "a"
    atomic_write_bytes(path, b"old")
    with pytest.raises(error), atomic_write(path) as temporary:
        temporary.write_bytes(b"half")
        raise error
    assert path.read_bytes() == b"old" and os.listdir(tmp_path) == ["a"]


def test_permissions_are_those_of_an_ordinary_file(tmp_path: Path):
    (tmp_path / "plain").write_bytes(b"")
    atomic_write_bytes(tmp_path / "ours", b"")
    assert stat.S_IMODE((tmp_path / "ours").stat().st_mode) == stat.S_IMODE((tmp_path / "plain").stat().st_mode)


def test_a_symbolic_link_stays_a_link(tmp_path: Path):
    (tmp_path / "real").write_bytes(b"old")
    (tmp_path / "link").symlink_to("real")
    atomic_write_bytes(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "real").read_bytes() == b"new"


@pytest.mark.parametrize(
    "name, words",
    [
        ("missing/a", "folder does not exist"),
        ("folder", "it is a folder"),
        ("file/a", "a part of the path is a file"),
        ("x" * 300, "name is too long"),
    ],
)
def test_refuses_paths_that_cannot_be_written_and_leaves_them_alone(tmp_path: Path, name: str, words: str):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_bytes(b"")
    before = sorted(os.listdir(tmp_path))
    for attempt in (lambda: atomic_write_bytes(tmp_path / name, b"x"), lambda: check_path_writable(tmp_path / name)):
        with pytest.raises(BadInput, match=words) as caught:
            attempt()
        assert "\n" not in str(caught.value) and name in str(caught.value)
    assert sorted(os.listdir(tmp_path)) == before


def test_checking_a_writable_path_changes_nothing(tmp_path: Path):
    atomic_write_bytes(tmp_path / "a", b"old")
    check_path_writable(tmp_path / "a")
    check_path_writable(tmp_path / "b")
    assert os.listdir(tmp_path) == ["a"] and (tmp_path / "a").read_bytes() == b"old"


def test_a_file_size_limit_leaves_the_old_content(tmp_path: Path):
    path = tmp_path / "a"
    atomic_write_bytes(path, b"old")
    with file_size_limit(1000), pytest.raises(BadInput, match="cannot write .*larger than the system allows"):
        atomic_write_bytes(path, bytes(5000))
    assert path.read_bytes() == b"old" and os.listdir(tmp_path) == ["a"]


def test_a_full_disk_is_named_and_leaves_nothing(tmp_path: Path):
    with disk_of_64k(tmp_path):
        with pytest.raises(BadInput, match="the disk is full"):
            atomic_write_bytes(tmp_path / "a", bytes(1 << 20))
        assert os.listdir(tmp_path) == []


def test_the_content_is_synced_before_the_file_is_renamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """So a power cut cannot leave the new name on an empty file."""
    calls, fsync, replace = [], os.fsync, os.replace

    def named(handle: int) -> str:
        return os.path.basename(os.readlink(f"/proc/self/fd/{handle}"))

    monkeypatch.setattr(os, "fsync", lambda handle: calls.append(named(handle)) or fsync(handle))
    monkeypatch.setattr(os, "replace", lambda *paths: calls.append("replace") or replace(*paths))
    atomic_write_bytes(tmp_path / "a", b"x")
    assert calls[0].startswith(".writing-") and calls[1:] == ["replace", tmp_path.name]


def test_an_error_about_another_file_is_raised_as_it_is(tmp_path: Path):
    with pytest.raises(FileNotFoundError), atomic_write(tmp_path / "a"):
        (tmp_path / "something else").read_bytes()
    assert os.listdir(tmp_path) == []


def test_what_a_killed_process_was_writing_is_removed_and_does_not_count(tmp_path: Path):
    killed = subprocess.run([sys.executable, "-c", KILLED], cwd=tmp_path, env=os.environ | {"PYTHONPATH": ROOT})
    assert killed.returncode == -signal.SIGKILL
    left = [path for path in tmp_path.iterdir() if is_unfinished(path)]
    assert len(left) == 1 and not holds_anything(tmp_path)
    other = tmp_path / left[0].name.replace(left[0].name.split("-")[1], "ffffff")
    other.write_bytes(b"of another machine")
    with atomic_write(tmp_path / "b") as mine:
        atomic_write_bytes(tmp_path / "a", b"x")
        assert not left[0].exists() and other.exists() and mine.exists()
    assert holds_anything(tmp_path)


ROOT = str(Path(__file__).resolve().parents[3])
KILLED = """
import os, signal
from scenes.io.atomic import atomic_write, atomic_write_bytes, check_path_writable, holds_anything, is_unfinished
with atomic_write("a") as temporary:
    temporary.write_bytes(b"half")
    os.kill(os.getpid(), signal.SIGKILL)
"""
