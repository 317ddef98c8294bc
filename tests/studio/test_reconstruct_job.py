"""Reconstructions as jobs: stages, stopping and continuing, results, and what is kept for a restart."""

import json
import shutil
import struct
import time
import zipfile

import pytest

pytest.importorskip("gradio")

from studio_jobs import ended, until  # noqa: E402

from apps.studio import gallery, routes  # noqa: E402
from apps.studio.job_queue import JobQueue  # noqa: E402
from apps.studio.photographs import choose, open_scene  # noqa: E402
from apps.studio.reconstruct_job import (  # noqa: E402
    RECORD,
    ReconstructJob,
    StageReports,
    continues,
    read_record,
    write_record,
)
from apps.studio.requests import reconstruct_request  # noqa: E402
from apps.studio.uploads import keep_photographs  # noqa: E402
from fields.reconstruct.request import ReconstructRequest  # noqa: E402
from fields.runs.run import Run  # noqa: E402
from scenes.errors import BadInput  # noqa: E402
from scenes.posed.view import PosedViews, View  # noqa: E402
from scenes.posed.write import write_scene  # noqa: E402
from scenes.procedural.photographs import photographs  # noqa: E402
from scenes.procedural.still_life import cameras, still_life  # noqa: E402

# A fit that is only begun: the silhouettes give the first shape.
SMALL = {"steps": 12, "preview": True, "triangles": 1500, "texture_size": 128, "resolution": 40}
SETTINGS = {"levels": 4, "table_size": 4096, "batch": 4096}


@pytest.fixture(scope="module")
def duck(tmp_path_factory):
    """A folder with 12 small photographs of the duck for training and 2 for testing, with cameras and points."""
    life = still_life("duck")
    chosen = [camera.resized(48, 48) for camera in [*cameras()[:36:3], *cameras()[-8::4]]]
    views = tuple(View(**vars(camera), pixels=pixels) for camera, pixels in zip(chosen, photographs(life, chosen)))
    folder = tmp_path_factory.mktemp("photographs") / "duck"
    write_scene(folder, PosedViews(views, box=(life.lower, life.upper)))
    return folder


def request(source, **options):
    return ReconstructRequest(source=str(source), asset="model.glb", settings=SETTINGS, **{**SMALL, **options})


def job_of(queue, source, **options):
    path = queue.reserve("duck")
    return queue.add(ReconstructJob(path.name, path, request(source), **options))


def glb_json(file):
    """The JSON part of a GLB file."""
    content = file.read_bytes()
    magic, version, length = struct.unpack_from("<4sII", content)
    assert (magic, version, length) == (b"glTF", 2, len(content))
    size, kind = struct.unpack_from("<I4s", content, 12)
    assert kind == b"JSON"
    return json.loads(content[20 : 20 + size])


def test_cameras_points_and_box_of_a_scene_are_data_for_the_page(duck):
    chosen, about = choose(str(duck), "duck")
    assert chosen["posed"] and "known" in about
    opened = open_scene(duck)
    data = json.loads(opened.viewer)
    assert len(data["cameras"]) == 14 and sum(camera["test"] for camera in data["cameras"]) == 2
    assert all(len(camera["points"]) == 5 for camera in data["cameras"])
    assert data["lower"] == pytest.approx(opened.lower, abs=1e-4) and data["up"] == pytest.approx([0, 0, 1], abs=0.1)


def test_sliders_of_the_box_hold_it_in_round_steps():
    from apps.studio.tabs.reconstruct import slider_range

    for low, high in ((-1.1648, 1.1648), (-2.534, 1.6474), (0.01234, 0.0567), (-300.0, 950.0)):
        start, end, step = slider_range(low, high)
        assert start <= low < high <= end and end - high < step and low - start < step
        assert 100 <= (end - start) / step <= 1002 and round((end - start) / step, 6) % 1 == 0


def test_photographs_without_cameras_are_counted_and_too_few_are_refused(tmp_path, duck):
    folder = tmp_path / "photos"
    folder.mkdir()
    images = sorted(duck.rglob("*.png"))[:4]
    for index, image in enumerate(images):
        (folder / f"{index}.png").write_bytes(image.read_bytes())
    chosen, about = choose(str(folder), "photos")
    assert not chosen["posed"] and "4 photographs" in about
    (folder / "0.png").unlink()
    (folder / "1.png").unlink()
    with pytest.raises(BadInput, match="too few"):
        choose(str(folder), "photos")
    with pytest.raises(BadInput, match="one photograph is too few"):
        choose(str(folder / "2.png"), "photos")


