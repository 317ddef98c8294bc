"""COLMAP's sparse models (Schönberger and Frahm 2016): `cameras`, `images` and `points3D`, as text or binary.

Both formats are documented and small, so they are read here and COLMAP need not be installed.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from scenes.errors import BadInput
from scenes.posed.photographs import scaled_to, size_of
from scenes.posed.view import HELD_OUT, Intrinsics, PosedViews, View, checked_intrinsics, checked_pose

# COLMAP's number of each camera model, and what its parameters are called here; "-" is one that must be zero.
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
NUMBERS = {number: name for name, (number, _) in MODELS.items()}
PLACES = ("sparse/0", "sparse", "colmap/sparse/0", ".")
PICTURES = ("images", "../images", "../../images", "../../../images")
# A point that fewer pictures saw is seldom where it is said to be.
MIN_SIGHTINGS = 3


@dataclass(frozen=True)
class _Image:
    name: str
    quaternion: tuple[float, ...]  # w x y z: world to camera, axes x right, y down, z forward
    translation: tuple[float, ...]
    camera: int


def model_in(folder: str | os.PathLike) -> Path | None:
    """Where in or below a folder a model's files are, or None."""
    for place in PLACES:
        for ending in (".bin", ".txt"):
            if all((Path(folder) / place / f"{name}{ending}").is_file() for name in ("cameras", "images")):
                return Path(os.path.normpath(Path(folder) / place))
    return None


def open_colmap(source: str | os.PathLike) -> PosedViews:
    """The views of a folder with a model in it (or in `sparse/0`) and the pictures in `images`; every eighth, by name, is for testing.

    Pictures of another size than the model's scale the lens. A picture's mask is `masks/NAME.png`, black where it does not
    count. `points` are the model's that three pictures or more saw. Raises BadInput, one line that names the file or picture.
    """
    folder = Path(source)
    model = model_in(folder)
    if model is None:
        raise BadInput(f"{folder}: has no cameras and images (.bin or .txt), nor a folder sparse/0 with them")
    pictures = next(
        (
            base / place
            for base, place in [(folder, "images"), *((model, place) for place in PICTURES)]
            if (base / place).is_dir()
        ),
        None,
    )
    if pictures is None:
        raise BadInput(
            f"{folder}: there is no folder images beside the model; put the photographs there under the names that it has"
        )
    ending = ".bin" if (model / "cameras.bin").is_file() else ".txt"
    cameras = _read(model / f"cameras{ending}", _cameras_bin if ending == ".bin" else _cameras_txt)
    images = _read(model / f"images{ending}", _images_bin if ending == ".bin" else _images_txt)
    points = None
    if (path := model / f"points3D{ending}").is_file():
        points = _read(path, _points_bin if ending == ".bin" else _points_txt)
    if len(images) < 2:
        raise BadInput(f"{model}: a scene needs two views or more, not {len(images)}")
    notes: list[str] = []
    views = [
        _view(i, image, cameras, pictures, notes)
        for i, image in enumerate(sorted(images, key=lambda image: image.name))
    ]
    return PosedViews(tuple(views), None, notes, points=points)


def _view(number: int, image: _Image, cameras: dict[int, Intrinsics], pictures: Path, notes: list[str]) -> View:
    name = f"images/{image.name}"
    picture = pictures / image.name
    if not picture.resolve().is_relative_to(pictures.resolve()):
        raise BadInput(f"{name}: lies outside of the folder images; copy the picture into it")
    if not picture.is_file():
        raise BadInput(f"{name}: the model has this picture, but {pictures} has not")
    if image.camera not in cameras:
        raise BadInput(f"{name}: its camera {image.camera} is not among the model's cameras")
    intrinsics = checked_intrinsics(scaled_to(cameras[image.camera], *size_of(picture, name), name), name)
    mask = next(
        (
            file
            for file in (
                pictures.parent / "masks" / f"{image.name}.png",
                pictures.parent / "masks" / Path(image.name).with_suffix(".png"),
            )
            if file.is_file()
        ),
        None,
    )
    return View(
        name, picture, _pose(image, name, notes), intrinsics, "train" if number % HELD_OUT else "test", mask=mask
    )


def _pose(image: _Image, name: str, notes: list[str]) -> np.ndarray:
    """Camera to world with OpenGL axes."""
    q = np.array(image.quaternion)
    length = np.linalg.norm(q)
    if not (np.isfinite(length) and abs(length - 1) < 1e-2):
        raise BadInput(f"{name}: its rotation {image.quaternion} is no unit quaternion; export the model again")
    w, x, y, z = q / length
    rotation = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )
    place = -rotation.T @ np.array(image.translation)
    return checked_pose(np.concatenate([rotation.T * [1, -1, -1], place[:, None]], axis=1), name, notes)


