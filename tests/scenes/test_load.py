"""`scenes.load`, the table of kinds, and what importing costs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import scenes
from scenes.errors import BadInput
from scenes.recognise import RULES


def test_every_kind_that_is_recognised_has_a_loader_with_options():
    kinds = {kind for kind, _ in RULES} | {"image"}
    assert kinds == set(scenes.LOADERS)
    assert all(scenes.loader_options(kind) for kind in kinds)


def test_load_opens_sample_photographs_and_files(photograph: Path, astronaut: np.ndarray):
    assert np.array_equal(scenes.load("skimage:astronaut").pixels, astronaut)
    assert scenes.load("skimage:astronaut").source["path"] == "skimage:astronaut"
    assert np.array_equal(scenes.load(str(photograph), "image", held_out=0.5).pixels, astronaut[60:124, 180:276])


def test_load_refuses_unknown_kinds_options_and_samples(photograph: Path):
    with pytest.raises(BadInput, match="no kind of signal called film; there are image"):
        scenes.load(photograph, "film")
    with pytest.raises(BadInput, match="no option color; it has .*held_out"):
        scenes.load(photograph, color="red")
    with pytest.raises(BadInput, match="skimage:nobody: .*astronaut"):
        scenes.load("skimage:nobody")


def test_importing_scenes_imports_no_heavy_package():
    code = (
        "import sys, scenes, scenes.image.signal; "
        "print([name for name in sys.modules if name.split('.')[0] in "
        "('torch', 'fields', 'PIL', 'OpenEXR', 'tifffile', 'skimage', 'imagecodecs')])"
    )
    root = Path(__file__).resolve().parents[2]
    assert subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True).stdout == "[]\n"


def test_loading_an_image_does_not_import_torch(photograph: Path):
    code = (
        f"import sys, scenes; scenes.load({str(photograph)!r}).preview(); "
        "print('torch' in sys.modules, 'fields' in sys.modules)"
    )
    root = Path(__file__).resolve().parents[2]
    out = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True).stdout
    assert out == "False False\n"
