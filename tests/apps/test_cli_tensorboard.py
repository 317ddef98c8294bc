"""Tests of the log for TensorBoard, read by TensorBoard's own reader."""

import sys

import pytest

from apps.cli.main import main


def events(folder):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    found = accumulator.EventAccumulator(str(folder), size_guidance={"images": 0, "scalars": 0})
    found.Reload()
    return found


def test_logs_curves_images_and_metrics(tmp_path, photograph, capsys):
    out = tmp_path / "run"
    pytest.importorskip("tensorboard")
    assert (
        main(
            [
                "fit",
                str(photograph),
                "--steps",
                "60",
                "--set",
                "levels=4",
                "table_size=4096",
                "batch=1024",
                "--out",
                str(out),
                "--tensorboard",
            ]
        )
        == 0
    )
    assert f"tensorboard --logdir {out}" in capsys.readouterr().err
    log = events(out / "tensorboard")
    assert {"loss", "psnr", "final/psnr"} <= set(log.Tags()["scalars"])
    assert log.Scalars("loss")[-1].step == 60 and log.Scalars("loss")[-1].value < log.Scalars("loss")[0].value
    assert log.Scalars("final/psnr")[0].value > 15
    assert len(log.Images("preview")) == 1 and log.Images("preview")[0].width > 0


def test_refuses_before_the_fit_without_the_package(tmp_path, photograph, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    assert main(["fit", str(photograph), "--steps", "5", "--out", str(tmp_path / "run"), "--tensorboard"]) == 2
    assert "field-studio[tensorboard]" in capsys.readouterr().err and not (tmp_path / "run").exists()
