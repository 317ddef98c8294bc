"""Exports of volumes in the space of their files, and of films in their true shape."""

import numpy as np
import pytest
import torch
import trimesh
from analytic_fields import Blob

from fields.export.base import Source
from fields.export.formats import export
from fields.export.outputs.video import VideoOutput
from fields.export.outputs.volume import VolumeOutput
from fields.export.request import ExportRequest, RenderRequest
from fields.models.field import PointField
from scenes.domain import Axis, Channels, Domain, World
from scenes.volume.signal import open_volume

# A turn of 30 degrees about z after mirroring x, then a shift.
C, S = np.cos(np.pi / 6), np.sin(np.pi / 6)
MATRIX = ((-C, -S, 0.0, 20.0), (-S, C, 0.0, -15.0), (0.0, 0.0, 1.0, -7.0))
# Where the ball of `Blob` then lies.
CENTER = np.array(MATRIX) @ [12.0, 12.0, 11.0, 1.0]


class PlacedBlob(Blob):
    """`Blob` in a patient's space, seen in a mirror."""

    def __init__(self) -> None:
        super().__init__()
        self.domain = Domain(self.domain.axes, World(MATRIX, "LPS"))


class LargeBlob(Blob):
    """`Blob` with values from a million on."""

    def __init__(self) -> None:
        super().__init__()
        self.channels = Channels(("value",), "scalar", lower=1e6, upper=1e6 + 1)


@pytest.mark.parametrize("ending", [".ply", ".stl", ".obj", ".glb"])
def test_meshes_of_volumes_lie_in_the_space_of_their_file(tmp_path, ending):
    report = export(Source(None, PlacedBlob(), "volume"), tmp_path / f"a{ending}", ExportRequest(resolution=40))
    mesh = trimesh.load_mesh(tmp_path / f"a{ending}", process=False)
    away = mesh.vertices - CENTER
    np.testing.assert_allclose(np.linalg.norm(away, axis=1), 0.8, atol=0.03)
    # The mirror turns triangles over; they and the normals have to face outwards.
    outwards = (mesh.face_normals * (mesh.triangles_center - CENTER)).sum(axis=1)
    assert outwards.min() > 0
    if ending in (".ply", ".glb"):
        assert (mesh.vertex_normals * away).sum(axis=1).min() > 0
    assert any("LPS, in mm" in note for note in report["notes"])


def test_points_of_volumes_lie_in_the_space_of_their_file(tmp_path):
    export(Source(None, PlacedBlob(), "volume"), tmp_path / "a.ply", ExportRequest(points=500, resolution=32), "points")
    cloud = trimesh.load(tmp_path / "a.ply", process=False)
    np.testing.assert_allclose(np.linalg.norm(cloud.vertices - CENTER, axis=1), 0.8, atol=0.03)


@pytest.mark.parametrize("ending", [".nrrd", ".nii.gz"])
@pytest.mark.parametrize("how", ["render", "export"])
def test_volume_files_lie_in_the_space_of_their_file(tmp_path, ending, how):
    pytest.importorskip("nibabel")
    out = tmp_path / f"a{ending}"
    if how == "render":
        VolumeOutput(PlacedBlob()).render(out, RenderRequest(scale=0.5))
    else:
        export(Source(None, PlacedBlob(), "volume"), out, ExportRequest(resolution=24), "volume")
    volume = open_volume(out)
    signs = [-1, -1, 1] if ending == ".nii.gz" else [1, 1, 1]  # NIfTI's space is RAS
    inside = np.argwhere(volume.stored[..., 0] > 500)[:, ::-1]
    steps = [(axis.upper - axis.lower) / n for axis, n in zip(volume.domain.axes, volume.domain.grid_shape)]
    middle = (inside.mean(axis=0) + 0.5) * steps
    found = np.array(volume.domain.world.matrix) @ [*middle, 1.0]
    np.testing.assert_allclose(found * signs, CENTER, atol=0.05)


def test_surfaces_and_values_on_a_large_offset_keep_the_variation(tmp_path):
    report = export(
        Source(None, LargeBlob(), "volume"), tmp_path / "a.ply", ExportRequest(resolution=40, level=1e6 + 0.5)
    )
    mesh = trimesh.load_mesh(tmp_path / "a.ply")
    np.testing.assert_allclose(np.linalg.norm(mesh.vertices - [12, 12, 11], axis=1), 0.8, atol=0.02)
    assert report["level"] == 1e6 + 0.5 and report["distance_to_field_cells"] < 0.1
    VolumeOutput(LargeBlob()).render(tmp_path / "a.npy", RenderRequest(scale=1))
    written = np.load(tmp_path / "a.npy")
    assert written.dtype == np.float64 and len(np.unique(written)) > 80
    value = LargeBlob().at(12.0, 12.0, 11.0)
    assert value.dtype == torch.float64 and float(value) - 1e6 == pytest.approx(1.0, abs=1e-4)


class Disc(PointField):
    """A film of 32 x 32 samples whose pixels are twice as wide as high: a disc that is round when it is shown."""

    def __init__(self) -> None:
        axes = (Axis("x", 0.0, 64.0, "px", 32), Axis("y", 0.0, 32.0, "px", 32), Axis("t", 0.0, 0.5, "s", 5))
        super().__init__(Domain(axes), Channels(("red", "green", "blue"), "srgb"))
        self.anchor = torch.nn.Parameter(torch.zeros(1))

    def forward(self, coords):
        away = ((coords[..., :2] - 0.5) * torch.tensor([64.0, 32.0])).norm(dim=-1, keepdim=True)
        return torch.sigmoid(10 - away).expand(*away.shape[:-1], 3) + 0 * self.anchor


def test_films_are_rendered_in_their_true_shape(tmp_path):
    from PIL import Image

    report = VideoOutput(Disc()).render(tmp_path / "a.png", RenderRequest(time=0.2))
    light = np.asarray(Image.open(tmp_path / "a.png"))[..., 0] > 128
    assert (report["width"], report["height"]) == (64, 32)
    assert light.any(axis=0).sum() == light.any(axis=1).sum() == 20
    report = VideoOutput(Disc()).render(tmp_path / "a.mp4", RenderRequest(crop=(16, 0, 48, 32)))
    assert (report["width"], report["height"]) == (32, 32)


def test_slices_of_long_voxels_are_in_true_proportions(tmp_path):
    field = PlacedBlob()
    x, y, z = field.domain.axes
    field.domain = Domain((x, y, Axis("z", z.lower, z.upper, "mm", 4)))  # 0.5 mm apart, beside 0.125 mm
    report = VolumeOutput(field).render(tmp_path / "x.png", RenderRequest(slice=("x", 0.5)))
    assert (report["width"], report["height"]) == (32, 16)
    report = VolumeOutput(field).render(tmp_path / "z.png", RenderRequest(slice=("z", 0.5)))
    assert (report["width"], report["height"]) == (32, 32)
