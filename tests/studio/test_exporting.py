"""Exports have a field and a thread of their own, and say before what they will be."""

import threading

import numpy as np
import pytest

import fields.fit.fit as fitting
import scenes
from apps.studio import exporting
from apps.studio.view_renderer import Looks, around
from fields.runs.run import Run


@pytest.fixture
def looks(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "arriving"))
    made = Looks()
    yield made
    made.close()


def labelled(looks, path, begins):
    return next(choice for choice in looks.ask(path, exporting.choices).result() if choice.label.startswith(begins))


def test_a_mesh_of_a_scene_changes_neither_what_is_seen_nor_what_is_exported_later(scene, looks, monkeypatch):
    import fields.export.outputs.radiance as radiance

    cleared = []

    def half(cells, *_):  # (this scene's few steps leave little to take away)
        cleared.append(cells)
        return cells & (np.arange(cells.shape[-1]) < cells.shape[-1] // 2)

    monkeypatch.setattr(radiance, "cleaned", half)
    pytest.importorskip("gradio")
    from apps.studio.tabs.space import extracted

    def look(opened):
        return around(opened, 30.0, 15.0, 1.9, 48, "color")

    weights, run = labelled(looks, scene, "weights (.npz)"), Run.open(scene)

    def exported():
        with np.load(exporting.write(run, weights, 1.0, 32)) as file:
            return {name: file[name] for name in file.files}

    seen, before = looks.ask(scene, look).result(), exported()
    looks.make(scene, lambda run: extracted(run, 32)).result()
    densities = labelled(looks, scene, "volume (.npz)")
    looks.make(scene, lambda run: exporting.write(run, densities, 1.0, 32)).result()
    assert cleared
    after = exported()
    assert before.keys() == after.keys() and all(np.array_equal(before[name], after[name]) for name in before)
    assert np.array_equal(looks.ask(scene, look).result(), seen)


def test_what_is_made_holds_up_nobody_who_looks_or_opens(scene, looks):
    begun, go_on = threading.Event(), threading.Event()

    def long(run):
        begun.set()
        return go_on.wait(60)

    made = looks.make(scene, long)
    assert begun.wait(60)
    opening = looks.submit(lambda: go_on.wait(60))
    assert looks.ask(scene, lambda opened: opened.run.path).result(60) == scene
    assert not made.done() and not opening.done()
    go_on.set()
    assert made.result(60) and opening.result(60)


@pytest.mark.parametrize("kind", ["scene", "shape"])
def test_every_form_of_a_solid_is_estimated(kind, scene, looks, tmp_path):
    path = scene
    if kind == "shape":
        import trimesh

        path = tmp_path / "run"
        trimesh.creation.icosphere(2).export(tmp_path / "ball.ply")
        trainer, run = fitting.prepare(
            scenes.load(tmp_path / "ball.ply"), "hashgrid", steps=1, options={"levels": 4, "table_size": 1024}, out=path
        )
        run.save_field(trainer.field, trainer.method)
    run, choices = Run.open(path), looks.ask(path, exporting.choices).result()
    told = {choice.label.partition(":")[0]: exporting.estimate(run, choice, 1.0, 64) for choice in choices}
    assert len({(choice.form, choice.ending) for choice in choices}) == len(choices) > 10 and all(told.values()), told
    if kind == "scene":
        assert (
            "24 x 24 pixels, 60 pictures" in told["turntable (.mp4)"]
            and "15 pictures" in told["views (folder, zipped)"]
        )
        assert "200,000 Gaussians, 50 MB" in told["splat (.ply)"] and told["view (.png)"] == "24 x 24 pixels"
    else:
        assert "400 x 400 pixels, 36 pictures" in told["turntable (.gif)"] and told["view (.png)"] == "800 x 800 pixels"


@pytest.mark.slow
def test_pictures_of_a_scene_are_as_large_as_was_said(scene, looks):
    from PIL import Image

    file = exporting.write(Run.open(scene), labelled(looks, scene, "view (.png)"), 1.0, 32)
    assert Image.open(file).size == (24, 24)
    assert exporting.write(Run.open(scene), labelled(looks, scene, "turntable (.mp4)"), 1.0, 32).stat().st_size
