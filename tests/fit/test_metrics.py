"""Tests of the metrics of images against independent implementations and values computed by hand."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.metrics import structural_similarity

from fields.fit.metrics import samples as metrics
from scenes.domain import Channels

RGB = Channels(("red", "green", "blue"), "srgb")


@pytest.fixture(scope="module")
def pair(astronaut):
    """A photograph and a noisy, blurred copy of it, float32 in [0, 1]."""
    target = astronaut[40:300, 60:340].astype(np.float32) / 255
    noise = np.random.default_rng(0).normal(0, 0.05, target.shape).astype(np.float32)
    return 0.5 * (target + np.roll(target, 1, 0)) + noise, target


@pytest.mark.parametrize("error", [0.5, 0.1, 0.001])
def test_psnr_of_a_constant_error(error):
    target = np.full((7, 5, 3), 0.25, np.float32)
    assert metrics.psnr(target + np.float32(error), target) == pytest.approx(-20 * math.log10(error), abs=1e-3)


def test_psnr_clips_before_it_compares():
    target = np.ones((4, 4, 1), np.float32)
    assert metrics.psnr(target * 3, target) == 120.0
    assert metrics.psnr(-target, np.zeros_like(target)) == 120.0


def test_psnr_does_not_depend_on_the_size_of_strips(monkeypatch, pair):
    whole = metrics.psnr(*pair)
    monkeypatch.setattr(metrics, "STRIP_ROWS", 17)
    assert metrics.psnr(*pair) == pytest.approx(whole, abs=1e-9)


def test_ssim_equals_scikit_image(pair):
    prediction, target = pair
    clipped = np.clip(prediction, 0, 1)
    judge = structural_similarity(
        clipped, target, channel_axis=-1, data_range=1.0, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
    )
    assert metrics.ssim(prediction, target) == pytest.approx(judge, abs=2e-5)


def test_ssim_does_not_depend_on_the_size_of_strips(monkeypatch, pair):
    whole = metrics.ssim(*pair)
    monkeypatch.setattr(metrics, "STRIP_ROWS", 23)
    assert metrics.ssim(*pair) == pytest.approx(whole, abs=1e-6)


def test_ms_ssim_equals_torchmetrics(pair):
    torch = pytest.importorskip("torch")
    functional = pytest.importorskip("torchmetrics.functional.image")
    prediction, target = (torch.from_numpy(np.clip(p, 0, 1)).permute(2, 0, 1)[None] for p in pair)
    judge = functional.multiscale_structural_similarity_index_measure(
        prediction, target, kernel_size=11, sigma=1.5, data_range=1.0, normalize="relu"
    )
    assert metrics.ms_ssim(*pair) == pytest.approx(float(judge), abs=2e-3)


@pytest.mark.parametrize(
    ("shape", "expected"), [((10, 300), set()), ((160, 200), {"ssim"}), ((161, 161), {"ssim", "ms_ssim"})]
)
def test_small_images_have_only_the_metrics_that_are_defined(shape, expected):
    image = np.random.default_rng(0).random((*shape, 3), dtype=np.float32)
    assert set(metrics.image_metrics(image, image, RGB)) == {"psnr"} | expected


def test_alpha_has_a_psnr_of_its_own():
    channels = Channels(("red", "green", "blue", "alpha"), "srgb")
    target = np.full((16, 16, 4), 0.5, np.float32)
    prediction = target + np.array([0, 0, 0, 0.1], np.float32)
    scores = metrics.image_metrics(prediction, target, channels)
    assert scores["psnr"] == 120.0
    assert scores["psnr_alpha"] == pytest.approx(20.0, abs=1e-3)


def test_hdr_images_are_compared_after_tone_mapping():
    channels = Channels(("red", "green", "blue"), "linear")
    target = np.full((4, 4, 3), 3.0, np.float32)
    prediction = np.full((4, 4, 3), 1.0, np.float32)
    scores = metrics.image_metrics(prediction, target, channels)
    difference = 0.75 ** (1 / 2.2) - 0.5 ** (1 / 2.2)
    assert scores["psnr"] == pytest.approx(-20 * math.log10(difference), abs=1e-3)
    assert scores["relative_l2"] == pytest.approx(4.0 / 1.01, rel=1e-5)


@settings(max_examples=25, deadline=None)
@given(st.floats(-5, 300), st.floats(-5, 300))
def test_tone_map_rises_and_stays_between_0_and_1(a, b):
    low, high = metrics.tone_map(np.float64(min(a, b))), metrics.tone_map(np.float64(max(a, b)))
    assert 0 <= low <= high < 1
