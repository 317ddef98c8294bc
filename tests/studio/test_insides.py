"""What a field is made of, as pictures."""

import pytest

from apps.cli.main import main
from apps.studio import exporting
from apps.studio import field_inspector as insides
from apps.studio.view_renderer import Looks
from fields.runs.run import Run
from scenes.errors import BadInput


@pytest.fixture
def looks():
    made = Looks()
    yield made
    made.close()


def fitted(tmp_path, source, *options):
    path = tmp_path / "run"
    assert main(["fit", str(source), "--steps", "2", "--out", str(path), *options]) == 0
    return path


def test_a_hash_grid_level_by_level(tmp_path, photograph, looks):
    page = looks.ask(fitted(tmp_path, photograph, "--set", "levels=5", "table_size=1024"), insides.parts).result()
    assert page.count("<img") == 5 and "level 5" in page


def test_scales_and_shifts(tmp_path, photograph, looks):
    page = looks.ask(
        fitted(tmp_path, photograph, "--method", "cam", "--set", "hidden_layers=2", "width=16"), insides.parts
    ).result()
    assert page.count("<img") == 4 and "scale of layer 2" in page and "shift of layer 1" in page


def test_planes_and_lines(tmp_path, looks):
    import numpy as np

    np.save(tmp_path / "ball.npy", np.random.default_rng(0).random((16, 16, 16), np.float32))
    for method, pictures, heading in (("triplane", 3, "Planes"), ("tensorf", 3, "Lines")):
        path = tmp_path / method
        assert main(["fit", str(tmp_path / "ball.npy"), "--method", method, "--steps", "2", "--out", str(path)]) == 0
        page = looks.ask(path, insides.parts).result()
        assert page.count("<img") >= pictures and heading in page


def test_a_scene_shows_what_its_trunk_is_made_of(tmp_path, scene, looks):
    page = looks.ask(scene, insides.parts).result()
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
    page = looks.ask(tmp_path / "planes", insides.parts).result()
    assert page.count("<img") >= 3 and "Planes" in page and "x y" in page


def test_kernels_are_drawn_where_they_are(tmp_path, photograph, looks):
    path = fitted(tmp_path, photograph, "--method", "neurbf", "--set", "kernels=60")
    page = looks.ask(path, insides.parts).result()
    assert page.count("<ellipse") == 60 and "60 kernels" in page and "level 1" in page


def test_ellipses_are_the_level_sets_of_kernels():
    import numpy as np
    import torch

    from fields.ops.rbf_gather import pack_shapes

    generator = np.random.default_rng(0)
    roots = generator.normal(size=(20, 2, 2))
    matrices = roots @ roots.transpose(0, 2, 1) + 0.1 * np.eye(2)
    halves, turns = insides.ellipses(pack_shapes(torch.from_numpy(matrices)), "inverse_quadratic")
    for matrix, half, turn in zip(matrices, halves, np.radians(turns)):
        for angle in (0.3, 2.0, 4.5):
            along, across = half[0] * np.cos(angle), half[1] * np.sin(angle)
            offset = np.array(
                [along * np.cos(turn) - across * np.sin(turn), along * np.sin(turn) + across * np.cos(turn)]
            )
            assert abs(offset @ matrix @ offset - 1) < 1e-9


def test_frequencies_and_their_flow(tmp_path, photograph, looks):
    page = looks.ask(fitted(tmp_path, photograph, "--method", "nstr"), insides.parts).result()
    assert "Frequency map" in page and "cycles across" in page


def test_what_has_nothing_inside_says_so(tmp_path, photograph, looks):
    assert (
        "no grids"
        in looks.ask(fitted(tmp_path, photograph, "--method", "siren", "--set", "width=8"), insides.parts).result()
    )


def test_spectra_and_the_pick(tmp_path, photograph, looks):
    page = looks.make(
        fitted(tmp_path, photograph, "--method", "siren", "--set", "width=8", "hidden_layers=2"), insides.spectra
    ).result()
    assert page.count("<polyline") == 3 and "FreSh would choose first_omega" in page


def test_spectra_of_a_sound(tmp_path, looks):
    import numpy as np
    import soundfile

    soundfile.write(tmp_path / "a.wav", np.sin(np.arange(4000) / 9), 8000)
    path = tmp_path / "sound"
    assert main(["fit", str(tmp_path / "a.wav"), "--steps", "2", "--out", str(path)]) == 0
    assert "<svg" in looks.make(path, insides.spectra).result()


def test_every_form_that_is_offered_can_be_written(tmp_path, photograph, looks, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "arriving"))
    path = fitted(tmp_path, photograph, "--set", "levels=4", "table_size=1024")

    run, choices = Run.open(path), looks.ask(path, exporting.choices).result()
    assert len(choices) >= 10
    for choice in choices:
        file = exporting.write(run, choice, 0.5, 32)
        assert file.is_file() and file.stat().st_size > 0 and file.is_relative_to(tmp_path / "arriving")
        assert exporting.estimate(run, choice, 0.5, 32)
    with pytest.raises(BadInput, match="at most"):
        exporting.write(run, choices[0], 1000.0, 32)


def test_a_sound_is_drawn_around_its_middle(tmp_path, looks):
    """Silence lies in the middle of its window, and both halves of a wave are seen."""
    import numpy as np
    import soundfile

    from apps.studio.view_renderer import window

    soundfile.write(tmp_path / "tone.wav", np.sin(np.arange(4000) / 9) * 0.4, 8000)
    path = tmp_path / "run"
    assert main(["fit", str(tmp_path / "tone.wav"), "--steps", "150", "--out", str(path)]) == 0
    sheet = looks.ask(path, lambda opened: window(opened, 0, 0, 1, 1, 200, 100)).result()
    drawn = sheet[..., 3] == 255
    above, below = drawn[:45].sum(), drawn[55:].sum()
    assert min(above, below) > 2000 and 0.8 < above / below < 1.25
