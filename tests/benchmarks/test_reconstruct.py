"""Rendered scenes and the scorer of exported meshes, which must be right before what they measure can be."""

import io
import json
import sys
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.reconstruct.__main__ import table
from benchmarks.reconstruct.raycast import Drawing, Model, directions, to_linear, to_srgb
from benchmarks.reconstruct.read_mesh import image_bytes, moved, read_models, source_transform
from benchmarks.reconstruct.scenes import setting_of, write_scene, zero_set
from benchmarks.reconstruct.score import aligned, parts_of, score_scene, scored_views
from benchmarks.reconstruct.subjects import CENTRE, LONGEST, lit, subdivided, subject
from benchmarks.reconstruct.watched import watch
from benchmarks.reconstruct.write_truth import write_truth
from scenes.posed.camera import Camera, Intrinsics
from scenes.posed.pose import look_at
from scenes.posed.projection import pixel_directions, project

pytest.importorskip("open3d")
pytest.importorskip("pygltflib")


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scene") / "blob"
    write_scene("blob", folder, size=64, views=8, tests=3)
    return folder


def test_truth_scores_as_itself(scene):
    found = score_scene(scene / "truth" / "mesh.glb", scene)
    # Bytes round by 1/4 of one on average: 58.9 dB where the mesh is, exact elsewhere.
    assert found["psnr"] > 58 and found["inside_psnr"] > 57 and found["ssim"] > 0.998
    assert found["chamfer"] < 1e-6 and found["normal_angle"] < 0.01 and found["parts"] == 1
    assert found["unseen"] < 0.05 and found["bytes"] == (scene / "truth" / "mesh.glb").stat().st_size


def test_shifted_copy_is_that_far_away(scene, tmp_path):
    shift = 0.01 * LONGEST
    matrix = np.eye(4)
    matrix[:3, 3] = shift, 0, 0
    path = tmp_path / "shifted.glb"
    write_truth(path, [moved(model, matrix) for model in read_models(scene / "truth" / "mesh.glb")])
    found = score_scene(path, scene)
    # A shift moves a surface along its normal by the cosine: by a half of the shift on a sphere's average.
    assert 0.003 < found["chamfer"] < 0.007
    assert found["psnr"] < 35
    back = np.linalg.inv(matrix)
    assert score_scene(path, scene, transform=back)["chamfer"] < 1e-6


def test_hidden_junk_and_missing_parts_count(scene, tmp_path):
    (model,) = read_models(scene / "truth" / "mesh.glb")
    inner = replace(model, vertices=(model.vertices - CENTRE) * 0.5 + CENTRE)
    write_truth(tmp_path / "junk.glb", [model, inner])
    junk = score_scene(tmp_path / "junk.glb", scene)
    assert junk["to_truth"] > 0.01 and junk["from_truth"] < 1e-6 and junk["parts"] == 2
    half = replace(model, faces=model.faces[model.vertices[model.faces].mean(axis=1)[:, 0] > CENTRE[0]])
    write_truth(tmp_path / "half.glb", [half])
    missing = score_scene(tmp_path / "half.glb", scene)
    assert missing["from_truth"] > 0.02 and missing["to_truth"] < 1e-6


def test_inside_out_mesh_has_its_normals_turned(scene, tmp_path):
    (model,) = read_models(scene / "truth" / "mesh.glb")
    write_truth(tmp_path / "turned.glb", [replace(model, faces=model.faces[:, ::-1])])
    assert score_scene(tmp_path / "turned.glb", scene)["normal_angle"] > 170


def test_rays_agree_with_the_projects_lens():
    lens = Intrinsics(
        80, 60, fl_x=70.0, fl_y=66.0, cx=41.0, cy=29.0, model="opencv", distortion=(-0.2, 0.05, 0.01, -0.004)
    )
    camera = Camera(look_at([1.0, 2.0, 0.7], [0, 0, 0]), lens)
    x, y = np.random.default_rng(0).uniform(0, 60, (2, 200))
    mine = directions(camera, x, y)
    np.testing.assert_allclose(mine, pixel_directions(lens, x, y) @ camera.pose[:, :3].T, atol=1e-5)
    found_x, found_y, _ = project(camera, camera.position + 3.0 * mine.astype(np.float64))
    np.testing.assert_allclose([found_x, found_y], [x, y], atol=1e-3)


