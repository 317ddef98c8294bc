"""The studio in a real browser: every tab, from a signal to a result. Screenshots are kept under build/screenshots."""

import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import trimesh

from apps.studio import examples, method_options
from fields.runs.run import Run

pytest.importorskip("gradio")
pytest.importorskip("playwright")
SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("chromium") is None, reason="the system has no chromium: apt install chromium"),
]


def ended(visitor):
    """The newest job, after it has ended."""
    job = list(visitor.studio.queue.jobs.values())[-1]
    visitor.until(lambda: job.state in ("done", "failed", "stopped", "paused"))
    return job


def test_a_click_on_an_example_chooses_it_and_updates_the_estimate(visit, studio, tmp_path):
    for job in list(studio.queue.jobs.values()):
        job.stop()
    visitor = visit()
    visitor.until(
        lambda: all(job.state not in ("queued", "loading", "running", "stopping") for job in studio.queue.jobs.values())
    )
    studio.queue.jobs.clear()
    visitor.open()
    page = visitor.page
    images = page.locator("[data-example] img")
    images.first.wait_for()
    page.wait_for_function("[...document.querySelectorAll('[data-example] img')].every(image => image.naturalWidth)")
    assert images.count() == len(examples.READY) == 6
    page.get_by_role("button", name="Astronaut").click()
    visitor.shows("#about", "image")
    visitor.shows("#estimate", "324,576")
    assert page.locator("#seconds input[type=number]").input_value() == "15"
    assert page.locator("#example input").input_value().startswith("Astronaut")
    # The estimate follows the signal.
    visitor.example("Chelsea", "image")
    visitor.shows("#estimate", "168,912")
    visitor.shot("welcome")
    # A file that is too large is refused before it is sent; the signal that was chosen stays.
    with (tmp_path / "huge.png").open("wb") as huge:
        huge.truncate(2 << 30)
    visitor.upload(tmp_path / "huge.png")
    page.wait_for_function("document.querySelector('#upload')?.dataset.problem?.includes('2,048 MB')")
    assert "image" in page.inner_text("#about")


def test_a_photograph_from_upload_to_export(visit, photograph, tmp_path):
    visitor = visit()
    page = visitor.page
    visitor.upload(photograph)
    visitor.shows("#about", "96 x 64")
    visitor.shows("#estimate", "parameters")
    # A curve needs two updates, half a second apart.
    visitor.steps(600)
    visitor.fit()
    assert visitor.state("done") == "done"
    visitor.shows("[data-studio=live] .line", "600 of 600 steps")
    page.wait_for_selector(".curve svg")
    assert "PSNR" in page.inner_text(".scores")
    page.wait_for_selector(".live.has-fit")
    page.locator(".slider input").focus()
    page.keyboard.press("Home")
    assert page.locator(".slider").evaluate("node => getComputedStyle(node).getPropertyValue('--cut')").strip() == "0%"
    visitor.shot("fit")

    name = ended(visitor).path.name
    page.get_by_role("link", name="View, inspect and export").click()
    page.wait_for_url(f"**/run/{name}")
    page.wait_for_function("document.querySelector('[data-studio=zoom]')?.dataset.drawn")
    drawn = "what => document.querySelector('[data-studio=zoom]').dataset.drawn.includes(what)"
    page.wait_for_function(drawn, arg="slider")
    page.locator("[data-studio=zoom] .window").focus()
    page.keyboard.press("+")
    page.wait_for_function(drawn, arg="0.1667,0.1667,0.8333,0.8333 slider")
    # Signal, field and error zoom together, and the values under the pointer are told.
    page.get_by_role("button", name="Side by side").click()
    page.wait_for_function(drawn, arg="0.8333 side")
    assert len(set(page.locator(".stage img").evaluate_all("all => all.map(image => image.style.transform)"))) == 1
    page.locator(".pane.signal").hover(position={"x": 20, "y": 20})
    page.wait_for_function("/signal: red .* field: red /.test(document.querySelector('.value').textContent)")
    visitor.shot("run-panes")
    page.get_by_text("Tags and note").click()
    page.get_by_text("Inside the field").click()
    page.wait_for_selector(".part img")
    page.get_by_role("button", name="Draw the spectra").click()
    page.wait_for_selector("details svg")
    assert not page.locator("#share").is_hidden()
    page.fill("#run-tags", "cat, first try")
    page.fill("#run-note", "a good one")
    visitor.shows("main", "Saved")

    visitor.shows("#exports", "96 x 64")
    page.click("#export-start")
    page.get_by_role("link", name="Download").wait_for()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    from PIL import Image

    assert Image.open(download.value.path()).size == (96, 64)
    visitor.accessible()
    visitor.shot("run")
    # What was written and made is there after a reload, and under a new name.
    page.get_by_role("button", name="Rename").click()
    page.locator("dialog input").fill("my photo")
    page.locator("dialog button[type=submit]").click()
    page.wait_for_url("**/run/my%20photo")
    page.get_by_role("link", name="Download").wait_for()
    assert page.input_value("#run-tags") == "cat, first try" and page.input_value("#run-note") == "a good one"
    page.get_by_role("button", name="Delete", exact=True).first.click()
    page.get_by_role("button", name="Undo").click()
    page.wait_for_function("document.querySelector('[data-studio=zoom]')?.dataset.drawn")
    # A run that goes while its page is open says so.
    shutil.rmtree(visitor.studio.folders.runs / "my photo")
    page.get_by_text("This run is not there any more").wait_for()


