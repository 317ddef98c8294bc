"""The papers' claims on a small scale, with wide margins: what `python -m benchmarks.papers` measures with care."""

import pytest

from benchmarks.papers import cam, inr, neurbf
from benchmarks.papers.fits import fitted, photograph, psnr_of
from benchmarks.papers.nstr import _correlation
from benchmarks.papers.pictures import named
from fields.methods.registry import make_method

pytestmark = pytest.mark.slow


def test_modulation_lets_a_linear_network_follow_a_curve():
    """Theirs: 4.97, 3.34, 0.07 and 0.03."""
    error = {row["id"]: row["value"] for row in cam.curve(1)}
    assert 4.7 < error["cam-1d:without"] < 5.2 and 3.1 < error["cam-1d:octaves"] < 3.6
    assert error["cam-1d:cam"] < 0.12 and error["cam-1d:octaves and cam"] < 0.06


def test_modulation_beats_the_same_network_on_a_photograph():
    image = photograph("astronaut", 48)
    base = {"width": 48, "frequencies": 48, "sigma": 5.0, "nodes": 12, "batch": 2304}
    plain = psnr_of(image, make_method("cam", base | {"modulate": False, "normalise": False}), steps=200, seed=0)[0]
    assert psnr_of(image, make_method("cam", base), steps=200, seed=0)[0] > plain + 1


def test_kernels_beat_a_grid_where_detail_is_sparse():
    image = named("sparse", 128)
    scores = {}
    for name in ("hashgrid", "neurbf"):
        method = make_method(name, {"batch": 4096}).prepare(image).sized(2, 3, 31_800)
        scores[name] = psnr_of(image, method, steps=200, seed=0)[0]
    assert scores["neurbf"] > scores["hashgrid"] + 2


def test_frequencies_are_seen_where_they_are_and_the_literal_formula_fails():
    base = {"batch": 4096, "learning_rate": 2e-3, "waves": 56, "width": 56, "nodes": 8, "lowest": 4.0, "highest": 60.0}
    image = named("chirp", 128)
    result = fitted(image, make_method("nstr", base), steps=200, seed=0)
    assert _correlation(result.field, 128) > 0.7
    literal = psnr_of(image, make_method("nstr", base | {"mode": "literal"}), steps=200, seed=0)[0]
    assert result.metrics["psnr"] > literal + 5


def test_random_features_have_a_best_width_between_too_smooth_and_too_rough():
    image = photograph("camera", 128, grey=True)
    scores = [psnr_of(image, make_method("fourier", inr.FAMILY["fourier"] | {"sigma": sigma, "batch": 4096}), steps=150, seed=0)[0]
              for sigma in (0.25, 2.0, 32.0)]
    assert scores[1] > scores[0] + 0.5 and scores[1] > scores[2] + 2


def test_finers_first_bias_moves_the_spectrum():
    mean = [row["value"] for row in inr._finer_spectra(photograph("camera", 64, grey=True), 2)]
    assert mean[1] > 1.1 * mean[0] and mean[2] > 1.35 * mean[0]


def test_every_experiment_has_all_its_sizes():
    from importlib import import_module

    from benchmarks.papers.__main__ import NAMES, SIZES

    for name in NAMES:
        assert set(import_module(f"benchmarks.papers.{name}").SETTINGS) == set(SIZES)
    assert set(neurbf.ABLATED) <= set(neurbf.SETTINGS["small"][5])
