"""Broken files are refused by one line, or read; `python -m benchmarks.trust.files` does the same with all of them."""

import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from benchmarks.trust import reading
from benchmarks.trust.broken_files import corpus
from benchmarks.trust.files import QUICK_FILES, chosen
from scenes.errors import BadInput


def test_the_corpus_has_500_files_of_all_formats():
    names = [case.name for case in corpus()]
    assert len(names) == len(set(names)) >= 500
    formats = {name.partition("/")[0] for name in names}
    assert {"image-png", "audio-wav", "video-mp4", "shape-glb", "volume-nrrd", "posed-colmap-binary"} <= formats
    assert {"run-image-siren.fsq", "lying", "posed", "archive"} <= formats


def test_60_files_are_refused_by_one_line_or_read():
    names = chosen(quick=True)
    assert len(names) == QUICK_FILES
    found = list(reading.outcomes(names))
    assert [outcome.name for outcome in found] == names
    assert [outcome for outcome in found if not outcome.right] == []
    # A check that reads everything, or nothing, would be no check.
    assert 5 < sum(outcome.how == reading.READ for outcome in found) < 55


@pytest.mark.parametrize(
    ("behaves", "how"),
    [
        (lambda source: "read", "read"),
        (lambda source: _raise(BadInput("wrong")), "refused"),
        (lambda source: _raise(BadInput("wrong\nand more")), "refused by 2 lines"),
        (lambda source: _raise(KeyError("x")), "raised KeyError"),
        (lambda source: (source.parent / "beside.txt").write_text("x") and "read", "left files"),
        (lambda source: Path("here.txt").write_text("x") and "read", "left files"),
        (lambda source: (source.parents[2] / "climbed.png").write_text("x") and "read", "left files"),
    ],
)
def test_what_is_wrong_is_noticed(monkeypatch, tmp_path, behaves, how):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(reading, "_read_signal", behaves)

    def make(folder: Path) -> Path:
        (folder / "a.png").write_bytes(b"x")
        return folder / "a.png"

    outcome = reading._outcome("a", make, tmp_path)
    assert outcome.how == how
    assert outcome.right == (how in ("read", "refused"))


def _raise(error: Exception) -> None:
    raise error


LOADS = """
import subprocess
import sys
from pathlib import Path
from benchmarks.trust.broken_files import corpus
import scenes
from scenes.errors import BadInput
source = next(case for case in corpus() if case.name == "video-mp4/flipped-anywhere").make(Path(sys.argv[1]))
for _ in range(100):
    try:
        scenes.load(source)
    except BadInput:
        pass
"""


@pytest.mark.slow
def test_a_damaged_film_does_not_lock_its_decoder(tmp_path):
    pytest.importorskip("av")
    root = str(Path(__file__).resolve().parents[2])
    done = subprocess.run([sys.executable, "-c", LOADS, str(tmp_path)], cwd=root, timeout=120)
    assert done.returncode == 0
