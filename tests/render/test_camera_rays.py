"""Rays of cameras as tensors."""

import numpy as np
import torch

from fields.render.camera import camera_rays
from scenes.posed.camera import Camera, Intrinsics


def test_rays_go_through_pixel_centers_row_by_row_from_the_top_left():
    pose = np.concatenate([np.eye(3), [[1.0], [2.0], [3.0]]], axis=1)
    origins, directions = camera_rays(Camera(pose, Intrinsics.pinhole(4, 2, 2.0)))
    assert origins.shape == directions.shape == (8, 3) and origins.dtype == directions.dtype == torch.float32
    assert (origins == torch.tensor([1.0, 2.0, 3.0])).all()
    # The top left pixel: left of the axis, above it, along -z.
    expected = torch.tensor([-1.5 / 2, 0.5 / 2, -1.0])
    torch.testing.assert_close(directions[0], expected / expected.norm())
    torch.testing.assert_close(directions.norm(dim=-1), torch.ones(8))
    assert directions[3, 0] > 0 and directions[4, 1] < 0
