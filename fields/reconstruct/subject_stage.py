"""The stages of a scene without bounds before its fit: its subject, cut out of photographs that show more.

A density field of the whole scene says how far it is to what each pixel shows. So it says where the subject is, which
many cameras have in the middle of their images, and which pixels show it. With these as alpha, the photographs are
those of an object, and their field holds a surface.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from fields.export.scene_assets.reports import Reports
from fields.models.field import RadianceField
from fields.reconstruct.request import METHOD, ReconstructRequest
from fields.runs.run import write_json
from fields.surface.depth_maps import depth_camera, depth_map
from fields.surface.extract import ProgressCallback
from fields.surface.radiance import Radiance
from fields.surface.subject import Subject, find_subject, small_camera, subject_mask
from scenes.errors import BadInput
from scenes.posed.signal import RadianceScene, open_radiance
from scenes.posed.view import PosedViews, View
from scenes.posed.write import write_scene

# Folder in the run's own: of the photographs that show the subject alone.
SUBJECT_FOLDER = "subject"
# File in that folder: what it was made with, besides the photographs.
RECORD = "subject.json"
# Pixels of a depth map, at most, and at least where time is short.
MAX_PIXELS = 1 << 13
MIN_PIXELS = 1 << 10
# Fraction of the stage's time for depth maps; the rest is for masks and files.
DEPTH_TIME = 0.5
# Training views that must show the subject.
MIN_VIEWS = 3
# Training and test views that a preview has at most, evenly spread.
PREVIEW_VIEWS = {"train": 24, "test": 4}
# Points of the depth maps that are kept for the first shape.
MAX_POINTS = 200_000


def has_subject_stage(request: ReconstructRequest, scene: RadianceScene) -> bool:
    """Whether the subject of a scene is cut out before it is fitted: where photographs do not show what is empty."""
    return request.method in (None, METHOD) and scene.unbounded and not scene.moving


def subject_folder(request: ReconstructRequest) -> Path:
    """The folder of the photographs that show the subject alone, which is there once that is made."""
    assert request.out is not None
    return request.out / SUBJECT_FOLDER


def kept_subject(request: ReconstructRequest) -> Path | None:
    """The folder of the photographs that show the subject alone, where an earlier sitting made it with this box."""
    folder = subject_folder(request)
    if not folder.is_dir():
        return None
    record = folder / RECORD
    box = json.loads(record.read_text(encoding="utf-8"))["box"] if record.is_file() else None
    return folder if box == _box(request) else None


def _box(request: ReconstructRequest) -> list[float] | None:
    return None if request.box is None else [float(value) for value in request.box]


def open_subject(request: ReconstructRequest, folder: Path) -> RadianceScene:
    """The scene of the photographs that show the subject alone."""
    return open_radiance(folder, background=request.background)


def make_subject(
    request: ReconstructRequest, field: RadianceField, views: PosedViews, seconds: float, reports: Reports
) -> Path:
    """Cut the subject out of the photographs and write them as a scene of their own. Returns its folder.

    field: fitted to all that the photographs show. seconds: wall clock; depth maps get smaller where it is short.

    Raises BadInput where no subject is found.
    """
    assert request.out is not None
    scene, used = Radiance(field), _evenly(views.views) if request.preview else list(views.views)
    shares = (DEPTH_TIME, 0.8 - DEPTH_TIME, 0.2)
    starts = np.cumsum((0.0, *shares))

    def part(index: int) -> ProgressCallback:
        return lambda done: reports.fraction(starts[index] + done * shares[index])

    maps = _depth_maps(scene, used, DEPTH_TIME * seconds, part(0))
    if request.box is not None:
        lower, upper = ((np.array(end) - scene.corner) / scene.side for end in (request.box[:3], request.box[3:]))
        subject = Subject(lower, upper)
    else:
        subject = find_subject(maps)
    if subject is None:
        raise BadInput("no ray of the scene's cameras meets a surface; fit longer, or check the poses")
    # A preview takes a quarter of the photographs' pixels, and some of the photographs, so that reading, drawing and
    # scoring them takes a part of the time.
    halved = 2 if request.preview else 1
    cut = _cut_out(scene, used, subject, (maps[0].depth.numel(), halved), part(1))
    if sum(view.split == "train" for view in cut) < MIN_VIEWS or all(view.split == "train" for view in cut):
        raise BadInput("the cameras have no subject in common; give a `box` around it")
    points = np.concatenate([part.points().cpu().numpy() for part in maps]).astype(np.float64)
    points = points[np.random.default_rng(0).permutation(len(points))]
    points = points[subject.contains(points)][:MAX_POINTS]
    low, high = (tuple((scene.corner + scene.side * end).tolist()) for end in (subject.lower, subject.upper))
    cut_scene = PosedViews(tuple(cut), box=(low, high), points=scene.corner + scene.side * points)
    folder = subject_folder(request)
    temporary = folder.with_name(f".{SUBJECT_FOLDER}")
    shutil.rmtree(temporary, ignore_errors=True)
    write_scene(temporary, cut_scene, one_file=True)
    write_json(temporary / RECORD, {"box": _box(request)})
    shutil.rmtree(folder, ignore_errors=True)
    temporary.rename(folder)
    part(2)(1.0)
    return folder


def _evenly(views: Sequence[View]) -> list[View]:
    """As many views as a preview has."""
    kept = set()
    for split, most in PREVIEW_VIEWS.items():
        own = [index for index, view in enumerate(views) if (view.split == "test") == (split == "test")]
        kept.update(own[i] for i in np.unique(np.linspace(0, len(own) - 1, min(most, len(own))).astype(int)))
    return [view for index, view in enumerate(views) if index in kept]


def _depth_maps(scene: Radiance, views: Sequence[View], seconds: float, progress: ProgressCallback):
    """Depth maps of all views, as large as the time allows."""
    begun = time.perf_counter()
    trial = depth_camera(views[0], MIN_PIXELS, scene.corner, scene.side)
    depth_map(scene.field, trial)
    rate = trial.num_pixels / max(time.perf_counter() - begun, 1e-6)
    pixels = int(np.clip(rate * seconds / len(views), MIN_PIXELS, MAX_PIXELS))
    maps = []
    for view in views:
        maps.append(depth_map(scene.field, depth_camera(view, pixels, scene.corner, scene.side)))
        progress(len(maps) / len(views))
    return maps


def _cut_out(
    scene: Radiance,
    views: Sequence[View],
    subject: Subject,
    sizes: tuple[int, int],
    progress: ProgressCallback,
) -> list[View]:
    """The photographs with all but the subject transparent; those that do not show it are left out.

    sizes: pixels of an image whose mask is made from all of its pixels, and by how much the photographs are reduced.
    """
    cut, (pixels, smaller) = [], sizes
    for index, view in enumerate(views):
        image, counted = view.read_image()[..., :3], view.read_mask()
        if smaller > 1:
            image = _reduced(image, smaller)
            counted = None if counted is None else _reduced(counted.astype(np.uint8) * 255, smaller) > 127
            view = view.resized(image.shape[1], image.shape[0])
        # The mask has four times as many pixels along both sides as its camera: more than twice the image's are lost.
        enough = max(MIN_PIXELS // 4, image.shape[0] * image.shape[1] // 4)
        camera = small_camera(view, min(pixels, enough), scene.corner, scene.side)
        mask = subject_mask(scene.field, camera, subject)
        progress((index + 1) / len(views))
        alpha = _resized(mask, image.shape[0], image.shape[1])
        if counted is not None:
            alpha = alpha * counted
        values = np.rint(255 * alpha).astype(np.uint8)
        if not values.any():
            continue
        # Colors that no one sees are left out, which makes the files small.
        pixels_of = np.where(values[..., None] > 0, image, 0)
        cut.append(replace(view, image=None, mask=None, pixels=np.concatenate([pixels_of, values[..., None]], axis=-1)))
    return cut


def _reduced(image: np.ndarray, times: int) -> np.ndarray:
    """An image `[H, W, ...]` uint8 with so many times fewer pixels along both sides, averaged."""
    height, width = (max(1, n // times) for n in image.shape[:2])
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BOX))


def _resized(mask: np.ndarray, height: int, width: int) -> np.ndarray:
    """A mask `[h, w]` bool interpolated to another size, `[height, width]` float32."""
    wanted = torch.nn.functional.interpolate(
        torch.from_numpy(mask).float()[None, None], size=(height, width), mode="bilinear", align_corners=False
    )
    return wanted[0, 0].numpy()
