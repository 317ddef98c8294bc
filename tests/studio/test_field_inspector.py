"""The field inspector: what fields of several methods consist of, as HTML."""

import pytest

from apps.cli.main import main
from apps.studio.field_inspector import inspect, spectra
from apps.studio.view_renderer import ViewRenderer
from fields.compare.chart import COLORS
from fields.runs.run import Run


@pytest.fixture
def renderer():
    made = ViewRenderer()
    yield made
    made.close()


def fitted(tmp_path, source, *options):
    path = tmp_path / "run"
    assert main(["fit", str(source), "--steps", "2", "--out", str(path), *options]) == 0
    return path


def test_shows_each_level_of_a_hash_grid(tmp_path, photograph, renderer):
    page = renderer.render(fitted(tmp_path, photograph, "--set", "levels=5", "table_size=1024"), inspect).result()
    assert page.count("<img") == 5 and "level 5" in page


def test_shows_scales_and_shifts_of_cam(tmp_path, photograph, renderer):
    page = renderer.render(
        fitted(tmp_path, photograph, "--method", "cam", "--set", "hidden_layers=2", "width=16"), inspect
    ).result()
    assert page.count("<img") == 4 and "scale of layer 2" in page and "shift of layer 1" in page


def test_shows_planes_and_lines_of_factorized_grids(tmp_path, renderer):
    import numpy as np

    np.save(tmp_path / "ball.npy", np.random.default_rng(0).random((16, 16, 16), np.float32))
    for method, images, heading in (("triplane", 3, "Planes"), ("tensorf", 3, "Lines")):
        path = tmp_path / method
        assert main(["fit", str(tmp_path / "ball.npy"), "--method", method, "--steps", "2", "--out", str(path)]) == 0
        page = renderer.render(path, inspect).result()
        assert page.count("<img") >= images and heading in page


def test_shows_the_grids_of_the_trunk_of_a_scene(tmp_path, scene, renderer):
    page = renderer.render(scene, inspect).result()
    assert page.count("<img") == 4 and "level 4" in page
    assert (
        main(
            [
                "fit",
                str(scene.parent / "ball"),
                "--method",
                "triplane",
                "--steps",
                "2",
                "--set",
                "cells=32",
                "--out",
                str(tmp_path / "planes"),
            ]
        )
        == 0
    )
    page = renderer.render(tmp_path / "planes", inspect).result()
    assert page.count("<img") >= 3 and "Planes" in page and "x y" in page


def test_shows_an_ellipse_for_each_kernel(tmp_path, photograph, renderer):
    path = fitted(tmp_path, photograph, "--method", "neurbf", "--set", "kernels=60")
    page = renderer.render(path, inspect).result()
    assert page.count("<ellipse") == 60 and "60 kernels" in page and "level 1" in page


def test_shows_the_frequency_map_of_nstr(tmp_path, photograph, renderer):
    page = renderer.render(fitted(tmp_path, photograph, "--method", "nstr"), inspect).result()
    assert "Frequency map" in page and "cycles across" in page


def test_says_that_a_method_has_no_grids(tmp_path, photograph, renderer):
    assert (
        "no grids"
        in renderer.render(fitted(tmp_path, photograph, "--method", "siren", "--set", "width=8"), inspect).result()
    )


def test_shows_the_spectra_and_the_choice_of_fresh(tmp_path, photograph):
    page = spectra(Run.open(fitted(tmp_path, photograph, "--method", "siren", "--set", "width=8", "hidden_layers=2")))
    assert sum(color in page for color in COLORS) == 3 and "FreSh would choose first_omega" in page
    assert all(name in page for name in ("target", "fit", "FreSh's choice"))


def test_shows_the_spectra_of_audio(tmp_path):
    import numpy as np
    import soundfile

    soundfile.write(tmp_path / "a.wav", np.sin(np.arange(4000) / 9), 8000)
    path = tmp_path / "sound"
    assert main(["fit", str(tmp_path / "a.wav"), "--steps", "2", "--out", str(path)]) == 0
    assert "<svg" in spectra(Run.open(path))


def test_a_waveform_is_drawn_around_the_middle_of_its_window(tmp_path, renderer):
    """Silence lies in the middle, and both halves of a wave are drawn."""
    import numpy as np
    import soundfile

    soundfile.write(tmp_path / "tone.wav", np.sin(np.arange(4000) / 9) * 0.4, 8000)
    path = tmp_path / "run"
    assert main(["fit", str(tmp_path / "tone.wav"), "--steps", "150", "--out", str(path)]) == 0
    image = renderer.render(path, lambda opened: opened.viewer.window((0, 0, 1, 1), 200, 100)).result()
    drawn = image[..., 3] == 255
    above, below = drawn[:45].sum(), drawn[55:].sum()
    assert min(above, below) > 2000 and 0.8 < above / below < 1.25