def test_a_fit_with_a_mask_and_one_that_begins_with_its_weights(visit, photograph, tmp_path):
    from PIL import Image

    mask = np.zeros((64, 96), np.uint8)
    mask[:, :48] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    visitor = visit()
    page = visitor.page
    visitor.upload(photograph)
    visitor.shows("#about", "96 x 64")
    page.get_by_role("button", name="Samples used").click()
    page.locator("#held-out").wait_for()
    assert page.locator("#held-out").is_visible() and not page.locator("#quantity").is_visible()
    page.set_input_files("#mask input[type=file]", str(tmp_path / "mask.png"))
    visitor.shows("#mask", "mask")
    visitor.steps(4)
    visitor.fit()
    first = ended(visitor)
    assert first.state == "done", first.message
    assert Run.open(first.path).header["source"]["options"]["mask"].endswith("mask.png")
    page.locator("#start-from input").click()
    page.get_by_role("option", name=first.path.name, exact=True).click()
    visitor.fit()
    second = ended(visitor)
    assert second.state == "done" and Run.open(second.path).header["from"] == str(first.path)


def test_a_fit_is_paused_after_a_reload_and_resumed(visit):
    visitor = visit()
    visitor.example("Chelsea", "image")
    visitor.steps(400_000)
    visitor.fit()
    visitor.state("running")
    visitor.page.wait_for_selector(".live.has-fit")
    visitor.page.reload()
    visitor.page.wait_for_selector("#start")
    assert visitor.state("running") == "running"
    visitor.page.get_by_role("button", name="Pause").click()
    assert visitor.state("paused") == "paused"
    paused = ended(visitor).step
    visitor.page.get_by_role("button", name="Resume").click()
    job = list(visitor.studio.queue.jobs.values())[-1]
    visitor.until(lambda: job.step > paused)
    visitor.page.get_by_role("button", name="Stop and keep").click()
    assert visitor.state("stopped") == "stopped"


def test_a_fit_goes_on_when_its_page_is_closed_or_loses_the_connection(visit):
    first = visit()
    first.example("Chelsea", "image")
    first.steps(400_000)
    first.fit()
    first.state("running")
    job = list(first.studio.queue.jobs.values())[-1]
    first.context.close()
    closed = job.step
    # Another visitor does not take it for their own, finds it beside theirs, and opens its page.
    second = visit()
    link = second.page.locator("#live .queue a")
    link.wait_for()
    assert "another visitor" in link.inner_text() and second.page.locator("#live .welcome").is_visible()
    link.click()
    second.page.wait_for_url(f"**/run/{job.path.name}")
    assert second.state("running") == "running"
    second.until(lambda: job.step > closed)
    second.context.set_offline(True)
    second.page.wait_for_selector("[data-studio=live].disconnected")
    offline = job.step
    second.until(lambda: job.step > offline)
    assert "The connection is lost" in second.page.locator("main").evaluate(
        "node => getComputedStyle(node, '::before').content"
    )
    second.context.set_offline(False)
    second.page.wait_for_selector("[data-studio=live]:not(.disconnected)")
    second.page.wait_for_selector(".live.has-fit")
    second.page.get_by_role("button", name="Stop and keep").click()
    assert second.state("stopped") == "stopped"


def shared_file(name, make):
    """A file of the shared data, or what `make` makes where they are not beside the repository."""
    return SHARED / name if SHARED.is_dir() else make()


def tone(folder):
    import soundfile

    soundfile.write(folder / "tone.wav", np.sin(np.arange(8000) / 7) * 0.5, 8000)
    return folder / "tone.wav"


def ball(folder):
    trimesh.creation.icosphere(2).export(folder / "ball.ply")
    return folder / "ball.ply"


