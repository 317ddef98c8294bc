"""Meshes, points and lattices from the command line, read by other libraries and compared with the field."""

import json

import numpy as np
import pygltflib
import pytest
import trimesh
from gltf_reading import read_parts
from PIL import Image
from validators import assert_valid_gltf, usd_errors

from apps.cli.main import main


def exported(run, out, capsys, *flags: str) -> dict:
    assert main(["export", str(run), str(out), "--json", *flags]) == 0, capsys.readouterr().err
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("ending", [".glb", ".obj", ".ply", ".stl"])
def test_meshes_of_every_format_are_the_ball(run, tmp_path, capsys, ending: str):
    report = exported(run, tmp_path / f"ball{ending}", capsys, "--resolution", "48")
    mesh = trimesh.load_mesh(tmp_path / f"ball{ending}")
    mesh.merge_vertices(merge_norm=True, merge_tex=True)
    assert mesh.is_watertight and mesh.volume == pytest.approx(4 / 3 * np.pi * 8, rel=0.05)
    assert np.abs(np.linalg.norm(mesh.vertices - [5, 0, 0], axis=1) - 2).mean() < 0.02
    assert report["watertight"] and report["triangles"] == len(mesh.faces) and report["form"] == "mesh"
    assert (
        report["distance_to_field_cells"] < 0.1
        and report["distance_to_source"] < 0.01
        and report["distance_from_source"] < 0.01
    )
    assert sorted(map(str, tmp_path.iterdir())) == sorted(report["files"])
    if ending in (".obj", ".ply"):
        wanted = ((mesh.vertices - [5, 0, 0]) * 50 + 128).clip(0, 255)
        assert np.abs(mesh.visual.vertex_colors[:, :3] - wanted).mean() < 6


def test_glb_files_follow_the_standard(run, tmp_path, capsys):
    """Colors are linear, normals have unit length and point outwards, and bounds are given."""
    exported(run, tmp_path / "a.glb", capsys, "--resolution", "40")
    file = pygltflib.GLTF2().load(str(tmp_path / "a.glb"))
    primitive = file.meshes[0].primitives[0]

    def read(index: int, kind, width: int):
        accessor = file.accessors[index]
        view = file.bufferViews[accessor.bufferView]
        return np.frombuffer(file.binary_blob(), kind, accessor.count * width, view.byteOffset).reshape(-1, width)

    positions, normals = (
        read(primitive.attributes.POSITION, np.float32, 3),
        read(primitive.attributes.NORMAL, np.float32, 3),
    )
    assert np.allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-5)
    assert ((positions - [5, 0, 0]) / 2 * normals).sum(axis=1).mean() > 0.98
    assert file.accessors[primitive.attributes.POSITION].min == positions.min(axis=0).tolist()
    colors = read(primitive.attributes.COLOR_0, np.uint16, 4) / 65535
    shown = np.where(colors <= 0.0031308, colors * 12.92, 1.055 * colors ** (1 / 2.4) - 0.055)[:, :3]
    assert np.abs(shown - ((positions - [5, 0, 0]) * 50 + 128) / 255).mean() < 0.03
    assert (colors[:, 3] == 1).all()
    assert file.materials[0].doubleSided and file.materials[0].pbrMetallicRoughness.metallicFactor == 0


