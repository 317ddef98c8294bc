"""Where an object stands in its file: upright, on the ground, in metres, and with the way back."""

import json

import numpy as np
import pygltflib
import pytest
import trimesh
from gltf_reading import read_parts
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from fields.surface.placement import Placement, placement
from scenes.errors import BadInput
from scenes.posed.camera import Camera, Intrinsics
from scenes.posed.pose import look_at
from scenes.posed.projection import project
from scenes.posed.up import up_axis
from scenes.shape.writers.asset import Asset
from scenes.shape.writers.glb import write_glb

INTRINSICS = Intrinsics.pinhole(64, 48, 60.0)
# The source's axes in the file, for each direction that is up in the source: x, y and z as rows.
WANTED = {
    "y": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    "-y": [[1, 0, 0], [0, -1, 0], [0, 0, -1]],
    "z": [[1, 0, 0], [0, 0, -1], [0, 1, 0]],
    "-z": [[1, 0, 0], [0, 0, 1], [0, -1, 0]],
    "x": [[0, 1, 0], [-1, 0, 0], [0, 0, 1]],
    "-x": [[0, -1, 0], [1, 0, 0], [0, 0, 1]],
}


def arrows() -> Asset:
    """Three arrows from (1, 2, 3) along +x, +y and +z, of length 1, 2 and 3, in red, green and blue."""
    parts, colors = [], []
    for index, length in enumerate((1.0, 2.0, 3.0)):
        arrow = trimesh.creation.cone(radius=0.1, height=length, sections=12)
        turn = np.roll(np.eye(3), index + 1, axis=0)
        parts.append(trimesh.Trimesh(arrow.vertices @ turn.T, arrow.faces, process=False))
        assert parts[-1].vertices[:, index].max() == pytest.approx(length)
        colors.append(np.tile(np.eye(3)[index], (len(arrow.vertices), 1)))
    joined = trimesh.util.concatenate(parts)
    return Asset(
        joined.vertices + [1, 2, 3], joined.faces, joined.vertex_normals, colors=np.concatenate(colors), name="arrows"
    )


def circle(turn: np.ndarray, *, start: float = 0.0, end: float = 2 * np.pi, height: float = 1.0) -> list[Camera]:
    """Cameras on an arc around (1, 2, 3), level in a frame with Z up that is then turned."""
    cameras = []
    for angle in np.linspace(start, end, 12, endpoint=False):
        pose = look_at((4 * np.cos(angle), 4 * np.sin(angle), height), (0, 0, 0))
        cameras.append(
            Camera(np.column_stack([turn @ pose[:, :3], turn @ pose[:, 3] + [1, 2, 3]]), intrinsics=INTRINSICS)
        )
    return cameras


def ends(positions: np.ndarray, colors: np.ndarray) -> np.ndarray:
    """The direction of each arrow, `[3, 3]`: from the middle of its base to its tip."""
    found = []
    for index in range(3):
        part = positions[colors[:, index] > 0.5]
        base = part.mean(axis=0)
        found.append(part[np.linalg.norm(part - base, axis=1).argmax()] - base)
    found = np.array(found)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


@pytest.mark.parametrize("up", WANTED)
@pytest.mark.parametrize("quantize", [False, True])
def test_arrows_land_upright_in_a_glb(tmp_path, up: str, quantize: bool):
    asset = arrows()
    chosen = placement([], asset.vertices, up=up, size=0.5)
    write_glb(tmp_path / "a.glb", chosen.placed(asset), quantize=quantize)
    (part,) = read_parts(tmp_path / "a.glb")
    positions = part.attributes["POSITION"]
    np.testing.assert_allclose(ends(positions, part.attributes["COLOR_0"]), WANTED[up], atol=0.05)
    lower, upper = positions.min(axis=0), positions.max(axis=0)
    assert lower[1] == pytest.approx(0, abs=1e-6), "it stands on the ground"
    np.testing.assert_allclose(((lower + upper) / 2)[[0, 2]], 0, atol=1e-5)
    assert (upper - lower).max() == pytest.approx(0.5, abs=1e-5)
    # Normals point away from the axis of their arrow, so the mesh is not inside out.
    mesh = trimesh.Trimesh(positions, part.faces, process=False)
    assert mesh.volume > 0 and (mesh.vertex_normals * part.attributes["NORMAL"]).sum(axis=1).min() > 0.5
    # The way back is in the file.
    extras = pygltflib.GLTF2().load(str(tmp_path / "a.glb")).asset.extras
    back = np.array(extras["source_from_file"])
    quantum = 3.2 / 65535 if quantize else 1e-6
    assert extras["units"] == "metres" and extras["scale_known"] is True
    restored = positions @ back[:3, :3].T + back[:3, 3]
    assert np.abs(restored - asset.vertices).max() < quantum


