"""Scenes in a zip, and refusals of harmful zips."""

import json
import os
import stat
import zipfile

import numpy as np
import pytest
from PIL import Image

from scenes.errors import BadInput
from scenes.io.unpack import ZipLimits
from scenes.posed import zipped
from scenes.posed.read import open_posed

POSE = [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 4], [0, 0, 0, 1]]


@pytest.fixture
def packed(tmp_path):
    """A zip of a small scene in the folder `top`, with more entries where asked."""

    def write(top="my scene/", more=(), count=9):
        image = tmp_path / "image.png"
        Image.new("RGB", (12, 8), (50, 100, 150)).save(image)
        path = tmp_path / "scene.zip"
        frames = [{"file_path": f"images/{i}.png", "transform_matrix": POSE} for i in range(count)]
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out:
            out.writestr(f"{top}transforms.json", json.dumps({"camera_angle_x": 0.8, "frames": frames}))
            for i in range(count):
                out.write(image, f"{top}images/{i}.png")
            out.writestr("__MACOSX/../../litter", b"no matter")
            for entry, content in more:
                out.writestr(entry, content)
        return path

    return write


@pytest.mark.parametrize("top", ["", "my scene/", "a/b/"])
def test_a_scene_in_a_zip_is_unpacked_and_deleted(packed, top):
    scene = open_posed(packed(top))
    assert len(scene.views) == 9 and (scene.views[3].read_image() == [50, 100, 150]).all()
    folder = scene.keep_alive.name
    assert os.path.isdir(folder)
    del scene
    assert not os.path.exists(folder)


def link(name):
    entry = zipfile.ZipInfo(name)
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    return entry


@pytest.mark.parametrize(
    "entry, message",
    [
        ("../outside.txt", "leads out of the folder"),
        ("my scene/../../outside.txt", "leads out of the folder"),
        ("/etc/outside.txt", "leads out of the folder"),
        ("C:/outside.txt", "leads out of the folder"),
        ("..\\outside.txt", "leads out of the folder"),
        (link("my scene/link"), "is a link"),
    ],
)
def test_entries_that_lead_out_of_the_folder_are_refused(packed, tmp_path, entry, message):
    with pytest.raises(BadInput, match=message):
        open_posed(packed(more=[(entry, b"../../../etc/passwd")]))
    assert not (tmp_path / "outside.txt").exists() and not list(tmp_path.parent.glob("outside.txt"))


def test_zips_with_too_many_files_or_bytes_are_refused(packed, monkeypatch):
    monkeypatch.setattr(zipped, "ZIP_LIMITS", ZipLimits(max_files=20_000, max_bytes=1 << 20))
    with pytest.raises(BadInput, match="at most 20,000 files and 1 MB are taken; unpack it"):
        open_posed(packed(more=[("zeros", bytes(1 << 20))]))
    monkeypatch.setattr(zipped, "ZIP_LIMITS", ZipLimits(max_files=5, max_bytes=8 << 30))
    with pytest.raises(BadInput, match="at most 5 files"):
        open_posed(packed())


def test_zips_without_a_scene_are_refused(packed, tmp_path):
    path = packed()
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BadInput, match="scene.zip: is damaged"):
        open_posed(path)
    damaged = bytearray(whole)
    damaged[120:140] = bytes(20)
    path.write_bytes(damaged)
    with pytest.raises(BadInput, match="scene.zip"):
        open_posed(path)
    with zipfile.ZipFile(path, "w") as out:
        out.writestr("readme.txt", "nothing")
    with pytest.raises(BadInput, match="no COLMAP model in this zip"):
        open_posed(path)
    with pytest.raises(BadInput, match="scene.zip: a scene needs two views"):
        open_posed(packed(count=1))


def test_an_npz_is_not_a_zipped_folder(tmp_path):
    np.savez(
        tmp_path / "scene.npz",
        images=np.zeros((9, 8, 12, 3), np.uint8),
        poses=np.tile(np.array(POSE, float), (9, 1, 1)),
        focal=10.0,
    )
    assert len(open_posed(tmp_path / "scene.npz").views) == 9
