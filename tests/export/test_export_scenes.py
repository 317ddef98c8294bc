"""Exports of a scene that was fitted to images: Gaussians, posed images, videos, densities, points and graphs."""

import json

import numpy as np
import pytest
import torch
import trimesh
from PIL import Image

from apps.cli.main import main
from fields.export.outputs.radiance import RadianceOutput
from fields.ops.rasterise import rasterise
from fields.render.mesh_projection import project_vertices
from fields.runs.run import load_field
from scenes.posed.camera import Camera
from scenes.posed.camera_file import read_cameras
from scenes.posed.pose import turntable_cameras
from scenes.posed.read import open_posed
from scenes.procedural import still_life
from tests.export.analytic_fields import render_splats

SIDE = 40


@pytest.fixture(scope="module")
def duck(tmp_path_factory):
    """A run that was fitted to small images of the procedural duck."""
    folder = tmp_path_factory.mktemp("duck")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(still_life, "SIDE", SIDE)
        patch.setenv("FIELD_STUDIO_CACHE", str(folder / "cache"))
        assert (
            main(
                [
                    "fit",
                    "procedural:duck",
                    "--steps",
                    "100",
                    "--out",
                    str(folder / "run"),
                    "--set",
                    "table_size=16384",
                    "levels=8",
                    "batch=16384",
                    "cells=32",
                ]
            )
            == 0
        )
    return folder / "run"


def exported(run, out, capsys, *flags: str) -> dict:
    assert main(["export", str(run), str(out), "--json", *flags]) == 0, capsys.readouterr().err
    return json.loads(capsys.readouterr().out)


def rendered(run, camera: Camera):
    return RadianceOutput(load_field(run), run).render_camera(camera)[0]


def test_gaussians_look_like_a_fitted_scene(duck, tmp_path, capsys):
    """24 dB or more in the whole image, from positions between the cameras that they were made from."""
    report = exported(duck, tmp_path / "a.ply", capsys, "--as", "splat", "--points", "30000")
    assert 15000 < report["splats"] < 33000 and report["rays_from"] == 48
    raw = trimesh.load(tmp_path / "a.ply").metadata["_ply_raw"]["vertex"]["data"]
    columns = {name: raw[name].reshape(-1) for name in raw.dtype.names}
    cameras = read_cameras(duck / "cameras.json")
    for camera in turntable_cameras(cameras, 5, cameras[0].intrinsics)[:2]:
        found = render_splats(columns, camera)
        quality = -10 * np.log10(((found - rendered(duck, camera).color.numpy()) ** 2).mean())
        print(f"{quality:.2f} dB")
        assert quality > 24


def test_posed_images_can_be_fitted_again(duck, tmp_path, capsys):
    report = exported(duck, tmp_path / "views", capsys)
    assert report["form"] == "views" and report["views"] == 48 and report["for_testing"] == 8
    assert (tmp_path / "views" / "transforms.json").is_file()
    scene, cameras = open_posed(tmp_path / "views"), read_cameras(duck / "cameras.json")
    assert [len(scene.training), len(scene.test)] == [40, 8]
    view = scene.test[3]
    assert np.allclose(view.pose, cameras[3].pose) and view.intrinsics == cameras[3].intrinsics
    seen, pixels = rendered(duck, cameras[3]), view.read_image().astype(float) / 255
    assert pixels.shape == (SIDE, SIDE, 4)
    assert np.abs(pixels[..., 3] - seen.opacity.numpy()).max() < 0.01
    assert np.abs(pixels[..., :3] * pixels[..., 3:] + 1 - pixels[..., 3:] - seen.color.numpy()).max() < 0.01
    # The scene's box is the same one, and it can be fitted again.
    assert (
        main(
            [
                "fit",
                str(tmp_path / "views"),
                "--steps",
                "2",
                "--out",
                str(tmp_path / "again"),
                "--set",
                "table_size=4096",
                "batch=4096",
                "cells=32",
            ]
        )
        == 0
    )
    axes = [load_field(run).domain.axes[0] for run in (duck, tmp_path / "again")]
    assert axes[0].lower == pytest.approx(axes[1].lower, abs=1e-6) and axes[0].upper == pytest.approx(
        axes[1].upper, abs=1e-6
    )