def test_shapes_stand_on_the_ground_on_request(run, tmp_path, capsys):
    """Upright in metres, in each format; printers' formats have Z up."""
    flags = ("--resolution", "32", "--up", "z", "--length", "0.3")
    for ending, vertical in ((".glb", 1), (".ply", 1), (".stl", 2), (".3mf", 2)):
        exported(run, tmp_path / f"ball{ending}", capsys, *flags)
        bounds = trimesh.load_mesh(tmp_path / f"ball{ending}").bounds
        assert (bounds[1] - bounds[0]).max() == pytest.approx(0.3, abs=1e-6)
        assert bounds[0, vertical] == pytest.approx(0, abs=1e-6)
        middle = np.delete(bounds.mean(axis=0), vertical)
        np.testing.assert_allclose(middle, 0, atol=1e-6)
    extras = pygltflib.GLTF2().load(str(tmp_path / "ball.glb")).asset.extras
    back = np.array(extras["source_from_file"])
    assert extras["units"] == "metres" and extras["scale_known"]
    positions = read_parts(tmp_path / "ball.glb")[0].attributes["POSITION"] @ back[:3, :3].T + back[:3, 3]
    assert np.abs(np.linalg.norm(positions - [5, 0, 0], axis=1) - 2).mean() < 0.03
    (element,) = (line for line in (tmp_path / "ball.ply").read_bytes().split(b"\n") if b"source_from_file" in line)
    assert json.loads(element.removeprefix(b"comment "))["source_from_file"] == extras["source_from_file"]


def test_quantized_meshes_with_every_kind_of_texture_are_valid(run, tmp_path, capsys):
    base = ("--resolution", "32", "--triangles", "600", "--texture-size", "128", "--quantize")
    for name, flags in {
        "png.glb": (),
        "jpeg.glb": ("--texture-format", "jpeg", "--normal-map"),
        "webp.glb": ("--texture-format", "webp"),
    }.items():
        report = exported(run, tmp_path / name, capsys, *base, *flags)
        found = assert_valid_gltf(tmp_path / name)
        assert found["info"]["totalTriangleCount"] == report["triangles"]
    sizes = {path.stem: path.stat().st_size for path in tmp_path.iterdir()}
    assert sizes["webp"] < sizes["png"]


def test_usdz_of_a_shape_passes_the_validators(run, tmp_path, capsys):
    pytest.importorskip("pxr")
    exported(run, tmp_path / "a.usdz", capsys, "--resolution", "32", "--triangles", "600", "--texture-size", "128")
    assert usd_errors(tmp_path / "a.usdz") == []


def test_3mf_of_a_shape_has_its_colors(run, tmp_path, capsys):
    import re
    import zipfile

    report = exported(run, tmp_path / "a.3mf", capsys, "--resolution", "24")
    with zipfile.ZipFile(tmp_path / "a.3mf") as package:
        text = package.read("3D/3dmodel.model").decode()
    assert text.count("<triangle ") == report["triangles"] and 'unit="millimeter"' in text
    assert len(set(re.findall(r'color="#(\w+)"', text))) > 100


@pytest.mark.slow
def test_collision_parts_fill_the_ball(run, tmp_path, capsys):
    pytest.importorskip("coacd")
    report = exported(run, tmp_path / "ball.glb", capsys, "--resolution", "24", "--collision")
    assert str(tmp_path / "ball-collision.glb") in report["files"]
    parts = read_parts(tmp_path / "ball-collision.glb")
    assert_valid_gltf(tmp_path / "ball-collision.glb")
    meshes = [trimesh.Trimesh(part.attributes["POSITION"], part.faces) for part in parts]
    assert all(mesh.is_convex for mesh in meshes)
    assert sum(mesh.volume for mesh in meshes) == pytest.approx(4 / 3 * np.pi * 8, rel=0.15)
    assert [part.name for part in parts] == [f"ball-{index:02d}-convcolonly" for index in range(len(parts))]
    assert report["triangles"] > 0


