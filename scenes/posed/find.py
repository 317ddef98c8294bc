"""Find the cameras of photographs or of a video with COLMAP (Schönberger and Frahm 2016)."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from scenes.errors import BadInput
from scenes.image.read import read_image
from scenes.posed.colmap import open_colmap
from scenes.posed.pose import focus_point
from scenes.posed.up import up_axis
from scenes.posed.view import PosedViews
from scenes.video.read import decode_video_file, image_files

INSTALL_HINT = "pip install 'field-studio[poses]'"
# Longest side in pixels of the images that COLMAP gets and that the scene keeps.
MAX_SIDE = 1280
# Frames that are taken from a video.
FRAMES = 80
# Images without which there is no use in looking for cameras.
MIN_IMAGES = 3
# Up to this many frames of a video each is matched with every other one; of more, with its neighbours only.
MAX_EXHAUSTIVE = 60
# Fraction of the images with a camera below which a person is warned.
LOW_FRACTION = 0.7
# Mean reprojection error in pixels above which a person is warned.
HIGH_ERROR = 1.5
# glog's level of messages that are errors: what COLMAP prints by itself is left out.
GLOG_ERROR = 2
# Mean distance of the cameras from the focus point once the scene is normalized, in its own units.
DISTANCE = 4.0


@dataclass(frozen=True)
class FoundPoses:
    """The result of `find_poses`.

    Attributes:
        scene: the views with a camera.
        num_images: images that cameras were looked for.
        error: mean distance in pixels between where points are seen and where their cameras project them.
        warnings: lines that a person should read before a fit.
    """

    scene: PosedViews
    num_images: int
    error: float
    warnings: tuple[str, ...]


def find_poses(
    source: str | os.PathLike,
    folder: str | os.PathLike,
    max_side: int = MAX_SIDE,
    frames: int = FRAMES,
    *,
    progress: Callable[[str], None] = lambda line: None,
) -> FoundPoses:
    """Find the cameras of a folder of photographs or of a video.

    The scene is turned so that z is up and the cameras look at the origin; see `normalized`. Raises BadInput where
    pycolmap is not installed, images cannot be read, or no cameras are found.

    Args:
        folder: gets the images, upright and with no side longer than `max_side` pixels; of a video the sharpest frame
            of each of `frames` equal stretches.
        progress: is called with a line for each stage.
    """
    try:
        import pycolmap  # noqa: F401
    except ImportError:
        raise BadInput(
            f"{source}: finding cameras needs the package pycolmap; install it with: {INSTALL_HINT}"
        ) from None
    source, images = Path(source), Path(folder) / "images"
    images.mkdir(parents=True, exist_ok=True)
    is_video = not source.is_dir()
    sizes = _save_frames(source, images, max_side, frames) if is_video else _save_photographs(source, images, max_side)
    if len(sizes) < MIN_IMAGES:
        raise BadInput(
            f"{source}: {len(sizes)} images are too few to find cameras from; take thirty or more, with much overlap"
        )
    progress(f"{len(sizes)} images; looking for features")
    with tempfile.TemporaryDirectory(prefix="field-studio-") as work:
        error = _reconstruct(
            images,
            Path(work),
            one_camera=len(set(sizes)) == 1,
            in_order=is_video and len(sizes) > MAX_EXHAUSTIVE,
            progress=progress,
        )
    if error is None:
        raise BadInput(
            f"{source}: no cameras could be found; the images need much overlap, sharp texture and different places to "
            "stand"
        )
    scene = normalized(open_colmap(folder))
    return FoundPoses(scene, len(sizes), error, tuple(_warnings(len(scene.views), len(sizes), error)))


def _warnings(num_views: int, num_images: int, error: float) -> list[str]:
    warnings = []
    if num_views / num_images < LOW_FRACTION:
        warnings.append(
            f"cameras were found for {num_views} of {num_images} images only; those of the others are left out"
        )
    if error > HIGH_ERROR:
        warnings.append(
            f"the points are {error:.1f} pixels from where they were seen, which is much: expect a blurred fit"
        )
    return warnings


def _reconstruct(
    images: Path, work: Path, *, one_camera: bool, in_order: bool, progress: Callable[[str], None]
) -> float | None:
    """Reconstruct the images of a folder and write the largest model to `sparse/0` beside it.

    Returns the model's mean reprojection error in pixels, or None where there is no model.
    """
    import pycolmap

    database = work / "database.db"
    pycolmap.logging.minloglevel = GLOG_ERROR
    reader = pycolmap.ImageReaderOptions()
    reader.camera_model = "SIMPLE_RADIAL"
    mode = pycolmap.CameraMode.SINGLE if one_camera else pycolmap.CameraMode.PER_IMAGE
    pycolmap.extract_features(database, images, camera_mode=mode, reader_options=reader)
    progress("matching features")
    (pycolmap.match_sequential if in_order else pycolmap.match_exhaustive)(database)
    progress("finding cameras")
    (work / "models").mkdir()
    options = pycolmap.IncrementalPipelineOptions()
    options.random_seed = 0
    models = pycolmap.incremental_mapping(database, images, work / "models", options)
    if not models:
        return None
    largest = max(models.values(), key=lambda model: model.num_reg_images())
    target = images.parent / "sparse" / "0"
    target.mkdir(parents=True)
    largest.write_binary(str(target))
    return float(largest.compute_mean_reprojection_error())


def _save_photographs(source: Path, images: Path, max_side: int) -> list[tuple[int, int]]:
    """Save the photographs of a folder, or of `images` in it, for COLMAP. Returns their sizes."""
    files = image_files(source)
    if not files and (source / "images").is_dir():
        files = image_files(source / "images")
    if not files:
        raise BadInput(f"{source}: holds no images; name a folder of photographs or a video")
    sizes, names = [], set()
    for file in files:
        name = file.stem if file.stem not in names else file.name.replace(".", "_")
        names.add(name)
        sizes.append(_save(read_image(file).pixels, images / name, max_side, file.suffix.lower() == ".png"))
    return sizes


class _SharpestFrames:
    """Saves the sharpest frame of each stretch of a video, as a collector for `scenes.video.read.decode_video_file`.

    Args:
        stretch: number of frames of a stretch.
    """

    def __init__(self, stretch: int, images: Path, max_side: int) -> None:
        self.stretch, self.images, self.max_side = stretch, images, max_side
        self.count = 0
        self.sizes: list[tuple[int, int]] = []
        self._best: tuple[float, np.ndarray] | None = None

    def add(self, pixels: np.ndarray, /) -> None:
        """Take the next frame `[H, W, 3]` uint8, and save the sharpest one at the end of a stretch."""
        gray = pixels[::2, ::2, 1].astype(np.float32)
        sharpness = float(np.square(np.diff(gray, axis=0)).mean() + np.square(np.diff(gray, axis=1)).mean())
        if self._best is None or sharpness > self._best[0]:
            self._best = sharpness, pixels.copy()
        self.count += 1
        if self.count % self.stretch == 0:
            self.frames()

    def frames(self) -> np.ndarray:
        """End the stretch. Returns no frames, as they are in files."""
        if self._best is not None:
            self.sizes.append(_save(self._best[1], self.images / f"{len(self.sizes):05}", self.max_side, False))
            self._best = None
        return np.zeros((0, 1, 1, 3), np.uint8)


def _save_frames(source: Path, images: Path, max_side: int, frames: int) -> list[tuple[int, int]]:
    """Save the sharpest frame of each of `frames` stretches of a video. Returns the sizes of the images."""
    import av
    from av.error import FFmpegError

    try:
        with av.open(str(source)) as container:
            stream = container.streams.video[0]
            total = stream.frames or int(float(container.duration or 0) / 1e6 * float(stream.average_rate or 24))
    except (FFmpegError, IndexError, ValueError):
        raise BadInput(f"{source}: is neither a video that can be read nor a folder of photographs") from None
    sharpest = _SharpestFrames(max(1, total // frames), images, max_side)
    try:
        decode_video_file(source, sharpest, None)
    except BadInput as error:
        raise BadInput(f"{source}: {error}") from None
    return sharpest.sizes


def _save(pixels: np.ndarray, path: Path, max_side: int, lossless: bool) -> tuple[int, int]:
    """Save an image `[H, W, C]` as PNG or JPEG; `path` has no ending. Returns its width and height."""
    from PIL import Image

    if pixels.dtype != np.uint8:
        raise BadInput(f"{path.stem}: photographs have 8 bits a channel, and this one is {pixels.dtype}")
    image = Image.fromarray(pixels if pixels.shape[2] != 1 else pixels[..., 0])
    if image.mode not in ("RGB", "RGBA"):
        image = image.convert("RGBA" if image.mode == "LA" else "RGB")
    if max(image.size) > max_side:
        scale = max_side / max(image.size)
        image = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.LANCZOS)
    if lossless or image.mode == "RGBA":
        image.save(path.with_name(path.name + ".png"))
    else:
        image.save(path.with_name(path.name + ".jpg"), quality=95, subsampling=0)
    return image.size


def normalized(scene: PosedViews) -> PosedViews:
    """The scene with z up, and its cameras looking at the origin from the mean distance `DISTANCE`.

    Up is found by `scenes.posed.up.up_axis`.
    """
    poses = np.stack([view.pose for view in scene.views])
    up = up_axis(poses)
    right = np.cross(up, np.eye(3)[int(np.abs(up).argmin())])
    right /= np.linalg.norm(right)
    rotation = np.stack([right, np.cross(up, right), up])
    centre = focus_point(poses)
    scale = DISTANCE / max(float(np.linalg.norm(poses[:, :, 3] - centre, axis=1).mean()), 1e-9)
    views = tuple(
        replace(view, pose=np.column_stack([rotation @ view.pose[:, :3], rotation @ (view.position - centre) * scale]))
        for view in scene.views
    )
    points = None if scene.points is None else (scene.points - centre) @ rotation.T * scale
    return replace(scene, views=views, points=points)