def test_posed_images_once_around_have_the_requested_number_and_size(duck, tmp_path, capsys):
    report = exported(duck, tmp_path / "ring", capsys, "--as", "views", "--frames", "9", "--size", "20x24")
    scene = open_posed(tmp_path / "ring")
    assert (report["views"], len(scene.test), scene.views[0].read_image().shape) == (9, 2, (24, 20, 4))
    assert main(["export", str(duck), str(tmp_path / "ring")]) == 2
    assert "not an empty folder" in capsys.readouterr().err


def test_turntables_show_the_scene_from_its_turntable_cameras(duck, tmp_path, capsys):
    import av

    for ending in ("mp4", "gif"):
        report = exported(duck, tmp_path / f"a.{ending}", capsys, "--frames", "6", "--size", "24x24", "--rate", "10")
        with av.open(str(tmp_path / f"a.{ending}")) as film:
            frames = [frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)]
        assert report["frames"] == len(frames) == 6 and frames[0].shape == (24, 24, 3)
    cameras = read_cameras(duck / "cameras.json")
    first = turntable_cameras(cameras, 6, cameras[0].intrinsics)[2]
    wanted = rendered(duck, Camera(first.pose, first.intrinsics.resized(24, 24))).color.numpy()
    assert np.abs(frames[2] / 255 - wanted).mean() < 0.05


def test_a_lattice_holds_the_density_of_the_field(duck, tmp_path, capsys):
    import nrrd

    report = exported(duck, tmp_path / "a.nrrd", capsys, "--as", "volume", "--resolution", "24")
    values, header = nrrd.read(str(tmp_path / "a.nrrd"), index_order="C")
    assert values.shape == (24, 24, 24) and (values >= 0).all() and np.allclose(header["spacings"], report["spacing"])
    field = load_field(duck)
    at = torch.tensor(
        [
            (np.array(report["origin"]) + np.array(report["spacing"]) * [x, y, z]).tolist()
            for z, y, x in np.argwhere(values > 0)[::7]
        ]
    )
    with torch.no_grad():
        found = field.density(field.to_cube(at.double()))[0].numpy() / field.side
    np.testing.assert_allclose(values[values > 0][::7], found, rtol=1e-2)
    assert 0.02 < (values > 0).mean() < 0.6, "there is no density in empty cells"
    report = exported(duck, tmp_path / "cuts", capsys, "--as", "volume", "--resolution", "16")
    assert len(list((tmp_path / "cuts").iterdir())) == 16 and (report["black"], report["white"]) == (0.0, 1.0)
    with Image.open(tmp_path / "cuts" / "slice-0005.png") as cut:
        assert np.asarray(cut).max() > 60 and np.asarray(cut)[0, 0] == 0


def test_points_of_a_scene_have_its_colors(duck, tmp_path, capsys):
    report = exported(
        duck, tmp_path / "a.ply", capsys, "--as", "points", "--points", "2000", "--resolution", "48", "--level", "20"
    )
    cloud = trimesh.load(tmp_path / "a.ply")
    assert len(cloud.vertices) == report["points"] == 2000
    colors = np.asarray(cloud.colors)[:, :3].astype(float) / 255
    yellow = (colors[:, 0] > colors[:, 2] + 0.25) & (colors[:, 1] > colors[:, 2] + 0.15)
    assert yellow.mean() > 0.05 and colors.std() > 0.1


