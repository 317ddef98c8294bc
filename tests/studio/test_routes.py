"""The routes that the scripts of the page ask."""

import io
import json
import shutil
import time

import numpy as np
import pytest

pytest.importorskip("fastapi")
from fastapi import FastAPI  # noqa: E402
from fastapi.testclient import TestClient  # noqa: E402
from PIL import Image  # noqa: E402
from studio_jobs import ended, until  # noqa: E402

from apps.cli.main import main  # noqa: E402
from apps.studio.folders import Folders  # noqa: E402
from apps.studio.job_queue import JobQueue  # noqa: E402
from apps.studio.routes import add_routes  # noqa: E402
from apps.studio.shelf import Shelf  # noqa: E402
from apps.studio.view_renderer import ViewRenderer  # noqa: E402
from fields.fit.request import FitRequest  # noqa: E402
from fields.runs.run import Run  # noqa: E402
from scenes.posed.pose import orbit  # noqa: E402
from scenes.shape.view import FIELD_OF_VIEW  # noqa: E402


@pytest.fixture
def app(tmp_path):
    folders = Folders.at(tmp_path / "runs")
    queue, renderer, shelf = JobQueue(folders), ViewRenderer(), Shelf()
    made = FastAPI()
    add_routes(made, folders, queue, renderer, shelf)
    made.state.queue = queue
    yield made
    queue.close()
    renderer.close()
    shelf.close()


@pytest.fixture
def client(app):
    return TestClient(app, base_url="http://localhost")


@pytest.fixture
def photo(tmp_path, photograph):
    assert (
        main(
            [
                "fit",
                str(photograph),
                "--set",
                "levels=4",
                "table_size=1024",
                "--steps",
                "4",
                "--out",
                str(tmp_path / "runs" / "photo"),
            ]
        )
        == 0
    )
    return tmp_path / "runs" / "photo"


def decoded(answer):
    assert answer.status_code == 200, answer.text
    return np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGB"))


def test_a_window_of_a_field_is_evaluated_for_its_pixels(client, photo, photograph):
    from fields.render.raster import evaluate_image as evaluated
    from fields.runs.run import load_field

    whole = {"x0": 0, "y0": 0, "x1": 1, "y1": 1}
    assert decoded(client.get("/studio/view/photo", params={**whole, "w": 96, "h": 64})).shape == (64, 96, 3)
    assert "only shapes and scenes" in client.get("/studio/runs/photo/box").json()["error"]
    part = {"x0": 0.3, "y0": 0.2, "x1": 0.301, "y1": 0.201, "w": 80, "h": 80}
    near = decoded(client.get("/studio/view/photo", params=part)).astype(float)
    signal, error = (
        decoded(client.get("/studio/view/photo", params={**whole, "w": 96, "h": 64, "of": of, "gain": 2})).astype(float)
        for of in ("signal", "error")
    )
    pixels = np.asarray(Image.open(photograph)).astype(float)
    fitted = evaluated(load_field(photo), 96, 64).clip(0, 1) * 255
    assert np.abs(signal - pixels).mean() < 4 and np.abs(error - (2 * np.abs(fitted - pixels)).clip(0, 255)).mean() < 10
    photograph.unlink()
    gone = client.get("/studio/view/photo", params={**whole, "w": 9, "h": 9, "of": "signal"})
    assert gone.status_code == 200, "it stays open for a while"
    exact = evaluated(load_field(photo), 80, 80, (0.3, 0.2, 0.301, 0.201)).clip(0, 1) * 255
    assert np.abs(near - exact).mean() < 3


