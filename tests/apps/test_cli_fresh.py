"""Tests of `--init fresh` on the command line."""

import json

from apps.cli.main import main

SMALL = ["--method", "siren", "--set", "width=8", "hidden_layers=2", "--steps", "2"]


def test_choice_is_printed_stored_and_drawn(photograph, tmp_path, capsys):
    run = tmp_path / "run"
    assert main(["fit", str(photograph), *SMALL, "--init", "fresh", "--out", str(run)]) == 0
    header = json.loads((run / "run.json").read_text())
    assert header["init"]["option"] == "first_omega" and header["options"]["first_omega"] == header["init"]["value"]
    assert f"fresh: first_omega {header['init']['value']:g}, where the default is 30" in capsys.readouterr().err
    assert (run / "fresh.png").read_bytes()[:4] == b"\x89PNG"


def test_refuses_options_that_exclude_fresh(photograph, tmp_path, capsys):
    run = tmp_path / "run"
    assert main(["fit", str(photograph), "--init", "fresh", "--params", "20k", "--out", str(run)]) == 2
    assert "chooses the growth of hashgrid, which --params solves" in capsys.readouterr().err
    assert main(["fit", str(photograph), *SMALL, "--out", str(run)]) == 0
    assert (
        main(
            [
                "fit",
                str(photograph),
                "--from",
                str(run),
                "--init",
                "fresh",
                "--steps",
                "2",
                "--out",
                str(tmp_path / "b"),
            ]
        )
        == 2
    )
    assert "give one of them" in capsys.readouterr().err
    assert main(["fit", str(run), "--init", "fresh"]) == 2
    assert not (tmp_path / "b").exists()


def test_params_is_met_after_octaves_are_chosen(photograph, tmp_path):
    run = tmp_path / "run"
    assert (
        main(
            [
                "fit",
                str(photograph),
                "--method",
                "frequency",
                "--init",
                "fresh",
                "--params",
                "6k",
                "--steps",
                "2",
                "--out",
                str(run),
            ]
        )
        == 0
    )
    header = json.loads((run / "run.json").read_text())
    assert header["init"]["value"] != header["init"]["default"] and abs(header["parameters"] / 6000 - 1) < 0.03


def test_refuses_sigma_of_cam_with_octaves(photograph, tmp_path, capsys):
    assert (
        main(
            [
                "fit",
                str(photograph),
                "--method",
                "cam",
                "--set",
                "encoding=octaves",
                "--init",
                "fresh",
                "--steps",
                "2",
                "--out",
                str(tmp_path / "run"),
            ]
        )
        == 2
    )
    assert "cam has no sigma to choose" in capsys.readouterr().err