def cloud(folder):
    """2,048 points with normals: of an airplane, or of a ball where the shared data are missing."""
    if SHARED.is_dir():
        with np.load(SHARED / "shapes" / "labeled_psb_shared.npz") as shapes:
            points, normals = (shapes[name][0].astype(float) for name in ("points", "normals"))
    else:
        points = normals = np.random.default_rng(0).normal(size=(2048, 3))
        points = normals = points / np.linalg.norm(points, axis=1, keepdims=True)
    names = "".join(f"property float {name}\n" for name in ("x", "y", "z", "nx", "ny", "nz"))
    header = f"ply\nformat ascii 1.0\nelement vertex {len(points)}\n{names}end_header"
    np.savetxt(folder / "cloud.ply", np.concatenate([points, normals], axis=1), fmt="%.5f", header=header, comments="")
    return folder / "cloud.ply"


def test_audio_a_zipped_video_a_volume_and_a_point_cloud_are_fitted(visit, studio, tmp_path, astronaut):
    import soundfile
    from PIL import Image

    audio = shared_file("audio/trumpet_sorohanro.wav", lambda: tone(tmp_path))
    volume = Path(examples.source("Gyroid, a volume", studio.folders))
    with zipfile.ZipFile(tmp_path / "frames.zip", "w") as archive:
        for index in range(4):
            Image.fromarray(astronaut[index * 8 : 64 + index * 8, 180:260]).save(tmp_path / f"{index}.png")
            archive.write(tmp_path / f"{index}.png", f"frames/{index}.png")
    visitor = visit()
    for file, kind, text in (
        (audio, "audio", f"{soundfile.info(audio).frames:,} samples"),
        (tmp_path / "frames.zip", "video", "4 frames of 80 x 64"),
        (volume, "volume", "64 x 64 x 64"),
        (cloud(tmp_path), "shape", "2,048 points"),
    ):
        visitor.open()
        visitor.upload(file)
        visitor.shows("#about", text)
        visitor.steps(20)
        visitor.fit()
        job = ended(visitor)
        assert (job.state, job.kind) == ("done", kind), job.message
        visitor.state("done")
        visitor.shot(f"fit-{kind}")


def test_a_mesh_from_upload_to_its_orbit_and_extracted_mesh(visit, tmp_path):
    mesh = shared_file("meshes/spot_vertex_colors.ply", lambda: ball(tmp_path))
    visitor = visit()
    page = visitor.page
    visitor.upload(mesh)
    visitor.shows("#about", "shape")
    visitor.steps(60)
    visitor.fit()
    assert ended(visitor).state == "done"
    page.goto(f"{visitor.address}/run/{ended(visitor).path.name}")
    page.wait_for_function("document.querySelector('[data-studio=orbit]')?.dataset.drawn?.includes('color 30')")
    page.locator("[data-studio=orbit] .window").focus()
    page.get_by_text("Camera path").click()
    page.get_by_role("button", name="Add this view").click()
    page.locator("[data-studio=orbit] .window").focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function("document.querySelector('[data-studio=orbit]').dataset.drawn.includes('color 40')")
    assert page.get_by_role("button", name="Make the film").is_disabled()
    page.get_by_role("button", name="Add this view").click()
    assert page.get_by_role("button", name="Make the film").is_enabled()
    page.get_by_role("button", name="normals").click()
    page.wait_for_function("document.querySelector('[data-studio=orbit]').dataset.drawn.includes('normal 40')")
    top = crop_below_the_middle(visitor)
    page.get_by_label("Detail").fill("32")
    page.click("#export-start")
    page.wait_for_selector("[data-studio=mesh][data-drawn]")
    mesh = trimesh.load(next(visitor.studio.folders.runs.glob(f"{ended(visitor).path.name}/exports/*/*.glb")))
    assert mesh.bounds[1][1] == pytest.approx(top, abs=0.02), "the upper half is not written"
    assert int(page.locator("[data-studio=mesh]").get_attribute("data-drawn")) > 100
    page.get_by_text("Section, measure").click()
    page.get_by_role("button", name="Measure").click()
    box = page.locator("canvas.mesh").bounding_box()
    for x in (0.45, 0.55):
        page.mouse.click(box["x"] + x * box["width"], box["y"] + 0.5 * box["height"])
    distance = float(page.wait_for_function("document.querySelector('[data-distance]')?.dataset.distance").json_value())
    whole = canvas_pixels(page, "canvas.mesh")[..., 3].astype(bool).sum()
    page.get_by_label("Where the section lies").fill("0.5")
    assert 0.01 < distance < 1 and canvas_pixels(page, "canvas.mesh")[..., 3].astype(bool).sum() < 0.9 * whole
    page.get_by_role("button", name="Matcap").click()
    visitor.shot("run-shape-matcap")
    film_of_the_mesh(visitor)
    page.get_by_role("button", name="Edges").click()
    pixels = canvas_pixels(page, "canvas.mesh")
    assert pixels[..., 3].any() and pixels[..., :3].std() > 5, "WebGL draws the mesh"
    visitor.shot("run-shape")
    visitor.accessible()