def test_one_answer_holds_all_jobs_the_watched_one_and_which_images_are_new(app, client, photograph):
    nothing = client.get("/studio/jobs").json()
    assert (nothing["jobs"], nothing["job"]) == ([], None) and nothing["start"]
    queue = app.state.queue
    settings = {"levels": "4", "table_size": "1024"}
    first, second = (
        queue.fit(FitRequest(source=photograph, method="hashgrid", settings=settings, steps=4), name)
        for name in ("first", "second")
    )
    begun = time.monotonic()
    while second.state != "done":
        assert time.monotonic() - begun < 60 and second.state != "failed", second.message
        time.sleep(0.05)
    answer = client.get("/studio/jobs", params={"of": first.id}).json()
    assert [(job["name"], job["type"]) for job in answer["jobs"]] == [("first", "fit"), ("second", "fit")]
    job = answer["job"]
    assert job["name"] == "first" and job["metrics"]["psnr"] > 0 and first.watched
    assert set(job["images"]) == {"target", "fit", "error"} and max(job["images"].values()) == job["version"]
    assert decoded(client.get(f"/studio/jobs/{first.id}/fit")).shape == (64, 96, 3)
    before = job["images"]
    first.show_images(fit=np.zeros((4, 4, 3), np.uint8))
    after = client.get("/studio/jobs", params={"of": first.id}).json()["job"]["images"]
    assert after["fit"] > before["fit"] and after["target"] == before["target"]
    assert client.get("/studio/jobs", params={"of": "nothing"}).json()["job"] is None
    assert client.get(f"/studio/jobs/{first.id}/other").status_code == 404


@pytest.mark.parametrize(
    "wrong",
    [
        {"w": 0},
        {"w": 4000, "h": 4000},
        {"x1": 0.0},
        {"x1": float("nan")},
        {"x0": float("inf")},
        {"x1": 1e-7},
        {"axis": "q"},
        {"curve": "sepia"},
        {"of": "error", "gain": 1e9},
    ],
)
def test_refuses_windows_that_are_empty_infinite_or_too_large(client, photo, wrong):
    answer = client.get("/studio/view/photo", params={"x0": 0, "y0": 0, "x1": 1, "y1": 1, "w": 8, "h": 8, **wrong})
    assert answer.status_code == 400 and answer.json()["error"]


@pytest.mark.parametrize("name", ["..", "%2e%2e", "..%2fsecret", "%2fetc", "a%5cb", ".uploads", "nothing", "link"])
def test_paths_do_not_lead_out_of_the_runs_folder(client, tmp_path, photo, name):
    (tmp_path / "secret").mkdir(exist_ok=True)
    for file in ("preview.png", "thumbnail.webp", "run.json", "field.safetensors"):
        (tmp_path / "secret" / file).write_bytes(b"secret")
    link = tmp_path / "runs" / "link"
    if not link.is_symlink():
        link.symlink_to(tmp_path / "secret")
    for path in (
        f"/run/{name}",
        f"/studio/runs/{name}/thumbnail.webp",
        f"/studio/runs/{name}/facts",
        f"/studio/runs/{name}/exports/0123456789ab",
        f"/studio/runs/{name}/comparison.html",
        f"/studio/runs/{name}/run.json",
        f"/studio/view/{name}?x0=0&y0=0&x1=1&y1=1&w=8&h=8",
        f"/studio/static/{name}",
        f"/studio/static/js/{name}",
        f"/studio/jobs/{name}",
    ):
        answer = client.get(path)
        assert answer.status_code in (400, 404, 405) and b"secret" not in answer.content, path
    assert client.post(f"/studio/runs/{name}/delete", json={}).status_code in (400, 404, 405)
    assert (tmp_path / "secret" / "preview.png").is_file() and photo.is_dir()


def test_a_linked_thumbnail_is_not_served(client, photo, tmp_path):
    (tmp_path / "private.webp").write_bytes(b"private")
    (photo / "thumbnail.webp").symlink_to(tmp_path / "private.webp")
    assert b"private" not in client.get("/studio/runs/photo/thumbnail.webp").content


def test_a_thumbnail_shows_the_field_and_not_what_it_was_fitted_to(client, photo):
    from fields.render.raster import evaluate_image as evaluated
    from fields.runs.run import load_field

    seen = decoded(client.get("/studio/runs/photo/thumbnail.webp")).astype(float)
    assert seen.shape == (213, 320, 3)
    field = evaluated(load_field(photo), 320, 213).clip(0, 1) * 255
    assert np.abs(seen - field).mean() < 3
    # Four steps have not made the field what the photograph is.
    preview = np.asarray(Image.open(photo / "preview.png").convert("RGB").resize((960, 213)), float)
    assert np.abs(seen - preview[:, :320]).mean() > 10
    modified = (photo / "thumbnail.webp").stat().st_mtime_ns
    client.get("/studio/runs/photo/thumbnail.webp")
    assert (photo / "thumbnail.webp").stat().st_mtime_ns == modified, "it is drawn once"


