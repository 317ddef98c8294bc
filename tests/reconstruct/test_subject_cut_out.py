"""Photographs that show more than the subject: it is cut out, and then fitted like an object on nothing."""

import json

import numpy as np
import pytest
from room import alphas, duck_in_a_room

from fields.export.scene_assets.reports import Reports
from fields.reconstruct.reconstruct import Reconstruction
from fields.reconstruct.request import ReconstructRequest
from fields.reconstruct.subject_stage import SUBJECT_FOLDER, has_subject_stage
from fields.runs.run import Run
from scenes.posed.signal import RadianceScene, open_radiance
from scenes.posed.write import write_scene


def request(**options):
    return ReconstructRequest(**{"source": "room", "asset": "duck.glb", **options})


def test_a_subject_is_cut_out_of_photographs_that_do_not_show_what_is_empty():
    scene = RadianceScene(duck_in_a_room(3, 24), {"path": "room"})
    assert has_subject_stage(request(), scene) and has_subject_stage(request(method="neus"), scene)
    assert not has_subject_stage(request(method="hashgrid"), scene)
    bounded = RadianceScene(duck_in_a_room(3, 24), {"path": "room"}, unbounded=False)
    assert not has_subject_stage(request(), bounded)
    assert not has_subject_stage(request(), open_radiance("procedural:duck"))


class Stages(Reports):
    def __init__(self):
        self.begun, self.kept_stages = [], []

    def begin(self, stage, seconds):
        self.begun.append(stage)

    def kept(self, stage):
        self.kept_stages.append(stage)


@pytest.mark.slow
def test_a_duck_in_a_room_becomes_a_duck(tmp_path):
    import trimesh

    write_scene(tmp_path / "room", duck_in_a_room(), one_file=True)
    out, run = tmp_path / "duck.glb", tmp_path / "run"
    options = {"source": str(tmp_path / "room"), "asset": out, "out": run, "units": "source", "steps": 60}
    options |= {"preview": True, "triangles": 4000, "texture_size": 256, "resolution": 48}
    stages = Stages()
    report = Reconstruction(request(**options), stages).run()
    assert stages.begun[:3] == ["whole", "subject", "fit"]
    assert {"whole", "subject", "fit", "surface"} <= set(report["seconds"])

    # Half of the photographs' pixels along both sides, and the duck's silhouettes.
    subject = open_radiance(run / SUBJECT_FOLDER)
    assert subject.has_alpha and not subject.unbounded and subject.views.points is not None
    assert {view.intrinsics.width for view in subject.views.views} == {40}
    wanted = dict(zip((view.name for view in duck_in_a_room().views), alphas(side=40)))
    overlaps = []
    for view in subject.views.views:
        found, true = view.read_image()[..., 3] > 127, wanted[view.name.removesuffix(".png")] > 0.5
        overlaps.append((found & true).sum() / (found | true).sum())
    assert np.mean(overlaps) > 0.5

    mesh = trimesh.util.concatenate(list(trimesh.load(out).geometry.values()))
    # The duck is less than two units wide, and the room has ten.
    assert (mesh.extents < 2.5).all() and (np.abs(mesh.centroid) < 1).all()
    assert Run.open(run).header["method"] == "neus"
    assert json.loads((run / "asset" / "report.json").read_text())["triangles"] == report["triangles"]

    stages = Stages()
    Reconstruction(request(**{**options, "texture_size": 128}), stages).run()
    assert stages.kept_stages == ["fit", "surface", "simplify"] and "whole" not in stages.begun