@pytest.mark.parametrize("ending", [".glb", ".obj"])
def test_textures_show_the_colors_of_the_field(run, tmp_path, capsys, ending: str):
    report = exported(
        run,
        tmp_path / f"ball{ending}",
        capsys,
        "--resolution",
        "32",
        "--triangles",
        "600",
        "--texture-size",
        "256",
        "--normal-map",
    )
    assert report["triangles"] <= 600 and report["texture"] == 256 and report["texture_covered"] > 0.3
    mesh = trimesh.load_mesh(tmp_path / f"ball{ending}")
    material = mesh.visual.material
    image = np.asarray(getattr(material, "baseColorTexture", None) or material.image)
    assert image.shape == (256, 256, 3) and mesh.visual.uv.shape == (len(mesh.vertices), 2)
    # The texture has the color of each vertex at its texture coordinates.
    found = image[
        np.clip(((1 - mesh.visual.uv[:, 1]) * 256).astype(int), 0, 255),
        np.clip((mesh.visual.uv[:, 0] * 256).astype(int), 0, 255),
    ]
    assert np.abs(found - ((mesh.vertices - [5, 0, 0]) * 50 + 128)).mean() < 8
    if ending == ".glb":
        assert material.normalTexture.size == (256, 256)
    else:
        with Image.open(tmp_path / "ball-normals.png") as normal_map:
            assert np.abs(np.asarray(normal_map).astype(int)[..., 2] - 255).mean() < 12
    merged = trimesh.Trimesh(mesh.vertices, mesh.faces)
    assert merged.is_watertight, "only the corners of charts are split"


def test_points_lie_on_the_surface_with_its_colors_and_normals(run, tmp_path, capsys):
    report = exported(run, tmp_path / "a.ply", capsys, "--as", "points", "--points", "3000", "--resolution", "32")
    cloud = trimesh.load(tmp_path / "a.ply")
    assert isinstance(cloud, trimesh.PointCloud) and len(cloud.vertices) == report["points"] == 3000
    away = np.array(cloud.vertices) - [5, 0, 0]
    assert np.abs(np.linalg.norm(away, axis=1) - 2).mean() < 0.01 and report["distance_to_field_cells"] < 0.05
    assert np.abs(np.asarray(cloud.colors)[:, :3] - (away * 50 + 128)).mean() < 6
    raw = cloud.metadata["_ply_raw"]["vertex"]["data"]
    normals = np.stack([raw[name].reshape(-1) for name in ("nx", "ny", "nz")], axis=1)
    assert ((away / 2) * normals).sum(axis=1).mean() > 0.98
    assert np.linalg.norm(away.mean(axis=0)) < 0.15, "spread over the whole ball"


def test_lattices_hold_distances_in_units_of_the_file(run, tmp_path, capsys):
    report = exported(run, tmp_path / "a.npz", capsys, "--resolution", "24")
    exported(run, tmp_path / "a.nrrd", capsys, "--resolution", "24")
    import nrrd

    values = np.load(tmp_path / "a.npz")["volume"]
    others, header = nrrd.read(str(tmp_path / "a.nrrd"), index_order="C")
    assert (
        values.shape == (24, 24, 24)
        and np.array_equal(values, others)
        and np.allclose(header["spacings"], report["spacing"])
    )
    z, y, x = np.meshgrid(
        *(report["origin"][k] + report["spacing"][k] * np.arange(24) for k in (2, 1, 0)), indexing="ij"
    )
    near = np.abs(values) < 0.5
    assert np.abs(values - (np.sqrt((x - 5) ** 2 + y**2 + z**2) - 2))[near].mean() < 0.03, (
        "distances in the units of the file"
    )


def test_slices_are_dark_inside_grey_at_the_surface_and_light_outside(run, tmp_path, capsys):
    report = exported(run, tmp_path / "cuts", capsys, "--resolution", "20")
    names = sorted(path.name for path in (tmp_path / "cuts").iterdir())
    assert names == [f"slice-{k:04d}.png" for k in range(20)] and report["voxels"] == [20, 20, 20]
    with Image.open(tmp_path / "cuts" / "slice-0010.png") as image:
        cut = np.asarray(image)
    assert cut[10, 10] < 40 and cut[0, 0] > 200 and abs(int(cut[10, 1]) - 128) < 20, (
        "dark inside, grey at the surface, light outside"
    )
    assert main(["export", str(run), str(tmp_path / "cuts")]) == 2
    assert "not an empty folder" in capsys.readouterr().err