def test_a_run_has_a_page_with_its_facts_exports_notes_and_tags(client, photo, photograph):
    page = client.get("/run/photo")
    assert page.status_code == 200 and 'data-run="photo"' in page.text
    facts = client.get("/studio/runs/photo/facts").json()
    assert facts["kind"] == "image" and facts["metrics"]["psnr"] > 0 and facts["exports"] == [] and facts["ready"]
    assert facts["bytes"] == sum(file.stat().st_size for file in photo.rglob("*") if file.is_file())
    assert 'data-studio="zoom"' in client.get("/studio/runs/photo/viewer").text
    assert "level 1" in client.get("/studio/runs/photo/parts").text
    told = client.get("/studio/runs/photo/value", params={"x": 0.5, "y": 0.25}).json()
    pixel = np.asarray(Image.open(photograph))[16, 48] / 255
    assert (told["x"], told["y"]) == (48, 16) and set(told["field"]) == {"red", "green", "blue"}
    assert np.allclose([float(value) for value in told["signal"].values()], pixel, atol=1e-3)
    assert client.get("/studio/runs/photo/value", params={"x": 1.5, "y": "nan"}).status_code == 400
    wrong = client.post("/studio/runs/photo/describe", json={"note": "", "tags": ["x" * 31]})
    assert wrong.status_code == 400 and "30 characters" in wrong.json()["error"]
    client.post("/studio/runs/photo/describe", json={"note": " good ", "tags": ["cat", " first  try", "cat", ""]})
    described = client.get("/studio/runs").json()[0]
    assert (described["note"], described["tags"]) == ("good", ["cat", "first try"])

    forms = client.get("/studio/runs/photo/forms").json()
    (png,) = [form for form in forms if form["label"].startswith("image (.png)")]
    asked = {"label": png["label"], "scale": 0.5}
    assert "48 x 32" in client.get("/studio/runs/photo/estimate", params=asked).json()["text"]
    made = client.post("/studio/runs/photo/exports", json=asked).json()
    begun = time.monotonic()
    while client.get("/studio/runs/photo/facts").json()["exports"][0]["state"] in ("waiting", "working"):
        assert time.monotonic() - begun < 60
        time.sleep(0.02)
    assert decoded(client.get(f"/studio/runs/photo/exports/{made['id']}")).shape == (32, 48, 3)
    assert client.post("/studio/runs/photo/rename", json={"to": "cat"}).json() == {"name": "cat"}
    assert decoded(client.get(f"/studio/runs/cat/exports/{made['id']}")).shape == (32, 48, 3)
    assert client.post(f"/studio/runs/cat/exports/{made['id']}/delete").status_code == 200
    assert client.get("/studio/runs/cat/facts").json()["exports"] == []
    gone = client.get("/run/photo")
    assert gone.status_code == 404 and "no run called photo" in gone.text


def test_a_page_to_share_is_shown_in_a_sandbox(client, photo):
    """It may come from a run that somebody else made: it must not act as a page of the studio."""
    from apps.studio.shelf import EXPORTS

    folder = photo / EXPORTS / ("0" * 12)
    folder.mkdir(parents=True)
    (folder / "photo.html").write_text("<!doctype html><script>1</script>")
    known = {"label": "page", "scale": 1, "cells": 1, "id": folder.name, "state": "done", "file": "photo.html"}
    (folder / "export.json").write_text(json.dumps(known))
    address = f"/studio/runs/photo/exports/{folder.name}"
    assert "attachment" in client.get(address).headers["content-disposition"]
    shown = client.get(address, params={"open": "true"})
    assert shown.headers["content-security-policy"] == "sandbox allow-scripts" and "script" in shown.text
    assert "content-disposition" not in shown.headers
    page = next(form for form in client.get("/studio/runs/photo/forms").json() if form["ending"] == ".html")
    assert [option["label"] for option in page["options"]] == ["Bits"]