def film_of_the_mesh(visitor):
    """A film along two views of an exported mesh, which the browser makes; cancelled first."""
    panel = visitor.page.locator("[data-studio=mesh]")
    panel.get_by_text("Camera path").click()
    panel.get_by_role("button", name="Add this view").click()
    panel.locator("canvas").focus()
    visitor.page.keyboard.press("ArrowRight")
    panel.get_by_role("button", name="Add this view").click()
    panel.get_by_role("button", name="Make the film").click()
    panel.get_by_role("button", name="Cancel").click()
    panel.get_by_text("The film was cancelled.").wait_for()
    panel.get_by_label("Seconds of the film").fill("1")
    panel.get_by_role("button", name="Make the film").click()
    panel.get_by_text("The film is ready.").wait_for()
    with visitor.page.expect_download() as download:
        panel.get_by_role("link", name="Download").click()
    assert download.value.suggested_filename.endswith((".mp4", ".webm"))
    assert Path(download.value.path()).stat().st_size > 2000


def crop_below_the_middle(visitor):
    """Crop a shape by a handle, with the mouse, then by a number. Returns where its upper end is."""
    page = visitor.page
    page.locator("summary").get_by_text("Crop box", exact=True).click()
    page.get_by_role("button", name="Show the box").click()
    top = page.locator(".box-handles [data-face='4']")
    top.wait_for()
    before = float(page.get_by_label("y to").input_value())
    place = top.locator("circle").last.bounding_box()
    x, y = place["x"] + place["width"] / 2, place["y"] + place["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x, y + 40, steps=4)
    page.mouse.up()
    after = float(page.get_by_label("y to").input_value())
    moved = top.locator("circle").last.bounding_box()
    # Its axis leans a little, so that it does not go all the way.
    assert after < before and moved["y"] == pytest.approx(place["y"] + 40, abs=6), (before, after, place, moved)
    visitor.shot("run-shape-crop")
    low = float(page.get_by_label("y from").input_value())
    page.get_by_label("y to").fill(f"{(low + before) / 2:.4f}")
    page.get_by_label("y to").press("Tab")
    visitor.shows(".cropped", "Only what lies in the crop box")
    page.get_by_label("y from").fill("999")
    page.get_by_label("y from").press("Tab")
    visitor.shows(".crop", "y from must be less than y to")
    return (low + before) / 2


def canvas_pixels(page, selector):
    """The pixels of a canvas, `[H, W, 4]`."""
    import base64
    import io

    from PIL import Image

    address = page.locator(selector).evaluate("canvas => canvas.toDataURL()")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2]))).convert("RGBA"), float)


@pytest.fixture(scope="module")
def posed(tmp_path_factory):
    """A zipped scene with 12 views for training and 2 for testing, and the size of its images.

    It is the lego bulldozer, or the procedural duck where the shared data are missing.
    """
    if not SHARED.is_dir():
        return duck(tmp_path_factory), "64 x 64"
    source, folder = SHARED / "nerf" / "lego_200", tmp_path_factory.mktemp("lego")
    with zipfile.ZipFile(folder / "lego.zip", "w") as archive:
        for split, some in (("train", slice(0, 96, 8)), ("test", slice(0, 20, 10))):
            content = json.loads((source / f"transforms_{split}.json").read_text())
            content["frames"] = content["frames"][some]
            archive.writestr(f"lego/transforms_{split}.json", json.dumps(content))
            for frame in content["frames"]:
                archive.write(source / f"{frame['file_path']}.png", f"lego/{frame['file_path']}.png")
    return folder / "lego.zip", "200 x 200"


def duck(tmp_path_factory):
    from scenes.posed.view import PosedViews, View
    from scenes.posed.write import write_scene
    from scenes.procedural.photographs import photographs
    from scenes.procedural.still_life import cameras, still_life

    life, folder = still_life("duck"), tmp_path_factory.mktemp("duck")
    chosen = [camera.resized(64, 64) for camera in [*cameras()[:36:3], *cameras()[-8::4]]]
    views = tuple(View(**vars(camera), pixels=pixels) for camera, pixels in zip(chosen, photographs(life, chosen)))
    write_scene(folder / "scene" / "duck", PosedViews(views, box=(life.lower, life.upper)))
    return shutil.make_archive(str(folder / "duck"), "zip", folder / "scene")


def mean_error(job):
    """Mean error of the images that the page has of a fit, in levels of 255."""
    import io

    from PIL import Image

    fit, target = (
        np.asarray(Image.open(io.BytesIO(job.images[name])).convert("RGB"), float) for name in ("fit", "target")
    )
    return float(np.abs(fit - target).mean())


