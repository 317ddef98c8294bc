"""Pinhole cameras in the OpenGL convention: x right, y up, looking along -z; pixel centres at +0.5."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

UP = {"x": (1.0, 0.0, 0.0), "y": (0.0, 1.0, 0.0), "z": (0.0, 0.0, 1.0)}


@dataclass(frozen=True)
class Camera:
    """A picture of `width` x `height` pixels seen from `pose`.

    pose `[3, 4]` float64: camera to world; its columns are the camera's right, up and backward directions and its
    position. focal: pixels, the same along both axes; the picture's middle is the optical axis.
    """

    pose: Tensor
    width: int
    height: int
    focal: float

    def __post_init__(self) -> None:
        if tuple(self.pose.shape) != (3, 4) or not bool(self.pose.isfinite().all()):
            raise ValueError("a camera's pose is 3 x 4 finite numbers")
        if self.width < 1 or self.height < 1:
            raise ValueError(f"a picture has at least one pixel, not {self.width} x {self.height}")
        if not (math.isfinite(self.focal) and self.focal > 0):
            raise ValueError(f"a focal length is above zero, not {self.focal}")

    def rays(self, device: torch.device | str = "cpu") -> tuple[Tensor, Tensor]:
        """Origins and unit directions, `[height * width, 3]` float32 each, row by row from the top left pixel."""
        x = (torch.arange(self.width, dtype=torch.float64) + 0.5 - self.width / 2) / self.focal
        y = (self.height / 2 - torch.arange(self.height, dtype=torch.float64) - 0.5) / self.focal
        y, x = torch.meshgrid(y, x, indexing="ij")
        pose = self.pose.to(torch.float64)
        directions = torch.stack([x, y, -torch.ones_like(x)], dim=-1).reshape(-1, 3) @ pose[:, :3].T
        directions = torch.nn.functional.normalize(directions, dim=-1)
        origins = pose[:, 3].expand(len(directions), 3)
        return origins.to(device, torch.float32).contiguous(), directions.to(device, torch.float32)


def look_at(
    position: Tensor | tuple[float, float, float], target: Tensor | tuple[float, float, float], up: str = "y"
) -> Tensor:
    """The pose `[3, 4]` float64 of a camera at `position` that sees `target` in the middle and the axis `up` upright.

    ValueError where both are one place or the camera would look straight along `up`.
    """
    if up not in UP:
        raise ValueError(f"up is x, y or z, not {up!r}")
    position, target = (torch.as_tensor(p, dtype=torch.float64) for p in (position, target))
    backward = position - target
    right = torch.linalg.cross(torch.tensor(UP[up], dtype=torch.float64), backward)
    if not float(right.norm()) > 1e-9 * float(backward.norm()):
        raise ValueError(f"a camera at {position.tolist()} cannot look at {target.tolist()} with {up} upright")
    right, backward = right / right.norm(), backward / backward.norm()
    return torch.stack([right, torch.linalg.cross(backward, right), backward, position], dim=1)


def orbit(
    azimuth: float,
    elevation: float,
    distance: float,
    width: int,
    height: int,
    field_of_view: float = 40.0,
    target: tuple[float, float, float] = (0.5, 0.5, 0.5),
    up: str = "y",
) -> Camera:
    """A camera on a sphere around `target`.

    azimuth, elevation and field_of_view in degrees: azimuth 0 looks from the front (from +z where y is up, from -y
    where z is up, the view that modelling programs call so) and grows to the right of the object as seen from there;
    elevation is between -89.9 and 89.9; field_of_view spans the shorter side of the picture. distance in the units of
    `target`.
    """
    if not 0.0 < field_of_view < 180.0:
        raise ValueError(f"a field of view is between 0 and 180 degrees, not {field_of_view}")
    if not (distance > 0 and math.isfinite(distance) and math.isfinite(azimuth) and -89.9 <= elevation <= 89.9):
        raise ValueError(f"no camera orbits at azimuth {azimuth}, elevation {elevation}, distance {distance}")
    a, e = math.radians(azimuth), math.radians(elevation)
    side, front, above = math.sin(a) * math.cos(e), math.cos(a) * math.cos(e), math.sin(e)
    offset = {"y": (side, above, front), "z": (side, -front, above), "x": (above, -side, front)}
    if up not in offset:
        raise ValueError(f"up is x, y or z, not {up!r}")
    position = [t + distance * o for t, o in zip(target, offset[up])]
    focal = 0.5 * min(width, height) / math.tan(math.radians(field_of_view) / 2)
    return Camera(look_at(position, target, up), width, height, focal)