def test_a_run_that_waits_has_a_page_already(app, client, photograph):
    settings = {"levels": "4", "table_size": "1024"}
    requests = [FitRequest(source=photograph, method="hashgrid", settings=settings, steps=100_000)] * 2
    first, second = (app.state.queue.fit(request, "photo") for request in requests)
    assert client.get(f"/run/{second.path.name}").status_code == 200
    facts = client.get(f"/studio/runs/{second.path.name}/facts").json()
    assert (facts["job"], facts["status"], facts["ready"]) == (second.id, "waiting", False)
    answer = client.get("/studio/jobs", params={"of": second.id}).json()
    assert answer["job"]["place"] == 1
    assert client.post(f"/studio/jobs/{second.id}/pause").json()["state"] == "paused"
    facts = client.get(f"/studio/runs/{second.path.name}/facts").json()
    assert (facts["status"], facts["busy"], facts["stored"]) == ("paused", False, False)
    until(lambda: first.step > 0)
    first.stop()
    assert ended(first).state == "stopped"
    assert client.get(f"/studio/runs/{first.path.name}/facts").json()["stored"]
    # A run that is deleted from the disk does not wait: it is gone.
    shutil.rmtree(first.path)
    assert "no run called" in client.get(f"/studio/runs/{first.path.name}/facts").json()["error"]
    assert client.get(f"/run/{first.path.name}").status_code == 404


def test_a_deleted_run_can_be_brought_back(client, photo):
    token = client.post("/studio/runs/photo/delete", json={}).json()["token"]
    assert client.get("/studio/runs").json() == [] and client.get("/run/photo").status_code == 404
    assert client.post("/studio/runs/photo/restore", json={"token": "../../photo"}).status_code == 400
    assert client.post("/studio/runs/photo/restore", json={"token": token}).json() == {"name": "photo"}
    assert (photo / "field.safetensors").is_file()
    assert "for a day" in client.post("/studio/runs/photo/restore", json={"token": token}).json()["error"]


def test_the_gallery_lists_renames_and_deletes_runs(client, photo):
    assert [run["name"] for run in client.get("/studio/runs").json()] == ["photo"]
    assert client.post("/studio/runs/photo/rename", json={"to": "cat"}).json() == {"name": "cat"}
    assert "at most 80" in client.post("/studio/runs/cat/rename", json={"to": "../x"}).json()["error"]
    assert client.post("/studio/runs/cat/explode", json={}).status_code == 404
    assert decoded(client.get("/studio/runs/cat/thumbnail.webp")).size
    assert client.post("/studio/runs/cat/delete", json={}).status_code == 200
    assert client.get("/studio/runs").json() == [] and not photo.exists()


@pytest.mark.slow
def test_a_shape_is_viewed_from_all_sides(client, tmp_path):
    import trimesh

    trimesh.creation.icosphere(3).export(tmp_path / "ball.ply")
    call = [
        "fit",
        str(tmp_path / "ball.ply"),
        "--set",
        "levels=4",
        "table_size=4096",
        "--steps",
        "60",
        "--out",
        str(tmp_path / "runs" / "ball"),
    ]
    assert main(call) == 0
    for what in ("color", "normal", "depth"):
        answer = client.get(
            "/studio/orbit/ball", params={"azimuth": 400, "elevation": 95, "distance": 1.9, "side": 64, "what": what}
        )
        seen = np.asarray(Image.open(io.BytesIO(answer.content)))
        assert seen.shape == (64, 64, 4) and seen[32, 32, 3] == 255 and seen[0, 0, 3] == 0
    assert (
        client.get(
            "/studio/orbit/ball", params={"azimuth": "nan", "elevation": 0, "distance": 1, "side": 64}
        ).status_code
        == 400
    )
    assert (
        client.get("/studio/orbit/ball", params={"azimuth": 0, "elevation": 0, "distance": 1, "side": 9999}).status_code
        == 400
    )
    # The crop box is in units of the file, and the view says where it shows: a point of a ray is where the ray begins.
    box = client.get("/studio/runs/ball/box").json()
    lower, upper = np.array(box["lower"]), np.array(box["upper"])
    assert (lower < -1).all() and (upper > 1).all() and (upper - lower < 4).all()
    place = {"azimuth": 70, "elevation": 20, "distance": 1.7}
    answer = client.get("/studio/orbit/ball", params={**place, "side": 64, "box": True})
    matrix = np.reshape(json.loads(answer.headers["x-projection"]), (3, 4))
    camera = orbit(70.0, 20.0, 1.7, (64, 64), field_of_view=FIELD_OF_VIEW)
    origins, directions = camera.rays_through(np.array([3.0]), np.array([50.0]))
    x, y, w = matrix @ [*(lower + (upper - lower).max() * (origins + 0.8 * directions))[0], 1]
    assert (x / w, y / w) == pytest.approx((3 / 64, 50 / 64), abs=1e-6) and w > 0
    assert (
        "3-D"
        in client.get("/studio/view/ball", params={"x0": 0, "y0": 0, "x1": 1, "y1": 1, "w": 8, "h": 8}).json()["error"]
    )