@pytest.mark.parametrize("up", ["z", "-x"])
def test_arrows_land_upright_in_a_usdz(tmp_path, up: str):
    pytest.importorskip("pxr")
    from pxr import Usd, UsdGeom
    from validators import usd_errors

    from scenes.shape.writers.usdz import write_usdz

    asset = arrows()
    write_usdz(tmp_path / "a.usdz", placement([], asset.vertices, up=up, size=0.5).placed(asset))
    assert usd_errors(tmp_path / "a.usdz") == []
    stage = Usd.Stage.Open(str(tmp_path / "a.usdz"))
    assert UsdGeom.GetStageUpAxis(stage) == "Y" and UsdGeom.GetStageMetersPerUnit(stage) == 1
    mesh = UsdGeom.Mesh(next(prim for prim in stage.Traverse() if prim.IsA(UsdGeom.Mesh)))
    positions = np.array(mesh.GetPointsAttr().Get())
    np.testing.assert_allclose(ends(positions, np.array(mesh.GetDisplayColorAttr().Get())), WANTED[up], atol=0.05)
    assert positions[:, 1].min() == pytest.approx(0, abs=1e-6) and np.ptp(positions, axis=0).max() == pytest.approx(0.5)
    back = np.array(json.loads(stage.GetRootLayer().customLayerData["fieldStudio"])["source_from_file"])
    np.testing.assert_allclose(positions @ back[:3, :3].T + back[:3, 3], asset.vertices, atol=1e-5)


@pytest.mark.parametrize("seed", range(4))
def test_up_comes_from_the_cameras(tmp_path, seed: int):
    """A rig around the object, in a frame that is turned in any way; cameras see the same through the file."""
    turn = Rotation.random(random_state=seed).as_matrix()
    cameras = circle(turn, height=2.5)
    asset = arrows()
    chosen = placement(cameras, asset.vertices)
    np.testing.assert_allclose(chosen.up, turn[:, 2], atol=1e-6)
    np.testing.assert_allclose(chosen.directions(turn[:, 2][None]), [[0, 1, 0]], atol=1e-6)
    assert not chosen.scale_known and chosen.scale == pytest.approx(1) and "unknown" in " ".join(chosen.notes)
    write_glb(tmp_path / "a.glb", chosen.placed(asset))
    (part,) = read_parts(tmp_path / "a.glb")
    back = np.array(pygltflib.GLTF2().load(str(tmp_path / "a.glb")).asset.extras["source_from_file"])
    restored = part.attributes["POSITION"] @ back[:3, :3].T + back[:3, 3]
    for camera in cameras:
        for found, wanted in zip(project(camera, restored), project(camera, asset.vertices)):
            np.testing.assert_allclose(found, wanted, atol=1e-3)


def test_the_side_of_all_cameras_becomes_the_front():
    cameras = circle(np.eye(3), start=0.2, end=1.4)
    chosen = placement(cameras, arrows().vertices)
    middle = np.mean([camera.position for camera in cameras], axis=0) - arrows().vertices.mean(axis=0)
    turned = chosen.directions(middle[None])[0]
    assert turned[2] > 0 and abs(np.degrees(np.arctan2(turned[0], turned[2]))) < 25
    assert any("one side" in note for note in chosen.notes)
    # An axis that is given decides alone.
    assert not any("one side" in note for note in placement(cameras, arrows().vertices, up="z").notes)


def test_cameras_side_by_side_are_up_as_they_were_held():
    """Their right axes are parallel, so what is across them is no more than the noise of their roll."""
    random = np.random.default_rng(1)
    poses = []
    for offset in np.linspace(-0.3, 0.3, 9):
        pose = look_at((offset, -5, 1), (offset, 0, 1))
        wobble = Rotation.from_rotvec(random.normal(0, 0.01, 3)).as_matrix()
        poses.append(np.column_stack([wobble @ pose[:, :3], pose[:, 3]]))
    assert np.degrees(np.arccos(up_axis(np.stack(poses)) @ [0, 0, 1])) < 2