def test_photographs_are_of_the_subject_where_the_cameras_say(scene):
    views, photographs, training = scored_views(scene)
    assert len(views) == 3 and len(training) == 8
    vertices = read_models(scene / "truth" / "mesh.glb")[0].vertices
    for view, image in zip(views, photographs):
        x, y, _ = project(view, vertices)
        covered = image[..., 3] > 127
        columns, rows = np.nonzero(covered.any(axis=0))[0], np.nonzero(covered.any(axis=1))[0]
        assert abs(x.min() - columns[0]) < 1.5 and abs(x.max() - columns[-1]) < 1.5
        assert abs(y.min() - rows[0]) < 1.5 and abs(y.max() - rows[-1]) < 1.5


def test_edges_are_antialiased_and_straight():
    square = Model(
        vertices=np.array([[-1.0, -1, 0], [0.013, -1, 0], [0.013, 1, 0], [-1, 1, 0]]),
        faces=np.array([[0, 1, 2], [0, 2, 3]]),
        colors=np.full((4, 3), 0.25),
    )
    camera = Camera(look_at([0, 0, 5], [0, 0, 0], up="y"), Intrinsics.pinhole(32, 32, 80.0))
    image = Drawing([square]).draw(camera, samples=8)
    # The edge is 0.013 / 5 * 80 = 0.208 of a pixel to the right of the middle.
    assert image[16, 15, 3] == 1 and image[16, 16, 3] == pytest.approx(0.208, abs=0.07) and image[16, 17, 3] == 0
    np.testing.assert_allclose(image[16, 15, :3], to_srgb(np.array([0.25]))[0], atol=1e-4)


def test_quantised_textured_file_with_nodes_is_read(tmp_path):
    """KHR_mesh_quantization, a node's scale, colors times texture, and a matrix to the source in `extras`."""
    import pygltflib as gltf
    from PIL import Image

    texture = np.random.default_rng(0).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(texture).save(stream, "WEBP", lossless=True)
    positions = np.array([[-32767, -32767, 0, 0], [32767, -32767, 0, 0], [0, 32767, 0, 0]], "<i2")
    uv = np.array([[0, 65535], [65535, 65535], [32768, 0]], "<u2")
    pieces = [positions.tobytes(), uv.tobytes(), np.array([0, 1, 2], "<u2").tobytes() + b"\0\0", stream.getvalue()]
    starts = np.cumsum([0, *map(len, pieces)])
    document = gltf.GLTF2(
        scene=0,
        scenes=[gltf.Scene(nodes=[0])],
        nodes=[gltf.Node(mesh=0, scale=[2, 2, 2], translation=[0, 0, 1])],
        meshes=[
            gltf.Mesh(
                primitives=[gltf.Primitive(attributes=gltf.Attributes(POSITION=0, TEXCOORD_0=1), indices=2, material=0)]
            )
        ],
        accessors=[
            gltf.Accessor(bufferView=0, componentType=5122, count=3, type="VEC3", normalized=True),
            gltf.Accessor(bufferView=1, componentType=5123, count=3, type="VEC2", normalized=True),
            gltf.Accessor(bufferView=2, componentType=5123, count=3, type="SCALAR"),
        ],
        bufferViews=[
            gltf.BufferView(buffer=0, byteOffset=int(a), byteLength=len(piece), byteStride=8 if k == 0 else None)
            for k, (a, piece) in enumerate(zip(starts, pieces))
        ],
        materials=[
            gltf.Material(pbrMetallicRoughness=gltf.PbrMetallicRoughness(baseColorTexture=gltf.TextureInfo(index=0)))
        ],
        textures=[gltf.Texture(extensions={"EXT_texture_webp": {"source": 0}})],
        images=[gltf.Image(bufferView=3, mimeType="image/webp")],
        extensionsRequired=["KHR_mesh_quantization"],
    )
    matrix = np.diag([0.5, 0.5, 0.5, 1.0])
    matrix[:3, 3] = 1, 2, 3
    document.asset = gltf.Asset(extras={"to_source": matrix.T.reshape(-1).tolist()})
    document.buffers = [gltf.Buffer(byteLength=int(starts[-1]))]
    document.set_binary_blob(b"".join(pieces))
    document.save_binary(str(tmp_path / "file.glb"))
    (model,) = read_models(tmp_path / "file.glb")
    np.testing.assert_allclose(model.vertices, [[-2, -2, 1], [2, -2, 1], [0, 2, 1]])
    assert model.texture is not None and (model.texture == texture).all()
    assert image_bytes(tmp_path / "file.glb") == len(pieces[3])
    assert model.uv is not None
    np.testing.assert_allclose(model.uv, [[0, 1], [1, 1], [0.5, 0]], atol=1e-4)
    np.testing.assert_array_equal(source_transform(tmp_path / "file.glb"), matrix)
    # The middle of the first texel of the last row is the byte itself.
    weights = np.array([[0.875 - 0.0625, 0.0625, 0.125]], np.float32)
    np.testing.assert_allclose(model.color(np.array([0]), weights), to_linear(texture[3, :1]), atol=1e-3)


