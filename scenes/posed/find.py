"""Find the cameras of photographs or of a film with COLMAP (Schönberger and Frahm 2016; Pan et al. 2024)."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from scenes.errors import BadInput
from scenes.io.files import file_digest
from scenes.posed.colmap import open_colmap
from scenes.posed.find_axes import normalized
from scenes.posed.find_child import ChildFailed, run_colmap
from scenes.posed.find_pictures import Gathered, Picture, gather
from scenes.posed.find_reasons import ADVICE, has_no_depth, reason_for_nothing, reason_left_out, warnings_about
from scenes.posed.find_record import FoundPoses, recorded_poses, write_record
from scenes.posed.write import check_empty, write_scene
from scenes.video.read import image_files

__all__ = ["FRAMES", "MAX_SIDE", "FoundPoses", "find_poses", "normalized"]

INSTALL_HINT = "pip install 'field-studio[poses]'"
# Longest side in pixels of the images that the scene keeps.
MAX_SIDE = 1280
# Frames that are taken from a film.
FRAMES = 80
# Images without which there is no use in looking for cameras.
MIN_IMAGES = 3
# Folder in the scene's own for what an interrupted run goes on from.
WORK = ".finding"
PICTURES = "pictures.json"


def find_poses(
    source: str | os.PathLike,
    out: str | os.PathLike,
    *,
    longest: int = MAX_SIDE,
    frames: int = FRAMES,
    seed: int = 0,
    threads: int | None = None,
    seconds: float | None = None,
    progress: Callable[[str, float], None] = lambda stage, fraction: None,
) -> FoundPoses:
    """Find the cameras of a folder or zip of photographs, or of a film, and write them as a posed scene.

        found = find_poses("photos/", "scene", progress=lambda stage, fraction: print(stage, f"{fraction:.0%}"))
        views = open_posed("scene")      # the same as found.scene

    Blurred pictures and doubles are left out; what is masked (by alpha, or by a folder `masks`) has no part in finding
    the cameras. Where COLMAP's incremental mapper finds fewer than nine tenths of the cameras, the global mapper, more
    features and looser thresholds are tried; the one that finds most counts. The scene is turned so that z is up and
    the cameras look at the origin.

    A second call with the same arguments reads what the first one wrote, or goes on where it was interrupted.

    Args:
        source: a folder with photographs, or with `images` and perhaps `masks` in it; a zip of one; a film.
        out: the scene's new folder: images upright, `transforms_train.json` and `transforms_test.json`, `poses.json`.
        longest: side in pixels that no image exceeds.
        frames: of a film, the sharpest frame of each of this many equal stretches.
        seed: of COLMAP's random choices.
        threads: for COLMAP. Default: those that this process may use.
        seconds: no further try begins after this much time; the first one always ends.
        progress: is called with the stage's name and the fraction of it that is done, at least once a second.

    Raises BadInput, in one line that says what would help, where pycolmap is not installed, nothing can be read, or no
    cameras can be found.
    """
    begin = time.time()
    source, out = Path(source).expanduser(), Path(out)
    if not source.exists():
        raise BadInput(f"{source}: no such file or folder")
    if importlib.util.find_spec("pycolmap") is None:
        raise BadInput(f"{source}: finding cameras needs the package pycolmap; install it with: {INSTALL_HINT}")
    request = {"sha256": _digest(source), "longest": longest, "frames": frames, "seed": seed}
    if (earlier := recorded_poses(out, request)) is not None:
        return earlier
    work = out / WORK
    if not work.is_dir():
        check_empty(out)
    work.mkdir(parents=True, exist_ok=True)
    took = {}
    try:
        gathered = _gathered(source, work, request, progress)
        took["pictures"] = time.time() - begin
        job = {
            "folder": str(work),
            "names": [picture.file for picture in gathered.pictures],
            "cameras": _cameras(gathered.pictures),
            "order": gathered.order,
            "seed": seed,
            "threads": threads or _num_threads(),
            "deadline": None if seconds is None else begin + seconds,
        }
        found = _found(gathered, job, work, progress)
        took |= found["seconds"]
        result = _result(work, gathered, found, took)
    except BadInput as error:
        # Nothing here would help a second run; an interrupted run keeps what it has.
        shutil.rmtree(work, ignore_errors=True)
        with suppress(OSError):
            out.rmdir()
        text = str(error)
        raise BadInput(text if text.startswith(str(source)) else f"{source}: {text}") from None
    progress("writing", 0.0)
    _write(out, work, result, request)
    written = recorded_poses(out, request)
    assert written is not None
    progress("writing", 1.0)
    return written


def _found(
    gathered: Gathered, job: dict[str, Any], work: Path, progress: Callable[[str, float], None]
) -> dict[str, Any]:
    """What COLMAP finds (`scenes.posed.find_colmap.Result`). Raises BadInput where that is nothing."""
    if len(gathered.pictures) < MIN_IMAGES:
        raise BadInput(f"{_too_few(gathered)}; {ADVICE}")
    try:
        found = run_colmap(job, work, progress)
    except ChildFailed as error:
        raise BadInput(f"no cameras could be found: {error}") from None
    if len(found["registered"]) < 2:
        raise BadInput(reason_for_nothing(gathered.pictures, found))
    return found


def _digest(source: Path) -> str:
    """SHA-256 of the names and contents of a source's pictures and masks; files that cannot be read have none."""
    if not source.is_dir():
        return file_digest(source)
    folders = [source, source / "images", source / "masks", source.parent / "masks"]
    lines = []
    for file in (file for folder in folders if folder.is_dir() for file in image_files(folder)):
        with suppress(OSError):
            lines.append(f"{file.relative_to(source.parent)} {file_digest(file)}")
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _num_threads() -> int:
    limit = os.environ.get("OMP_NUM_THREADS", "")
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(int(limit), available) if limit.isdecimal() and int(limit) > 0 else available


