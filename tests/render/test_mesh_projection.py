"""Vertices in a camera's image: against the camera's own rays, for every lens."""

import numpy as np
import pytest
import torch

from fields.ops.rasterise import rasterise
from fields.render.mesh_projection import field_of_view, project_vertices
from scenes.posed.camera import Camera, Intrinsics
from scenes.posed.pose import look_at

POSE = look_at((1.0, 2.0, 1.5), (0.0, 0.2, 0.1))


def lens(model, distortion=()):
    return Camera(POSE, Intrinsics(60, 40, fl_x=50.0, fl_y=48.0, cx=31.0, cy=19.0, model=model, distortion=distortion))


LENSES = [
    lens("pinhole"),
    lens("opencv", (-0.2, 0.05, 0.002, -0.001)),
    lens("fisheye", (0.05, -0.02, 0.003, 0.0)),
]


@pytest.mark.parametrize("camera", LENSES, ids=lambda camera: camera.intrinsics.model)
def test_points_on_rays_land_in_the_middle_of_their_pixels(camera):
    origins, directions = camera.rays()
    distances = np.random.default_rng(0).uniform(0.5, 4, (len(origins), 1))
    positions = project_vertices(camera, origins + distances * directions)
    y, x = np.mgrid[0:40, 0:60]
    assert positions.dtype == np.float32
    assert np.allclose(positions[:, 0], x.reshape(-1) + 0.5, atol=1e-3)
    assert np.allclose(positions[:, 1], y.reshape(-1) + 0.5, atol=1e-3)
    forward = -camera.pose[:, 2]
    assert np.allclose(positions[:, 2], distances[:, 0] * (directions @ forward), rtol=1e-5)


@pytest.mark.parametrize("camera", LENSES, ids=lambda camera: camera.intrinsics.model)
def test_rasterised_plane_shows_what_the_rays_meet(camera):
    """Depths and places of a finely triangulated plane agree with its intersections with the camera's rays."""
    trimesh = pytest.importorskip("trimesh")
    plane = trimesh.creation.box((3, 3, 1e-3)).subdivide_to_size(0.08)
    raster = rasterise(
        torch.from_numpy(project_vertices(camera, plane.vertices)), torch.from_numpy(np.array(plane.faces)), 40, 60
    )
    origins, directions = camera.rays()
    distance = (5e-4 - origins[:, 2]) / directions[:, 2]
    met = origins + distance[:, None] * directions
    inside = ((np.abs(met[:, :2]) < 1.45).all(axis=1) & (distance > 0)).reshape(40, 60)
    depth = (distance * (directions @ -camera.pose[:, 2])).reshape(40, 60)
    assert inside.sum() > 500
    assert (raster.triangles.numpy()[inside] >= 0).all()
    assert np.allclose(raster.depth.numpy()[inside], depth[inside], rtol=3e-3)


def test_vertices_behind_the_camera_are_not_drawn():
    camera = LENSES[0]
    behind = camera.position + camera.pose[:, 2] + np.array([[0, 0, 0], [0.3, 0, 0], [0, 0.3, 0]])
    positions = project_vertices(camera, behind)
    assert (positions[:, 2] < 0).all() and np.isfinite(positions).all()
    raster = rasterise(torch.from_numpy(positions), torch.tensor([[0, 1, 2]]), 40, 60)
    assert (raster.triangles == -1).all()


def test_vertices_beyond_the_fold_of_a_distortion_are_not_drawn_a_second_time():
    camera = lens("opencv", (-0.3, 0.0, 0.0, 0.0))
    limit = field_of_view(camera.intrinsics)
    assert limit == pytest.approx((1 / 0.9) ** 0.5)
    local = np.array([[0.9 * limit, 0, -1], [1.1 * limit, 0, -1], [0, 2 * limit, -1]])
    positions = project_vertices(camera, camera.position + local @ camera.pose[:, :3].T)
    assert (positions[:, 2] > 0).tolist() == [True, False, False]


@pytest.mark.parametrize("distortion", [(0.0, 0.0, 0.0, 0.0), (0.1, 0.05, 0.0, 0.0)])
def test_lens_without_a_fold_sees_everything_before_it(distortion):
    assert field_of_view(lens("opencv", distortion).intrinsics) == np.inf