def test_the_page_of_a_run_fits_a_phone(visit, scene):
    """Of a scene, which has most to show; nothing is wider than the screen."""
    visitor = visit(width=390, height=844, scheme="dark")
    page, name = visitor.page, "scene-on-a-phone"
    shutil.copytree(scene, visitor.studio.folders.runs / name)
    page.goto(f"{visitor.address}/run/{name}")
    page.wait_for_function("document.querySelector('[data-studio=orbit]')?.dataset.drawn")
    page.wait_for_selector("#exports option", state="attached")
    for summary in ("Crop box", "Camera path", "More options", "Tags and note"):
        page.locator("summary").get_by_text(summary, exact=True).click()
    page.get_by_role("button", name="Show the box").click()
    page.locator(".box-handles [data-face]:not([hidden])").first.wait_for()
    visitor.shot("run-phone")
    visitor.accessible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 391


def test_a_posed_scene_from_upload_to_export(visit, posed):
    visitor = visit()
    page = visitor.page
    visitor.upload(posed[0])
    visitor.shows("#about", f"12 views for training and 2 for testing, {posed[1]}, with alpha")
    assert "radiance" in page.inner_text("#about")
    visitor.steps(40)
    visitor.fit()
    job = list(visitor.studio.queue.jobs.values())[-1]
    visitor.until(lambda: "fit" in job.images)
    first = mean_error(job)
    page.wait_for_selector(".live.has-fit")
    assert visitor.state("done") == "done"
    assert mean_error(job) < first, "the view for testing becomes sharper"
    assert job.metrics["psnr"] > 15 and "PSNR" in page.inner_text(".scores")
    visitor.shot("fit-radiance")

    page.get_by_role("link", name="View, inspect and export").click()
    orbit = page.locator("[data-studio=orbit]")
    drawn = "what => document.querySelector('[data-studio=orbit]')?.dataset.drawn?.includes(`sharp ${what}`)"
    seen = {}
    for button, what in (("shaded", "color"), ("depth", "depth"), ("normals", "normal")):
        if what != "color":
            page.get_by_role("button", name=button, exact=True).click()
        page.wait_for_function(drawn, arg=what)
        seen[what] = orbit.locator("img").evaluate(
            "image => { const c = document.createElement('canvas'); c.width = c.height = 32;"
            "const d = c.getContext('2d'); d.drawImage(image, 0, 0, 32, 32);"
            "return [...d.getImageData(0, 0, 32, 32).data]; }"
        )
        visitor.shot(f"space-radiance-{what}")
    assert all(np.std(pixels) > 5 for pixels in seen.values()) and seen["color"] != seen["depth"] != seen["normal"]
    page.get_by_text("Inside the field").click()
    visitor.shows("main", "12 cameras for training, 2 for testing")
    visitor.accessible()

    label = "points (.ply): points on the surface with normals and colors"
    page.locator("#exports select").first.select_option(label=label)
    page.click("#export-start")
    page.get_by_role("link", name="Download").wait_for()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    points = trimesh.load(download.value.path(), file_type="ply")
    assert len(points.vertices) > 100
    visitor.shot("export-radiance")


def test_values_typed_as_soon_as_a_tab_opens_are_used(visit):
    """Controls that have just appeared keep what is typed, without Enter and without leaving the box."""
    visitor = visit()
    page, jobs = visitor.page, visitor.studio.queue.jobs
    visitor.example("Chelsea", "image")
    visitor.shows("#estimate", "parameters")
    page.get_by_role("button", name="More options: size").click()
    page.locator("#params textarea, #params input").fill("20k")
    page.locator("#seconds input[type=number]").fill("3")
    visitor.fit()
    request = list(jobs.values())[-1].request
    assert (request.seconds, request.params) == (3, 20_000)
    typed = {}
    for tab, place in (("Compare", "#compare-seconds"), ("Convert", "#distill-seconds")):
        visitor.tab(tab)
        typed[place] = page.locator(f"{place} input[type=number]")
        typed[place].fill("64")
    visitor.tab("Compare")
    page.get_by_role("button", name="More options: steps").click()
    page.locator("#compare-held-out textarea, #compare-held-out input").fill("0.25")
    before = len(jobs)
    page.click("#compare-start")
    visitor.until(lambda: len(jobs) > before)
    request = list(jobs.values())[-1].request
    assert (request.seconds, request.held_out) == (64, 0.25)
    assert {box.input_value() for box in typed.values()} == {"64"}


