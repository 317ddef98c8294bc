"""Pages draw what Python draws, with both back ends."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fields.export.base import Source
from fields.export.page.write import page_of
from fields.render.raster import evaluate_image
from tests.export.page_fields import FIELDS, make_field

SIZE = (40, 30)
# Largest mean difference in steps of 8 bits: both round, and the field itself is not rounded.
MEAN = 0.02
FLAT = [name for name in FIELDS if FIELDS[name][2] == 2]
# Fields that together have every operation of shaders; compiling takes long without a GPU.
SHADERS = ("hashgrid", "quadratic", "wire", "densegrid", "neurbf", "nstr-jet")


def expected_picture(field) -> np.ndarray:
    # Pages ask at the centres of pixels, whatever these stand for.
    return np.rint(np.clip(evaluate_image(field, *SIZE, most=1), 0, 1) * 255)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "backend"),
    [*((name, "wasm") for name in FLAT), *((name, "webgl2") for name in SHADERS)],
)
def test_page_draws_the_field(name, backend, open_page, tmp_path):
    field = make_field(name)
    path = tmp_path / "page.html"
    path.write_text(page_of(Source(None, field, "image"), 32))
    page = open_page(path, f"size={SIZE[0]}x{SIZE[1]}&backend={backend}")
    expected = expected_picture(field)
    assert expected.std() > 5
    difference = np.abs(page.picture()[..., :3] - expected)
    assert difference.mean() < MEAN
    # Of two kernels at the same distance, either may be the nearest.
    assert np.quantile(difference, 0.98 if name == "neurbf" else 1.0) <= 1
    assert page.page.evaluate("fieldStudio.backend()") == backend
    value = page.page.evaluate("fieldStudio.value(0.3, 0.6)")
    torch.testing.assert_close(torch.tensor([value]), field(torch.tensor([[0.3, 0.6]])), atol=1e-4, rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["wasm", "webgl2"])
def test_wrong_weight_shows(backend, open_page, tmp_path):
    field = make_field("hashgrid")
    expected = expected_picture(field)
    field.network.output.weight[0, 0] += 0.5
    path = tmp_path / "page.html"
    path.write_text(page_of(Source(None, field, "image"), 32))
    page = open_page(path, f"size={SIZE[0]}x{SIZE[1]}&backend={backend}")
    assert np.abs(page.picture()[..., :3] - expected).mean() > MEAN


@pytest.mark.slow
def test_page_cut_off_says_so(open_page, tmp_path):
    text = page_of(Source(None, make_field("hashgrid"), "image"), 16)
    path = tmp_path / "page.html"
    path.write_text(text[: text.index('id="field"') + 2000])
    page = open_page(path)
    assert page.state == "error"
    assert "not whole" in page.message
    path.write_text(_damaged(text))
    page = open_page(path)
    assert page.state == "error"
    assert "damaged" in page.message


def _damaged(text: str) -> str:
    """The page with a part of its data replaced."""
    middle = (text.index('id="field"') + len(text)) // 2
    return text[:middle] + "A" * 40 + text[middle + 40 :]


@pytest.mark.slow
def test_link_opens_the_same_view(open_page, tmp_path):
    path = tmp_path / "page.html"
    path.write_text(page_of(Source(None, make_field("siren"), "image"), 16))
    page = open_page(path, "size=120x90&backend=wasm")
    whole = page.picture()
    page.page.focus("#view")
    page.page.keyboard.press("+")
    page.page.keyboard.press("ArrowRight")
    page.page.wait_for_function("location.hash.includes('at=')")
    page.wait()
    moved = page.picture()
    assert np.abs(moved.astype(int) - whole).mean() > 1
    again = open_page(path, page.page.evaluate("location.hash.slice(1)"))
    np.testing.assert_allclose(again.picture().astype(int), moved, atol=1)