def test_usdz_is_read_as_what_was_written_into_it(tmp_path):
    pytest.importorskip("pxr")
    from scenes.shape.writers.asset import Asset
    from scenes.shape.writers.usdz import write_usdz

    random = np.random.default_rng(0)
    texture = random.integers(0, 256, (4, 8, 3), dtype=np.uint8)
    vertices = np.array([[0, 0, 0], [2.0, 0, 0], [0, 3, 0], [0, 0, 5]])
    faces = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])
    normals = vertices - vertices.mean(axis=0)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    uv = random.random((4, 2))
    matrix = np.diag([2.0, 2, 2, 1])
    matrix[:3, 3] = 1, 2, 3
    asset = Asset(vertices, faces, normals, uv=uv, texture=texture, extras={"to_source": matrix.tolist()})
    write_usdz(tmp_path / "file.usdz", asset)
    (model,) = read_models(tmp_path / "file.usdz")
    np.testing.assert_allclose(model.vertices, vertices)
    np.testing.assert_array_equal(model.faces, faces)
    assert model.uv is not None and model.normals is not None
    np.testing.assert_allclose(model.uv, np.stack([uv[:, 0], 1 - uv[:, 1]], axis=1), atol=1e-6)
    np.testing.assert_allclose(model.normals, normals, atol=1e-6)
    np.testing.assert_array_equal(model.texture, texture)
    np.testing.assert_array_equal(source_transform(tmp_path / "file.usdz"), matrix)


def test_settings_differ_as_they_say(tmp_path):
    for name in ("blob_gains", "blob_lens", "blob_masked", "blob_glossy", "blob_posed_by_colmap"):
        write_scene(name, tmp_path / name, size=32, views=4, tests=1)
        found = score_scene(tmp_path / name / "truth" / "mesh.glb", tmp_path / name)
        # The scorer knows each true view, but for reflections, which a texture cannot hold.
        assert (found["psnr"] < 45) if "glossy" in name else (found["psnr"] > 55), name
        assert found["chamfer"] < 1e-6
    subject_file = json.loads((tmp_path / "blob_gains" / "truth" / "subject.json").read_text())
    assert len(subject_file["gains"]) == 4 and min(subject_file["gains"]) < 1 < max(subject_file["gains"])
    _, _, training = scored_views(tmp_path / "blob_masked")
    assert training[0].read_image().shape[-1] == 3
    assert not (tmp_path / "blob_posed_by_colmap" / "transforms_train.json").exists()
    assert len(list((tmp_path / "blob_posed_by_colmap" / "photographs").iterdir())) == 4
    assert setting_of("dark_on_black")[0] == "spot" and setting_of("spot_12")[1].views == 12
    with pytest.raises(ValueError, match="there is no scene"):
        setting_of("duck_glossy")


def test_subdivision_keeps_a_closed_mesh_closed_and_smooths_it():
    model = subject("blob")
    coarse = Model(
        vertices=np.array([[1.0, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1]]), faces=OCTAHEDRON
    )
    for _ in range(3):
        coarse = subdivided(coarse)
    radius = np.linalg.norm(coarse.vertices, axis=1)
    assert len(coarse.faces) == 8 * 4**3 and radius.max() / radius.min() < 1.15 and parts_of([coarse]) == 1
    light = lit(model).colors
    assert light is not None and light.min() >= 0 and light.max() <= 1 and light.std() > 0.02


OCTAHEDRON = np.array([[0, 2, 4], [2, 1, 4], [1, 3, 4], [3, 0, 4], [2, 0, 5], [1, 2, 5], [3, 1, 5], [0, 3, 5]])


def test_mesh_of_a_distance_lies_on_its_zero_and_faces_outwards():
    model = zero_set(lambda p: np.linalg.norm(p - np.float32(0.1), axis=1) - 0.5, np.full(3, -0.5), np.full(3, 0.7), 24)
    np.testing.assert_allclose(np.linalg.norm(model.vertices - 0.1, axis=1), 0.5, atol=2e-6)
    a, b, c = (model.vertices[model.faces[:, k]] - 0.1 for k in range(3))
    assert np.einsum("nc,nc->", a, np.cross(b, c)) / 6 == pytest.approx(4 / 3 * np.pi * 0.125, rel=0.02)


