"""Cameras of photographs that come without: found by COLMAP (Schönberger and Frahm 2016) through the package pycolmap."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from scenes.errors import BadInput
from scenes.image.read import read_image
from scenes.posed.box import focus
from scenes.posed.colmap import open_colmap
from scenes.posed.view import PosedViews
from scenes.video.read import decode_video_file, image_files

INSTALL = "pip install 'field-studio[poses]'"
LONGEST, FRAMES = 1280, 80
# Above so many pictures each is matched with its neighbours only, where they are a film's.
EXHAUSTIVE = 60
# What makes a result worth a warning.
FEW_SHARE, LARGE_ERROR = 0.7, 1.5
DISTANCE = 4.0  # of the cameras from what they look at, in the mean, afterwards


@dataclass(frozen=True)
class Found:
    """scene: views with pictures under `folder`; of `given` pictures. error: mean distance in pixels of the points from where they
    were seen. warnings: lines that a person should read before a fit."""

    scene: PosedViews
    given: int
    error: float
    warnings: tuple[str, ...]


def find_poses(
    source: str | os.PathLike,
    folder: str | os.PathLike,
    longest: int = LONGEST,
    frames: int = FRAMES,
    tell: Callable[[str], None] = lambda line: None,
) -> Found:
    """The cameras of a folder of photographs or of a film.

    Pictures are turned upright and made smaller than `longest` pixels, into `folder`; of a film the sharpest of each of `frames`
    equal stretches. The scene is turned so that up is z and what the cameras look at is at the origin. Raises BadInput where
    pycolmap is not installed, pictures cannot be read, or nothing is found.
    """
    try:
        import pycolmap
    except ImportError:
        raise BadInput(f"{source}: finding cameras takes the package pycolmap; install it with: {INSTALL}") from None
    source, images = Path(source), Path(folder) / "images"
    images.mkdir(parents=True, exist_ok=True)
    is_film = not source.is_dir()
    sizes = _film(source, images, longest, frames) if is_film else _photographs(source, images, longest)
    if len(sizes) < 3:
        raise BadInput(
            f"{source}: {len(sizes)} pictures are too few to find cameras from; take thirty or more, with much overlap"
        )
    tell(f"{len(sizes)} pictures; looking for features")
    with tempfile.TemporaryDirectory(prefix="field-studio-") as work:
        model, error = _map(
            pycolmap, images, Path(work), len(set(sizes)) == 1, is_film and len(sizes) > EXHAUSTIVE, tell
        )
        if model is None:
            raise BadInput(
                f"{source}: no cameras could be found; the pictures need much overlap, sharp texture and different places to stand"
            )
        scene = upright(open_colmap(model))
    share = len(scene.views) / len(sizes)
    warnings = []
    if share < FEW_SHARE:
        warnings.append(
            f"cameras were found for {len(scene.views)} of {len(sizes)} pictures only; those of the others are left out"
        )
    if error > LARGE_ERROR:
        warnings.append(
            f"the points are {error:.1f} pixels from where they were seen, which is much: expect a blurred fit"
        )
    return Found(scene, len(sizes), error, tuple(warnings))


def _map(
    pycolmap, images: Path, work: Path, one_camera: bool, in_order: bool, tell: Callable[[str], None]
) -> tuple[Path | None, float]:
    """A folder with the largest model and links to nothing but its pictures, and its mean error in pixels."""
    database = work / "database.db"
    pycolmap.logging.minloglevel = pycolmap.logging.Level.ERROR.value if hasattr(pycolmap.logging, "Level") else 2
    mode = pycolmap.CameraMode.SINGLE if one_camera else pycolmap.CameraMode.PER_IMAGE
    options = pycolmap.ImageReaderOptions()
    options.camera_model = "SIMPLE_RADIAL"
    pycolmap.extract_features(database, images, camera_mode=mode, reader_options=options)
    tell("matching them")
    (pycolmap.match_sequential if in_order else pycolmap.match_exhaustive)(database)
    tell("finding cameras")
    (work / "models").mkdir()
    mapping = pycolmap.IncrementalPipelineOptions()
    mapping.random_seed = 0
    models = pycolmap.incremental_mapping(database, images, work / "models", mapping)
    if not models:
        return None, 0.0
    best = max(models.values(), key=lambda model: model.num_reg_images())
    place = images.parent / "sparse" / "0"
    place.mkdir(parents=True)
    best.write_binary(str(place))
    return images.parent, float(best.compute_mean_reprojection_error())


def _photographs(source: Path, images: Path, longest: int) -> list[tuple[int, int]]:
    files = image_files(source)
    if not files and (source / "images").is_dir():
        files = image_files(source / "images")
    if not files:
        raise BadInput(f"{source}: holds no pictures; name a folder of photographs or a film")
    sizes, names = [], set()
    for file in files:
        pixels = read_image(file).pixels
        name = file.stem if file.stem not in names else file.name.replace(".", "_")
        names.add(name)
        sizes.append(_save(pixels, images / name, longest, file.suffix.lower() == ".png"))
    return sizes


class _Sharpest:
    """Of each `slot` frames of a film, the one with the strongest edges; as `scenes.video.read.decode_video_file` collects them."""

    def __init__(self, slot: int, images: Path, longest: int) -> None:
        self.slot, self.images, self.longest = slot, images, longest
        self.count, self.sizes = 0, []
        self._best: tuple[float, np.ndarray] | None = None

    def add(self, pixels: np.ndarray, name: str = "") -> None:
        grey = pixels[::2, ::2, 1].astype(np.float32)
        sharpness = float(np.square(np.diff(grey, axis=0)).mean() + np.square(np.diff(grey, axis=1)).mean())
        if self._best is None or sharpness > self._best[0]:
            self._best = sharpness, pixels.copy()
        self.count += 1
        if self.count % self.slot == 0:
            self.frames()

    def frames(self) -> np.ndarray:
        if self._best is not None:
            self.sizes.append(_save(self._best[1], self.images / f"{len(self.sizes):05}", self.longest, False))
            self._best = None
        return np.zeros((0, 1, 1, 3), np.uint8)


def _film(source: Path, images: Path, longest: int, frames: int) -> list[tuple[int, int]]:
    import av

    try:
        with av.open(str(source)) as container:
            stream = container.streams.video[0]
            total = stream.frames or int(float(container.duration or 0) / 1e6 * float(stream.average_rate or 24))
    except (av.error.FFmpegError, IndexError, ValueError):
        raise BadInput(f"{source}: is no film that can be read, and no folder of photographs") from None
    chosen = _Sharpest(max(1, total // frames), images, longest)
    try:
        decode_video_file(source, chosen, None)
    except BadInput as error:
        raise BadInput(f"{source}: {error}") from None
    return chosen.sizes


def _save(pixels: np.ndarray, place: Path, longest: int, exact: bool) -> tuple[int, int]:
    """Writes a picture, upright, without what hides in its transparent pixels; its width and height."""
    from PIL import Image

    if pixels.dtype != np.uint8:
        raise BadInput(f"{place.stem}: photographs have 8 bits a channel, and this one is {pixels.dtype}")
    picture = Image.fromarray(pixels if pixels.shape[2] != 1 else pixels[..., 0])
    if picture.mode not in ("RGB", "RGBA"):
        picture = picture.convert("RGBA" if picture.mode == "LA" else "RGB")
    if max(picture.size) > longest:
        scale = longest / max(picture.size)
        picture = picture.resize(
            (round(picture.width * scale), round(picture.height * scale)), Image.Resampling.LANCZOS
        )
    if exact or picture.mode == "RGBA":
        picture.save(place.with_name(place.name + ".png"))
    else:
        picture.save(place.with_name(place.name + ".jpg"), quality=95, subsampling=0)
    return picture.size


def upright(scene: PosedViews) -> PosedViews:
    """The scene with z up, the place that all cameras look at at the origin, and the cameras `DISTANCE` from it in the mean.

    Up is what the pictures' upper edges agree on, or where the cameras go round something held level, the axis they go round.
    """
    poses = np.stack([view.pose for view in scene.views])
    up = poses[:, :, 1].mean(axis=0)
    up /= max(float(np.linalg.norm(up)), 1e-9)
    # The horizon is level in photographs: every camera's right is across up, as nearly as can be.
    _, _, axes = np.linalg.svd(poses[:, :, 0])
    if abs(axes[2] @ up) > 0.7:
        up = axes[2] * np.sign(axes[2] @ up)
    right = np.cross(up, np.eye(3)[int(np.abs(up).argmin())])
    right /= np.linalg.norm(right)
    turn = np.stack([right, np.cross(up, right), up])
    centre = focus(poses)
    scale = DISTANCE / max(float(np.linalg.norm(poses[:, :, 3] - centre, axis=1).mean()), 1e-9)
    views = tuple(
        replace(
            view,
            pose=np.concatenate(
                [turn @ view.pose[:, :3], (turn @ (view.pose[:, 3] - centre) * scale)[:, None]], axis=1
            ),
        )
        for view in scene.views
    )
    points = None if scene.points is None else (scene.points - centre) @ turn.T * scale
    return replace(scene, views=views, points=points)
