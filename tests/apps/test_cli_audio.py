"""Tests of the command line on audio, from file to metrics to file."""

import json

import numpy as np
import pytest
import soundfile

from apps.cli.main import main

QUICK = ["--steps", "500", "--set", "batch=4096", "--json"]


@pytest.fixture
def chirp(tmp_path):
    """A second of a rising tone, stereo, as a WAV file."""
    time = np.arange(8000) / 8000
    left = 0.4 * np.sin(2 * np.pi * (100 * time + 150 * time**2))
    soundfile.write(tmp_path / "chirp.wav", np.stack([left, -0.5 * left], axis=1), 8000)
    return tmp_path / "chirp.wav"


def test_fit_evaluate_render_and_info_work_on_audio(tmp_path, chirp, capsys):
    run = tmp_path / "run"
    assert main(["fit", str(chirp), "--out", str(run), *QUICK]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["kind"] == "audio" and set(report["metrics"]) == {"snr", "spectral_error", "log_spectral_error"}
    assert report["metrics"]["snr"] > 25
    assert (run / "preview.png").is_file()

    assert main(["evaluate", str(run), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["metrics"] == pytest.approx(report["metrics"], abs=1e-3)
    assert main(["info", str(run)]) == 0

    assert main(["render", str(run), "--out", str(tmp_path / "same.wav"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["rate"] == 8000
    target, _ = soundfile.read(chirp)
    fitted, rate = soundfile.read(tmp_path / "same.wav")
    assert rate == 8000 and fitted.shape == target.shape
    snr = 10 * np.log10((target**2).sum() / ((fitted - target) ** 2).sum())
    assert snr == pytest.approx(report["metrics"]["snr"], abs=0.1)


@pytest.mark.parametrize(
    ("flags", "rate", "samples"),
    [
        (["--rate", "16000"], 16000, 16000),
        (["--rate", "5000"], 5000, 5000),
        (["--scale", "2", "--part", "0.25,0.5"], 16000, 4000),
    ],
)
def test_render_at_any_rate_keeps_the_pitch(tmp_path, chirp, capsys, flags, rate, samples):
    run = tmp_path / "run"
    assert main(["fit", str(chirp), "--out", str(run), *QUICK]) == 0
    assert main(["render", str(run), *flags, "--out", str(tmp_path / "out.flac")]) == 0
    capsys.readouterr()
    decoded, found = soundfile.read(tmp_path / "out.flac")
    assert (found, len(decoded)) == (rate, samples)
    start = 0.25 if "--part" in flags else 0.0
    time = start + (np.arange(samples) + 0.5) / rate - 0.5 / 8000
    expected = 0.4 * np.sin(2 * np.pi * (100 * time + 150 * time**2))
    inner = slice(50, -50)
    assert np.corrcoef(decoded[inner, 0], expected[inner])[0, 1] > 0.995


def test_held_out_samples_are_scored(tmp_path, chirp, capsys):
    assert main(["fit", str(chirp), "--out", str(tmp_path / "run"), "--held-out", "0.1", *QUICK]) == 0
    metrics = json.loads(capsys.readouterr().out)["metrics"]
    assert set(metrics) == {"snr"} and metrics["snr"] > 15


def test_refuses_options_of_images(tmp_path, chirp, capsys):
    assert main(["fit", str(chirp), "--mask", "x.png"]) == 2
    assert "no option mask" in capsys.readouterr().err
    assert main(["fit", str(chirp), "--out", str(tmp_path / "run"), *QUICK]) == 0
    capsys.readouterr()
    assert main(["render", str(tmp_path / "run"), "--size", "10x10"]) == 2
    assert "--size" in capsys.readouterr().err
