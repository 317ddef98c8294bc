"""Images of a scene from a camera: pixels that are means of several rays, and how many that takes."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from fields.models.field import RadianceField
from fields.render.camera_view import MAX_RAYS, rays_per_side, render_camera
from scenes.domain import Axis, Channels, Domain
from scenes.posed.camera import Camera, Intrinsics


class Stripes(RadianceField):
    """A ball of dense fog with stripes that are finer than the pixels of a small image."""

    def __init__(self) -> None:
        super().__init__(Domain(tuple(Axis(a, -1.0, 1.0, "") for a in "xyz")), Channels(("r", "g", "b"), "srgb"))
        self.anchor = torch.nn.Parameter(torch.zeros(()))

    def density(self, coords, time=None, directions=None):
        return 300.0 * torch.sigmoid((0.3 - (coords - 0.5).norm(dim=-1)) * 100), coords

    def color(self, feature, directions):
        return (torch.sin(feature[..., :1] * 300) * 0.5 + 0.5).expand(*feature.shape[:-1], 3)


def camera(distance=4.0, size=(10, 8), focal=18.0):
    pose = np.concatenate([np.eye(3), [[0.0], [0.0], [distance]]], axis=1)
    return Camera(pose, Intrinsics.pinhole(*size, focal))


def pooled(image, rays):
    height, width = image.shape[:2]
    return image.reshape(height // rays, rays, width // rays, rays, -1).mean((1, 3))


@pytest.mark.parametrize("chunk", [1 << 14, 100])
def test_pixels_are_means_over_the_rays_of_a_larger_image(monkeypatch, chunk):
    monkeypatch.setattr("fields.render.camera_view.CHUNK", chunk)
    field, rays = Stripes(), 3
    seen, normals = render_camera(field, camera(), background=1.0, normals=True, rays=rays)
    large, _ = render_camera(field, camera().resized(30, 24), background=1.0)
    assert torch.allclose(seen.color, pooled(large.color, rays), atol=1e-5)
    assert torch.allclose(seen.opacity, pooled(large.opacity, rays)[..., 0], atol=1e-5)
    point, _ = render_camera(field, camera(), background=1.0)
    assert (seen.color - point.color).abs().max() > 0.2
    # Depth is that of the rays which meet something, and infinite where none does.
    assert torch.equal(seen.depth.isinf(), (pooled(large.depth.isfinite().float(), rays) == 0)[..., 0])
    middle = seen.depth[4, 5]
    assert 4.0 - 0.62 < float(middle) < 4.0
    assert normals is not None and torch.allclose(normals[4, 5].norm(), torch.tensor(1.0)) and normals[4, 5, 2] > 0.9


def test_rays_grow_with_what_a_pixel_stands_for():
    field, fitted = Stripes(), [camera(), replace(camera(), pose=camera(4.4).pose)]
    assert rays_per_side(field, camera(), fitted) == rays_per_side(field, camera(2.0), fitted) == 1
    assert rays_per_side(field, camera().resized(20, 16), fitted) == 1
    assert rays_per_side(field, camera().resized(5, 4), fitted) == 2
    assert rays_per_side(field, camera(12.5), fitted) == 3
    assert rays_per_side(field, camera(400.0), fitted) == MAX_RAYS
    assert rays_per_side(field, camera(400.0), []) == 1
    # Within the scene the distance to its middle says nothing.
    assert rays_per_side(field, camera(0.0), [camera(0.5)]) == 1
