"""Cameras: the convention, pixel by pixel."""

import math

import pytest
import torch

from fields.render.camera import Camera, look_at, orbit


def test_pixel_centres_and_convention():
    pose = torch.cat([torch.eye(3), torch.tensor([[1.0], [2.0], [3.0]])], dim=1)
    origins, directions = Camera(pose, width=4, height=2, focal=2.0).rays()
    assert origins.shape == directions.shape == (8, 3)
    assert (origins == torch.tensor([1.0, 2.0, 3.0])).all()
    # The top left pixel: left of the axis, above it, along -z.
    expected = torch.tensor([-1.5 / 2, 0.5 / 2, -1.0])
    torch.testing.assert_close(directions[0], expected / expected.norm())
    torch.testing.assert_close(directions.norm(dim=-1), torch.ones(8))
    assert directions[3, 0] > 0 and directions[4, 1] < 0


@pytest.mark.parametrize("up", ["x", "y", "z"])
def test_orbit_sees_its_target_upright(up):
    axis = "xyz".index(up)
    for azimuth, elevation in [(0.0, 0.0), (30.0, 20.0), (200.0, -50.0), (-75.0, 80.0)]:
        camera = orbit(azimuth, elevation, 2.5, 33, 17, target=(0.1, 0.2, 0.3), up=up)
        rotation, position = camera.pose[:, :3], camera.pose[:, 3]
        torch.testing.assert_close(rotation.T @ rotation, torch.eye(3, dtype=torch.float64))
        assert float(torch.linalg.det(rotation)) == pytest.approx(1.0)
        offset = position - torch.tensor([0.1, 0.2, 0.3], dtype=torch.float64)
        assert float(offset.norm()) == pytest.approx(2.5)
        assert math.degrees(math.asin(offset[axis] / 2.5)) == pytest.approx(elevation)
        assert float(rotation[axis, 0]) == pytest.approx(0.0, abs=1e-12)  # the horizon is level
        assert float(rotation[axis, 1]) > 0
        middle = camera.rays()[1].reshape(17, 33, 3)[8, 16].double()
        torch.testing.assert_close(middle, -offset / 2.5, atol=1e-6, rtol=0)


@pytest.mark.parametrize("up", ["x", "y", "z"])
def test_orbit_goes_to_the_right(up):
    front = orbit(0.0, 0.0, 2.0, 8, 8, up=up)
    moved = orbit(10.0, 0.0, 2.0, 8, 8, up=up).pose[:, 3] - front.pose[:, 3]
    assert float(moved @ front.pose[:, 0]) > 0.3


def test_field_of_view_spans_the_shorter_side():
    camera = orbit(0.0, 0.0, 2.0, 200, 100, field_of_view=60.0)
    assert camera.focal == pytest.approx(50 / math.tan(math.radians(30)))


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: orbit(0, 90, 1, 8, 8), "no camera orbits"),
        (lambda: orbit(0, 0, 0, 8, 8), "no camera orbits"),
        (lambda: orbit(0, 0, 1, 8, 8, field_of_view=180), "between 0 and 180"),
        (lambda: orbit(0, 0, 1, 8, 8, up="w"), "up is x, y or z"),
        (lambda: orbit(0, 0, 1, 0, 8), "pixel"),
        (lambda: look_at((0, 1, 0), (0, 0, 0)), "cannot look at"),
        (lambda: look_at((0, 0, 0), (0, 0, 0)), "cannot look at"),
        (lambda: Camera(torch.full((3, 4), math.nan), 8, 8, 8.0), "finite"),
        (lambda: Camera(torch.eye(3, 4), 8, 8, -1.0), "focal"),
    ],
)
def test_refusals(make, message):
    with pytest.raises(ValueError, match=message):
        make()