def test_a_moving_scene_is_viewed_at_any_time(client, tmp_path):
    pytest.importorskip("gradio")
    from posed_scene import SMALL_GRID, write_moving

    from apps.studio import run_page

    settings = [f"{name}={value}" for name, value in SMALL_GRID.items()]
    run = tmp_path / "runs" / "ball"
    assert (
        main(
            ["fit", str(write_moving(tmp_path / "moving.npz")), "--steps", "40", "--out", str(run), "--set", *settings]
        )
        == 0
    )

    def seen(**moment):
        return decoded(
            client.get(
                "/studio/orbit/ball", params={"azimuth": 0, "elevation": 0, "distance": 1.9, "side": 32, **moment}
            )
        )

    first, last = seen(), seen(at=1)
    assert (
        np.abs(first.astype(float) - last).max() > 20
        and np.array_equal(first, seen(at=0))
        and np.array_equal(last, seen(at=7))
    )
    assert (
        client.get(
            "/studio/orbit/ball", params={"azimuth": 0, "elevation": 0, "distance": 1.9, "side": 32, "at": "nan"}
        ).status_code
        == 400
    )
    assert "data-moving" in run_page.viewer(Run.open(run))


def test_serves_the_scripts_and_styles_that_the_page_asks_for(client):
    from apps.studio.static_files import SCRIPTS, STATIC_FILES

    assert "main.js" in SCRIPTS
    for path, (file, media_type) in STATIC_FILES.items():
        answer = client.get(f"/studio/static/{path}")
        assert answer.status_code == 200 and answer.headers["content-type"].startswith(media_type), path
        assert answer.content == file.read_bytes()


def test_runs_of_one_signal_are_compared_and_of_different_ones_are_not(client, photo, photograph, tmp_path):
    def fitted(name, source, *options):
        call = ["fit", str(source), "--method", "hashgrid", "--set", "levels=4", "table_size=512"]
        assert main([*call, "--steps", "4", "--out", str(tmp_path / "runs" / name), *options]) == 0

    fitted("small", photograph)
    fitted("other", "skimage:coffee")
    page = client.get("/compare", params={"run": ["photo", "small"]})
    assert page.status_code == 200 and page.text.count('class="pane"') == 3 and "error of small" in page.text
    assert "photo had 4 steps, too few" in page.text and "the larger ones can hold more" in page.text
    alone = client.get("/compare", params={"run": ["photo", "small"], "download": True}).text
    assert "compare-viewer" in alone and "/studio/static" not in alone
    for runs, text in ((["photo", "other"], "different signals"), (["photo"], "2 to 6"), (["photo", "no"], "no run")):
        answer = client.get("/compare", params={"run": runs})
        assert answer.status_code == 400 and text in answer.text


def test_the_sounds_of_signal_and_field_are_as_long_as_each_other(client, tmp_path):
    import soundfile

    tone = np.sin(np.arange(4000) / 7) * 0.5
    soundfile.write(tmp_path / "tone.wav", tone, 8000)
    call = ["fit", str(tmp_path / "tone.wav"), "--steps", "30", "--set", "levels=4", "table_size=1024"]
    assert main([*call, "--out", str(tmp_path / "runs" / "tone")]) == 0
    assert 'data-studio="sound"' in client.get("/studio/runs/tone/viewer").text
    heard = {}
    for which in ("signal", "field"):
        answer = client.get(f"/studio/runs/tone/sound/{which}.wav")
        heard[which], rate = soundfile.read(io.BytesIO(answer.content))
        assert rate == 8000 and len(heard[which]) == 4000
        assert decoded(client.get(f"/studio/runs/tone/sound/{which}.webp")).shape[1] > 100
    assert np.abs(heard["signal"] - tone).max() < 1e-3 and not np.array_equal(heard["signal"], heard["field"])
    (tmp_path / "tone.wav").unlink()
    assert client.get("/studio/runs/tone/sound/signal.wav").status_code == 200, "it is kept"
    assert client.get("/studio/runs/tone/sound/other.wav").status_code == 404
