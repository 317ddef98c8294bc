"""Where a mesh stands in its file: which way is up, on which plane it stands, and how large it is.

glTF and USDZ have Y up, the front towards +Z, and metres (glTF 2.0, section 3.4).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from scenes.errors import BadInput
from scenes.posed.camera import Camera
from scenes.posed.up import up_axis
from scenes.shape.writers.asset import Asset

Units = Literal["source", "metres"]
FileUp = Literal["y", "z"]
# Two points in the source, and the metres between them.
ScaleFrom = tuple[Sequence[float], Sequence[float], float]

# Directions that `up` can name.
AXES = {
    f"{sign}{axis}": np.eye(3)[index] * factor
    for index, axis in enumerate("xyz")
    for sign, factor in (("", 1.0), ("+", 1.0), ("-", -1.0))
}
# Rotations that take each axis of the source to +Y, as rows. Frames with Z up usually have their front at -Y, which
# becomes +Z. The others turn about one axis by a right angle or half a turn.
TO_Y_UP = {
    "y": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    "-y": [[1, 0, 0], [0, -1, 0], [0, 0, -1]],
    "z": [[1, 0, 0], [0, 0, 1], [0, -1, 0]],
    "-z": [[1, 0, 0], [0, 0, -1], [0, 1, 0]],
    "x": [[0, -1, 0], [1, 0, 0], [0, 0, 1]],
    "-x": [[0, 1, 0], [-1, 0, 0], [0, 0, 1]],
}
# From Y up to Z up: the front, +Z, becomes -Y, as in programs for printers and in Blender.
Y_UP_TO_Z_UP = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
# Cameras that stand to one side show the front: the mean of their horizontal unit directions is at least this long. For
# cameras spread over an arc of 180 degrees it is 0.64.
MIN_ONE_SIDED = 0.6
# Mean cosine between the cameras' up axes and what is taken for up, below which it is uncertain: cameras that look down
# by more than 70 degrees.
UNSURE_UP = 0.35


@dataclass(frozen=True)
class Placement:
    """The similarity from the source's coordinates to the file's.

    Attributes:
        matrix: `[4, 4]` float64: a rotation with a scale, and an offset.
        up: `[3]`, unit vector that points up, in the source.
        units: of the file: "metres", or "source" where the coordinates are the source's.
        scale_known: whether a length was given. If not, one unit of the source is written as one metre.
        notes: sentences for people.
    """

    matrix: np.ndarray
    up: np.ndarray
    units: Units
    scale_known: bool
    notes: tuple[str, ...] = ()

    @property
    def scale(self) -> float:
        """Units of the file for each unit of the source."""
        return float(np.cbrt(np.linalg.det(self.matrix[:3, :3])))

    @property
    def inverse(self) -> np.ndarray:
        """`[4, 4]` float64, from the file's coordinates to the source's."""
        return np.linalg.inv(self.matrix)

    def positions(self, positions: np.ndarray) -> np.ndarray:
        """Positions `[n, 3]` of the source in the file, float64."""
        return np.asarray(positions, np.float64) @ self.matrix[:3, :3].T + self.matrix[:3, 3]

    def directions(self, directions: np.ndarray) -> np.ndarray:
        """Unit vectors `[n, 3]` of the source, such as normals, in the file. Keeps the type."""
        rotation = self.matrix[:3, :3] / self.scale
        return (np.asarray(directions, np.float64) @ rotation.T).astype(np.asarray(directions).dtype)

    def extras(self) -> dict[str, Any]:
        """What a file says of its coordinates: values of JSON.

        `source_from_file` is the inverse as four rows: a column (x, y, z, 1) in the file times it is in the source.
        """
        return {
            "units": self.units,
            "scale_known": self.scale_known,
            "up_in_source": [round(float(x), 9) for x in self.up],
            "source_from_file": self.inverse.tolist(),
        }

    def placed(self, asset: Asset) -> Asset:
        """A mesh in the source's coordinates, in those of the file, with the way back in its extras."""
        tangents = asset.tangents
        if tangents is not None:
            tangents = np.concatenate([self.directions(tangents[:, :3]), tangents[:, 3:]], axis=1)
        return replace(
            asset,
            vertices=self.positions(asset.vertices),
            normals=self.directions(asset.normals),
            tangents=tangents,
            units=self.units,
            extras={**asset.extras, **self.extras()},
        )


def placement(
    cameras: Sequence[Camera],
    vertices: np.ndarray,
    *,
    up: str | Sequence[float] | None = None,
    units: Units = "metres",
    size: float | None = None,
    scale_from: ScaleFrom | str | None = None,
    file_up: FileUp = "y",
) -> Placement:
    """Choose the coordinates of the file.

    With `units="metres"` up is Y, the object stands on the plane y = 0, and the middle of its bounding box is at x = 0
    and z = 0. What faces -Y in a source with Z up faces +Z; where all cameras stand to one side and decide what is up,
    that side does.

    Args:
        cameras: those of the source. They decide what is up unless `up` does.
        vertices: `[V, 3]`, in the source's coordinates.
        up: what is up in the source: "x", "y", "z", "-x", "-y", "-z", or a direction `[3]`. Default: from the cameras;
            without any, Y.
        units: "source" keeps coordinates and axes as they are.
        size: longest side of the bounding box in the file, in metres.
        scale_from: two points `[3]` in the source, and the metres between them; or these as text, "X,Y,Z,X,Y,Z=LENGTH".
        file_up: "z" for formats that printers read: the object stands on z = 0 and its front is -Y.

    Raises BadInput where options exclude each other, or a length or direction is not one.
    """
    vertices = np.asarray(vertices, np.float64)
    notes: list[str] = []
    if units == "source":
        if size is not None or scale_from is not None or up is not None:
            raise BadInput("`units=source`: keeps the source's coordinates; leave out `up`, `length` and `scale_from`")
        direction, _ = _up(cameras, None, notes=[])
        return Placement(np.eye(4), direction, units, scale_known=False)
    direction, from_cameras = _up(cameras, up, notes)
    rotation = _to_y_up(direction)
    if from_cameras:
        rotation = _facing(cameras, vertices, rotation, notes)
    if file_up == "z":
        rotation = Y_UP_TO_Z_UP @ rotation
    turned = vertices @ rotation.T
    lower, upper = turned.min(axis=0), turned.max(axis=0)
    given = scale_points(scale_from) if isinstance(scale_from, str) else scale_from
    scale = _scale(float((upper - lower).max()), size, given)
    if scale is None:
        notes.append(
            "The scale of photographs is unknown: a unit of the poses is written as a metre unless a length is given"
            if cameras
            else "A unit of the source is written as a metre unless a length is given"
        )
    base = (lower + upper) / 2
    vertical = {"y": 1, "z": 2}[file_up]
    base[vertical] = lower[vertical]
    matrix = np.eye(4)
    matrix[:3, :3] = rotation * (scale or 1.0)
    matrix[:3, 3] = -base * (scale or 1.0)
    return Placement(matrix, direction, units, scale is not None, tuple(notes))