def test_two_methods_are_compared(visit):
    visitor = visit()
    page = visitor.page
    visitor.example("Chelsea", "image")
    visitor.tab("Compare")
    visitor.shows("#compare-signal", "chelsea")
    page.get_by_role("button", name="More options: steps").click()
    page.locator("#compare-steps textarea, #compare-steps input").fill("24")
    page.locator("#compare-params textarea, #compare-params input").fill("20k")
    page.click("#compare-start")
    page.wait_for_selector("#comparison .chip[data-state=done]")
    assert page.locator("#comparison .panes .pane").count() == 3
    page.get_by_role("button", name="error × 10").click()
    pane = page.locator("#comparison .pane").nth(1)
    pane.focus()
    page.keyboard.press("+")
    transforms = page.locator("#comparison .pane .fit").evaluate_all(
        "images => images.map(image => image.style.transform)"
    )
    assert len(set(transforms)) == 1 and transforms[0].startswith("scale(1.4)")
    page.get_by_role("button", name="wipe").click()
    page.get_by_label("On the right").select_option(index=2)
    page.get_by_label("Where the two meet").fill("25")
    sources = page.locator("#comparison :is(.panes .fit, .wipe img)").evaluate_all("all => all.map(image => image.src)")
    assert sources[3:] == [sources[2], sources[0]], "below on the right, above on the left"
    assert page.locator(".wipe .over").evaluate("node => getComputedStyle(node).clipPath").startswith("inset(0px 75%")
    visitor.shot("compare")
    visitor.accessible()
    answer = page.request.get(
        visitor.address + page.get_by_role("link", name="Download as one page").get_attribute("href")
    )
    assert answer.ok and "compare-viewer" in answer.text()
    for label, begins in (("Values", b"{"), ("Curves", b"\x89PNG"), ("Crops", b"\x89PNG")):
        answer = page.request.get(
            visitor.address + page.get_by_role("link", name=label, exact=True).get_attribute("href")
        )
        assert answer.ok and answer.body().startswith(begins)


def test_a_run_is_distilled_and_shown_beside_its_teacher(visit, photograph):
    visitor = visit()
    page = visitor.page
    visitor.upload(photograph)
    visitor.shows("#about", "96 x 64")
    visitor.steps(20)
    visitor.fit()
    teacher = ended(visitor)
    visitor.tab("Convert")
    visitor.choose("#distill-run", teacher.path.name)
    visitor.shows("#distill-about", "parameters")
    visitor.choose("#distill-into", "densegrid")
    page.get_by_role("button", name="Stages").click()
    page.locator("#distill-stages textarea, #distill-stages input").first.fill("0.25")
    page.get_by_role("button", name="More options: precision").click()
    visitor.choose("#distill-data", "the signal of the run")
    visitor.choose("#distill-bits", "16")
    page.get_by_role("button", name="Method options").last.click()
    learning_rate = page.locator("#distill-options .option").filter(has_text="learning_rate").locator("textarea, input")
    learning_rate.fill("0.02")
    learning_rate.press("Tab")
    page.locator("#distill-seconds input[type=number]").fill("2")
    page.locator("#distill-seconds input[type=number]").press("Enter")
    page.click("#distill-start")
    page.wait_for_selector("#distillation .chip[data-state=done]")
    assert "original" in page.inner_text("#distillation .slider") and ended(visitor).path.name.endswith("-densegrid")
    header = Run.open(ended(visitor).path).header
    assert (
        header["stages"]["feature_fraction"] == 0.25
        and header["bits"] == 16
        and header["options"]["learning_rate"] == 0.02
    )
    visitor.shows("#distillation .note", "on the signal: psnr")
    visitor.shot("distill")


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("picture.png", b"\x89PNG\r\n\x1a\nbroken", "picture.png"),
        ("sound.wav", b"RIFF\x00\x00\x00\x00WAVEbroken", "sound.wav"),
        ("clip.mp4", b"\x00\x00\x00\x18ftypmp42broken", "clip.mp4"),
        ("mesh.ply", b"ply\nbroken", "mesh.ply"),
        ("volume.npy", b"\x93NUMPYbroken", "volume.npy"),
        ("points.xyz", b"one two three", "points.xyz"),
        ("climb.zip", "../../climb.png", "leads out of the folder"),
        ("scene.zip", "transforms.json", "transforms.json"),
    ],
)
def test_a_bad_upload_is_reported_and_changes_nothing(visit, tmp_path, name, content, message):
    file = tmp_path / name
    if isinstance(content, str):
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr(content, b"x")
    else:
        file.write_bytes(content)
    visitor = visit()
    before = len(visitor.studio.queue.jobs)
    visitor.upload(file)
    visitor.shows("#about", message)
    assert (
        "Traceback" not in visitor.page.inner_text("body") and visitor.page.locator("#method input").input_value() == ""
    )
    visitor.page.click("#start")
    visitor.page.get_by_text("choose a signal first").first.wait_for()
    assert len(visitor.studio.queue.jobs) == before


