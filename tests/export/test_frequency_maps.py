"""Maps of the frequencies of a field, from the command line."""

import numpy as np
import pytest
from PIL import Image

from apps.cli.main import main


@pytest.fixture(scope="module")
def runs(tmp_path_factory, astronaut):
    folder = tmp_path_factory.mktemp("maps")
    Image.fromarray(astronaut[60:124, 180:276]).save(folder / "photo.png")
    fit = ["fit", str(folder / "photo.png"), "--steps", "2"]
    assert (
        main([*fit, "--method", "nstr", "--set", "waves=8", "width=8", "nodes=4", "--out", str(folder / "nstr")]) == 0
    )
    assert (
        main(
            [
                *fit,
                "--method",
                "nstr",
                "--set",
                "waves=8",
                "width=8",
                "nodes=4",
                "transport=off",
                "--out",
                str(folder / "off"),
            ]
        )
        == 0
    )
    assert main([*fit, "--method", "siren", "--set", "width=8", "--out", str(folder / "siren")]) == 0
    return folder


@pytest.mark.parametrize("what", ["frequency", "flow", "orientation", "explained"])
def test_each_map_is_drawn_in_the_requested_size(runs, what, capsys):
    assert main(["render", str(runs / "nstr"), "--what", what, "--scale", "3"]) == 0
    image = np.asarray(Image.open(runs / "nstr" / f"{what}.png").convert("RGB"))
    assert image.shape[0] == 192 and len(np.unique(image.reshape(-1, 3), axis=0)) > 50
    assert f"{image.shape[1]} x 192" in capsys.readouterr().out


def test_refuses_maps_that_a_field_does_not_have_and_other_endings_than_png(runs, capsys):
    for run, what, reason in (
        ("siren", "frequency", "has no map of its frequencies"),
        ("off", "flow", "without a transport"),
        ("nstr", "depth", "they show color, frequency, flow"),
    ):
        assert main(["render", str(runs / run), "--what", what]) == 2
        assert reason in capsys.readouterr().err
    assert main(["render", str(runs / "nstr"), "--what", "flow", "--out", str(runs / "f.jpg")]) == 2
    assert not (runs / "f.jpg").exists()


def test_a_run_stores_the_diagnostics_of_the_field(runs, capsys):
    import json

    metrics = json.loads((runs / "nstr" / "metrics.json").read_text())["metrics"]
    assert {"psnr", "state_variance", "transport_explained"} <= set(metrics)
    assert main(["evaluate", str(runs / "nstr")]) == 0
    assert "transport_explained" in capsys.readouterr().out
