"""Exports: every form is estimated and written, with a field and on a thread of its own."""

import threading

import numpy as np
import pytest

import fields.fit.fit as fitting
import scenes
from apps.cli.main import main
from apps.studio import exporting
from fields.runs.run import Run
from scenes.errors import BadInput


@pytest.fixture
def renderer(idle_studio):
    return idle_studio.renderer


def labelled(renderer, path, begins):
    choices = renderer.render(path, exporting.choices).result()
    return next(choice for choice in choices if choice.label.startswith(begins))


def test_extracting_a_mesh_changes_neither_the_view_nor_later_exports(scene, idle_studio, renderer, monkeypatch):
    from fields.render import floaters

    cleared = []

    def half(cells, *_):  # (this scene's few steps leave little to take away)
        cleared.append(cells)
        return cells & (np.arange(cells.shape[-1]) < cells.shape[-1] // 2)

    monkeypatch.setattr(floaters, "remove_floaters", half)
    pytest.importorskip("gradio")
    from apps.studio.tabs.space import extract_mesh

    def look(opened):
        return opened.viewer.orbit(30.0, 15.0, 1.9, 48)

    weights, run = labelled(renderer, scene, "weights (.npz)"), Run.open(scene)

    def exported():
        with np.load(exporting.write(run, weights, 1.0, 32)) as file:
            return {name: file[name] for name in file.files}

    seen, before = renderer.render(scene, look).result(), exported()
    idle_studio.export(scene, lambda run: extract_mesh(run, 32)).result()
    densities = labelled(renderer, scene, "volume (.npz)")
    idle_studio.export(scene, lambda run: exporting.write(run, densities, 1.0, 32)).result()
    assert cleared
    after = exported()
    assert before.keys() == after.keys() and all(np.array_equal(before[name], after[name]) for name in before)
    assert np.array_equal(renderer.render(scene, look).result(), seen)


def test_a_long_export_delays_neither_views_nor_opening_files(scene, idle_studio, renderer):
    begun, go_on = threading.Event(), threading.Event()

    def long(run):
        begun.set()
        return go_on.wait(60)

    made = idle_studio.export(scene, long)
    assert begun.wait(60)
    opening = idle_studio.load(lambda: go_on.wait(60))
    assert renderer.render(scene, lambda opened: opened.run.path).result(60) == scene
    assert not made.done() and not opening.done()
    go_on.set()
    assert made.result(60) and opening.result(60)


@pytest.mark.parametrize("kind", ["scene", "shape"])
def test_every_form_of_a_solid_is_estimated(kind, scene, renderer, tmp_path):
    path = scene
    if kind == "shape":
        import trimesh

        path = tmp_path / "run"
        trimesh.creation.icosphere(2).export(tmp_path / "ball.ply")
        trainer, run = fitting.prepare(
            scenes.load(tmp_path / "ball.ply"),
            "hashgrid",
            steps=1,
            settings={"levels": 4, "table_size": 1024},
            out=path,
        )
        run.save_field(trainer.field, trainer.method)
    run, choices = Run.open(path), renderer.render(path, exporting.choices).result()
    estimates = {choice.label.partition(":")[0]: choice.estimate(run, 1.0, 64) for choice in choices}
    assert len(estimates) == len(choices) > 10 and all(estimates.values()), estimates
    if kind == "scene":
        assert (
            "24 x 24 pixels, 60 images" in estimates["turntable (.mp4)"]
            and "15 images" in estimates["views (folder, zipped)"]
        )
        assert "200,000 Gaussians, 50 MB" in estimates["splat (.ply)"] and estimates["view (.png)"] == "24 x 24 pixels"
    else:
        assert (
            "400 x 400 pixels, 36 images" in estimates["turntable (.gif)"]
            and estimates["view (.png)"] == "800 x 800 pixels"
        )


@pytest.mark.slow
def test_images_of_a_scene_have_the_estimated_size(scene, renderer):
    from PIL import Image

    file = exporting.write(Run.open(scene), labelled(renderer, scene, "view (.png)"), 1.0, 32)
    assert Image.open(file).size == (24, 24)
    assert exporting.write(Run.open(scene), labelled(renderer, scene, "turntable (.mp4)"), 1.0, 32).stat().st_size


def test_every_form_of_an_image_can_be_written(tmp_path, photograph, idle_studio, renderer):
    path = tmp_path / "run"
    options = ["--steps", "2", "--set", "levels=4", "table_size=1024"]
    assert main(["fit", str(photograph), "--out", str(path), *options]) == 0
    run, choices = Run.open(path), renderer.render(path, exporting.choices).result()
    assert len(choices) >= 10
    for choice in choices:
        file = exporting.write(run, choice, 0.5, 32)
        assert file.is_file() and file.stat().st_size > 0 and file.is_relative_to(idle_studio.folders.arriving)
        assert choice.estimate(run, 0.5, 32)
    with pytest.raises(BadInput, match="at most"):
        exporting.write(run, choices[0], 1000.0, 32)
