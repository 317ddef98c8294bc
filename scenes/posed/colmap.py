"""COLMAP's sparse models (Schönberger and Frahm 2016): `cameras`, `images` and `points3D`, as text or binary.

Both formats are documented and small, so they are read here and COLMAP need not be installed.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from scenes.errors import BadInput
from scenes.posed.camera import (
    FISHEYE_COEFFICIENTS,
    OPENCV_COEFFICIENTS,
    Intrinsics,
    checked_intrinsics,
    checked_pose,
)
from scenes.posed.photographs import image_size, scaled_intrinsics
from scenes.posed.view import PosedViews, View, check_views, split_of

# COLMAP's number of each camera model, and the names of its parameters; "-" is a parameter that must be zero.
MODELS = {
    "SIMPLE_PINHOLE": (0, "f cx cy"),
    "PINHOLE": (1, "fx fy cx cy"),
    "SIMPLE_RADIAL": (2, "f cx cy k1"),
    "RADIAL": (3, "f cx cy k1 k2"),
    "OPENCV": (4, "fx fy cx cy k1 k2 p1 p2"),
    "OPENCV_FISHEYE": (5, "fx fy cx cy k1 k2 k3 k4"),
    "FULL_OPENCV": (6, "fx fy cx cy k1 k2 p1 p2 - - - -"),
    "SIMPLE_RADIAL_FISHEYE": (8, "f cx cy k1"),
    "RADIAL_FISHEYE": (9, "f cx cy k1 k2"),
    "THIN_PRISM_FISHEYE": (10, "fx fy cx cy k1 k2 - - k3 k4 - -"),
}
MODEL_NAMES = {number: name for name, (number, _) in MODELS.items()}
# Where a model may lie in a scene's folder, and where the images may lie as seen from the model.
MODEL_FOLDERS = ("sparse/0", "sparse", "colmap/sparse/0", ".")
IMAGE_FOLDERS = ("images", "../images", "../../images", "../../../images")
# Images that must see a point for it to count. Points that fewer see are often misplaced.
MIN_OBSERVATIONS = 3
# What helps where a camera model is not supported.
UNDISTORT = "undistort the images with COLMAP (image_undistorter) first"
# How far a quaternion's length may be from 1.
QUATERNION_TOLERANCE = 1e-2

T = TypeVar("T")


@dataclass(frozen=True)
class _Image:
    """An image of a model.

    The rotation (a quaternion w, x, y, z) and the translation are world to camera, with the axes x right, y down, z
    forward.
    """

    name: str
    quaternion: tuple[float, ...]
    translation: tuple[float, ...]
    camera: int


def model_in(folder: str | os.PathLike) -> Path | None:
    """The folder, in or below the given one, that holds a model's files; None where there is none."""
    for place in MODEL_FOLDERS:
        for ending in (".bin", ".txt"):
            if all((Path(folder) / place / f"{name}{ending}").is_file() for name in ("cameras", "images")):
                return Path(os.path.normpath(Path(folder) / place))
    return None


def open_colmap(source: str | os.PathLike) -> PosedViews:
    """The views of a folder with a model in it (or in `sparse/0`) and the photographs in `images`.

    Every eighth view, by name, is for testing. Photographs in another resolution than the model's scale the intrinsics.
    The mask of a photograph is `masks/NAME.png`, black where pixels do not count. `points` are those that three
    photographs or more see. Raises BadInput, one line that names the file or photograph.
    """
    folder = Path(source)
    model = model_in(folder)
    if model is None:
        raise BadInput(f"{folder}: has no cameras and images (.bin or .txt), nor a folder sparse/0 with them")
    photographs = next(
        (place for place in (folder / "images", *(model / place for place in IMAGE_FOLDERS)) if place.is_dir()), None
    )
    if photographs is None:
        raise BadInput(
            f"{folder}: there is no folder images beside the model; put the photographs there under the names that "
            "the model has"
        )
    binary = (model / "cameras.bin").is_file()
    ending = ".bin" if binary else ".txt"
    cameras = _read(model / f"cameras{ending}", _cameras_bin if binary else _cameras_txt)
    images = _read(model / f"images{ending}", _images_bin if binary else _images_txt)
    points = None
    if (path := model / f"points3D{ending}").is_file():
        points = _read(path, _points_bin if binary else _points_txt)
    check_views(images, model)
    notes: list[str] = []
    views = [
        _view(index, image, cameras, photographs, notes)
        for index, image in enumerate(sorted(images, key=lambda image: image.name))
    ]
    return PosedViews(tuple(views), None, notes, points=points)


def _view(index: int, image: _Image, cameras: dict[int, Intrinsics], photographs: Path, notes: list[str]) -> View:
    name = f"images/{image.name}"
    file = photographs / image.name
    if not file.resolve().is_relative_to(photographs.resolve()):
        raise BadInput(f"{name}: lies outside of the folder images; copy the image into it")
    if not file.is_file():
        raise BadInput(f"{name}: the model has this image, but {photographs} has not")
    if image.camera not in cameras:
        raise BadInput(f"{name}: its camera {image.camera} is not among the model's cameras")
    intrinsics = scaled_intrinsics(cameras[image.camera], *image_size(file, name), name)
    masks = photographs.parent / "masks"
    candidates = masks / f"{image.name}.png", masks / Path(image.name).with_suffix(".png")
    return View(
        pose=_pose(image, name, notes),
        intrinsics=checked_intrinsics(intrinsics, name),
        name=name,
        split=split_of(index),
        image=file,
        mask=next((mask for mask in candidates if mask.is_file()), None),
    )


