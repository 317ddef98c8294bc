"""Tests of the metrics of audio against their definitions."""

import numpy as np
import pytest

from fields.fit.metrics.samples import audio_metrics, snr


def test_snr_is_the_ratio_of_powers(rng=np.random.default_rng(0)):
    target = rng.standard_normal((1000, 2)).astype(np.float32)
    assert snr(target * 0.9, target) == pytest.approx(20.0, abs=1e-3)
    assert snr(np.zeros_like(target), target) == pytest.approx(0.0, abs=1e-6)
    assert snr(target, target) == 120.0


def test_spectral_errors_follow_the_spectrum(rng=np.random.default_rng(1)):
    target = rng.standard_normal((8192, 1)).astype(np.float32)
    same = audio_metrics(target, target)
    assert same["spectral_error"] == 0 and same["log_spectral_error"] == 0
    half = audio_metrics(target * 0.5, target)
    assert half["spectral_error"] == pytest.approx(0.5, rel=1e-4)
    assert half["log_spectral_error"] == pytest.approx(6.02, abs=0.05)
    # A sign turned round is the same sound to the ear, and to the spectrum.
    assert audio_metrics(-target, target)["spectral_error"] == pytest.approx(0, abs=1e-6)


def test_audio_shorter_than_a_window_has_no_spectral_error():
    target = np.ones((100, 1), np.float32)
    assert set(audio_metrics(target, target)) == {"snr"}
