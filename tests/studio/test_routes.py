"""The routes behind the page, and the guard before them."""

import base64
import io
import time

import numpy as np
import pytest

pytest.importorskip("fastapi")
from fastapi import FastAPI  # noqa: E402
from fastapi.testclient import TestClient  # noqa: E402
from PIL import Image  # noqa: E402

from apps.cli.main import main  # noqa: E402
from apps.studio.access import LOOPBACK, Guard  # noqa: E402
from apps.studio.folders import Folders  # noqa: E402
from apps.studio.jobs import Queue  # noqa: E402
from apps.studio.routes import routes, told  # noqa: E402
from apps.studio.view_renderer import Looks  # noqa: E402
from fields.runs.run import Run  # noqa: E402
from scenes.errors import BadInput  # noqa: E402


@pytest.fixture
def app(tmp_path):
    folders = Folders.at(tmp_path / "runs")
    queue, looks = Queue(folders), Looks()
    made = FastAPI()
    made.include_router(routes(folders, queue, looks))
    made.add_exception_handler(BadInput, told)
    made.state.queue = queue
    yield made
    queue.close()
    looks.close()


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


def picture(answer):
    assert answer.status_code == 200, answer.text
    return np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGB"))


def test_any_window_of_a_field_is_evaluated_for_its_pixels(client, photo):
    from fields.render.raster import picture as evaluated
    from fields.runs.run import load_field

    whole = {"x0": 0, "y0": 0, "x1": 1, "y1": 1}
    assert picture(client.get("/studio/view/photo", params={**whole, "w": 96, "h": 64})).shape == (64, 96, 3)
    part = {"x0": 0.3, "y0": 0.2, "x1": 0.301, "y1": 0.201, "w": 80, "h": 80}
    near = picture(client.get("/studio/view/photo", params=part)).astype(float)
    exact = evaluated(load_field(photo), 80, 80, (0.3, 0.2, 0.301, 0.201)).clip(0, 1) * 255
    assert np.abs(near - exact).mean() < 3


def test_one_answer_tells_of_all_fits_and_of_one_and_which_pictures_are_new(app, client, photograph):
    from apps.studio.jobs import FitOrder

    assert client.get("/studio/jobs").json() == {"jobs": [], "job": None}
    queue = app.state.queue
    options = {"levels": "4", "table_size": "1024"}
    first, second = (
        queue.fit(FitOrder(str(photograph), method="hashgrid", options=options, steps=4), name)
        for name in ("first", "second")
    )
    begun = time.monotonic()
    while second.state != "done":
        assert time.monotonic() - begun < 60 and second.state != "failed", second.message
        time.sleep(0.05)
    answer = client.get("/studio/jobs", params={"of": first.id}).json()
    assert [(job["name"], job["sort"]) for job in answer["jobs"]] == [("first", "fit"), ("second", "fit")]
    job = answer["job"]
    assert job["name"] == "first" and job["metrics"]["psnr"] > 0 and first.watched
    assert set(job["pictures"]) == {"target", "fit", "error"} and max(job["pictures"].values()) == job["version"]
    assert picture(client.get(f"/studio/jobs/{first.id}/fit")).shape == (64, 96, 3)
    before = job["pictures"]
    first.show(fit=np.zeros((4, 4, 3), np.uint8))
    after = client.get("/studio/jobs", params={"of": first.id}).json()["job"]["pictures"]
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
    ],
)
def test_windows_that_make_no_sense(client, photo, wrong):
    answer = client.get("/studio/view/photo", params={"x0": 0, "y0": 0, "x1": 1, "y1": 1, "w": 8, "h": 8, **wrong})
    assert answer.status_code == 400 and answer.json()["error"]


@pytest.mark.parametrize("name", ["..", "%2e%2e", "..%2fsecret", "%2fetc", "a%5cb", ".uploads", "nothing", "link"])
def test_paths_lead_nowhere_else(client, tmp_path, photo, name):
    (tmp_path / "secret").mkdir(exist_ok=True)
    (tmp_path / "secret" / "preview.png").write_bytes(b"secret")
    link = tmp_path / "runs" / "link"
    if not link.is_symlink():
        link.symlink_to(tmp_path / "secret")
    for path in (
        f"/studio/runs/{name}/preview.png",
        f"/studio/runs/{name}/comparison.html",
        f"/studio/runs/{name}/run.json",
        f"/studio/view/{name}?x0=0&y0=0&x1=1&y1=1&w=8&h=8",
        f"/studio/static/{name}",
        f"/studio/jobs/{name}",
    ):
        answer = client.get(path)
        assert answer.status_code in (400, 404, 405) and b"secret" not in answer.content, path
    assert client.post(f"/studio/runs/{name}/delete", json={}).status_code in (400, 404, 405)
    assert (tmp_path / "secret" / "preview.png").is_file() and photo.is_dir()


def test_a_linked_picture_is_not_shown(client, photo, tmp_path):
    (tmp_path / "private.png").write_bytes(b"private")
    (photo / "preview.png").unlink()
    (photo / "preview.png").symlink_to(tmp_path / "private.png")
    assert client.get("/studio/runs/photo/preview.png").status_code == 404