def _up(cameras: Sequence[Camera], up: str | Sequence[float] | None, notes: list[str]) -> tuple[np.ndarray, bool]:
    """The unit vector that points up, and whether cameras decided that."""
    if isinstance(up, str):
        if up.lower() not in AXES:
            raise BadInput(f"`up={up}`: should be x, y, z, -x, -y or -z, or three numbers, such as 0,0,1")
        return AXES[up.lower()], False
    if up is not None:
        direction = np.asarray(up, np.float64)
        length = float(np.linalg.norm(direction)) if direction.shape == (3,) else 0.0
        if not (np.isfinite(length) and length > 0):
            raise BadInput(f"`up={','.join(map(str, up))}`: is not a direction; give three numbers, such as 0,0,1")
        return direction / length, False
    if not cameras:
        return AXES["y"], False
    poses = np.stack([camera.pose for camera in cameras])
    direction = up_axis(poses)
    if float((poses[:, :, 1] @ direction).mean()) < UNSURE_UP:
        notes.append(
            "The cameras look down or up steeply, so what is up is uncertain. Give `up` if the object lies on its side"
        )
    return direction, True


def _to_y_up(up: np.ndarray) -> np.ndarray:
    """The rotation `[3, 3]` that takes a direction to +Y: to its nearest axis by the shortest way, and that to +Y."""
    name = max(TO_Y_UP, key=lambda axis: float(AXES[axis] @ up))
    axis = AXES[name]
    across = np.cross(up, axis)
    cosine = float(up @ axis)
    cross_matrix = np.array([[0, -across[2], across[1]], [across[2], 0, -across[0]], [-across[1], across[0], 0]])
    # Rodrigues' formula for the rotation between two unit vectors, of which the cosine is above 1/sqrt(3) here.
    shortest = np.eye(3) + cross_matrix + cross_matrix @ cross_matrix / (1 + cosine)
    return np.array(TO_Y_UP[name], np.float64) @ shortest


def _facing(cameras: Sequence[Camera], vertices: np.ndarray, rotation: np.ndarray, notes: list[str]) -> np.ndarray:
    """The rotation, followed by a turn about Y that brings the cameras' side to +Z if they all stand to one side."""
    centre = (vertices.min(axis=0) + vertices.max(axis=0)) / 2
    horizontal = (np.stack([camera.position for camera in cameras]) - centre) @ rotation.T[:, [0, 2]]
    length = np.linalg.norm(horizontal, axis=1, keepdims=True)
    if not length.min() > 0:
        return rotation
    mean = (horizontal / length).mean(axis=0)
    size = float(np.linalg.norm(mean))
    if size < MIN_ONE_SIDED:
        return rotation
    sine, cosine = mean / size
    notes.append("The cameras stand to one side of the object, which is its front in the file")
    return np.array([[cosine, 0, -sine], [0, 1, 0], [sine, 0, cosine]]) @ rotation


def scale_points(text: str) -> ScaleFrom:
    """Two points and the metres between them, from "X,Y,Z,X,Y,Z=LENGTH". Raises BadInput for other text."""
    points, equals, length = text.partition("=")
    try:
        numbers = [float(part) for part in points.split(",")]
        metres = float(length)
    except ValueError:
        numbers, metres = [], math.nan
    if len(numbers) != 6 or not equals:
        raise BadInput(f"`scale_from={text}`: should be X,Y,Z,X,Y,Z=METRES, such as 0,0,0,0,0,1.5=0.3")
    return numbers[:3], numbers[3:], metres


def _scale(longest: float, size: float | None, scale_from: ScaleFrom | None) -> float | None:
    """Metres for each unit of the source; None if nothing says so."""
    if size is not None and scale_from is not None:
        raise BadInput("`length`: excludes `scale_from`; one length decides the scale")
    if size is not None:
        if not (np.isfinite(size) and size > 0):
            raise BadInput(f"`length={size}`: should be above 0 metres")
        if longest <= 0:
            raise BadInput("`length`: the mesh has no extent")
        return size / longest
    if scale_from is None:
        return None
    start, end, length = scale_from
    distance = float(np.linalg.norm(np.asarray(end, np.float64) - np.asarray(start, np.float64)))
    if not (np.isfinite(length) and length > 0 and np.isfinite(distance) and distance > 0):
        raise BadInput("`scale_from`: should be two different points and the metres between them, above 0")
    return length / distance
