"""Meshes of scenes: fields with a surface, and fields of density whose depths are fused."""

import numpy as np
import pytest
import torch

from fields.models.field import RadianceField
from fields.surface.radiance import Radiance
from fields.surface.ray_sample_voxels import cameras_around
from fields.surface.scene_mesh import scene_mesh
from fields.surface.topology import component_labels, signed_volume, watertight
from scenes.errors import BadInput
from scenes.posed.camera import Camera, Intrinsics
from scenes.posed.pose import look_at
from tests.export.analytic_fields import Beads, SolidBeads


class Surface(Beads):
    """The two balls with a signed distance, and a hollow in the larger one that no camera sees.

    table: whether the larger ball stands on a disk.
    """

    has_surface = True

    def __init__(self, *, table: bool = False, sign: float = 1.0) -> None:
        self.table, self.sign = table, sign
        super().__init__()

    def distance(self, coords):
        first = (coords - torch.tensor([0.4, 0.5, 0.5])).norm(dim=-1) - 0.25
        hollow = 0.1 - (coords - torch.tensor([0.4, 0.5, 0.5])).norm(dim=-1)
        second = (coords - torch.tensor([0.83, 0.55, 0.45])).norm(dim=-1) - 0.13
        result = torch.minimum(torch.maximum(first, hollow), second)
        if self.table:
            flat = (coords[..., :2] - 0.5).norm(dim=-1) - 0.45
            result = torch.minimum(result, torch.maximum(flat, (coords[..., 2] - 0.23).abs() - 0.03))
        return self.sign * result

    def density(self, coords, time=None, directions=None):
        return 600 * torch.sigmoid(-300 * self.distance(coords)) + 0 * self.anchor, coords

    def signed_distance(self, coords):
        return self.distance(coords)


def cameras(field: RadianceField, lowest: float = -2.0) -> list[Camera]:
    """Cameras around the cube, none below a height."""
    return [camera for camera in cameras_around(Radiance(field))[::2] if camera.position[2] > lowest]


def test_a_field_with_a_surface_is_meshed_on_it_without_what_is_hidden():
    field = Surface()
    fractions = []
    mesh = scene_mesh(field, cameras(field), resolution=96, progress=fractions.append)
    away = field.signed_distance(torch.from_numpy((mesh.vertices + 1) / 2).float()).abs()
    assert away.max() < 1e-4 and watertight(mesh.faces) and signed_volume(mesh.vertices, mesh.faces) > 0
    assert component_labels(len(mesh.vertices), mesh.faces).max() == 1, "both balls and not the hollow"
    assert mesh.removed["unseen"] == pytest.approx(0.1**2 / (0.1**2 + 0.25**2 + 0.13**2), rel=0.05)
    centres = np.where(mesh.vertices[:, :1] < 0.35, [[-0.2, 0, 0]], [[0.66, 0.1, -0.1]])
    outwards = mesh.vertices - centres
    outwards /= np.linalg.norm(outwards, axis=1, keepdims=True)
    assert (outwards * mesh.normals).sum(axis=1).min() > 0.99
    assert fractions == sorted(fractions) and fractions[-1] == 1.0
    assert any("no camera saw" in note for note in mesh.notes)


def test_a_number_of_faces_a_box_and_a_level_are_obeyed():
    field = Surface()
    few = scene_mesh(field, cameras(field), resolution=64, faces=800)
    away = field.signed_distance(torch.from_numpy((few.vertices + 1) / 2).float()).abs()
    assert len(few.faces) <= 800 and watertight(few.faces) and away.max() < 2e-3
    wide = scene_mesh(field, cameras(field), resolution=64, level=0.1)
    away = field.signed_distance(torch.from_numpy((wide.vertices + 1) / 2).float())
    assert (away - 0.05).abs().max() < 3e-3, "a crease between the balls is the worst"
    box = ((-1.0, -1.0, 0.0), (1.0, 1.0, 1.0))
    opened = scene_mesh(field, cameras(field), resolution=64, box=box)
    closed = scene_mesh(field, cameras(field), resolution=64, box=box, close=True)
    assert not watertight(opened.faces) and watertight(closed.faces)
    assert min(opened.vertices[:, 2].min(), closed.vertices[:, 2].min()) > -1e-3
    with pytest.raises(BadInput, match="lies outside of the field"):
        scene_mesh(field, [], box=((5, 5, 5), (6, 6, 6)))