def _read(path: Path, parse):
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BadInput(f"{path}: cannot be opened: {error.strerror or error}") from error
    try:
        return parse(content)
    except BadInput as error:
        raise BadInput(f"{path}: {error}") from None
    except (struct.error, ValueError, IndexError, UnicodeDecodeError, OverflowError, MemoryError):
        raise BadInput(f"{path}: is damaged or not of COLMAP's; export the model again") from None


def _intrinsics(model: str, width: int, height: int, values: tuple[float, ...]) -> Intrinsics:
    if model not in MODELS:
        raise BadInput(
            f"cameras of the model {model} are not supported; undistort the pictures with COLMAP (image_undistorter) first"
        )
    names = MODELS[model][1].split()
    if len(values) != len(names):
        raise BadInput(f"a camera of the model {model} has {len(values)} numbers, not {len(names)}")
    if any(value != 0 for name, value in zip(names, values) if name == "-"):
        raise BadInput(
            f"a camera of the model {model} has terms that are not supported; undistort the pictures with COLMAP (image_undistorter) first"
        )
    named = dict(zip(names, values))
    fisheye = "FISHEYE" in model
    distortion = tuple(
        named.get(name, 0.0) for name in (("k1", "k2", "k3", "k4") if fisheye else ("k1", "k2", "p1", "p2"))
    )
    kind = "fisheye" if fisheye else "opencv" if any(distortion) else "pinhole"
    return Intrinsics(
        width,
        height,
        named.get("f", named.get("fx")),
        named.get("f", named.get("fy")),
        named["cx"],
        named["cy"],
        kind,
        distortion if kind != "pinhole" else (),
    )


class _Bytes:
    """Little-endian numbers, one after another."""

    def __init__(self, content: bytes) -> None:
        self.content, self.at = content, 0

    def take(self, form: str) -> tuple:
        values = struct.unpack_from("<" + form, self.content, self.at)
        self.at += struct.calcsize("<" + form)
        return values

    def skip(self, count: int) -> None:
        self.at += count
        if self.at > len(self.content):
            raise ValueError("cut off")

    def text(self) -> str:
        end = self.content.index(b"\0", self.at)
        text = self.content[self.at : end].decode("utf-8")
        self.at = end + 1
        return text


def _cameras_bin(content: bytes) -> dict[int, Intrinsics]:
    data = _Bytes(content)
    found = {}
    for _ in range(data.take("Q")[0]):
        number, model, width, height = data.take("iiQQ")
        if model not in NUMBERS:
            raise BadInput(
                f"cameras of the model number {model} are not supported; undistort the pictures with COLMAP (image_undistorter) first"
            )
        name = NUMBERS[model]
        found[number] = _intrinsics(name, width, height, data.take(f"{len(MODELS[name][1].split())}d"))
    return found


def _images_bin(content: bytes) -> list[_Image]:
    data = _Bytes(content)
    found = []
    for _ in range(data.take("Q")[0]):
        _, *numbers, camera = data.take("I7dI")
        name = data.text()
        data.skip(24 * data.take("Q")[0])
        found.append(_Image(name, tuple(numbers[:4]), tuple(numbers[4:]), camera))
    return found


def _points_bin(content: bytes) -> np.ndarray:
    data = _Bytes(content)
    found = []
    for _ in range(data.take("Q")[0]):
        _, x, y, z, _, _, _, _, sightings = data.take("Q3d3BdQ")
        data.skip(8 * sightings)
        if sightings >= MIN_SIGHTINGS:
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
    # A line of the picture, and one of its features, which may be empty.
    lines = [line for line in content.decode("utf-8").splitlines() if not line.startswith("#")]
    found = []
    for line in lines[::2]:
        if not line.strip():
            continue
        _, *numbers, camera, name = line.split(None, 9)
        values = tuple(map(float, numbers))
        found.append(_Image(name.strip(), values[:4], values[4:], int(camera)))
    return found


def _points_txt(content: bytes) -> np.ndarray:
    return _finite([tuple(map(float, words[1:4])) for words in _lines(content) if len(words) >= 8 + 2 * MIN_SIGHTINGS])


def _finite(points: list[tuple[float, float, float]]) -> np.ndarray:
    found = np.array(points, np.float64).reshape(-1, 3)
    return found[np.isfinite(found).all(axis=1)]
