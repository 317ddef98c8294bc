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


def test_what_a_loader_decided_is_shown_with_the_labels_of_the_page(tmp_path):
    """The same lines as on the command line, of a scene in the tab of fits and in that of reconstructions."""
    import json

    from PIL import Image

    from apps.studio.photographs import open_scene
    from apps.studio.tabs.fit import shown_signal
    from apps.studio.tabs.reconstruct import _about
    from scenes.posed.pose import look_at

    exif = Image.Exif()
    exif[0x0112] = 3
    frames = []
    for index in range(8):
        pixels = np.random.default_rng(index).integers(0, 255, (8, 12, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{index}.png", exif=exif)
        pose = look_at((4 * np.cos(index), 4 * np.sin(index), 1.0), (0, 0, 0))
        frames.append({"file_path": f"{index}.png", "transform_matrix": [*pose.tolist(), [0, 0, 0, 1]]})
    (tmp_path / "transforms.json").write_text(json.dumps({"fl_x": 40, "w": 24, "h": 16, "frames": frames}))
    for shown in (shown_signal(str(tmp_path), "scene")[1], _about("scene", open_scene(tmp_path))):
        assert "8 of 8 photographs have an EXIF orientation" in shown and "“Pixels of photographs” upright" in shown
        assert "their lens was written for 24 x 16" in shown and "`" not in shown
