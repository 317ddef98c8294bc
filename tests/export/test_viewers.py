"""Viewers: windows of flat fields and orbits around solid ones."""

import numpy as np
import pytest

from fields.export.viewers import draw_waveform, orbit_pose
from fields.kinds import KINDS, viewer_class, viewer_for
from fields.methods.registry import make_method
from scenes.errors import BadInput
from scenes.image.signal import Image
from scenes.posed.camera import Camera, Intrinsics
from scenes.posed.pose import orbit


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_a_viewer_that_is_flat_or_solid(kind):
    viewer = viewer_class(kind)
    assert viewer.solid == (kind in ("shape", "radiance"))


def test_a_flat_field_has_windows_and_no_orbit(astronaut):
    signal = Image.from_array(astronaut[:32, :48])
    method = make_method("hashgrid", {"levels": 2, "table_size": 256}).prepare(signal)
    viewer = viewer_for("image", method.build(signal.domain, signal.channels, 0))
    assert viewer.window((0, 0, 1, 1), 12, 8).shape == (8, 12, 3) and viewer.aspect_ratio(signal.domain) == (48, 32)
    with pytest.raises(BadInput, match="no surface"):
        viewer.orbit(0.0, 0.0, 2.0, 32)
    for box, width in (((0, 0, 1, 0), 8), ((0, 0, 1, float("nan")), 8), ((0, 0, 1e-7, 1), 8), ((0, 0, 1, 1), 10**7)):
        with pytest.raises(BadInput):
            viewer.window(box, width, 8)


def test_a_waveform_is_drawn_around_silence_with_equal_halves():
    tone = 0.4 * np.sin(np.arange(200 * 8) / 3)
    image = draw_waveform(tone.reshape(200, 8, 1), 100)
    drawn = image[..., 3] == 255
    above, below = drawn[:45].sum(), drawn[55:].sum()
    assert min(above, below) > 2000 and 0.8 < above / below < 1.25
    silence = draw_waveform(np.zeros((20, 8, 2)), 100)
    assert (silence[[25, 75], :, 3] > 0).all() and (silence[[10, 60], :, 3] == 0).all()


def test_an_orbit_around_a_scene_has_the_focus_and_distance_of_its_cameras():
    intrinsics = Intrinsics.pinhole(32, 32, 40.0)
    focus = (0.3, -0.2, 0.9)
    cameras = [Camera(orbit(angle, 20.0, 2.5, (32, 32), target=focus).pose, intrinsics) for angle in range(0, 360, 30)]
    for azimuth, elevation, distance in ((0.0, 20.0, 1.0), (77.0, -40.0, 0.5), (300.0, 80.0, 2.0)):
        pose = orbit_pose(cameras, azimuth, elevation, distance)
        assert np.allclose(pose[:, :3].T @ pose[:, :3], np.eye(3), atol=1e-9)
        assert np.allclose(pose[:, 3] - 2.5 * distance * pose[:, 2], focus, atol=5e-3)
        assert np.isclose(pose[1, 3], focus[1] + 2.5 * distance * np.sin(np.radians(elevation)), atol=5e-3)