def _gathered(source: Path, work: Path, request: dict[str, Any], progress: Callable[[str, float], None]) -> Gathered:
    """The pictures of a source in the folder `work`, or those that an interrupted run left there."""
    record = work / PICTURES
    if record.is_file():
        content = json.loads(record.read_text())
        if content.pop("request") == request:
            return Gathered.from_json(content)
    shutil.rmtree(work)
    work.mkdir()
    progress("pictures", 0.0)
    gathered = gather(
        source,
        work,
        longest=request["longest"],
        frames=request["frames"],
        progress=lambda fraction: progress("pictures", fraction),
    )
    temporary = record.with_suffix(".part")
    temporary.write_text(json.dumps({"request": request, **gathered.to_json()}))
    os.replace(temporary, record)
    return gathered


def _too_few(gathered: Gathered) -> str:
    count = len(gathered.pictures)
    text = f"{count} {'picture is' if count == 1 else 'pictures are'} too few to find cameras from"
    if gathered.left_out:
        name, reason = gathered.left_out[0]
        text += f" ({len(gathered.left_out)} left out: {name} {reason}{', ...' * (len(gathered.left_out) > 1)})"
    return text


def _cameras(pictures: list[Picture]) -> list[list[str]]:
    cameras: dict[str, list[str]] = {}
    for picture in pictures:
        cameras.setdefault(picture.camera, []).append(picture.file)
    return list(cameras.values())


def _result(work: Path, gathered: Gathered, found: dict[str, Any], took: dict[str, float]) -> FoundPoses:
    """The scene in COLMAP's folder, and what is to be said about it."""
    pictures = gathered.pictures
    registered = set(found["registered"])
    names = {picture.file: picture.name for picture in pictures}
    # COLMAP measures in pixels of its own images.
    file = found["registered"][0]
    with Image.open(work / "images" / file) as kept, Image.open(work / "features" / file) as seen:
        error = found["error"] * kept.width / seen.width
    scene = normalized(open_colmap(work))
    if has_no_depth(np.stack([view.pose for view in scene.views]), scene.points, found):
        raise BadInput(reason_for_nothing(pictures, found))
    return FoundPoses(
        scene,
        used=tuple(picture.name for picture in pictures if picture.file in registered),
        left_out=(
            *gathered.left_out,
            *(
                (picture.name, reason_left_out(picture, found, names))
                for picture in pictures
                if picture.file not in registered
            ),
        ),
        reprojection_error=error,
        seconds=took,
        warnings=tuple(warnings_about(scene, len(pictures), error, found["still_background"])),
        mapper=found["mapper"],
    )


def _write(out: Path, work: Path, result: FoundPoses, request: dict[str, Any]) -> None:
    """Write the scene to the folder `out`, the record last, and delete the folder `work` in it."""
    begin = time.time()
    made = work / "scene"
    shutil.rmtree(made, ignore_errors=True)
    write_scene(made, result.scene)
    for path in made.iterdir():
        target = out / path.name
        if target.is_dir():
            shutil.rmtree(target)
        os.replace(path, target)
    write_record(out, replace(result, seconds=result.seconds | {"writing": time.time() - begin}), request)
    shutil.rmtree(work)