def test_watched_command_tells_its_silence_and_the_memory_of_its_children():
    child = "import time; y = bytearray(80_000_000); time.sleep(1.2)"
    script = (
        "import subprocess, sys, time; print('begun', file=sys.stderr, flush=True);"
        f"subprocess.run([sys.executable, '-c', {child!r}]);"
        "print('{}'); sys.exit(3)"
    )
    found = watch([sys.executable, "-c", script])
    assert found.status == 3 and found.output == "{}\n" and found.silent_after == "begun"
    assert found.silence > 1.1 and found.seconds > found.silence and found.peak > 80_000_000


def test_table_has_a_line_for_each_row():
    rows = [
        {"id": "spot", "value": 36.123, "unit": "dB", "aim_psnr": 36.0, "chamfer": 0.00123, "triangles": 100000},
        {"id": "spot_3", "value": None, "unit": "dB", "refused": "three photographs are too few"},
        {"id": "pycolmap-dense", "value": None, "unit": "", "note": "requires CUDA"},
    ]
    lines = table(rows).splitlines()
    assert len({line.count("|") for line in lines if line.startswith("|")}) == 1
    assert "| spot | 36.12 | ≥ 36 |" in lines[2] and "0.00123" in lines[2] and "100,000" in lines[2]
    assert "too few" in lines[3] and lines[-1].endswith("requires CUDA")


def test_rows_are_of_the_table_or_of_a_scenes_name(monkeypatch, capsys):
    from benchmarks.reconstruct import __main__ as program

    assert program._row("duck") == ("duck", program.ROWS["duck"])
    assert program._row("blob_glossy")[1].scene == "blob_glossy"
    monkeypatch.setattr(sys, "argv", ["reconstruct", "--only", "teapot"])
    with pytest.raises(SystemExit):
        program.main()
    assert "there is no scene teapot" in capsys.readouterr().err


def test_parts_measured_later_join_what_is_stored(tmp_path, monkeypatch):
    from benchmarks.reconstruct import __main__ as program

    stored = {"id": "spot", "value": 35.0, "unit": "dB", "seconds": 360, "ceiling": 40.0}
    machine = {"cpu": "a", "threads": 2, "gpu": None}
    (tmp_path / "reconstruct.json").write_text(json.dumps({"machine": machine, "rows": [stored]}))
    monkeypatch.setattr(program, "RESULTS", tmp_path)
    later = program.merged([{"id": "spot", "value": None, "unit": "dB", "ceiling": 41.0}])
    assert later == [{**stored, "ceiling": 41.0, "machine": machine}]
    again = program.merged([{"id": "spot", "value": 36.0, "unit": "dB", "seconds": 350}])
    assert again == [{"id": "spot", "value": 36.0, "unit": "dB", "seconds": 350, "ceiling": 40.0}]
    refused = program.merged([{"id": "spot", "value": None, "unit": "dB", "refused": "too few"}])
    assert refused[0]["value"] is None and refused[0]["refused"] == "too few"


def test_fusion_of_true_depths_is_near_the_truth(tmp_path):
    from benchmarks.reconstruct.peers import fused, projected_colors, true_depths, tsdf_mesh

    write_scene("blob", tmp_path / "scene", size=64, views=12, tests=1)
    _, _, training = scored_views(tmp_path / "scene")
    volume, cell = fused(training, true_depths(tmp_path / "scene", training), cells=64)
    vertices, faces = tsdf_mesh(volume)
    colors, normals = projected_colors(vertices, faces, training, cell)
    write_truth(tmp_path / "file.glb", [Model(vertices=vertices, faces=faces, colors=colors, normals=normals)])
    found = score_scene(tmp_path / "file.glb", tmp_path / "scene")
    assert found["chamfer"] < 0.004 and found["normal_angle"] < 20 and found["psnr"] > 24


def test_cameras_align_found_poses_with_true_ones():
    random = np.random.default_rng(1)
    true = {str(k): random.normal(size=3) for k in range(6)}
    turn = look_at([1.0, 2.0, 0.5], [0, 0, 0])[:, :3]
    found = {name: (place - [1, 2, 3]) @ turn / 2.5 for name, place in true.items()}
    matrix = aligned(found, true)
    for name, place in found.items():
        np.testing.assert_allclose(matrix[:3, :3] @ place + matrix[:3, 3], true[name], atol=1e-9)
