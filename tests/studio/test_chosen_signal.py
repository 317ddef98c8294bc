"""Signals that are chosen on the page: they are opened once for several visitors, and limited in size."""

import shutil

import numpy as np
import pytest

import scenes
from apps.studio import chosen_signal
from scenes.errors import BadInput


def test_two_visitors_do_not_reopen_each_others_signals(photograph, tmp_path, monkeypatch):
    calls, load = [], scenes.load
    monkeypatch.setattr(scenes, "load", lambda *given, **more: calls.append(given) or load(*given, **more))
    other = shutil.copy(photograph, tmp_path / "other.png")
    for source in (photograph, other) * 3:
        assert chosen_signal.load_cached(str(source), "image", {}).kind == "image"
    assert len(calls) == 2


def test_volumes_and_scenes_may_have_three_times_the_pixels_of_an_image(tmp_path, monkeypatch):
    """The limit is checked before anything is decoded."""
    monkeypatch.setattr(chosen_signal, "MAX_PIXELS", 1000)
    np.savez_compressed(tmp_path / "volume.npz", np.zeros((31, 10, 10)))
    np.savez_compressed(
        tmp_path / "scene.npz", images=np.zeros((31, 10, 10, 3)), poses=np.zeros((31, 3, 4)), focal=np.array(10.0)
    )
    monkeypatch.setattr(np.lib.format, "read_array", None)
    with pytest.raises(BadInput, match="3,100 voxels are more than the limit of 3,000"):
        chosen_signal.open_signal(str(tmp_path / "volume.npz"), "volume")
    with pytest.raises(BadInput, match="31 views are 0.0031 megapixels in all, more than the limit of 0.003"):
        chosen_signal.open_signal(str(tmp_path / "scene.npz"), "scene")
