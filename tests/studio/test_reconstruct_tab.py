"""The tab Photographs to 3-D in a real browser: from dropped photographs to a mesh. Screenshots as in test_browser."""

import io
import json
import shutil
import struct
import zipfile

import numpy as np
import pytest

pytest.importorskip("gradio")
pytest.importorskip("playwright")

from scenes.posed.view import PosedViews, View  # noqa: E402
from scenes.posed.write import write_scene  # noqa: E402
from scenes.procedural.photographs import photographs  # noqa: E402
from scenes.procedural.still_life import cameras, still_life  # noqa: E402

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("chromium") is None, reason="the system has no chromium: apt install chromium"),
]


@pytest.fixture(scope="module")
def duck(tmp_path_factory):
    """A zip with 14 small photographs of the duck whose cameras are known."""
    life, folder = still_life("duck"), tmp_path_factory.mktemp("duck")
    chosen = [camera.resized(64, 64) for camera in [*cameras()[:36:3], *cameras()[-8::4]]]
    views = tuple(View(**vars(camera), pixels=pixels) for camera, pixels in zip(chosen, photographs(life, chosen)))
    write_scene(folder / "scene" / "duck", PosedViews(views, box=(life.lower, life.upper)))
    return shutil.make_archive(str(folder / "duck"), "zip", folder / "scene")


def option(visitor, name, value):
    box = visitor.page.locator(f"#recon-{name} textarea, #recon-{name} input")
    box.fill(value)
    box.press("Tab")


def colored_pixels(page, canvas="#recon-mesh canvas"):
    """Pixels of the page's drawing of the mesh that are not grey."""
    from PIL import Image

    image = Image.open(io.BytesIO(page.locator(canvas).screenshot())).convert("RGB")
    pixels = np.asarray(image, int)
    return int((pixels.max(axis=2) - pixels.min(axis=2) > 40).sum())


def glb_json(content):
    assert content[:4] == b"glTF"
    size = struct.unpack_from("<I", content, 12)[0]
    return json.loads(content[20 : 20 + size])


def middle(locator):
    """The middle of an element, in pixels of the window."""
    box = locator.bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def test_photographs_become_a_mesh_that_is_shown_and_downloaded(visit, duck):
    visitor = visit()
    page, jobs = visitor.page, visitor.studio.queue.jobs
    visitor.tab("Photographs to 3-D")
    visitor.settled()
    page.set_input_files("#recon-upload input[type=file]", duck)
    visitor.shows("#recon-about", "12 views for training and 2 for testing")
    page.wait_for_selector("[data-studio=cameras][data-drawn]")
    visitor.shows("#recon-scene", "12 cameras for training, ■ 2 for testing")
    whole = page.locator("[data-studio=cameras]").get_attribute("data-drawn")

    # The crop box follows the sliders.
    slider = page.locator("#recon-box-5 input[type=number]")
    top = float(slider.input_value())
    slider.fill(f"{0.9 * top:.4f}")
    slider.press("Enter")
    page.wait_for_function(
        "whole => document.querySelector('[data-studio=cameras]').dataset.drawn !== whole", arg=whole
    )
    # And a handle of one of its faces, which is dragged towards the other one.
    side = page.locator("#recon-box-3 input[type=number]")
    right = float(side.input_value())
    (x0, y0), (x1, y1) = (middle(page.locator(f".window.cameras [data-face='{face}'] .touched")) for face in (0, 3))
    page.mouse.move(x1, y1)
    page.mouse.down()
    page.mouse.move(x1 + 0.3 * (x0 - x1), y1 + 0.3 * (y0 - y1), steps=5)
    page.mouse.up()
    visitor.until(lambda: float(side.input_value()) < 0.9 * right)
    page.locator(".window.cameras").focus()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("+")
    visitor.shot("reconstruct-cameras")
    visitor.accessible()

    page.locator("#recon-preview input").check()
    option(visitor, "seconds", "25")
    page.get_by_role("button", name="Surface and texture").click()
    visitor.settled()
    for name, value in (("triangles", "3000"), ("texture-size", "256"), ("resolution", "64")):
        option(visitor, name, value)
    before = len(jobs)
    page.click("#recon-start")
    visitor.until(lambda: len(jobs) > before)
    job = list(jobs.values())[-1]
    assert job.request.triangles == 3000 and job.request.preview and job.request.seconds == 25
    assert job.request.box is not None and job.request.box[5] < top and job.request.box[3] < 0.9 * right

    # The cropped box stays.
    page.wait_for_selector("[data-studio=reconstruction] .chip")
    page.wait_for_timeout(1500)
    assert float(slider.input_value()) < top
    # The picture grows, and the work goes on without a page.
    page.wait_for_selector("[data-studio=reconstruction] .growing img[src]")
    visitor.shot("reconstruct-fit")
    visitor.open()
    visitor.tab("Photographs to 3-D")
    visitor.until(lambda: job.state in ("done", "failed"))
    assert job.state == "done", job.message
    page.wait_for_selector("[data-studio=reconstruction] .chip[data-state=done]")
    page.wait_for_selector("#recon-mesh canvas")
    visitor.until(lambda: colored_pixels(page) > 2000)
    visitor.shows("#recon-panel .scores", "dB")
    page.wait_for_function("document.querySelector('#recon-panel .sheet img').naturalWidth > 100")
    visitor.shot("reconstruct-done")
    visitor.accessible()

    with page.expect_download() as download:
        page.get_by_role("link", name="Download GLB").click()
    content = download.value.path().read_bytes()
    assert content == job.files[0].read_bytes()
    assert download.value.suggested_filename == f"{job.path.name}.glb"
    asset = glb_json(content)
    faces = asset["accessors"][asset["meshes"][0]["primitives"][0]["indices"]]["count"] // 3
    assert 500 < faces <= 3000 and asset["images"]
    preview = page.request.get(page.locator("#recon-mesh a[href]").get_attribute("href"))
    assert preview.body() == content, "the preview shows the same file"

    page.get_by_role("button", name="Make a USDZ").click()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download USDZ").click()
    assert any(name.endswith((".usdc", ".usda")) for name in zipfile.ZipFile(download.value.path()).namelist())
    visitor.shot("reconstruct-usdz")


