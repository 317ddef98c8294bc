"""COLMAP's sparse models (Schönberger and Frahm 2016): `cameras`, `images` and `points3D`, as text or binary.

Both formats are documented and small, so they are read here and COLMAP need not be installed.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from scenes.errors import BadInput
from scenes.posed.camera import Intrinsics, checked_pose
from scenes.posed.locate import DEPTH_FOLDERS, Masks, SceneFiles
from scenes.posed.photographs import Orientation, WrittenLens, matched_lenses
from scenes.posed.points import read_points
from scenes.posed.view import PosedViews, View, check_views, grouped_notes, split_of

# COLMAP's number of each camera model, and the names of its parameters.
MODELS = {
    "SIMPLE_PINHOLE": (0, "f cx cy"),
    "PINHOLE": (1, "fx fy cx cy"),
    "SIMPLE_RADIAL": (2, "f cx cy k1"),
    "RADIAL": (3, "f cx cy k1 k2"),
    "OPENCV": (4, "fx fy cx cy k1 k2 p1 p2"),
    "OPENCV_FISHEYE": (5, "fx fy cx cy k1 k2 k3 k4"),
    "FULL_OPENCV": (6, "fx fy cx cy k1 k2 p1 p2 k3 k4 k5 k6"),
    "SIMPLE_RADIAL_FISHEYE": (8, "f cx cy k1"),
    "RADIAL_FISHEYE": (9, "f cx cy k1 k2"),
    "THIN_PRISM_FISHEYE": (10, "fx fy cx cy k1 k2 p1 p2 k3 k4 sx1 sy1"),
    "RAD_TAN_THIN_PRISM_FISHEYE": (11, "fx fy cx cy k0 k1 k2 k3 k4 k5 p0 p1 s0 s1 s2 s3"),
    "SIMPLE_FISHEYE": (14, "f cx cy"),
    "FISHEYE": (15, "fx fy cx cy"),
}
# Names of all models by number, those that are not supported too, which messages name.
MODEL_NAMES = {number: name for name, (number, _) in MODELS.items()} | {
    **{7: "FOV", 12: "SIMPLE_DIVISION", 13: "DIVISION", 16: "EUCM", 17: "EQUIRECTANGULAR"}
}
# Folders in which a model, or folders of models, may lie in a scene's folder.
MODEL_FOLDERS = (".", "sparse", "colmap/sparse", "distorted/sparse", "colmap")
# Where the photographs may lie, as seen from the scene's folder or the model.
PLACES = (".", "..", "../..", "../../..")
# Names of folders of photographs; the numbers are how much smaller they were made.
PHOTOGRAPH_FOLDERS = ("images", "images_2", "images_4", "images_8")
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


@dataclass(frozen=True)
class _Model:
    """A model's folder, whether its files are binary, and how many photographs it has."""

    folder: Path
    binary: bool
    count: int


def model_in(folder: str | os.PathLike) -> Path | None:
    """The folder, in or below the given one, that holds the files of a model; None where there is none.

    Of several models it is the one with most photographs.
    """
    models = _models_in(Path(folder))
    return models[0].folder if models else None


def _models_in(folder: Path) -> list[_Model]:
    """The models in a folder, the one with most photographs first."""
    found: dict[Path, _Model] = {}
    for base in (folder / place for place in MODEL_FOLDERS):
        inner = sorted(place for place in base.iterdir() if place.is_dir()) if base.is_dir() else []
        # A folder in the scene's own may be anything, and have a model of something else.
        for place in [base] if base == folder else [base, *inner]:
            normal = Path(os.path.normpath(place))
            if normal not in found and (model := _model_at(normal)):
                found[normal] = model
    return sorted(found.values(), key=lambda model: -model.count)


def _model_at(folder: Path) -> _Model | None:
    """The model whose files lie in a folder, binary ones first."""
    files = SceneFiles(folder)
    for ending in (".bin", ".txt"):
        paths = [files.find(f"{name}{ending}", exact=True) for name in ("cameras", "images")]
        if paths[0] and paths[1]:
            return _Model(folder, ending == ".bin", _count_images(paths[1], ending == ".bin"))
    return None


def _count_images(path: Path, binary: bool) -> int:
    """Number of photographs in a file `images`; 0 where it is damaged, which its reader reports."""
    try:
        if binary:
            with open(path, "rb") as file:
                return struct.unpack("<Q", file.read(8))[0]
        return len(_images_txt(path.read_bytes()))
    except (OSError, struct.error, ValueError):
        return 0