@pytest.mark.parametrize("ending", ["onnx", pytest.param("pt2", marks=pytest.mark.slow)])
def test_graphs_of_a_fitted_scene_agree_with_the_field(duck, tmp_path, capsys, ending):
    import onnxruntime

    report = exported(duck, tmp_path / f"a.{ending}", capsys)
    assert report["inputs"] == ["coords", "directions"] and report["difference"] < 1e-4
    field, generator = load_field(duck), torch.Generator().manual_seed(5)
    coords, directions = (
        torch.rand(400, 3, generator=generator),
        torch.nn.functional.normalize(torch.randn(400, 3, generator=generator), dim=-1),
    )
    with torch.no_grad():
        density, feature = field.density(coords)
        color = field.color(feature, directions)
    if ending == "onnx":
        found = onnxruntime.InferenceSession(str(tmp_path / "a.onnx")).run(
            None, {"coords": coords.numpy(), "directions": directions.numpy()}
        )
    else:
        found = [part.detach().numpy() for part in torch.export.load(tmp_path / "a.pt2").module()(coords, directions)]
    np.testing.assert_allclose(found[0], density.numpy(), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(found[1], color.numpy(), atol=1e-4)


def test_an_ending_that_a_scene_cannot_have_lists_those_that_it_can(duck, tmp_path, capsys):
    assert main(["export", str(duck), str(tmp_path / "a.wav")]) == 2
    message = capsys.readouterr().err.strip().splitlines()[-1]
    for part in (
        "mesh: .glb",
        "splat: .ply",
        "views: a folder",
        "turntable: .mp4, .gif",
        "volume: .npz",
        "network: .onnx",
    ):
        assert part in message


def test_the_mesh_of_a_scene_is_what_its_cameras_see(duck, tmp_path, capsys):
    assert main(["export", str(duck), str(tmp_path / "a.glb"), "--resolution", "64", "--json"]) == 0
    printed = capsys.readouterr()
    report = json.loads(printed.out)
    assert "method=neus" in printed.err and "serves better" in printed.err
    assert report["largest_part"] > 0.5 and report["distance_to_field_cells"] < 0.5
    mesh = trimesh.load_mesh(tmp_path / "a.glb")
    cameras = read_cameras(duck / "cameras.json")
    seen = rendered(duck, cameras[0])
    # Pixels that the field fills show the mesh at about the depth of the field.
    rows, columns = np.nonzero(seen.opacity.numpy() > 0.95)
    lens = cameras[0].intrinsics
    positions = torch.from_numpy(project_vertices(cameras[0], np.asarray(mesh.vertices, np.float64)))
    raster = rasterise(positions, torch.from_numpy(np.asarray(mesh.faces, np.int64)), lens.height, lens.width)
    _, directions = cameras[0].rays_through(columns + 0.5, rows + 0.5)
    along = -directions @ cameras[0].pose[:, 2]
    found = raster.depth.numpy()[rows, columns] / along
    hit = np.isfinite(found)
    wanted = seen.depth.numpy()[rows, columns]
    assert hit.mean() > 0.9 and np.median(np.abs(found - wanted)[hit]) < 0.05 * load_field(duck).side
    few = exported(duck, tmp_path / "b.ply", capsys, "--resolution", "64", "--triangles", "900", "--largest")
    assert few["triangles"] <= 900 and few["parts"] == 1
    level = exported(duck, tmp_path / "c.ply", capsys, "--resolution", "64", "--level", "20")
    assert level["level"] == 20 and level["triangles"] > 100


def test_a_box_cuts_the_mesh_of_a_scene(duck, tmp_path, capsys):
    exported(duck, tmp_path / "a.ply", capsys, "--resolution", "48", "--box=0,-9,-9,9,9,9")
    mesh = trimesh.load_mesh(tmp_path / "a.ply")
    assert len(mesh.faces) > 100 and mesh.bounds[0, 0] > -0.05
    assert main(["export", str(duck), str(tmp_path / "b.ply"), "--box=70,70,70,90,90,90"]) == 2
    assert "outside of the field" in capsys.readouterr().err
    assert main(["export", str(duck), str(tmp_path / "b.ply"), "--memory", "300M"]) == 2
    assert "would take about" in capsys.readouterr().err
