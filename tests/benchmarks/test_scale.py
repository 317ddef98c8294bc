"""What the rows of enlarged and shrunk fields are made of."""

import json

import numpy as np
import pytest
from PIL import Image as Pillow

from benchmarks import scale


def test_means_are_of_blocks_and_of_whole_pictures():
    values = np.arange(5 * 7, dtype=np.float32).reshape(5, 7, 1)
    np.testing.assert_allclose(scale.means_of(values, 2)[..., 0], [[4, 6, 8], [18, 20, 22]])
    rows = [scale.row(f"enlarged:{n}", v, "dB", "bicubic", 30.0, lanczos=v + 1) for n, v in (("a", 29.0), ("b", 31.0))]
    assert list(scale.means(rows)) == [
        {"id": "enlarged", "value": 30.0, "unit": "dB", "against": "bicubic", "against_value": 30.0, "ratio": 1.0}
        | {"lanczos": 31.0}
    ]


def test_image_energy_tells_the_images_of_a_tone_from_a_tone():
    times = np.arange(4000)
    low, high = (np.sin(2 * np.pi * f * times)[:, None] for f in (0.1, 0.4))
    assert scale.image_energy(low) < -80
    assert scale.image_energy(low + 0.01 * high) == pytest.approx(-40, abs=0.1)


def test_smaller_scene_has_means_and_its_cameras(tmp_path):
    (tmp_path / "in" / "train").mkdir(parents=True)
    pixels = np.zeros((4, 4, 4), np.uint8)
    pixels[:, 2:] = (200, 100, 50, 255)
    pixels[:2, :2] = (255, 255, 255, 0)
    Pillow.fromarray(pixels).save(tmp_path / "in" / "train" / "r_0.png")
    (tmp_path / "in" / "transforms_train.json").write_text(json.dumps({"camera_angle_x": 0.7, "w": 4, "fl_x": 6.0}))
    scale.smaller_scene(tmp_path / "in", tmp_path / "out", 2)
    found = np.asarray(Pillow.open(tmp_path / "out" / "train" / "r_0.png"))
    assert found.shape == (2, 2, 4) and found[0, 1].tolist() == [200, 100, 50, 255] and found[0, 0, 3] == 0
    document = json.loads((tmp_path / "out" / "transforms_train.json").read_text())
    assert document == {"camera_angle_x": 0.7, "w": 2, "fl_x": 3.0}