def test_error_maps_are_red_where_the_mesh_is_far_from_the_source(run, tmp_path, capsys):
    report = exported(run, tmp_path / "a.ply", capsys, "--resolution", "32", "--error-map")
    mesh = trimesh.load_mesh(tmp_path / "a.ply")
    away = np.abs(np.linalg.norm(mesh.vertices - [5, 0, 0], axis=1) - 2) / 4
    green = mesh.visual.vertex_colors[:, 1]
    assert green[away > np.quantile(away, 0.95)].mean() < green[away < np.quantile(away, 0.3)].mean() - 60
    assert 0 < report["error_map_white_to_red"] < 0.05


def test_a_full_disk_leaves_no_files(run, tmp_path):
    import subprocess
    import sys

    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(small)], capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"a small disk cannot be mounted here ({mounted.stderr.strip()})")
    try:
        for name in ("a.glb", "a.ply", "a.obj", "cuts"):
            done = subprocess.run(
                [sys.executable, "-m", "apps.cli.main", "export", str(run), str(small / name), "--resolution", "160"],
                capture_output=True,
                text=True,
                timeout=300,
            )
            assert done.returncode == 2 and "full" in done.stderr.strip().splitlines()[-1], done.stderr
            assert not list(small.iterdir())
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_an_obj_that_cannot_be_written_leaves_no_files(tmp_path, monkeypatch):
    from scenes.errors import BadInput
    from scenes.shape.writers import obj
    from scenes.shape.writers.asset import Asset

    def full(*_):
        raise OSError(28, "No space left on device")

    ball = trimesh.creation.icosphere(1)
    monkeypatch.setattr(obj, "_write_lines", full)
    with pytest.raises(BadInput, match="full"):
        obj.write_obj(tmp_path / "a.obj", Asset(ball.vertices, ball.faces, ball.vertex_normals))
    assert not list(tmp_path.iterdir())


def test_the_default_file_is_a_glb_and_the_summary_tells_its_quality(run, capsys):
    assert main(["export", str(run), "--resolution", "24"]) == 0
    printed = capsys.readouterr()
    assert (run / "export.glb").is_file() and "watertight" in printed.out and "to the source" in printed.out
    assert "24 cells: about" in printed.err and "GB" in printed.err


