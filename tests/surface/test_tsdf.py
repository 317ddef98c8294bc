"""Depth maps of fields, and their fusion into signed distances."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fields.surface.depth_maps import DepthMap, depth_camera, depth_map, distance_at_light
from fields.surface.lattice import make_lattice
from fields.surface.tsdf import TSDF, mesh_of_grid
from scenes.posed.camera import Camera, Intrinsics
from scenes.posed.pose import look_at
from tests.export.analytic_fields import SolidBeads

WHOLE = (0.0,) * 3, (1.0,) * 3


def plane_map(camera: Camera, point: np.ndarray, normal: np.ndarray) -> DepthMap:
    """The exact depth map of a plane within the unit cube; nothing is known where it lies outside."""
    origins, directions = camera.rays()
    distance = ((point - origins) @ normal) / (directions @ normal)
    points = origins + distance[:, None] * directions
    axial = distance * -(directions @ camera.pose[:, 2])
    seen = (distance > 0) & ((points > 0) & (points < 1)).all(axis=1)
    shape = camera.intrinsics.height, camera.intrinsics.width
    depth = torch.from_numpy(np.where(seen, axial, np.inf)).float().reshape(shape)
    spread = torch.where(torch.isfinite(depth), 1e-3, torch.inf)
    return DepthMap(camera, depth, spread, torch.zeros(shape, dtype=torch.bool))


def views(count: int, width: int, seed: int = 0, normal=(0.0, 0.0, 1.0)) -> list[Camera]:
    """Cameras that look at the middle of the cube from in front of a plane through it."""
    generator = np.random.default_rng(seed)
    cameras = []
    for _ in range(count):
        direction = 0.5 * generator.normal(size=3) + 1.5 * np.asarray(normal)
        position = 0.5 + 2.2 * direction / np.linalg.norm(direction)
        cameras.append(Camera(look_at(position, np.full(3, 0.5), "y"), Intrinsics.pinhole(width, width, 1.6 * width)))
    return cameras


def fused(maps: list[DepthMap], resolution: int = 48) -> TSDF:
    volume = TSDF(make_lattice(*WHOLE, resolution), [part.points() for part in maps])
    for part in maps:
        volume.fuse(part)
    return volume


@pytest.mark.parametrize("width", [40, 61])
def test_a_slanted_plane_is_met_to_a_tenth_of_a_voxel(width: int):
    """Pixels are larger than voxels here, so that half a pixel of shift would be a large part of a voxel."""
    point, normal = np.full(3, 0.5), np.array([1.0, 0.0, 1.0]) / 2**0.5
    mesh = fused([plane_map(camera, point, normal) for camera in views(6, width, normal=normal)]).triangles()
    away = np.abs((mesh.vertices - point) @ normal) * 48
    inner = (np.abs(mesh.vertices - 0.5) < 0.3).all(axis=1)
    assert np.count_nonzero(inner) > 500 and away[inner].max() < 0.1
    a, b, c = (mesh.vertices[mesh.faces[inner[mesh.faces].all(axis=1), k]] for k in range(3))
    assert (np.cross(b - a, c - a) @ normal > 0).all(), "faces look at the cameras"


def test_the_order_of_the_maps_does_not_matter():
    maps = [plane_map(c, np.full(3, 0.5), np.array([0.3, 0.1, 0.9])) for c in views(8, 40)]
    one, other = fused(maps, 32), fused(maps[::-1], 32)
    assert torch.equal(one.index, other.index)
    assert (one.values - other.values).abs().max() < 1e-5
    np.testing.assert_allclose(one.weights, other.weights, rtol=1e-5)


def test_what_no_ray_has_touched_makes_no_faces():
    """Half of the plane is not in the image of the only camera."""
    camera = Camera(look_at(np.array([0.5, 0.5, 3.0]), np.full(3, 0.5), "y"), Intrinsics.pinhole(64, 64, 90.0))
    map_ = plane_map(camera, np.full(3, 0.5), np.array([0.0, 0.0, 1.0]))
    hidden = torch.arange(64)[None, :].expand(64, 64) >= 32
    map_ = DepthMap(camera, torch.where(hidden, torch.inf, map_.depth), map_.spread, map_.empty)
    mesh = fused([map_]).triangles()
    assert len(mesh.faces) > 200
    assert mesh.vertices[:, 0].max() < 0.5 + 1.5 / 48 and mesh.vertices[:, 0].min() < 0.1
    assert np.abs(mesh.vertices[:, 2] - 0.5).max() < 0.1 / 48


def test_rays_that_meet_nothing_carve_what_another_camera_saw_wrongly():
    point, normal = np.full(3, 0.5), np.array([0.0, 0.0, 1.0])
    maps = [plane_map(camera, point, normal) for camera in views(2, 48)]
    empty = torch.ones_like(maps[0].empty)
    nothing = torch.full_like(maps[0].depth, torch.inf)
    carvers = [DepthMap(camera, nothing, nothing, empty) for camera in views(12, 48, seed=1)]
    assert len(fused(maps).triangles().faces) > 500
    assert len(fused(maps + carvers).triangles().faces) == 0


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 1000), light=st.floats(0.05, 0.95), rays=st.integers(1, 6))
def test_the_light_at_the_distance_found_is_what_was_asked_for(seed: int, light: float, rays: int):
    generator = np.random.default_rng(seed)
    counts = generator.integers(0, 6, rays)
    offsets = np.concatenate([[0], np.cumsum(counts)])
    starts, density = np.zeros(offsets[-1]), generator.exponential(3.0, offsets[-1])
    lengths = generator.uniform(0.05, 0.4, offsets[-1])
    weights = np.zeros(offsets[-1])
    for ray in range(rays):
        rows = slice(offsets[ray], offsets[ray + 1])
        starts[rows] = 1 + np.cumsum(lengths[rows]) - lengths[rows]
        optical = np.cumsum(density[rows] * lengths[rows])
        weights[rows] = -np.diff(np.exp(-np.concatenate([[0], optical])))
    found = distance_at_light(*(torch.from_numpy(x) for x in (weights, starts, starts + lengths, offsets)), light)
    for ray in range(rays):
        rows = slice(offsets[ray], offsets[ray + 1])
        passed = np.clip(float(found[ray]) - starts[rows], 0, lengths[rows])
        left = np.exp(-(density[rows] * passed).sum())
        if np.isfinite(float(found[ray])):
            assert left == pytest.approx(light, abs=1e-6)
        else:
            assert np.exp(-(density[rows] * lengths[rows]).sum()) > light - 1e-9


def test_depths_of_a_field_are_those_of_its_surface():
    field = SolidBeads()
    lens = Intrinsics(120, 90, fl_x=110.0, fl_y=100.0, cx=58.0, cy=46.0, model="opencv", distortion=(-0.2, 0.0, 0, 0))
    camera = Camera(look_at(np.array([3.0, 1.0, 0.5]), np.zeros(3), "z"), lens)
    found = depth_map(field, depth_camera(camera, 60 * 45, np.full(3, -1.0), 2.0))
    assert found.depth.shape == (45, 60) and found.camera.intrinsics.model == "pinhole"
    away = field.distance(found.points()).detach()
    assert len(away) > 100 and away.abs().median() < 0.002 and away.abs().quantile(0.95) < 0.005
    seen = torch.isfinite(found.depth)
    assert (found.spread[seen] < 0.02).float().mean() > 0.8
    assert not (found.empty & seen).any() and found.empty[0, 0]


def test_a_grid_without_missing_values_is_a_closed_mesh():
    x = np.linspace(0, 1, 30)
    grid = np.sqrt(sum((axis - 0.5) ** 2 for axis in np.meshgrid(x, x, x, indexing="ij"))).astype(np.float32) - 0.3
    mesh = mesh_of_grid(grid, np.zeros(3), np.full(3, x[1]))
    from fields.surface.topology import signed_volume, watertight

    assert watertight(mesh.faces) and signed_volume(mesh.vertices, mesh.faces) == pytest.approx(0.1131, rel=0.02)
    assert np.abs(np.linalg.norm(mesh.vertices - 0.5, axis=1) - 0.3).max() < 1e-3
    assert not len(mesh_of_grid(np.full((4, 4, 4), np.nan, np.float32), np.zeros(3), np.ones(3)).faces)


def test_no_samples_have_no_depth():
    nothing = torch.zeros(0)
    found = distance_at_light(nothing, nothing, nothing, torch.zeros(4, dtype=torch.int64), 0.5)
    assert found.shape == (3,) and torch.isinf(found).all()