def test_files_outside_the_uploads_are_neither_served_nor_taken(visit, tmp_path):
    visitor = visit()
    ask, address, folders = visitor.page.request, visitor.address, visitor.studio.folders
    (folders.runs / "private.txt").write_text("private words")
    (tmp_path / "secret.npy").write_text("secret words")
    for path in (
        "/etc/passwd",
        str(folders.runs / "private.txt"),
        str(tmp_path / "secret.npy"),
        "README.md",
        "../README.md",
        str(folders.uploads / ".." / "private.txt"),
    ):
        for route in (f"/gradio_api/file={path}", f"/file={path}", f"/gradio_api/proxy={path}"):
            answer = ask.get(address + route)
            assert not answer.ok or "words" not in answer.text() and "root:" not in answer.text(), route
    sent = ask.post(
        address + "/gradio_api/upload",
        multipart={"files": {"name": "../../../climbed.png", "mimeType": "image/png", "buffer": b"x"}},
    )
    assert not [
        path for path in tmp_path.parent.rglob("climbed.png") if not path.is_relative_to(folders.uploads / "arriving")
    ], sent.text()
    config = ask.get(address + "/config").json()
    upload = next(part["id"] for part in config["components"] if part["props"].get("elem_id") == "upload")
    index = next(
        part["id"]
        for part in config["dependencies"]
        if [upload, "upload"] in [list(target) for target in part["targets"]]
    )
    for path in (tmp_path / "secret.npy", folders.runs / "private.txt"):
        ask.post(
            address + "/gradio_api/queue/join",
            data={
                "data": [{"path": str(path), "meta": {"_type": "gradio.FileData"}}],
                "fn_index": index,
                "session_hash": "malicious",
            },
        )
    visitor.page.wait_for_timeout(1500)
    assert not [path for path in folders.uploads.rglob("*") if path.is_file() and b"words" in path.read_bytes()]


def test_a_second_visitor_queues_a_fit_while_the_first_one_runs(visit):
    first, second = visit(), visit()
    first.example("Chelsea", "image")
    first.steps(400_000)
    first.fit()
    first.state("running")
    second.example("Bells", "audio")
    second.steps(5)
    second.fit()
    second.page.wait_for_selector("[data-studio=live] .queue li, [data-studio=live] .chip")
    job = list(second.studio.queue.jobs.values())[-1]
    assert job.state == "queued"
    first.page.get_by_role("button", name="Stop and keep").click()
    second.until(lambda: job.state == "done")


def test_the_gallery_searches_renames_repeats_and_deletes_with_undo(visit, photograph):
    visitor = visit()
    page = visitor.page
    visitor.upload(photograph)
    visitor.shows("#about", "96 x 64")
    visitor.steps(3)
    visitor.fit()
    name = ended(visitor).path.name
    visitor.tab("Runs")
    card = page.locator(f"[data-run='{name}']")
    card.get_by_role("button", name="Rename").click()
    page.locator("dialog input").fill("renamed run")
    visitor.accessible()
    page.locator("dialog button[type=submit]").click()
    card = page.locator("[data-run='renamed run']")
    card.wait_for()
    visitor.shot("runs")
    card.get_by_role("button", name="Delete").click()
    card.wait_for(state="detached")
    assert not (visitor.studio.folders.runs / "renamed run").exists()
    page.get_by_role("button", name="Undo").click()
    card.wait_for()
    page.get_by_label("Search the runs").fill("renamed photo")
    page.wait_for_function("document.querySelectorAll('.run-card').length === 1")
    page.get_by_label("Search the runs").fill("no such run")
    visitor.shows(".gallery", "No run matches")
    page.get_by_label("Search the runs").fill("")
    page.get_by_label("Kind of signal").select_option("image")
    page.get_by_label("Order").select_option("largest")
    card.get_by_role("button", name="Repeat").click()
    page.wait_for_url("**/run/renamed%20run-2")
    visitor.until(lambda: (visitor.studio.folders.runs / "renamed run-2" / "field.safetensors").is_file())


# A button may have gone because of another's clicks. One for files opens the system's window, in which nobody chooses.
CLICKS = "button => { let i = 0; for (; i < 50 && button.isConnected; i++) button.click(); return i; }"
FOR_FILES = ("Upload", "Drop", "Click", "Clear", "Remove")


