"""One camera for the whole project: where it stands, how it projects, and the rays through its pixels."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, replace

import numpy as np

from scenes.errors import BadInput
from scenes.posed.projection import pixel_directions

# Largest entry of |R^T R - 1| of a rotation R that counts as exact up to rounding; nothing is said about it.
ROTATION_ROUNDING = 1e-4
# Largest entry of |R^T R - 1| that is repaired, with a note. What is further off is something else than a rotation.
ROTATION_REPAIRABLE = 0.05
# Coordinates and times that differ by less belong to the same camera. Coordinates: relative to the largest one.
SAME_CAMERA = 1e-5
# The names of the coefficients of `Intrinsics.distortion`, in files too: of most lenses the first four.
OPENCV_COEFFICIENTS = ("k1", "k2", "p1", "p2", "k3", "k4", "k5", "k6")
FISHEYE_COEFFICIENTS = ("k1", "k2", "k3", "k4", "p1", "p2", "sx1", "sy1")
# Of Project Aria's lenses (Fisheye624), COLMAP's RAD_TAN_THIN_PRISM_FISHEYE.
ARIA_COEFFICIENTS = ("k0", "k1", "k2", "k3", "k4", "k5", "p0", "p1", "s0", "s1", "s2", "s3")
NUM_COEFFICIENTS = 4


@dataclass(frozen=True)
class Intrinsics:
    """How a camera projects directions to pixels. Pixel centres are at +0.5.

    Attributes:
        width, height: size of the image in pixels.
        fl_x, fl_y: focal lengths in pixels.
        cx, cy: where the optical axis meets the image, in pixels from the top left corner.
        model: "pinhole"; "opencv", with the distortion (k1, k2, p1, p2) of Brown 1966, perhaps followed by (k3, k4, k5,
            k6) of OpenCV's rational model; or "fisheye", with the distortion (k1, k2, k3, k4) of Kannala and Brandt
            2006, as OpenCV defines them, perhaps followed by (p1, p2, sx1, sy1) of COLMAP's THIN_PRISM_FISHEYE; or the
            twelve `ARIA_COEFFICIENTS` of COLMAP's RAD_TAN_THIN_PRISM_FISHEYE.
        distortion: the coefficients: none, four, eight or twelve.
    """

    width: int
    height: int
    _: KW_ONLY
    fl_x: float
    fl_y: float
    cx: float
    cy: float
    model: str = "pinhole"
    distortion: tuple[float, ...] = ()

    @classmethod
    def pinhole(cls, width: int, height: int, focal: float) -> Intrinsics:
        """A pinhole camera whose optical axis meets the middle of the image; `focal` in pixels."""
        return cls(width, height, fl_x=focal, fl_y=focal, cx=width / 2, cy=height / 2)

    @classmethod
    def distorted(cls, width: int, height: int, coefficients: Mapping[str, float], **lens: float) -> Intrinsics:
        """A lens of the models "pinhole" and "opencv" with the coefficients that are not zero, by their names.

        lens: `fl_x`, `fl_y`, `cx` and `cy`.
        """
        distortion = _trimmed(OPENCV_COEFFICIENTS, coefficients)
        return cls(width, height, model="opencv" if any(distortion) else "pinhole", distortion=distortion, **lens)

    @classmethod
    def fisheye(cls, width: int, height: int, coefficients: Mapping[str, float], **lens: float) -> Intrinsics:
        """A fisheye lens; arguments as of `distorted`."""
        distortion = _trimmed(FISHEYE_COEFFICIENTS, coefficients) or (0.0,) * NUM_COEFFICIENTS
        return cls(width, height, model="fisheye", distortion=distortion, **lens)

    @classmethod
    def aria(cls, width: int, height: int, coefficients: Mapping[str, float], **lens: float) -> Intrinsics:
        """A fisheye lens of COLMAP's RAD_TAN_THIN_PRISM_FISHEYE; arguments as of `distorted`."""
        distortion = tuple(coefficients.get(name, 0.0) for name in ARIA_COEFFICIENTS)
        return cls(width, height, model="fisheye", distortion=distortion, **lens)

    def resized(self, width: int, height: int) -> Intrinsics:
        """The same optics for an image of another size.

        Where the aspect ratio differs, the old image is scaled to cover the new one, around the middle of both.
        """
        scale = max(width / self.width, height / self.height)
        return replace(
            self,
            width=width,
            height=height,
            fl_x=scale * self.fl_x,
            fl_y=scale * self.fl_y,
            cx=scale * self.cx + (width - scale * self.width) / 2,
            cy=scale * self.cy + (height - scale * self.height) / 2,
        )


def _trimmed(names: tuple[str, ...], coefficients: Mapping[str, float]) -> tuple[float, ...]:
    """The coefficients in the order of their names: none where all are zero, four where the last four are."""
    values = tuple(coefficients.get(name, 0.0) for name in names)
    used = values if any(values[NUM_COEFFICIENTS:]) else values[:NUM_COEFFICIENTS]
    return used if any(used) else ()


