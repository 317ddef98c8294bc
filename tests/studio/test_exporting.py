"""Exports: every form is estimated and written, with a field and on a thread of its own."""

import threading

import numpy as np
import pytest

import fields.fit.fit as fitting
import scenes
from apps.cli.main import main
from apps.studio import exporting
from fields.export.base import Progress
from fields.runs.run import Run
from scenes.errors import BadInput


@pytest.fixture
def renderer(idle_studio):
    return idle_studio.renderer


def labelled(renderer, path, begins):
    choices = renderer.render(path, exporting.choices).result()
    return next(choice for choice in choices if choice.label.startswith(begins))


def test_extracting_a_mesh_changes_neither_the_view_nor_later_exports(
    scene, idle_studio, renderer, monkeypatch, tmp_path
):
    from fields.render import floaters

    cleared = []

    def half(cells, *_):  # (this scene's few steps leave little to take away)
        cleared.append(cells)
        return cells & (np.arange(cells.shape[-1]) < cells.shape[-1] // 2)

    monkeypatch.setattr(floaters, "remove_floaters", half)

    def look(opened):
        return opened.viewer.orbit(30.0, 15.0, 1.9, 48)

    weights, run = labelled(renderer, scene, "weights (.npz)"), Run.open(scene)

    def exported():
        with np.load(exporting.write(run, weights, 1.0, 32, tmp_path)) as file:
            return {name: file[name] for name in file.files}

    seen, before = renderer.render(scene, look).result(), exported()
    for form in ("mesh (.glb)", "volume (.npz)"):
        choice = labelled(renderer, scene, form)
        idle_studio.shelf.submit(lambda choice=choice: exporting.write(run, choice, 1.0, 32, tmp_path)).result()
    assert cleared
    after = exported()
    assert before.keys() == after.keys() and all(np.array_equal(before[name], after[name]) for name in before)
    assert np.array_equal(renderer.render(scene, look).result(), seen)


def test_a_long_export_delays_neither_views_nor_opening_files(scene, idle_studio, renderer):
    begun, go_on = threading.Event(), threading.Event()

    def long():
        begun.set()
        return go_on.wait(60)

    made = idle_studio.shelf.submit(long)
    assert begun.wait(60)
    opening = idle_studio.opening.submit(lambda: go_on.wait(60))
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
def test_images_of_a_scene_have_the_estimated_size(scene, renderer, tmp_path):
    from PIL import Image

    file = exporting.write(Run.open(scene), labelled(renderer, scene, "view (.png)"), 1.0, 32, tmp_path)
    assert Image.open(file).size == (24, 24)
    turntable = labelled(renderer, scene, "turntable (.mp4)")
    assert exporting.write(Run.open(scene), turntable, 1.0, 32, tmp_path).stat().st_size


def test_meshes_of_scenes_are_written_upright(scene, renderer, tmp_path, monkeypatch):
    """Viewers of GLB files take Y for up, where the poses of this scene have Z."""
    asked = []
    monkeypatch.setattr(exporting, "export", lambda source, out, request, form, progress: asked.append(request))
    for form in ("mesh (.glb)", "mesh (.usdz)", "mesh (.obj)"):
        labelled(renderer, scene, form).write(Run.open(scene), tmp_path / "x", 1.0, 32, Progress())
    assert [request.units for request in asked] == ["metres", "metres", None]


def test_options_of_a_format_arrive_in_its_request_and_wrong_ones_are_named(scene, renderer, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(exporting, "export", lambda source, out, request, form, progress: asked.append(request))
    glb = labelled(renderer, scene, "mesh (.glb)")
    offered = {option.name for option in glb.offered("radiance")}
    assert {"up", "length", "box", "triangles", "texture"} <= offered and not offered & set(exporting.NOT_OFFERED)
    options = {"up": "-y", "length": "2.5", "box": "-1,-1,-1,1,1,1", "texture": True, "memory": "1", "path": "/etc"}
    glb.with_options(options).write(Run.open(scene), tmp_path / "x", 1.0, 32, Progress())
    (request,) = asked
    assert (request.up, request.length, request.texture) == ("-y", 2.5, True) and request.units is None
    assert tuple(request.box) == (-1, -1, -1, 1, 1, 1) and request.memory is None
    for wrong in ({"triangles": "many"}, {"up": "q"}, {"box": "1,2"}):
        with pytest.raises(BadInput):
            glb.with_options(wrong)


def test_every_form_of_an_image_can_be_written(tmp_path, photograph, renderer):
    path = tmp_path / "run"
    options = ["--steps", "2", "--set", "levels=4", "table_size=1024"]
    assert main(["fit", str(photograph), "--out", str(path), *options]) == 0
    run, choices = Run.open(path), renderer.render(path, exporting.choices).result()
    assert len(choices) >= 10
    for choice in choices:
        file = exporting.write(run, choice, 0.5, 32, tmp_path)
        assert file.stat().st_size > 0 and file.parent == tmp_path
        assert choice.estimate(run, 0.5, 32)
    with pytest.raises(BadInput, match="at most"):
        exporting.write(run, choices[0], 1000.0, 32, tmp_path)
