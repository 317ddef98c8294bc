"""Meshes from the command line, opened again by programs that are not ours and compared with the field."""

import json

import numpy as np
import pygltflib
import pytest
import trimesh

from apps.cli.main import main
from fields.fit import shape as objective_module

QUICK = ["--steps", "500", "--set", "batch=4096", "table_size=8192", "levels=3", "base_resolution=8", "growth=1.5"]


@pytest.fixture(autouse=True, scope="module")
def small():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FIELD_STUDIO_CACHE", "off")
        for name, value in {"VOLUME_POINTS": 20000, "SURFACE_POINTS": 4000, "RESOLUTION": 32, "PANEL_SIDE": 32}.items():
            patch.setattr(objective_module, name, value)
        patch.setattr("fields.surface.quality.SAMPLES", 5000)
        yield


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A quickly fitted, painted ball of radius 2 around (5, 0, 0)."""
    folder = tmp_path_factory.mktemp("ball")
    ball = trimesh.creation.icosphere(4, radius=2.0)
    ball.visual.vertex_colors = np.concatenate([ball.vertices * 50 + 128, np.full((len(ball.vertices), 1), 255)], axis=1).astype(np.uint8)
    ball.apply_translation([5.0, 0.0, 0.0])
    ball.export(folder / "ball.ply")
    assert main(["fit", str(folder / "ball.ply"), "--out", str(folder / "run"), *QUICK]) == 0
    return folder / "run"


def exported(run, out, capsys, *flags: str) -> dict:
    assert main(["export", str(run), str(out), "--json", *flags]) == 0, capsys.readouterr().err
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("ending", [".glb", ".obj", ".ply", ".stl"])
def test_every_format_holds_the_ball(run, tmp_path, capsys, ending: str):
    report = exported(run, tmp_path / f"ball{ending}", capsys, "--resolution", "48")
    mesh = trimesh.load_mesh(tmp_path / f"ball{ending}")
    mesh.merge_vertices(merge_norm=True, merge_tex=True)
    assert mesh.is_watertight and mesh.volume == pytest.approx(4 / 3 * np.pi * 8, rel=0.05)
    assert np.abs(np.linalg.norm(mesh.vertices - [5, 0, 0], axis=1) - 2).mean() < 0.02
    assert report["watertight"] and report["triangles"] == len(mesh.faces) and report["form"] == "mesh"
    assert report["distance_to_field_cells"] < 0.1 and report["distance_to_source"] < 0.01 and report["distance_from_source"] < 0.01
    assert sorted(map(str, tmp_path.iterdir())) == sorted(report["files"])
    if ending in (".obj", ".ply"):
        wanted = ((mesh.vertices - [5, 0, 0]) * 50 + 128).clip(0, 255)
        assert np.abs(mesh.visual.vertex_colors[:, :3] - wanted).mean() < 6


def test_a_glb_is_what_the_standard_says(run, tmp_path, capsys):
    """Colours are linear, normals of unit length and outwards, bounds given."""
    exported(run, tmp_path / "a.glb", capsys, "--resolution", "40")
    file = pygltflib.GLTF2().load(str(tmp_path / "a.glb"))
    primitive = file.meshes[0].primitives[0]

    def read(index: int, kind, width: int):
        accessor = file.accessors[index]
        view = file.bufferViews[accessor.bufferView]
        return np.frombuffer(file.binary_blob(), kind, accessor.count * width, view.byteOffset).reshape(-1, width)

    places, normals = read(primitive.attributes.POSITION, np.float32, 3), read(primitive.attributes.NORMAL, np.float32, 3)
    assert np.allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-5)
    assert ((places - [5, 0, 0]) / 2 * normals).sum(axis=1).mean() > 0.98
    assert file.accessors[primitive.attributes.POSITION].min == places.min(axis=0).tolist()
    colours = read(primitive.attributes.COLOR_0, np.uint16, 4) / 65535
    shown = np.where(colours <= 0.0031308, colours * 12.92, 1.055 * colours ** (1 / 2.4) - 0.055)[:, :3]
    assert np.abs(shown - ((places - [5, 0, 0]) * 50 + 128) / 255).mean() < 0.03
    assert (colours[:, 3] == 1).all()
    assert file.materials[0].doubleSided and file.materials[0].pbrMetallicRoughness.metallicFactor == 0


def test_the_usual_ending_and_people_are_told(run, capsys):
    assert main(["export", str(run), "--resolution", "24"]) == 0
    said = capsys.readouterr()
    assert (run / "export.glb").is_file() and "watertight" in said.out and "to the source" in said.out
    assert "24 cells: about" in said.err and "GB" in said.err


def test_levels_crops_and_fewer_faces(run, tmp_path, capsys):
    report = exported(run, tmp_path / "a.ply", capsys, "--resolution", "40", "--level", "0.05")
    wider = 2 + 0.05 * 4 * 1.1
    assert np.linalg.norm(trimesh.load_mesh(tmp_path / "a.ply").vertices - [5, 0, 0], axis=1).mean() == pytest.approx(wider, abs=0.05)
    assert "distance_to_source" not in report
    report = exported(run, tmp_path / "b.ply", capsys, "--resolution", "40", "--crop", "5,-9,-9,9,9,9")
    half = trimesh.load_mesh(tmp_path / "b.ply")
    assert half.is_watertight and half.bounds[0, 0] == pytest.approx(5, abs=0.01) and half.volume == pytest.approx(4 / 6 * np.pi * 8, rel=0.05)
    report = exported(run, tmp_path / "c.ply", capsys, "--resolution", "64", "--faces", "500", "--largest")
    assert report["triangles"] <= 500
    few = trimesh.load_mesh(tmp_path / "c.ply")
    assert np.abs(np.linalg.norm(few.vertices - [5, 0, 0], axis=1) - 2).mean() < 0.03


@pytest.mark.parametrize(("arguments", "says"), [
    (["a.xyz"], "as .xyz; it becomes --as mesh: .glb, .obj, .ply, .stl"), (["a.glb", "--as", "cake"], "as .glb --as cake"),
    (["a.glb", "--resolution", "1"], "from 8 to 4096"), (["a.glb", "--resolution", "100000"], "from 8 to 4096"),
    (["a.glb", "--level", "7"], "there is no surface at the level 7 here: the field's values go from"),
    (["no/such/folder/a.glb"], "folder does not exist"), (["a.glb", "--crop", "90,90,90,99,99,99"], "outside of the field"),
    (["a.glb", "--crop", "1,1,1,0,2,2"], "should be X0,Y0,Z0,X1,Y1,Z1"), (["a.glb", "--memory", "300M"], "resolution would fit"),
    (["a.glb", "--memory", "330M", "--resolution", "2048"], "cells along the longest side would take about"),
    (["a.stl", "--texture"], "--texture: means nothing to .stl --as mesh")])
def test_what_cannot_be_is_said_in_one_line(run, tmp_path, capsys, monkeypatch, arguments, says):
    monkeypatch.chdir(tmp_path)
    assert main(["export", str(run), *arguments]) == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert said[-1].startswith("error: ") and says in said[-1], said
    assert not list(tmp_path.iterdir())