@dataclass(frozen=True, eq=False)
class Camera:
    """A camera at one moment.

    Attributes:
        pose: `[3, 4]` float64, camera to world, with OpenGL axes: its columns are the camera's right, up and backward
            directions and its position.
        time: in [0, 1], or None in a scene that does not move.
        name, split: those of the view that the camera belongs to, where there is one. split is "train" or "test".

    Raises ValueError where the pose is not `[3, 4]` and finite, the image has no pixel, or a focal length is not above
    zero.
    """

    pose: np.ndarray
    intrinsics: Intrinsics
    time: float | None = None
    _: KW_ONLY
    name: str = ""
    split: str = ""

    def __post_init__(self) -> None:
        if self.pose.shape != (3, 4) or not np.isfinite(self.pose).all():
            raise ValueError("a camera's pose is a matrix of 3 x 4 finite values")
        width, height = self.intrinsics.width, self.intrinsics.height
        if width < 1 or height < 1:
            raise ValueError(f"an image has at least one pixel, not {width} x {height}")
        for focal in (self.intrinsics.fl_x, self.intrinsics.fl_y):
            if not (math.isfinite(focal) and focal > 0):
                raise ValueError(f"a focal length is above zero, not {focal}")

    @property
    def position(self) -> np.ndarray:
        """`[3]`, in the scene's units."""
        return self.pose[:, 3]

    @property
    def num_pixels(self) -> int:
        """Number of pixels of the image."""
        return self.intrinsics.width * self.intrinsics.height

    def resized(self, width: int, height: int) -> Camera:
        """The same camera with an image of another size; see `Intrinsics.resized`."""
        return replace(self, intrinsics=self.intrinsics.resized(width, height))

    def rays(self, stride: int = 1) -> tuple[np.ndarray, np.ndarray]:
        """Rays through the centres of the pixels, row by row: origins and unit directions, `[N, 3]` float64 each.

        They are in the scene's axes. stride: only every `stride`-th column and row.
        """
        y, x = np.mgrid[0 : self.intrinsics.height : stride, 0 : self.intrinsics.width : stride]
        return self.rays_through(x.reshape(-1) + 0.5, y.reshape(-1) + 0.5)

    def rays_through(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rays through points of the image: origins and unit directions, `[N, 3]` float64 each, in the scene's axes.

        Args:
            x, y: `[N]`, in pixels from the top left corner, so that the centre of pixel i is at i + 0.5.
        """
        x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
        directions = pixel_directions(self.intrinsics, x, y) @ self.pose[:, :3].T
        return np.broadcast_to(self.position, directions.shape), directions

    def same_as(self, other: Camera) -> bool:
        """Whether both have the same pose and time, up to rounding; a time that is missing counts as 0."""
        tolerance = SAME_CAMERA * max(1.0, float(np.abs(other.position).max()))
        return (
            abs((other.time or 0.0) - (self.time or 0.0)) < SAME_CAMERA
            and float(np.abs(other.pose - self.pose).max()) < tolerance
        )


def checked_pose(matrix: object, name: str, notes: list[str]) -> np.ndarray:
    """The pose `[3, 4]` float64 of a matrix from a file, with its rotation made orthonormal.

    Args:
        matrix: anything that numpy reads as 3 x 4 or 4 x 4 values.
        name: what messages call the frame.
        notes: gets a line where more than rounding was repaired.

    Raises BadInput where the matrix has another shape, is not finite, or its left part is not nearly a rotation.
    """
    try:
        pose = np.asarray(matrix, dtype=np.float64)
    except (TypeError, ValueError):
        pose = np.zeros(0)
    if pose.shape not in ((3, 4), (4, 4)):
        raise BadInput(f"{name}: its camera is not a matrix of 3 x 4 or 4 x 4 numbers; export the poses again")
    pose = pose[:3]
    if not np.isfinite(pose).all():
        raise BadInput(
            f"{name}: its camera has values that are infinite or NaN; leave the frame out or export the poses again"
        )
    rotation = pose[:, :3]
    error = float(np.abs(rotation.T @ rotation - np.eye(3)).max())
    if error > ROTATION_REPAIRABLE or np.linalg.det(rotation) <= 0:
        mirrored = np.linalg.det(rotation) < 0 and error <= ROTATION_REPAIRABLE
        problem = "mirrors the scene" if mirrored else f"is off by {error:.2g}"
        raise BadInput(
            f"{name}: its camera's axes are no rotation (the matrix {problem}); export the poses as camera to world, "
            "without scale"
        )
    if error > ROTATION_ROUNDING:
        notes.append(f"{name}: its camera's axes were {error:.1g} from a rotation and were made orthonormal")
    u, _, v = np.linalg.svd(rotation)
    return np.concatenate([u @ v, pose[:, 3:]], axis=1)


def checked_intrinsics(intrinsics: Intrinsics, name: str) -> Intrinsics:
    """The same intrinsics. Raises BadInput, naming the frame, where values are not finite or not plausible."""
    size = max(intrinsics.width, intrinsics.height)
    values = (intrinsics.fl_x, intrinsics.fl_y, intrinsics.cx, intrinsics.cy, *intrinsics.distortion)
    image = f"an image of {intrinsics.width} x {intrinsics.height}"
    if not np.isfinite(np.array(values, np.float64)).all():
        raise BadInput(f"{name}: its intrinsics have values that are infinite or NaN")
    if not all(0.05 * size <= focal <= 100 * size for focal in (intrinsics.fl_x, intrinsics.fl_y)):
        raise BadInput(
            f"{name}: focal lengths of {intrinsics.fl_x:g} and {intrinsics.fl_y:g} pixels are not plausible for {image}"
        )
    if not all(-size <= centre <= 2 * size for centre in (intrinsics.cx, intrinsics.cy)):
        raise BadInput(f"{name}: the optical axis at ({intrinsics.cx:g}, {intrinsics.cy:g}) is far outside of {image}")
    return intrinsics