def test_fifty_clicks_on_every_button_do_no_harm(visit):
    visitor = visit()
    page, jobs = visitor.page, visitor.studio.queue.jobs

    def clicked(button, more=1):
        """Fifty clicks, after which there are `more` more jobs, and no others a little later."""
        before = len(jobs)
        # The gallery may have been drawn anew since the button was found.
        visitor.until(lambda: button.evaluate(CLICKS))
        visitor.until(lambda: len(jobs) >= before + more)
        page.wait_for_timeout(300)
        assert len(jobs) == before + more

    def stop_all():
        for job in list(jobs.values()):
            job.stop()
        visitor.until(
            lambda: all(job.state not in ("queued", "loading", "running", "stopping") for job in list(jobs.values()))
        )

    visitor.example("Chelsea", "image")
    visitor.steps(400_000)
    clicked(page.locator("#start"))
    job = list(jobs.values())[-1]
    visitor.until(lambda: job.step > 0)
    page.get_by_role("button", name="Stop and keep").evaluate(CLICKS)
    visitor.until(lambda: job.state == "stopped")

    visitor.tab("Runs")
    card = page.locator(f"[data-run='{job.path.name}']")
    clicked(card.get_by_role("button", name="Continue"), 0)
    visitor.until(lambda: job.state in ("loading", "running"))
    page.wait_for_url("**/run/**")
    stop_all()
    visitor.open()
    visitor.tab("Runs")
    clicked(card.get_by_role("button", name="Repeat"))
    copy = list(jobs.values())[-1]
    visitor.until(lambda: copy.step > 0)
    stop_all()
    visitor.open()
    visitor.tab("Runs")
    copied = page.locator(f"[data-run='{copy.path.name}']")
    visitor.until(lambda: card.get_by_role("button", name="Rename").evaluate(CLICKS))
    assert page.locator("dialog").count() == 1
    page.locator("dialog").get_by_role("button", name="Cancel").evaluate(CLICKS)
    page.wait_for_selector("dialog", state="detached")
    visitor.until(lambda: copied.get_by_role("button", name="Delete").evaluate(CLICKS))
    visitor.until(lambda: not copy.path.exists())
    copied.wait_for(state="detached")
    page.get_by_role("button", name="Undo").evaluate(CLICKS)
    visitor.until(lambda: copy.path.exists())

    for tab in ("Photographs to 3-D", "Compare", "Convert", "Fit"):
        visitor.tab(tab)
        page.wait_for_timeout(300)
        visitor.settled()
        for button in page.locator(".tabitem:visible button:visible").element_handles():
            label = button.evaluate("button => button.isConnected ? button.ariaLabel || button.innerText : ''")
            if label and not any(word in label for word in FOR_FILES):
                button.evaluate(CLICKS)
        stop_all()
    assert page.locator("dialog").count() == 0 and "Traceback" not in page.inner_text("body")
    visitor.open()
    visitor.example("Coffee", "image")


def test_the_page_shows_the_options_of_the_chosen_method(visit):
    visitor = visit()
    page = visitor.page
    visitor.example("Chelsea", "image")
    page.get_by_role("button", name="Method options").first.click()
    for name in ("hashgrid", "siren"):
        if name != "hashgrid":
            visitor.choose("#method", name)
        options = method_options.method_options(name, "image")
        visitor.shows("#options", options[0].description[:20])
        page.wait_for_function(
            "count => document.querySelectorAll('#options .option').length === count", arg=len(options)
        )
        visitor.settled()
        text = page.inner_text("#options")
        assert all(option.name in text for option in options)
    visitor.shot("options")


@pytest.mark.parametrize("scheme, width", [("light", 1280), ("dark", 390)])
def test_every_tab_is_accessible_and_fits_the_screen(visit, scheme, width):
    """axe-core has no serious findings, and nothing is wider than the screen."""
    visitor = visit(width=width, scheme=scheme)
    visitor.example(examples.names()[2], "image")
    for tab in ("Fit", "Photographs to 3-D", "Runs", "Compare", "Convert"):
        visitor.tab(tab)
        visitor.page.wait_for_timeout(400)
        visitor.settled()
        visitor.shot(f"{tab.lower().replace(' ', '-')}-{scheme}-{width}")
        visitor.accessible()
        assert visitor.page.evaluate("document.documentElement.scrollWidth") <= width + 1, tab
    # The page says that the studio was restarted under it.
    restarted = '{"start": "another", "jobs": [], "job": null}'
    visitor.page.route("**/studio/jobs*", lambda route: route.fulfill(body=restarted, content_type="application/json"))
    visitor.page.get_by_role("button", name="Load the page anew").wait_for()
    visitor.accessible()


def test_the_first_paint_comes_within_three_seconds(chromium, address):
    """Median of visitors without a cache. `python -m benchmarks.studio` measures the same on an idle machine."""
    from benchmarks.studio import first_visit

    visits = [first_visit(chromium, address) for _ in range(5)]
    print("seconds until the first paint, and until the whole form is there:", visits)
    assert np.median([painted for painted, _ in visits]) < 3


def test_the_tab_key_reaches_the_controls_of_a_fit(visit):
    visitor = visit()
    page = visitor.page
    visitor.example("Chelsea", "image")
    page.locator("body").evaluate("node => node.focus()")
    reached = []
    for _ in range(40):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement?.closest('[id]')?.id || document.activeElement?.tagName"))
    text = " ".join(map(str, reached))
    for place in ("example", "method", "effort", "seconds", "start"):
        assert place in text, (place, reached)
    assert "started-fit" not in text