def _pose(image: _Image, name: str, notes: list[str]) -> np.ndarray:
    """The pose of an image, camera to world with OpenGL axes.

    The rotation is computed here and not by scipy, whose last bits differ: the digests by which earlier runs know their
    scene depend on them.
    """
    quaternion = np.array(image.quaternion)
    length = np.linalg.norm(quaternion)
    if not (np.isfinite(length) and abs(length - 1) < QUATERNION_TOLERANCE):
        raise BadInput(f"{name}: its rotation {image.quaternion} is not a unit quaternion; export the model again")
    w, x, y, z = quaternion / length
    to_camera = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )
    position = -to_camera.T @ np.array(image.translation)
    return checked_pose(np.column_stack([to_camera.T * [1, -1, -1], position]), name, notes)


def _read(path: Path, parse: Callable[[bytes], T]) -> T:
    """`parse` of a file's content. Raises BadInput, naming the file, where that fails."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BadInput(f"{path}: cannot be opened: {error.strerror or error}") from error
    try:
        return parse(content)
    except BadInput as error:
        raise BadInput(f"{path}: {error}") from None
    except (struct.error, ValueError, IndexError, UnicodeDecodeError, OverflowError, MemoryError):
        raise BadInput(f"{path}: is damaged or not a file of COLMAP; export the model again") from None


def _intrinsics(model: str, width: int, height: int, values: tuple[float, ...]) -> Intrinsics:
    """The intrinsics of one of COLMAP's cameras; `values` are the parameters of its model."""
    if model not in MODELS:
        raise BadInput(f"cameras of the model {model} are not supported; {UNDISTORT}")
    names = MODELS[model][1].split()
    if len(values) != len(names):
        raise BadInput(f"a camera of the model {model} has {len(values)} parameters, not {len(names)}")
    if any(value != 0 for name, value in zip(names, values) if name == "-"):
        raise BadInput(f"a camera of the model {model} has terms that are not supported; {UNDISTORT}")
    named = dict(zip(names, values))
    fisheye = "FISHEYE" in model
    coefficients = FISHEYE_COEFFICIENTS if fisheye else OPENCV_COEFFICIENTS
    distortion = tuple(named.get(name, 0.0) for name in coefficients)
    kind = "fisheye" if fisheye else "opencv" if any(distortion) else "pinhole"
    return Intrinsics(
        width,
        height,
        fl_x=named["f"] if "f" in named else named["fx"],
        fl_y=named["f"] if "f" in named else named["fy"],
        cx=named["cx"],
        cy=named["cy"],
        model=kind,
        distortion=() if kind == "pinhole" else distortion,
    )


class _Bytes:
    """Reads little-endian values one after another."""

    def __init__(self, content: bytes) -> None:
        self.content, self.position = content, 0

    def take(self, layout: str) -> tuple:
        """The next values, in a layout as `struct` names it."""
        values = struct.unpack_from("<" + layout, self.content, self.position)
        self.position += struct.calcsize("<" + layout)
        return values

    def skip(self, count: int) -> None:
        """Skip `count` bytes. Raises ValueError where there are fewer."""
        self.position += count
        if self.position > len(self.content):
            raise ValueError("truncated")

    def text(self) -> str:
        """The next text, which ends with a zero byte."""
        end = self.content.index(b"\0", self.position)
        text = self.content[self.position : end].decode("utf-8")
        self.position = end + 1
        return text


def _cameras_bin(content: bytes) -> dict[int, Intrinsics]:
    data = _Bytes(content)
    found = {}
    for _ in range(data.take("Q")[0]):
        number, model, width, height = data.take("iiQQ")
        name = MODEL_NAMES.get(model, f"number {model}")
        if name not in MODELS:
            raise BadInput(f"cameras of the model {name} are not supported; {UNDISTORT}")
        found[number] = _intrinsics(name, width, height, data.take(f"{len(MODELS[name][1].split())}d"))
    return found


def _images_bin(content: bytes) -> list[_Image]:
    data = _Bytes(content)
    found = []
    for _ in range(data.take("Q")[0]):
        _, *pose, camera = data.take("I7dI")
        name = data.text()
        data.skip(24 * data.take("Q")[0])
        found.append(_Image(name, tuple(pose[:4]), tuple(pose[4:]), camera))
    return found


def _points_bin(content: bytes) -> np.ndarray:
    data = _Bytes(content)
    found = []
    for _ in range(data.take("Q")[0]):
        _, x, y, z, _, _, _, _, observations = data.take("Q3d3BdQ")
        data.skip(8 * observations)
        if observations >= MIN_OBSERVATIONS:
            found.append((x, y, z))
    return _finite(found)


def _lines(content: bytes) -> list[list[str]]:
    return [line.split() for line in content.decode("utf-8").splitlines() if line.strip() and not line.startswith("#")]


def _cameras_txt(content: bytes) -> dict[int, Intrinsics]:
    return {
        int(number): _intrinsics(model, int(width), int(height), tuple(map(float, values)))
        for number, model, width, height, *values in _lines(content)
    }


def _images_txt(content: bytes) -> list[_Image]:
    # Two lines for each image: its pose, then its features, which may be empty.
    lines = [line for line in content.decode("utf-8").splitlines() if not line.startswith("#")]
    found = []
    for line in lines[::2]:
        if not line.strip():
            continue
        _, *pose, camera, name = line.split(None, 9)
        values = tuple(map(float, pose))
        found.append(_Image(name.strip(), values[:4], values[4:], int(camera)))
    return found


def _points_txt(content: bytes) -> np.ndarray:
    return _finite(
        [tuple(map(float, words[1:4])) for words in _lines(content) if len(words) >= 8 + 2 * MIN_OBSERVATIONS]
    )


def _finite(points: list[tuple[float, ...]]) -> np.ndarray:
    found = np.array(points, np.float64).reshape(-1, 3)
    return found[np.isfinite(found).all(axis=1)]