def test_a_mesh_is_opened_from_the_gallery_on_a_narrow_screen(visit, studio, duck, tmp_path):
    """The run's page shows it."""
    from apps.studio.reconstruct_job import ReconstructJob
    from fields.reconstruct.request import ReconstructRequest

    shutil.unpack_archive(duck, tmp_path)
    small = {"steps": 4, "preview": True, "triangles": 1000, "texture_size": 64, "resolution": 32}
    request = ReconstructRequest(source=str(tmp_path / "duck"), asset="model.glb", **small)
    path = studio.queue.reserve("small")
    job = studio.queue.add(ReconstructJob(path.name, path, request))
    visitor = visit(width=390, scheme="dark")
    visitor.until(lambda: job.state in ("done", "failed"))
    visitor.tab("Runs")
    visitor.page.get_by_role("button", name=f"Mesh: {path.name}", exact=True).click()
    visitor.page.wait_for_url(f"**/run/{path.name}")
    visitor.page.wait_for_selector("[data-studio=mesh][data-drawn]")
    visitor.until(lambda: colored_pixels(visitor.page, "canvas.mesh") > 500)
    visitor.shot("reconstruct-gallery-dark-390")


# Whether an element and all around it are opaque.
OPAQUE = """selector => {
    for (let at = document.querySelector(selector); at; at = at.parentElement)
        if (getComputedStyle(at).opacity !== "1") return false;
    return true;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_tab_fits_a_narrow_screen_and_says_what_is_wrong(visit, tmp_path, scheme):
    visitor = visit(width=390, scheme=scheme)
    page = visitor.page
    visitor.tab("Photographs to 3-D")
    visitor.settled()
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    page.set_input_files("#recon-upload input[type=file]", str(tmp_path / "picture.png"))
    visitor.shows("#recon-about", "too few")
    before = len(visitor.studio.queue.jobs)
    page.click("#recon-start")
    page.get_by_text("choose photographs first").first.wait_for()
    assert len(visitor.studio.queue.jobs) == before
    # Gradio's messages are not accessible themselves.
    visitor.open()
    visitor.tab("Photographs to 3-D")
    visitor.settled()
    visitor.choose("#recon-example", "Duck")
    visitor.shows("#recon-about", "160 x 160")
    page.wait_for_selector("[data-studio=cameras][data-drawn]")
    # What is being updated is shown paler.
    page.wait_for_function(OPAQUE, arg="#recon-about p")
    visitor.shot(f"reconstruct-{scheme}-390")
    visitor.accessible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 391
