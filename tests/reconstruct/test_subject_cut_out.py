"""Photographs that show more than the subject: it is cut out, and then fitted like an object on nothing."""

import json

import numpy as np
import pytest

from fields.export.scene_assets.reports import Reports
from fields.reconstruct.reconstruct import Reconstruction
from fields.reconstruct.request import ReconstructRequest
from fields.reconstruct.subject_stage import (
    SUBJECT_FOLDER,
    has_subject_stage,
    kept_subject,
    make_subject,
    open_subject,
)
from fields.runs.run import Run, has_fit
from scenes.posed.signal import RadianceScene, open_radiance
from scenes.posed.view import PosedViews, View
from scenes.posed.write import write_scene
from scenes.procedural.still_life import DUCK
from tests.reconstruct.room import DuckInARoom, alphas, duck_in_a_room
from tests.surface.test_subject import CENTRE, RADIUS, BallInARoom, cameras

# Every so many-th view of the duck is in the room.
EVERY = 6


def request(**options):
    return ReconstructRequest(**{"source": "room", "asset": "duck.glb", **options})


def test_a_subject_is_cut_out_of_photographs_that_do_not_show_what_is_empty():
    scene = RadianceScene(duck_in_a_room(3, 24), {"path": "room"})
    assert has_subject_stage(request(), scene) and has_subject_stage(request(method="neus"), scene)
    assert not has_subject_stage(request(method="hashgrid"), scene)
    bounded = RadianceScene(duck_in_a_room(3, 24), {"path": "room"}, unbounded=False)
    assert not has_subject_stage(request(), bounded)
    assert not has_subject_stage(request(), open_radiance("procedural:duck"))


@pytest.mark.parametrize("preview", [False, True])
def test_photographs_of_the_subject_alone_are_a_scene_of_their_own(tmp_path, preview):
    views = [
        View(
            pose=camera.pose,
            intrinsics=camera.intrinsics,
            name=f"{i:02}",
            split="train" if i % 4 else "test",
            pixels=np.full((48, 48, 3), 50 + i, np.uint8),
        )
        for i, camera in enumerate(cameras(8))
    ]
    asked = request(out=tmp_path, preview=preview)
    fractions = Fractions()
    folder = make_subject(asked, BallInARoom(), PosedViews(tuple(views)), 60.0, fractions)
    # It is made anew for another box only.
    assert kept_subject(asked.model_copy(update={"box": (0.0, 0.0, 0.0, 1.0, 1.0, 1.0)})) is None
    assert folder == kept_subject(asked) and fractions.done == sorted(fractions.done) and fractions.done[-1] == 1
    subject = open_subject(asked, folder)
    assert subject.has_alpha and not subject.unbounded and len(subject.training) == 6 and len(subject.test) == 2
    (lower, upper), side = subject.views.box, 24 if preview else 48
    assert (np.array(lower) < CENTRE - 0.8 * RADIUS).all() and (np.array(upper) > CENTRE + 0.8 * RADIUS).all()
    away = np.linalg.norm(subject.views.points - CENTRE, axis=1)
    assert len(away) > 1000 and np.abs(away - RADIUS).max() < 0.05
    for view in subject.views.views:
        image = view.read_image()
        assert image.shape == (side, side, 4)
        # The colors are those of the photograph where it shows the ball.
        assert 0.03 < (image[..., 3] > 127).mean() < 0.3 and len(np.unique(image[image[..., 3] > 0][:, :3])) == 1


class Fractions(Reports):
    def __init__(self):
        self.done = []

    def fraction(self, done, detail=""):
        self.done.append(done)


class Stages(Reports):
    """Notes the stages; interrupts when the fit of a subject begins, if it is told to."""

    def __init__(self, until=None):
        self.begun, self.kept_stages, self.until = [], [], until

    def begin(self, stage, seconds):
        self.begun.append(stage)
        if stage == self.until and ("subject" in self.begun or "subject" in self.kept_stages):
            raise KeyboardInterrupt

    def kept(self, stage):
        self.kept_stages.append(stage)


def found_by(field, path):
    return DuckInARoom(field.domain) if path.name == "whole" else field


@pytest.mark.slow
def test_a_scene_without_bounds_goes_through_all_stages(tmp_path, monkeypatch):
    """How good it looks is a row of `benchmarks.reconstruct`."""
    import trimesh

    write_scene(tmp_path / "room", duck_in_a_room(EVERY), one_file=True)
    out, run = tmp_path / "duck.glb", tmp_path / "run"
    options = {"source": str(tmp_path / "room"), "asset": out, "out": run, "units": "source", "steps": 15}
    options |= {"preview": True, "triangles": 4000, "texture_size": 256, "resolution": 48}
    options["settings"] = {"batch": 1024, "levels": 4, "first_levels": 4, "table_size": 1 << 12}
    # A fit of all of it that would tell the duck from the walls takes minutes: what it would find stands for it.
    monkeypatch.setattr("fields.reconstruct.whole_stage.BATCH", 1 << 10)
    load = Run.load_field
    monkeypatch.setattr(Run, "load_field", lambda self, *args: found_by(load(self, *args), self.path))
    stages = Stages()
    report = Reconstruction(request(**options), stages).run()
    assert stages.begun[:4] == ["fit", "whole", "subject", "fit"]
    assert {"whole", "subject", "fit", "surface"} <= set(report["seconds"])

    # Half of the photographs' pixels along both sides, and the duck's silhouettes.
    subject = open_radiance(run / SUBJECT_FOLDER)
    assert subject.has_alpha and not subject.unbounded and subject.views.points is not None
    assert {view.intrinsics.width for view in subject.views.views} == {40}
    wanted = dict(zip((view.name for view in duck_in_a_room(EVERY).views), alphas(EVERY, side=40)))
    overlaps = []
    for view in subject.views.views:
        found, true = view.read_image()[..., 3] > 127, wanted[view.name.removesuffix(".png")] > 0.5
        overlaps.append((found & true).sum() / (found | true).sum())
    assert np.mean(overlaps) > 0.8

    mesh = trimesh.load_scene(out).to_mesh()
    assert len(mesh.faces) == report["triangles"] and np.isfinite(mesh.vertices).all()
    assert Run.open(run).header["method"] == "neus"
    assert json.loads((run / "asset" / "report.json").read_text())["triangles"] == report["triangles"]

    stages = Stages()
    Reconstruction(request(**{**options, "texture_size": 128}), stages).run()
    assert stages.kept_stages == ["fit", "surface", "simplify"] and "whole" not in stages.begun

    # Another box is another subject, which is cut out of the same field and fitted anew.
    box = (*(np.array(DUCK.lower) - 0.1), *(np.array(DUCK.upper) + 0.1))
    stages = Stages(until="fit")
    with pytest.raises(KeyboardInterrupt):
        Reconstruction(request(**{**options, "box": box}), stages).run()
    assert stages.begun == ["fit", "whole", "subject", "fit"]
    assert not has_fit(run) and not (run / "field.safetensors").exists()
    np.testing.assert_allclose(np.concatenate(open_radiance(run / SUBJECT_FOLDER).views.box), box, rtol=1e-6)
    stages = Stages(until="fit")
    with pytest.raises(KeyboardInterrupt):
        Reconstruction(request(**{**options, "box": box}), stages).run()
    assert stages.kept_stages == ["subject"]
