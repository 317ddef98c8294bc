"""Clips of several runs in step, in a real browser."""

import shutil

import numpy as np
import pytest

pytest.importorskip("gradio")
pytest.importorskip("playwright")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("chromium") is None, reason="the system has no chromium: apt install chromium"),
]
FRAMES = 6
NAMES = ("clip-one", "clip-two")


@pytest.fixture
def clips(studio, tmp_path):
    """Two runs of a clip whose frames become brighter."""
    from PIL import Image

    from apps.cli.main import main

    (tmp_path / "frames").mkdir()
    for index in range(FRAMES):
        Image.fromarray(np.full((24, 32, 3), 30 + 40 * index, np.uint8)).save(tmp_path / "frames" / f"{index}.png")
    small = ["--method", "densegrid", "--params", "3k"]
    for steps, name in zip(("40", "2"), NAMES):
        call = ["fit", str(tmp_path / "frames"), "--steps", steps, "--out", str(studio.folders.runs / name), *small]
        assert main(call) == 0
    yield
    for name in NAMES:
        shutil.rmtree(studio.folders.runs / name)


def test_clips_of_several_runs_show_the_same_frame(visit, clips):
    visitor = visit()
    page = visitor.page
    page.goto(f"{visitor.address}/compare?run={NAMES[0]}&run={NAMES[1]}")
    drawn = "what => document.querySelector('[data-studio=clips]')?.dataset.drawn === what"
    page.wait_for_function(drawn, arg="2 fit")
    assert page.locator(".panes .pane").count() == 3, "the signal is shown beside both"
    assert brightness(page)[0] == pytest.approx(30 + 40 * 2, abs=2)
    page.get_by_role("button", name="One frame on").click()
    page.wait_for_function(drawn, arg="3 fit")
    page.get_by_label("Frame", exact=True).fill("5")
    page.wait_for_function(drawn, arg="5 fit")
    signal, one, two = brightness(page)
    assert signal == pytest.approx(230, abs=2) and abs(one - 230) < abs(two - 230)
    visitor.shows("[data-studio=clips] output", "frame 6 of 6")
    # The wipe is of the same frame.
    page.get_by_role("button", name="wipe").click()
    page.wait_for_function(drawn, arg="5 fit")
    sources = page.locator(":is(.panes .fit, .wipe img)").evaluate_all("all => all.map(image => image.src)")
    assert sources[3:] == [sources[1], sources[0]]
    page.get_by_role("button", name="error × 10").click()
    page.wait_for_function(drawn, arg="5 error")
    page.get_by_role("button", name="fit", exact=True).click()
    page.get_by_role("button", name="Play").click()
    page.get_by_role("button", name="Play").wait_for()
    page.wait_for_function(drawn, arg="5 fit")
    visitor.shot("compare-clips")
    visitor.accessible()


def brightness(page):
    """Mean red of what each pane shows."""
    return page.locator(".panes .fit").evaluate_all(
        "all => all.map(image => { const c = document.createElement('canvas'); c.width = c.height = 1;"
        "const d = c.getContext('2d'); d.drawImage(image, 0, 0, 1, 1); return d.getImageData(0, 0, 1, 1).data[0]; })"
    )