def test_buttons_of_the_gallery(client, photo):
    assert [run["name"] for run in client.get("/studio/runs").json()] == ["photo"]
    assert client.post("/studio/runs/photo/rename", json={"to": "cat"}).json() == {"name": "cat"}
    assert "at most 80" in client.post("/studio/runs/cat/rename", json={"to": "../x"}).json()["error"]
    assert client.post("/studio/runs/cat/explode", json={}).status_code == 404
    assert picture(client.get("/studio/runs/cat/preview.png")).size
    assert client.post("/studio/runs/cat/delete", json={}).status_code == 200
    assert client.get("/studio/runs").json() == [] and not photo.exists()


@pytest.mark.slow
def test_a_shape_is_seen_from_anywhere(client, tmp_path):
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
    assert (
        "3-D"
        in client.get("/studio/view/ball", params={"x0": 0, "y0": 0, "x1": 1, "y1": 1, "w": 8, "h": 8}).json()["error"]
    )


def test_a_moving_scene_is_seen_at_any_moment(client, tmp_path):
    pytest.importorskip("gradio")
    from posed_scene import SMALL_GRID, write_moving

    from apps.studio.tabs.space import view

    settings = [f"{name}={value}" for name, value in SMALL_GRID.items()]
    run = tmp_path / "runs" / "ball"
    assert (
        main(
            ["fit", str(write_moving(tmp_path / "moving.npz")), "--steps", "40", "--out", str(run), "--set", *settings]
        )
        == 0
    )

    def seen(**moment):
        return picture(
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
    assert "data-moving" in view("ball", Run.open(run).header)


def test_a_camera_around_a_scene_stands_where_its_own_stand():
    from apps.studio.view_renderer import pose_around
    from fields.render.camera import orbit
    from scenes.posed.cameras import PathCamera
    from scenes.posed.view import Intrinsics

    intrinsics = Intrinsics(32, 32, 40.0, 40.0, 16.0, 16.0)
    middle = (0.3, -0.2, 0.9)
    cameras = [
        PathCamera(orbit(angle, 20.0, 2.5, 32, 32, target=middle).pose.numpy(), intrinsics)
        for angle in range(0, 360, 30)
    ]
    for azimuth, elevation, distance in ((0.0, 20.0, 1.0), (77.0, -40.0, 0.5), (300.0, 80.0, 2.0)):
        pose = pose_around(cameras, azimuth, elevation, distance)
        assert np.allclose(pose[:, :3].T @ pose[:, :3], np.eye(3), atol=1e-9)
        assert np.allclose(pose[:, 3] - 2.5 * distance * pose[:, 2], middle, atol=5e-3)
        assert np.isclose(pose[1, 3], middle[1] + 2.5 * distance * np.sin(np.radians(elevation)), atol=5e-3)


def guarded(app, **options):
    return TestClient(
        Guard(app, options.get("password"), options.get("hosts", LOOPBACK)), base_url="http://localhost:7860"
    )


def test_other_sites_and_other_names_are_not_answered(app):
    client = guarded(app)
    assert client.get("/studio/runs").status_code == 200
    assert "default-src 'self'" in client.get("/studio/runs").headers["content-security-policy"]
    assert client.get("/studio/runs", headers={"origin": "http://localhost:7860"}).status_code == 200
    for headers in (
        {"origin": "http://evil.example"},
        {"origin": "http://localhost:9999"},
        {"host": "evil.example"},
        {"host": "localhost.evil.example"},
        {"sec-fetch-site": "cross-site", "sec-fetch-mode": "cors"},
    ):
        assert client.get("/studio/runs", headers=headers).status_code == 403, headers
    assert (
        client.get("/studio/runs", headers={"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}).status_code
        == 200
    )


def test_a_password_is_asked_for_everywhere(app):
    client = guarded(app, password="correct horse", hosts=None)

    def basic(text):
        return {"authorization": "Basic " + base64.b64encode(text.encode()).decode()}

    for path in ("/", "/studio/runs", "/studio/static/studio.js", "/gradio_api/info"):
        answer = client.get(path)
        assert answer.status_code == 401 and "Basic" in answer.headers["www-authenticate"]
    for headers in (
        basic("me:wrong"),
        basic("correct horse"),
        {"authorization": "Basic !!!"},
        {"authorization": "Bearer correct horse"},
    ):
        assert client.get("/studio/runs", headers=headers).status_code == 401
    assert client.get("/studio/runs", headers=basic("anyone:correct horse")).status_code == 200


def test_the_command_refuses_to_let_others_in_without_a_password(tmp_path, capsys):
    assert main(["studio", "--host", "0.0.0.0", "--runs", str(tmp_path)]) == 2
    assert "give a --password too" in capsys.readouterr().err
    assert main(["studio", "--password", "short", "--runs", str(tmp_path)]) == 2
    assert "at least 8" in capsys.readouterr().err