def test_uploaded_photographs_lie_in_one_folder_and_mixtures_are_refused(folders, monkeypatch):
    folders.arriving.mkdir()
    files = []
    for name in ("a/x.png", "b/x.png", "y.jpg"):
        file = folders.arriving / name
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(name.encode())
        files.append(file)
    kept = keep_photographs(files, folders)
    assert sorted(file.name for file in kept.iterdir()) == ["x-1.png", "x.png", "y.jpg"] and folders.holds(kept)
    with zipfile.ZipFile(folders.arriving / "z.zip", "w") as archive:
        for name in ("1.png", "2.png"):
            archive.writestr(f"photos/{name}", b"x")
    assert keep_photographs([folders.arriving / "z.zip"], folders).name == "photos"
    with pytest.raises(BadInput, match="photographs, or one zip"):
        keep_photographs([*files, folders.arriving / "z.zip"], folders)
    monkeypatch.setattr("apps.studio.uploads.MAX_PHOTOGRAPHS", 2)
    with pytest.raises(BadInput, match="at most 2"):
        keep_photographs(files, folders)


def test_the_crop_box_and_options_arrive_in_the_request():
    chosen = {"source": "procedural:duck", "name": "duck", "posed": True, "run": ""}
    made = reconstruct_request(chosen, "neus", box=(-1, -1, 0, 1, 1, 2), controls={"triangles": "5k", "preview": True})
    assert made.box == (-1, -1, 0, 1, 1, 2) and made.triangles == 5000 and made.preview
    with pytest.raises(BadInput, match="crop box is empty"):
        reconstruct_request(chosen, "neus", box=(1, -1, 0, 1, 1, 2))
    with pytest.raises(BadInput, match="choose photographs first"):
        reconstruct_request(None, "neus")


def test_the_record_is_enough_to_continue_and_tells_whether_a_fit_can_be_used(tmp_path):
    asked = request("procedural:duck", box=(0, 0, 0, 1, 1, 1))
    write_record(tmp_path, asked)
    known = read_record(tmp_path)
    assert known.model_copy(update={"asset": asked.asset, "out": None}) == asked
    Run.create(tmp_path / "run", {"kind": "radiance", "method": "neus"})
    write_record(tmp_path / "run", asked)
    assert continues(tmp_path / "run", asked.model_copy(update={"box": None, "triangles": 9}))
    assert not continues(tmp_path / "run", asked.model_copy(update={"steps": 99}))
    assert not continues(tmp_path / "nothing", asked)
    (tmp_path / RECORD).write_text("{")
    with pytest.raises(BadInput, match="holds no reconstruction"):
        read_record(tmp_path)


def test_stages_are_reported_and_a_stop_interrupts_between_them(tmp_path):
    job = ReconstructJob("duck", tmp_path, request("procedural:duck"))
    reports = StageReports(job)
    job.state = "running"
    reports.begin("surface", 10.0)
    reports.fraction(0.5, "half")
    shown = job.to_dict()
    assert shown["stages"][0]["fraction"] == 0.5 and shown["detail"] == "half" and shown["remaining"] <= 48
    reports.end("surface", 2.0)
    reports.kept("charts")
    assert [(stage["name"], stage["state"]) for stage in job.stages] == [("surface", "done"), ("charts", "kept")]
    reports.begin("texture", 5.0)
    job.stop()
    assert job.state == "stopping"
    with pytest.raises(KeyboardInterrupt):
        reports.fraction(0.1)


@pytest.mark.slow
def test_a_reconstruction_makes_a_mesh_continues_after_a_restart_and_adds_a_usdz(folders, queue, duck):
    job = job_of(queue, duck)
    job.watched = time.monotonic() + 1e6
    assert ended(job).state == "done", job.message
    (model,) = job.files
    content = glb_json(model)
    assert content["images"] and content["meshes"]
    shown = job.to_dict()
    assert [stage["name"] for stage in shown["stages"]][:2] == ["fit", "surface"]
    assert shown["report"] and shown["cameras"]
    assert shown["metrics"]["psnr"] > 8 and "fit" in shown["images"] and "triangles" in shown["info"]
    (entry,) = gallery.entries(folders, queue)
    assert (entry["type"], entry["status"], entry["ready"]) == ("reconstruction", "finished", True)
    with pytest.raises(BadInput, match="finished"):
        gallery.resume(folders, queue, job.path.name)

    # Another studio shows it, and makes the other file with the stages that are kept.
    other = JobQueue(folders)
    try:
        known = gallery.show(folders, other, job.path.name)
        assert known.state == "done" and known.to_dict()["metrics"] == job.metrics
        before = model.read_bytes()
        usdz = ended(routes.add_usdz(other, known))
        assert usdz.state == "done", usdz.message
        kept = {stage["name"] for stage in usdz.stages if stage["state"] == "kept"}
        assert {"fit", "surface", "charts", "texture"} <= kept
        assert [file.name for file in usdz.files] == ["model.glb", "model.usdz"] and model.read_bytes() == before
        assert zipfile.is_zipfile(job.path / "model.usdz")
    finally:
        other.close()
    gallery.delete(folders, queue, job.path.name)
    assert not job.path.exists()


