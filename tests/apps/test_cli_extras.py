"""Where the packages of an extra are missing, commands that need them say which extra, and others do without."""

import sys

import numpy as np
import pytest
from PIL import Image

from apps.cli.main import main

OPTIONAL = {
    "media": ("av", "soundfile"),
    "shapes": ("trimesh", "igl", "xatlas", "fast_simplification"),
    "plots": ("matplotlib",),
}
OBJ = "v 0 0 0\nv 1 0 0\nv 0 1 0\nv 0 0 1\nf 1 3 2\nf 1 2 4\nf 2 3 4\nf 1 4 3\n"


@pytest.fixture(autouse=True)
def base_only(monkeypatch):
    """What an installation without extras can import."""
    for name in [n for n in sys.modules if n.split(".")[0] in sum(OPTIONAL.values(), ())]:
        monkeypatch.delitem(sys.modules, name)
    for name in sum(OPTIONAL.values(), ()):
        monkeypatch.setitem(sys.modules, name, None)


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    from scipy.io import wavfile

    folder = tmp_path_factory.mktemp("sources")
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 255, (24, 24, 3), np.uint8)).save(folder / "photo.png")
    wavfile.write(folder / "sound.wav", 8000, rng.integers(-9000, 9000, 4000).astype(np.int16))
    (folder / "mesh.obj").write_text(OBJ)
    (folder / "clip.mp4").write_bytes(b"\0\0\0\x20ftypisom\0\0\2\0isomiso2avc1mp41" + bytes(64))
    return folder


def test_a_photograph_needs_none(sources, tmp_path, capsys):
    assert main(["fit", str(sources / "photo.png"), "--steps", "2", "--out", str(tmp_path / "run")]) == 0
    assert main(["export", str(tmp_path / "run"), str(tmp_path / "out.png")]) == 0


@pytest.mark.parametrize(("name", "extra"), [("sound.wav", "media"), ("clip.mp4", "media"), ("mesh.obj", "shapes")])
def test_other_kinds_name_the_extra(sources, tmp_path, capsys, name, extra):
    assert main(["fit", str(sources / name), "--steps", "2", "--out", str(tmp_path / "run")]) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
    assert f"pip install 'field-studio[{extra}]'" in line
    assert not (tmp_path / "run").exists()