def test_cameras_that_look_down_steeply_leave_up_uncertain():
    cameras = circle(np.eye(3), height=40.0)
    assert any("uncertain" in note for note in placement(cameras, arrows().vertices).notes)
    assert not any("uncertain" in note for note in placement(circle(np.eye(3)), arrows().vertices).notes)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.floats(-1, 1), min_size=3, max_size=3).filter(lambda v: np.linalg.norm(v) > 1e-3),
    st.floats(0.01, 100),
    st.sampled_from(["y", "z"]),
)
def test_any_direction_can_be_up_and_comes_back(direction, size: float, file_up: str):
    vertices = arrows().vertices
    chosen = placement([], vertices, up=direction, size=size, file_up=file_up)
    unit = np.array(direction) / np.linalg.norm(direction)
    np.testing.assert_allclose(chosen.directions(unit[None])[0], {"y": [0, 1, 0], "z": [0, 0, 1]}[file_up], atol=1e-9)
    assert np.linalg.det(chosen.matrix[:3, :3]) > 0
    placed = chosen.positions(vertices)
    assert placed[:, "xyz".index(file_up)].min() == pytest.approx(0, abs=1e-9 * size)
    assert np.ptp(placed, axis=0).max() == pytest.approx(size)
    back = Placement(chosen.inverse, chosen.up, "source", scale_known=True)
    np.testing.assert_allclose(back.positions(placed), vertices, atol=1e-9)


def test_two_points_give_the_scale():
    assert placement([], arrows().vertices, scale_from="0,0,0,0,0,1.5=0.3").scale == pytest.approx(0.2)
    vertices = arrows().vertices
    chosen = placement([], vertices, up="z", scale_from=((1, 2, 3), (1, 2, 6), 0.12))
    assert chosen.scale == pytest.approx(0.04) and chosen.scale_known
    a, b = chosen.positions(np.array([[1, 2, 3], [1, 2, 6.0]]))
    np.testing.assert_allclose(b - a, [0, 0.12, 0], atol=1e-12)


def test_source_units_keep_every_coordinate(tmp_path):
    asset = arrows()
    chosen = placement(circle(np.eye(3)), asset.vertices, units="source")
    np.testing.assert_array_equal(chosen.matrix, np.eye(4))
    write_glb(tmp_path / "a.glb", chosen.placed(asset))
    (part,) = read_parts(tmp_path / "a.glb")
    np.testing.assert_allclose(part.attributes["POSITION"], asset.vertices, atol=1e-6)
    extras = pygltflib.GLTF2().load(str(tmp_path / "a.glb")).asset.extras
    assert extras["units"] == "source" and extras["source_from_file"] == np.eye(4).tolist()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"up": "up"}, "`up=up`: should be x, y, z"),
        ({"up": (0, 0, 0)}, "is not a direction"),
        ({"up": (0, np.nan, 0)}, "is not a direction"),
        ({"size": -1.0}, "`length=-1.0`: should be above 0"),
        ({"size": 1.0, "scale_from": ((0, 0, 0), (1, 0, 0), 1.0)}, "excludes `scale_from`"),
        ({"scale_from": ((0, 0, 0), (0, 0, 0), 1.0)}, "two different points"),
        ({"scale_from": ((0, 0, 0), (1, 0, 0), 0.0)}, "above 0"),
        ({"scale_from": "0,0,0,1=2"}, "should be X,Y,Z,X,Y,Z=METRES"),
        ({"scale_from": "0,0,0,1,0,0"}, "should be X,Y,Z,X,Y,Z=METRES"),
        ({"units": "source", "size": 1.0}, "`units=source`: keeps"),
        ({"units": "source", "up": "z"}, "`units=source`: keeps"),
    ],
)
def test_refuses_options_that_make_no_sense(options, message: str):
    with pytest.raises(BadInput) as caught:
        placement([], arrows().vertices, **options)
    assert message in str(caught.value)


def test_extras_are_plain_json():
    extras = placement([], arrows().vertices, up="z", size=1).extras()
    assert json.loads(json.dumps(extras)) == extras