@pytest.mark.slow
def test_a_fit_that_was_stopped_goes_on_in_another_studio(folders, queue, duck):
    path = queue.reserve("duck")
    job = queue.add(ReconstructJob(path.name, path, request(duck, steps=100_000)))
    until(lambda: job.step > 3 or job.state == "failed")
    job.stop()
    assert ended(job).state == "stopped" and not job.files
    steps = Run.open(path).header["steps_done"]
    other = JobQueue(folders)
    try:
        again = gallery.resume(folders, other, path.name)
        until(lambda: again.step > steps or again.state == "failed")
        assert again.state == "running", again.message
        again.stop()
        assert ended(again).state == "stopped"
    finally:
        other.close()


def test_photographs_that_are_gone_are_reported(queue, tmp_path):
    job = ended(job_of(queue, tmp_path / "nothing"))
    assert job.state == "failed" and "no such file" in job.message
    assert job.requeue()


def test_found_cameras_are_taken_over_by_a_run_with_another_fit(queue, duck, tmp_path, monkeypatch):
    from apps.studio.tabs.reconstruct import ReconstructTab
    from scenes.posed.find_record import FoundPoses, write_record
    from scenes.posed.read import open_posed

    folder = tmp_path / "photos"
    folder.mkdir()
    for index, image in enumerate(sorted(duck.rglob("*.png"))):
        (folder / f"{index}.png").write_bytes(image.read_bytes())
    calls = []

    def find(source, out, *, progress, **options):
        calls.append(out)
        if not (out / "poses.json").is_file():
            progress("matching", 0.5)
            shutil.copytree(duck, out)
            found = FoundPoses(
                open_posed(out),
                used=("0.png",),
                left_out=(("1.png", "blurred"),),
                reprojection_error=0.5,
                seconds={},
                warnings=("few pictures",),
                mapper="incremental",
            )
            write_record(out, found, {})
        written = json.loads((out / "poses.json").read_text())
        return FoundPoses(
            open_posed(out),
            used=("0.png",),
            left_out=tuple((item["name"], item["reason"]) for item in written["left_out"]),
            reprojection_error=0.5,
            seconds={},
            warnings=("few pictures",),
            mapper="incremental",
        )

    monkeypatch.setattr("scenes.posed.find.find_poses", find)
    first = ended(job_of(queue, folder, only_cameras=True))
    assert first.state == "done" and not first.files and "crop box" in first.message
    assert "few pictures" in first.notes and "1.png is not used: blurred" in first.notes
    assert first.to_dict()["cameras"] and open_scene(first.path / "poses").left_out == (("1.png", "blurred"),)
    assert gallery_status(queue) == [("reconstruction", "unfinished")]

    # The page continues in the same folder, unless its run has another fit.
    chosen = {"source": str(folder), "name": "duck", "posed": True, "run": first.path.name}
    tab = ReconstructTab.__new__(ReconstructTab)
    tab.studio = type("Studio", (), {"queue": queue, "folders": queue.folders})()
    assert tab._job(chosen, request(folder, triangles=9), False).path == first.path
    Run.create(first.path, {"kind": "radiance", "method": "neus"})
    other = tab._job(chosen, request(folder, steps=13), False)
    assert other.path != first.path and other.cameras_of == first.path
    other.only_cameras = True
    assert ended(queue.add(other)).state == "done" and calls == [first.path / "poses", other.path / "poses"]
    assert tab._job(chosen, request(folder, seed=5), False).cameras_of is None


def gallery_status(queue):
    return [(entry["type"], entry["status"]) for entry in gallery.entries(queue.folders, queue)]
