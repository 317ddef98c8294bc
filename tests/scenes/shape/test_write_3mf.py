"""3MF files have units, closed meshes and exact colors."""

import json
import zipfile
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import trimesh

from scenes.errors import BadInput
from scenes.shape.writers.asset import Asset
from scenes.shape.writers.threemf import write_3mf

CORE = "{http://schemas.microsoft.com/3dmanufacturing/core/2015/02}"
MATERIALS = "{http://schemas.microsoft.com/3dmanufacturing/material/2015/02}"
BALL = trimesh.creation.icosphere(2)


def model(path: Path) -> ElementTree.Element:
    with zipfile.ZipFile(path) as package:
        assert package.testzip() is None and package.namelist()[0] == "[Content_Types].xml"
        return ElementTree.fromstring(package.read("3D/3dmodel.model"))


def test_the_mesh_is_closed_and_in_its_units(tmp_path):
    """Corners that charts have split are one vertex."""
    corners = BALL.vertices[BALL.faces].reshape(-1, 3)
    faces = np.arange(len(corners)).reshape(-1, 3)
    asset = Asset(corners, faces, corners, units="metres", extras={"scale_known": True}, name='a "ball" & more')
    write_3mf(tmp_path / "a.3mf", asset)
    root = model(tmp_path / "a.3mf")
    assert root.get("unit") == "meter"
    metadata = {entry.get("name"): entry.text for entry in root.findall(f"{CORE}metadata")}
    assert json.loads(metadata["Description"]) == {"units": "metres", "scale_known": True}
    assert root.find(f".//{CORE}object").get("name") == 'a "ball" & more'
    vertices = np.array([[float(v.get(k)) for k in "xyz"] for v in root.iter(f"{CORE}vertex")])
    triangles = np.array([[int(t.get(k)) for k in ("v1", "v2", "v3")] for t in root.iter(f"{CORE}triangle")])
    mesh = trimesh.Trimesh(vertices, triangles, process=False)
    assert mesh.is_watertight and mesh.volume == pytest.approx(BALL.volume, rel=1e-5)
    assert len(vertices) == len(BALL.vertices)
    np.testing.assert_allclose(vertices[triangles], BALL.vertices[BALL.faces], atol=1e-7)


def test_colors_are_exact(tmp_path):
    """Also those of two vertices at one place."""
    levels = np.random.default_rng(0).integers(0, 256, (12, 3))
    vertices = np.repeat([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1.0]], 3, axis=0)
    faces = np.array([[0, 6, 3], [1, 4, 9], [2, 10, 7], [5, 8, 11]])
    write_3mf(tmp_path / "a.3mf", Asset(vertices, faces, np.ones_like(vertices), colors=levels / 255))
    root = model(tmp_path / "a.3mf")
    assert root.get("unit") == "millimeter"
    group = root.find(f".//{MATERIALS}colorgroup")
    colors = [color.get("color") for color in group]
    for triangle, face in zip(root.iter(f"{CORE}triangle"), faces):
        assert triangle.get("pid") == group.get("id")
        found = [colors[int(triangle.get(k))] for k in ("p1", "p2", "p3")]
        assert found == ["#{:02X}{:02X}{:02X}FF".format(*levels[index]) for index in face]
    assert len(list(root.iter(f"{CORE}vertex"))) == 4


def test_another_program_reads_it(tmp_path):
    pytest.importorskip("lxml")
    write_3mf(tmp_path / "a.3mf", Asset(BALL.vertices, BALL.faces, BALL.vertex_normals))
    loaded = trimesh.load_mesh(tmp_path / "a.3mf")
    assert loaded.is_volume and loaded.volume == pytest.approx(BALL.volume, rel=1e-5)


def test_a_file_that_cannot_be_written_leaves_nothing(tmp_path):
    with pytest.raises(BadInput, match="folder does not exist"):
        write_3mf(tmp_path / "no" / "a.3mf", Asset(BALL.vertices, BALL.faces, BALL.vertex_normals))
    assert not list(tmp_path.iterdir())