def test_level_crop_and_number_of_faces_are_obeyed(run, tmp_path, capsys):
    report = exported(run, tmp_path / "a.ply", capsys, "--resolution", "40", "--level", "0.05")
    wider = 2 + 0.05 * 4 * 1.1
    assert np.linalg.norm(trimesh.load_mesh(tmp_path / "a.ply").vertices - [5, 0, 0], axis=1).mean() == pytest.approx(
        wider, abs=0.05
    )
    assert "distance_to_source" not in report
    report = exported(run, tmp_path / "b.ply", capsys, "--resolution", "40", "--box", "5,-9,-9,9,9,9")
    half = trimesh.load_mesh(tmp_path / "b.ply")
    assert (
        half.is_watertight
        and half.bounds[0, 0] == pytest.approx(5, abs=0.01)
        and half.volume == pytest.approx(4 / 6 * np.pi * 8, rel=0.05)
    )
    report = exported(run, tmp_path / "c.ply", capsys, "--resolution", "64", "--triangles", "500", "--largest")
    assert report["triangles"] <= 500
    few = trimesh.load_mesh(tmp_path / "c.ply")
    assert np.abs(np.linalg.norm(few.vertices - [5, 0, 0], axis=1) - 2).mean() < 0.03


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a.xyz"], "as .xyz; it becomes mesh: .glb, .obj, .ply, .stl, .usdz, .3mf"),
        (["a.usdz", "--texture-size", "4096"], "at most 2048 pixels"),
        (["a.usdz", "--texture", "--texture-format", "webp"], ".usdz files have png and jpeg textures only"),
        (["a.glb", "--texture-format", "jpeg"], "--texture-format: there is no texture"),
        (["a.ply", "--quantize"], "--quantize: means nothing to .ply"),
        (["a.glb", "--units", "source", "--length", "2"], "--units source: keeps"),
        (["a.glb", "--as", "cake"], "as .glb as cake"),
        (["a.glb", "--resolution", "1"], "from 8 to 4096"),
        (["a.glb", "--resolution", "100000"], "from 8 to 4096"),
        (["a.glb", "--level", "7"], "there is no surface at the level 7 here: the field's values go from"),
        (["no/such/folder/a.glb"], "folder does not exist"),
        (["a.glb", "--box", "90,90,90,99,99,99"], "outside of the field"),
        (["a.glb", "--crop", "1,1,2,2"], "--crop: means nothing"),
        (["a.glb", "--box", "1,1,1,0,2,2"], "should be X0,Y0,Z0,X1,Y1,Z1"),
        (["a.glb", "--memory", "300M"], "resolution would fit"),
        (["a.glb", "--memory", "330M", "--resolution", "2048"], "cells along the longest side would take about"),
        (["a.stl", "--texture"], "--texture: means nothing to .stl as mesh"),
        (["a.glb", "--texture-size", "9"], "from 64 to 8192"),
        (["a.glb", "--texture", "--error-map"], "is for vertices"),
        (["cuts", "--resolution", "4000"], "from 8 to 2048"),
        (["a.npz", "--resolution", "512", "--memory", "100M"], "would fit"),
        (["a.ply", "--as", "points", "--triangles", "9"], "--triangles: means nothing"),
    ],
)
def test_refuses_impossible_exports_of_a_shape_in_one_line(run, tmp_path, capsys, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert main(["export", str(run), *arguments]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert lines[-1].startswith("error: ") and message in lines[-1], lines
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_open3d_reads_the_same_meshes_and_points(run, tmp_path, capsys):
    open3d = pytest.importorskip("open3d")
    for name, flags in {
        "plain.glb": (),
        "baked.glb": ("--texture-size", "128", "--triangles", "800"),
        "plain.ply": (),
        "plain.stl": (),
    }.items():
        report = exported(run, tmp_path / name, capsys, "--resolution", "48", *flags)
        mesh = open3d.io.read_triangle_mesh(str(tmp_path / name))
        assert len(mesh.triangles) == report["triangles"], name
        positions = np.asarray(mesh.vertices)
        assert np.abs(np.linalg.norm(positions - [5, 0, 0], axis=1) - 2).mean() < 0.03
        assert mesh.has_triangle_uvs() == (name == "baked.glb")
        if name == "plain.ply":
            assert (
                mesh.has_vertex_normals()
                and np.abs(np.asarray(mesh.vertex_colors) * 255 - ((positions - [5, 0, 0]) * 50 + 128)).mean() < 6
            )
    exported(run, tmp_path / "points.ply", capsys, "--as", "points", "--points", "2000", "--resolution", "32")
    cloud = open3d.io.read_point_cloud(str(tmp_path / "points.ply"))
    assert len(cloud.points) == 2000 and cloud.has_normals() and cloud.has_colors()


@pytest.mark.slow
def test_an_image_of_the_textured_mesh_agrees_with_one_of_the_field(run, tmp_path, capsys):
    """Rays cast on the file and lit as the render of the field: 34 dB or more where both have the surface."""
    from benchmarks.mesh_pictures import shape_agreement

    exported(run, tmp_path / "ball.glb", capsys, "--resolution", "96", "--triangles", "6000", "--texture-size", "512")
    found = shape_agreement(run, tmp_path / "ball.glb", size=96, views=3)
    print(found)
    assert found["psnr"] > 34 and found["one_only"] < 0.02


@pytest.mark.slow
def test_a_mesh_of_512_cells_needs_less_than_two_gigabytes(run, tmp_path):
    """Memory of the whole process, with colors, normals and the comparison with the source."""
    import subprocess
    import sys

    script = (
        "import resource, sys; from apps.cli.main import main; status = main(sys.argv[1:]);"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss); sys.exit(status)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, "export", str(run), str(tmp_path / "big.ply"), "--resolution", "512"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(done.stdout.strip().splitlines()[-1]) < 2 << 20
    assert "watertight" in done.stdout