def open_colmap(source: str | os.PathLike, orientation: Orientation | None = None) -> PosedViews:
    """The views of a folder with a model in it (or in `sparse`, `sparse/0`, ...) and the photographs in `images`.

    Every eighth view, by name, is for testing. Photographs in another resolution than the model's scale the intrinsics.
    The mask of a photograph is `masks/NAME.png`, black where pixels do not count. `points` are those that three
    photographs or more see. Of several models the one with most photographs is read.

    Args:
        orientation: whether poses belong to pixels as stored or turned upright; see `matched_lenses`.

    Raises BadInput, one line that names the file or photograph.
    """
    folder = Path(source)
    models = _models_in(folder)
    if not models:
        raise BadInput(f"{folder}: has no cameras and images (.bin or .txt), nor a folder sparse/0 with them")
    model, binary = models[0].folder, models[0].binary
    notes: list[str] = []
    if len(models) > 1:
        others = ", ".join(f"{_place(other.folder, folder)} with {other.count}" for other in models[1:])
        notes.append(
            f"{len(models)} COLMAP models: {_place(model, folder)} with {models[0].count} photographs is read, not "
            f"{others}; name the folder of another one to read that"
        )
    photographs = _photographs(folder, model)
    if photographs is None:
        raise BadInput(
            f"{folder}: there is no folder images beside the model; put the photographs there under the names that "
            "the model has"
        )
    ending = ".bin" if binary else ".txt"
    model_files = SceneFiles(model)

    def file(name: str) -> Path | None:
        return model_files.find(f"{name}{ending}", exact=True)

    cameras = _read(file("cameras") or model / "cameras", _cameras_bin if binary else _cameras_txt)
    images = _read(file("images") or model / "images", _images_bin if binary else _images_txt)
    points = None
    if (path := file("points3D")) is not None:
        points = _read(path, _points_bin if binary else _points_txt)
    elif (path := model_files.find("points3D.ply", exact=True)) is not None:
        points = read_points(path, "export the model again")
    check_views(images, model)
    images = sorted(images, key=lambda image: image.name)
    photograph_files = SceneFiles(photographs)
    lenses = [_lens(image, cameras, photograph_files) for image in images]
    matched = matched_lenses(lenses, notes, orientation)
    scene_files = SceneFiles(photographs.parent)
    masks = Masks(scene_files, [image.name for image in images])
    if depths := scene_files.folder(DEPTH_FOLDERS):
        notes.append(f"the pictures of depths in {depths.name} are not used")
    views = [
        View(
            pose=_pose(image, lens.name, notes),
            intrinsics=intrinsics,
            name=lens.name,
            split=split_of(index),
            image=lens.file,
            upright=upright,
            mask=masks.find(image.name, lens.file),
        )
        for index, (image, lens, (intrinsics, upright)) in enumerate(zip(images, lenses, matched))
    ]
    masks.note(notes)
    return PosedViews(tuple(views), None, grouped_notes(notes), points=points)


def _place(folder: Path, scene: Path) -> str:
    """A model's folder as seen from the scene's."""
    return os.path.relpath(folder, scene)


def _photographs(folder: Path, model: Path) -> Path | None:
    """The folder of the photographs of a model."""
    bases = [folder, *(model / place for place in PLACES)]
    found = (SceneFiles(Path(os.path.normpath(base))).folder([name]) for name in PHOTOGRAPH_FOLDERS for base in bases)
    return next((place for place in found if place is not None), None)


def _lens(image: _Image, cameras: dict[int, Intrinsics], photographs: SceneFiles) -> WrittenLens:
    """The photograph of an image of the model, with its lens."""
    name = f"images/{image.name}"
    file = photographs.find(image.name)
    if file is None:
        raise BadInput(f"{name}: the model has this image, but {photographs.root} has not")
    if not file.resolve().is_relative_to(photographs.root.resolve()):
        raise BadInput(f"{name}: lies outside of the folder images; copy the image into it")
    if image.camera not in cameras:
        raise BadInput(f"{name}: its camera {image.camera} is not among the model's cameras")
    lens = cameras[image.camera]
    # A lens is written for one size; of another size it is asked for only to be scaled.
    return WrittenLens(name, file, (lens.width, lens.height), lambda w, h: replace(lens, width=w, height=h))


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
    named = dict(zip(names, values))
    make = Intrinsics.aria if "RAD_TAN" in model else Intrinsics.fisheye if "FISHEYE" in model else Intrinsics.distorted
    return make(
        width,
        height,
        named,
        fl_x=named["f"] if "f" in named else named["fx"],
        fl_y=named["f"] if "f" in named else named["fy"],
        cx=named["cx"],
        cy=named["cy"],
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


def _text(content: bytes) -> list[str]:
    """The lines of a file that are not comments. The file may begin with a byte order mark."""
    return [line for line in content.decode("utf-8-sig").splitlines() if not line.lstrip().startswith("#")]


def _lines(content: bytes) -> list[list[str]]:
    return [line.split() for line in _text(content) if line.strip()]


def _cameras_txt(content: bytes) -> dict[int, Intrinsics]:
    return {
        int(number): _intrinsics(model, int(width), int(height), tuple(map(float, values)))
        for number, model, width, height, *values in _lines(content)
    }


def _images_txt(content: bytes) -> list[_Image]:
    # Two lines for each image: its pose, then its features, which may be empty. Some programs leave the second one out.
    lines = _text(content)
    written = [line for line in lines if line.strip()]
    poses = written if len(written) > 1 and all(map(_is_pose, written)) else lines[::2]
    found = []
    for line in poses:
        if not line.strip():
            continue
        _, *pose, camera, name = line.split(None, 9)
        values = tuple(map(float, pose))
        found.append(_Image(name.strip(), values[:4], values[4:], int(camera)))
    return found


def _is_pose(line: str) -> bool:
    """Whether a line has the pose of an image and its name, and not features, which are all numbers."""
    words = line.split(None, 9)
    try:
        float(words[-1].split()[-1])
    except ValueError:
        return len(words) == 10
    return False


def _points_txt(content: bytes) -> np.ndarray:
    return _finite(
        [tuple(map(float, words[1:4])) for words in _lines(content) if len(words) >= 8 + 2 * MIN_OBSERVATIONS]
    )


def _finite(points: list[tuple[float, ...]]) -> np.ndarray:
    found = np.array(points, np.float64).reshape(-1, 3)
    return found[np.isfinite(found).all(axis=1)]
