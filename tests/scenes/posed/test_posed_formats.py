"""Posed scenes as other programs write them: public reports rebuilt small, one parameter each (see tests/reported)."""

import json
import shutil

import numpy as np
import pytest
from ring_scene import FOCAL, ring, write_colmap, write_llff, write_transforms

from scenes.errors import BadInput
from scenes.posed.read import open_posed


def poses(folder) -> np.ndarray:
    return np.stack([view.pose for view in open_posed(folder).views])


# Report: what the file says of each frame and of all.
TRANSFORMS = {
    "nerfstudio 737": (
        {"camera_angle_x": 0.7853981633974483, "aabb_scale": 16, "scale": 0.15, "offset": [0.5, 1.3, 0.2]},
        None,
    ),
    "nerfstudio 3057": ({}, lambda i: {"fl_x": FOCAL + i, "fl_y": FOCAL + i, "cx": 6.0, "cy": 4.0, "w": 12, "h": 8}),
    "instant-ngp 1019": ({"fl_x": FOCAL}, lambda i: {"file_path": f"images\\{i:03}.PNG"}),
    "instant-ngp 568": ({"fl_x": FOCAL}, lambda i: {"file_path": f"/home/someone/data/scene/images/{i:03}.png"}),
    "instant-ngp 1172": ({"fl_x": FOCAL}, lambda i: {"file_path": f"./images/{i:03}.png"}),
    "torch-ngp 15": ({"camera_angle_x": 0.69}, lambda i: {"file_path": f"./images/{i:03}", "rotation": 0.01}),
}


@pytest.mark.parametrize("report", TRANSFORMS)
def test_transforms(tmp_path, report):
    content, frame = TRANSFORMS[report]
    folder = write_transforms(tmp_path, content=content, **({"frame": frame} if frame else {}))
    scene = open_posed(folder)
    np.testing.assert_allclose(np.stack([view.pose for view in scene.views]), ring(), atol=1e-12)
    focals = [view.intrinsics.fl_x for view in scene.views]
    angle = content.get("camera_angle_x")
    wanted = 6 / np.tan(angle / 2) if angle else FOCAL + (np.arange(8) if report == "nerfstudio 3057" else 0)
    np.testing.assert_allclose(focals, np.broadcast_to(wanted, 8), rtol=1e-9)
    assert all(view.read_image().shape == (8, 12, 3) for view in scene.views)


@pytest.mark.parametrize("report", ["SuGaR 224", "gaussian-splatting 272", "gaussian-splatting 97"])
def test_colmap_folders(tmp_path, report):
    """A text model alone; a model beside its photographs in dense/0; a model among the files of other programs."""
    folder = write_colmap(tmp_path / "scene")
    sparse = next(path.parent for path in folder.rglob("images.*") if path.is_file())
    if report == "gaussian-splatting 272":
        dense = tmp_path / "work" / "dense" / "0"
        dense.mkdir(parents=True)
        shutil.copytree(folder / "images", dense / "images")
        shutil.copytree(sparse, dense / "sparse")
        (dense / "stereo").mkdir()
        (dense / "fused.ply").write_bytes(b"ply\n")
        folder = dense
    elif report == "gaussian-splatting 97":
        (folder / "database.db").write_bytes(b"x")
        (folder / "distorted").mkdir()
    np.testing.assert_allclose(poses(folder), ring(), atol=1e-6)


@pytest.mark.parametrize("report", ["editable-gaussian-reflections 1", "LLFF 37"])
def test_colmap_models_that_are_not_whole_are_refused(tmp_path, report):
    """Files that are pointers of Git LFS, and a folder without the model."""
    folder = write_colmap(tmp_path / "scene")
    for file in [path for path in folder.rglob("cameras.*")]:
        if report == "LLFF 37":
            file.unlink()
        else:
            file.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 64\n")
    with pytest.raises(
        BadInput, match="no transforms.json" if report == "LLFF 37" else "damaged or not a file of COLMAP|a camera"
    ):
        open_posed(folder)


@pytest.mark.parametrize(
    "report", ["LLFF 69", "BAD-NeRF 8", "nex-code 48", "colmap 1497", "UnboundedNeRFPytorch 122", "FreeNeRF 18"]
)
def test_llff_whose_photographs_are_more_or_fewer_than_its_poses_is_refused(tmp_path, report):
    folder = write_llff(tmp_path)
    images = sorted((folder / "images").iterdir())
    if report in ("BAD-NeRF 8", "LLFF 69"):
        shutil.copyfile(images[0], folder / "images" / "999.png")
    else:
        images[3].unlink()
    count = 9 if report in ("BAD-NeRF 8", "LLFF 69") else 7
    with pytest.raises(BadInput, match=f"8 rows for {count} images"):
        open_posed(folder)


def test_llff_with_the_litter_of_other_systems(tmp_path):
    """LLFF 36: what Finder and a USB stick leave among the photographs is none of them."""
    folder = write_llff(tmp_path)
    (folder / "images" / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")
    (folder / "images" / "._000.png").write_bytes(b"\0\5\x16\7" + bytes(40))
    (folder / "images" / "Thumbs.db").write_bytes(b"\xd0\xcf\x11\xe0")
    assert len(open_posed(folder).views) == 8


def test_json_that_is_no_scene_is_refused(tmp_path):
    (tmp_path / "transforms.json").write_text(json.dumps({"frames": {"0": {}}}))
    with pytest.raises(BadInput, match="no list of frames"):
        open_posed(tmp_path)
