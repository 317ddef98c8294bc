"""Photographs that cannot become an asset, or hardly: one line, or the best that can be had and a plain warning."""

import json

import numpy as np
import pytest
from PIL import Image

from apps.cli.main import main
from fields.export.scene_assets.reports import Reports
from fields.reconstruct.reconstruct import Reconstruction
from fields.reconstruct.request import ReconstructRequest
from scenes.posed.camera import Camera, Intrinsics
from scenes.posed.pose import look_at
from scenes.posed.signal import open_radiance

SIDE = 40
LENS = Intrinsics.pinhole(SIDE, SIDE, 46.0)


def ring(count, arc=2 * np.pi):
    """Poses around the origin, on an arc of radians."""
    angles = np.arange(count) * arc / count
    return [look_at(2.5 * np.array([np.cos(a), np.sin(a), 0.4 * np.sin(3 * a)]), (0.0, 0.0, 0.0)) for a in angles]


def waves(points):
    return 127 + 100 * np.sin(points @ np.array([[9.0, 3, 2], [2, 9, 5], [4, 1, 9]]))


def ball(pose, paint=waves, behind=None):
    """A photograph of a ball with a radius of 0.5: RGBA, or RGB in front of a color."""
    origins, directions = Camera(pose, LENS).rays()
    along = (origins * directions).sum(axis=1)
    inside = along**2 - (origins**2).sum(axis=1) + 0.25
    hit = inside > 0
    points = origins[hit] - (along[hit] + np.sqrt(inside[hit]))[:, None] * directions[hit]
    image = np.zeros((SIDE * SIDE, 4))
    image[:] = (0, 0, 0, 0) if behind is None else (*[behind] * 3, 255)
    image[hit] = np.column_stack([paint(points) * np.ones((len(points), 3)), np.full(len(points), 255)])
    image = image.reshape(SIDE, SIDE, 4).astype(np.uint8)
    return image if behind is None else image[..., :3]


def write(folder, poses, images):
    folder.mkdir()
    frames = []
    for index, (pose, image) in enumerate(zip(poses, images)):
        Image.fromarray(image).save(folder / f"{index:03}.png")
        frames.append({"file_path": f"{index:03}.png", "transform_matrix": [*pose.tolist(), [0, 0, 0, 1]]})
    lens = {"w": SIDE, "h": SIDE, "fl_x": LENS.fl_x, "fl_y": LENS.fl_y, "cx": LENS.cx, "cy": LENS.cy}
    (folder / "transforms.json").write_text(json.dumps({**lens, "frames": frames}))
    return folder


def refused(source, tmp_path, capsys):
    """The line with which the command refuses a source."""
    out = tmp_path / "a.glb"
    assert main(["reconstruct", str(source), str(out), "--out", str(tmp_path / "run"), "--preview"]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert lines[-1].startswith("error: ") and not any("Traceback" in line for line in lines) and not out.exists()
    return lines[-1]


def same_color(level):
    return lambda points: np.full((len(points), 3), level)


@pytest.mark.parametrize("level, behind", [(255, 255), (254, 255), (0, 0), (2, 0)])
def test_black_on_black_and_white_on_white(level, behind, tmp_path, capsys):
    images = [ball(pose, same_color(level), behind) for pose in ring(8)]
    line = refused(write(tmp_path / "plain", ring(8), images), tmp_path, capsys)
    assert "nothing but one color" in line and "masks" in line


def test_a_dark_object_is_told_from_black_by_its_alpha(tmp_path):
    scene = write(tmp_path / "dark", ring(8), [ball(pose, same_color(2)) for pose in ring(8)])
    assert not [message for message in messages(scene, tmp_path) if "one color" in message]


def test_a_dark_object_with_black_spots_is_told_from_black(tmp_path):
    def spotted(points):
        return np.where(np.hypot(points[:, 2:], points[:, :1]) < 0.12, 0, 5)

    scene = write(tmp_path / "dark", ring(8), [ball(pose, spotted, 0) for pose in ring(8)])
    opened = open_radiance(scene)
    cells = ~opened.hull_cells(24)
    side = 2 * opened.box.half / 24
    # Where a spot is at the outline it still costs a notch, but no tunnel.
    assert cells.sum() * side**3 > 0.9 * 4 / 3 * np.pi * 0.5**3


def test_cameras_that_see_nothing_in_common(tmp_path, capsys):
    poses = [look_at(np.array([20.0 * i, 0, 2.5]), np.array([20.0 * i, 0, 0]), up="y") for i in range(8)]
    line = refused(write(tmp_path / "apart", poses, [ball(ring(1)[0])] * 8), tmp_path, capsys)
    assert "do not look at one thing" in line


def test_pictures_of_nothing_and_a_single_one(tmp_path, capsys):
    nothing = [np.zeros((SIDE, SIDE, 4), np.uint8)] * 8
    assert "transparent all over" in refused(write(tmp_path / "nothing", ring(8), nothing), tmp_path, capsys)
    assert "two views or more" in refused(write(tmp_path / "one", ring(1), [ball(ring(1)[0])]), tmp_path, capsys)


def test_a_film_of_a_still_picture(tmp_path, capsys, astronaut):
    pytest.importorskip("pycolmap")
    import av

    with av.open(str(tmp_path / "still.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=24)
        stream.width = stream.height = 128
        stream.pix_fmt = "yuv420p"
        for _ in range(12):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(astronaut), format="rgb24")))
        container.mux(stream.encode())
    line = refused(tmp_path / "still.mp4", tmp_path, capsys)
    assert "1 picture is too few" in line and "nearly the same" in line and "thirty or more" in line


@pytest.fixture
def astronaut():
    skimage_data = pytest.importorskip("skimage.data")
    return skimage_data.astronaut()[:128, 150:278]


def messages(scene, tmp_path):
    """What is said until the photographs are read."""

    class UntilFit(Reports):
        def __init__(self):
            self.said, self.begun = [], []

        def message(self, text):
            self.said.append(text)

        def begin(self, stage, seconds):
            self.begun.append(stage)
            if len(self.begun) > 1:
                raise KeyboardInterrupt

    said = UntilFit()
    request = ReconstructRequest(source=str(scene), asset=tmp_path / "a.glb", out=tmp_path / "run", preview=True)
    with pytest.raises(KeyboardInterrupt):
        Reconstruction(request, said).run()
    return said.said


@pytest.mark.parametrize(
    "count, arc, words",
    [(3, 2 * np.pi, ["pictures are few"]), (16, 0.5, ["from one side, over"]), (16, 2 * np.pi, [])],
)
def test_few_photographs_and_one_side_are_told(count, arc, words, tmp_path):
    poses = ring(count, arc)
    said = messages(write(tmp_path / "scene", poses, [ball(pose) for pose in poses]), tmp_path)
    found = [text for text in said if "pictures are few" in text or "one side" in text]
    assert len(found) == len(words) and all(word in text for word, text in zip(words, found))