def test_what_cameras_above_do_not_see_is_open_or_closed_by_the_field():
    field = Surface()
    above = cameras(field, lowest=2.0)
    opened, closed = (scene_mesh(field, above, resolution=64, close=close) for close in (False, True))
    assert not watertight(opened.faces) and opened.removed["unseen"] > closed.removed["unseen"] + 0.05
    assert watertight(closed.faces)
    away = field.signed_distance(torch.from_numpy((closed.vertices + 1) / 2).float()).abs()
    assert away.max() < 1e-4, "the field's own surface, not a patch"


def test_the_plane_under_an_object_is_cut_off_on_request():
    field = Surface(table=True)
    above = cameras(field, lowest=1.0)
    assert scene_mesh(field, above, resolution=64).vertices[:, 2].min() < -0.5
    for close in (False, True):
        mesh = scene_mesh(field, above, resolution=64, cut_base=True, close=close)
        assert mesh.vertices[:, 2].min() > -0.48 and mesh.removed["base"] > 0.3
        assert any("Cut off the plane" in note for note in mesh.notes) and watertight(mesh.faces) == close
    none = scene_mesh(Surface(), above, resolution=48, cut_base=True)
    assert any("No plane" in note for note in none.notes) and "base" not in none.removed


def test_a_field_of_density_is_meshed_where_its_rays_stop():
    field = SolidBeads()
    mesh = scene_mesh(field, cameras(field), resolution=64, faces=6000)
    away = field.distance(torch.from_numpy((mesh.vertices + 1) / 2).float()).detach().abs()
    assert away.mean() < 0.004 and len(mesh.faces) <= 6000
    assert component_labels(len(mesh.vertices), mesh.faces).max() == 1
    assert signed_volume(mesh.vertices, mesh.faces) == pytest.approx(8 * 4 / 3 * np.pi * (0.25**3 + 0.13**3), rel=0.08)
    assert any("`method=neus`" in note for note in mesh.notes)
    outwards = field.distance(torch.from_numpy((mesh.vertices + 0.02 * mesh.normals + 1) / 2).float()).detach()
    assert (outwards > 0.005).float().mean() > 0.95


def test_a_short_time_gives_a_mesh_of_smaller_depth_maps():
    field = SolidBeads()
    mesh = scene_mesh(field, cameras(field), resolution=32, seconds=0.5)
    assert len(mesh.faces) > 300 and {"depths", "fusion"} <= mesh.seconds.keys()


def test_a_short_time_gives_larger_cells_and_says_so():
    field = Surface()
    fine = scene_mesh(field, cameras(field), resolution=96, seconds=1e4)
    coarse = scene_mesh(field, cameras(field), resolution=96, seconds=1e-4)
    assert len(coarse.faces) < 0.6 * len(fine.faces) and coarse.cell == pytest.approx(1.5 * fine.cell, rel=0.05)
    assert any("64 cells" in note for note in coarse.notes) and not any("cells" in note for note in fine.notes)


@pytest.mark.parametrize(
    ("field", "message"),
    [
        (Surface(sign=-1.0), "wrong sign"),
        (SolidBeads(), "no ray of the scene's cameras meets a surface"),
    ],
)
def test_fields_without_a_usable_surface_are_refused_or_noted(field: RadianceField, message: str):
    if isinstance(field, Surface):
        field.set_occupied(torch.ones(1, 64, 64, 64, dtype=torch.bool))
        mesh = scene_mesh(field, [], resolution=48)
        assert any(message in note for note in mesh.notes)
        return
    away = Camera(look_at(np.array([4.0, 0, 0]), np.array([9.0, 0, 0]), "z"), Intrinsics.pinhole(16, 16, 16.0))
    with pytest.raises(BadInput, match=message):
        scene_mesh(field, [away], resolution=48)
    with pytest.raises(BadInput, match="without cameras"):
        scene_mesh(field, [], resolution=48)
    field.set_occupied(torch.zeros(1, 64, 64, 64, dtype=torch.bool))
    with pytest.raises(BadInput, match="no cell of the field is occupied"):
        scene_mesh(field, [away], resolution=48)
