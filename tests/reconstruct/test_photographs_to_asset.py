"""Photographs to an asset: the request, what is refused, and the whole way on a small budget."""

import json
import time

import numpy as np
import pytest

from apps.cli.main import main
from fields.export.scene_assets.reports import Reports
from fields.reconstruct.fit_stage import default_method, open_or_begin
from fields.reconstruct.reconstruct import Reconstruction, asset_options
from fields.reconstruct.request import ReconstructRequest
from fields.runs.run import Run
from scenes.errors import BadInput
from scenes.posed.signal import open_radiance

# A fit that is only begun: the first shape, which the silhouettes give, is a duck already.
SMALL = {"steps": 30, "preview": True, "triangles": 4000, "texture_size": 256, "resolution": 64}
FLAGS = ["--preview", "--triangles", "4000", "--texture-size", "256", "--resolution", "64"]


def request(**options):
    return ReconstructRequest(**{"source": "procedural:duck", "asset": "duck.glb", **options})


def test_a_preview_is_coarser_and_ten_times_as_fast_unless_told_otherwise():
    full, preview = request(), request(preview=True)
    assert full.resolved("seconds") == 10 * preview.resolved("seconds") == 480
    assert full.resolved("triangles") == 100_000 > preview.resolved("triangles")
    assert request(preview=True, triangles=500).resolved("triangles") == 500


@pytest.mark.parametrize(
    "options, message",
    [
        ({"asset": "duck.png"}, "an asset is a .glb"),
        ({"asset": "duck.stl", "collision": True}, "collision"),
        ({"box": "1,2,3"}, "X0,Y0,Z0"),
        ({"triangles": 0}, "triangles"),
        ({"units": "source", "size": 1.0}, "units=source"),
        ({"size": 1.0, "scale_from": "0,0,0,0,0,1=2"}, "scale_from"),
        ({"scale_from": "0,0,0=2"}, "scale_from"),
        ({"asset": "duck.obj", "texture_format": "webp"}, "webp"),
    ],
)
def test_options_that_cannot_be_met_are_named(options, message):
    with pytest.raises(BadInput, match=message):
        asset_options(request(**options))


def test_formats_without_a_texture_get_vertex_colors():
    assert asset_options(request(asset="a.glb")).texture_size == 2048
    assert asset_options(request(asset="a.ply")).texture_size is None


def test_what_is_no_scene_is_refused_in_one_line(tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    status = main(["reconstruct", str(tmp_path / "empty"), str(tmp_path / "a.glb"), "--out", str(tmp_path / "run")])
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert status == 2 and error.startswith("error:")
    assert not (tmp_path / "a.glb").exists()


class Stages(Reports):
    def __init__(self):
        self.begun, self.kept_stages, self.stop_at = [], [], None

    def begin(self, stage, seconds):
        self.begun.append(stage)
        if stage == self.stop_at:
            raise KeyboardInterrupt

    def kept(self, stage):
        self.kept_stages.append(stage)


@pytest.mark.slow
def test_photographs_become_a_textured_file_and_a_second_call_continues(tmp_path):
    import trimesh

    out, run = tmp_path / "duck.glb", tmp_path / "run"
    options = {**SMALL, "asset": out, "out": run, "units": "source"}
    stages = Stages()
    stages.stop_at = "texture"
    with pytest.raises(KeyboardInterrupt):
        Reconstruction(request(**options), stages).run()
    assert not out.exists() and Run.open(run).header["status"] == "finished"

    stages = Stages()
    report = Reconstruction(request(**options), stages).run()
    assert stages.kept_stages == ["fit", "surface", "simplify", "charts"]
    assert report["triangles"] <= 4000 and report["texture"] == 256
    assert set(report["seconds"]) >= {"fit", "surface", "simplify", "charts", "texture", "file", "total"}
    assert report["metrics"]["psnr"] > 18

    scene = trimesh.load(out)
    mesh = trimesh.util.concatenate(list(scene.geometry.values()))
    assert len(mesh.faces) == report["triangles"]
    # In the coordinates of the poses the duck stands in the scene's cube.
    cube = Run.open(run).load_field().domain.axes
    assert all(axis.lower <= low and high <= axis.upper for axis, low, high in zip(cube, *scene.bounds))
    assert (run / "asset" / "report.png").is_file()
    assert json.loads((run / "asset" / "report.json").read_text())["triangles"] == report["triangles"]

    stages = Stages()
    report = Reconstruction(request(**{**options, "texture_size": 128}), stages).run()
    assert stages.kept_stages == ["fit", "surface", "simplify"] and report["texture"] == 128


@pytest.mark.slow
def test_the_command_reports_as_json_and_refuses_another_method_for_the_run(tmp_path, capsys):
    out, run = tmp_path / "duck.ply", tmp_path / "run"
    arguments = ["reconstruct", "procedural:duck", str(out), "--out", str(run), "--seconds", "20", *FLAGS]
    assert main([*arguments, "--json"]) == 0
    report = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
    assert {"run", "out", "triangles", "seconds", "metrics"} <= set(report)
    assert np.isfinite(report["metrics"]["psnr"])
    assert main([*arguments, "--method", "hashgrid"]) == 2
    assert "another folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    "silhouettes, unbounded, method", [(True, False, "neus"), (True, True, "hashgrid"), (False, False, "hashgrid")]
)
def test_scenes_without_silhouettes_are_fitted_as_density(silhouettes, unbounded, method):
    class Scene:
        has_silhouettes = silhouettes

    Scene.unbounded = unbounded
    assert default_method(Scene()) == method


@pytest.mark.parametrize("seconds, levels", [(10.0, 6), (200.0, 12)])
def test_a_short_fit_has_coarse_levels_unless_told_otherwise(seconds, levels, tmp_path):
    scene = open_radiance("procedural:duck")
    asked = ReconstructRequest(source="procedural:duck", asset="x.glb", out=tmp_path / "a", settings={"eikonal": 0.5})
    trainer, _ = open_or_begin(asked, scene, "procedural:duck", seconds, time.perf_counter())
    assert trainer is not None and trainer.method.levels == levels and trainer.method.eikonal == 0.5
