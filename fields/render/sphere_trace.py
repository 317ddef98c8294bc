"""Sphere tracing (Hart 1996): where rays first meet the surface of a signed distance, and a shaded image of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from fields.ops.ray_box import ray_box
from fields.render.camera import camera_rays
from scenes.posed.camera import Camera

Distance = Callable[[Tensor], Tensor]
Color = tuple[float, float, float]
# Points per call of the distance: full speed for the native encoder, activations of some megabytes.
CHUNK = 1 << 16
# Color of surfaces that have none of their own, sRGB.
PALE: Color = (0.84, 0.82, 0.79)
# Corners of a regular tetrahedron, times the square root of 3.
TETRAHEDRON = ((1, -1, -1), (-1, -1, 1), (-1, 1, -1), (1, 1, 1))


@torch.no_grad()
def sphere_trace(
    distance: Distance,
    origins: Tensor,
    directions: Tensor,
    near: Tensor | float,
    far: Tensor | float,
    *,
    steps: int = 160,
    tolerance: float = 2e-4,
    step_fraction: float = 0.95,
) -> tuple[Tensor, Tensor]:
    """Find where each ray first meets the surface: `hit` `[N]` bool, and `t` `[N]`, which is `far` without a hit.

    distance: points `[M, 3]` → signed distance `[M]`, negative inside, in the units of the points.
    origins, directions: `[N, 3]`, directions of unit length.
    near, far: one value or `[N]`; a ray with far <= near is not traced. A ray that begins inside hits at near.
    steps: number of steps after which a ray is given up.
    tolerance: a ray has hit where the distance, or the interval that contains the surface, is below this.
    step_fraction: a ray advances by this fraction of the distance; below 1 for a fitted field, which may overstate it.

    Once a ray has stepped inside, the surface lies between there and the last point outside, and the ray stays between
    the two: it goes to their midpoint if the distance would lead out or has not halved. So the surface of a field that
    is much too steep is met as well.

    Raises ValueError for arguments of other shapes or out of range.
    """
    if origins.shape != directions.shape or origins.ndim != 2 or origins.shape[-1] != 3:
        raise ValueError(f"rays are [N, 3] twice, not {list(origins.shape)} and {list(directions.shape)}")
    if not (0.0 < step_fraction <= 1.0 and tolerance > 0.0 and steps >= 1):
        raise ValueError("step_fraction is in (0, 1], tolerance above zero and steps at least 1")
    near, far = (
        torch.as_tensor(x, dtype=origins.dtype, device=origins.device).expand(len(origins)) for x in (near, far)
    )
    hit = torch.zeros(len(origins), dtype=torch.bool, device=origins.device)
    t = far.clone()
    active = (far > near).nonzero().flatten()
    # Only active rays are carried from step to step.
    at, first, last, o, d = (x[active] for x in (near, near, far, origins, directions))
    outside, inside, before = first.clone(), torch.full_like(first, torch.inf), torch.full_like(first, torch.inf)
    for _ in range(steps):
        if not len(active):
            break
        value = in_chunks(distance, torch.addcmul(o, at[:, None], d))
        outside, inside = torch.where(value > 0, at, outside), torch.where(value < 0, at, inside)
        arrived = (value.abs() < tolerance) | ((value < 0) & (at <= first)) | (inside - outside < tolerance)
        # The last step is taken in whole, which halves the remaining error.
        step = at + value * torch.where(arrived, 1.0, step_fraction)
        halve = inside.isfinite() & ((step <= outside) | (step >= inside) | (value.abs() > before / 2))
        at = torch.maximum(torch.where(halve, (outside + inside) / 2, step), first)
        # A NaN distance ends its ray without a hit.
        continues = ~arrived & (at < last)
        done = active[arrived]
        hit[done], t[done] = True, torch.minimum(at, last)[arrived]
        kept = continues.nonzero().flatten()
        carried = active, at, first, last, o, d, outside, inside, value.abs()
        active, at, first, last, o, d, outside, inside, before = (x[kept] for x in carried)
    return hit, t


def in_chunks(function: Callable[[Tensor], Tensor], points: Tensor, size: int = CHUNK) -> Tensor:
    """`function(points)` for points `[N, ...]`, evaluated on at most `size` points at a time."""
    if len(points) <= size:
        return function(points)
    return torch.cat([function(part) for part in points.split(size)])


def normals_of(
    distance: Distance,
    points: Tensor,
    method: Literal["difference", "autograd"] = "difference",
    width: float = 2e-3,
) -> Tensor:
    """Unit normals `[N, 3]` of the level sets through points `[N, 3]`: the direction in which the distance grows.

    method: "difference" takes four values on a tetrahedron of radius `width` around each point, which also smooths the
        steps of a grid with small cells; "autograd" gives the exact gradient.

    Where the gradient vanishes the normal is zero. Raises ValueError for another method.
    """
    if method == "difference":
        corners = torch.tensor(TETRAHEDRON, dtype=points.dtype, device=points.device)
        gradient = torch.zeros_like(points)
        with torch.no_grad():
            for corner in corners:
                gradient = gradient + in_chunks(distance, points + corner * (width / 3**0.5))[:, None] * corner
    elif method == "autograd":

        def exact(part: Tensor) -> Tensor:
            with torch.enable_grad():
                part = part.detach().requires_grad_()
                return torch.autograd.grad(distance(part).sum(), part)[0]

        gradient = in_chunks(exact, points)
    else:
        raise ValueError(f"normals are taken by difference or autograd, not {method!r}")
    return torch.nn.functional.normalize(gradient, dim=-1, eps=1e-20)


def headlight(normals: Tensor, directions: Tensor, albedo: Tensor | Color = PALE) -> Tensor:
    """Colors `[N, 3]` in [0, 1] (sRGB) of a matt surface lit from the camera.

    normals, directions: `[N, 3]`; normals that face away from the camera are reversed.
    albedo: one sRGB color, or `[N, 3]`.

    A soft light at the camera, a warm one above it and a cool one from behind show the shape everywhere, and leave
    nothing black.
    """
    facing = -(normals * directions).sum(-1, keepdim=True)
    normals = torch.where(facing < 0, -normals, normals)
    facing = facing.abs()
    above = normals[:, 1:2] * 0.5 + 0.5
    warm, cool = (
        torch.tensor(c, dtype=normals.dtype, device=normals.device) for c in ((1.0, 0.96, 0.90), (0.75, 0.85, 1.0))
    )
    light = 0.92 * facing**1.6 * warm + 0.18 * above * warm + 0.12 * (1 - facing) ** 2 * cool + 0.06
    albedo = torch.as_tensor(albedo, dtype=normals.dtype, device=normals.device)
    return ((albedo**2.2 * light).clamp(0.0, 1.0)) ** (1 / 2.2)


@dataclass(frozen=True)
class ShapeView:
    """An image of a shape.

    color: `[H, W, 3]`, sRGB in [0, 1], on the background.
    hit: `[H, W]` bool, whether the pixel shows the surface.
    depth: `[H, W]` along the ray from the camera; infinite without a hit.
    normal: `[H, W, 3]`, unit vectors in the field's axes; zero without a hit.
    points: `[number of hits, 3]`, points on the surface, row by row.
    """

    color: Tensor
    hit: Tensor
    depth: Tensor
    normal: Tensor
    points: Tensor


def render_shape(
    distance: Distance,
    camera: Camera,
    *,
    background: Color = (1.0, 1.0, 1.0),
    albedo: Callable[[Tensor], Tensor] | None = None,
    device: torch.device | str = "cpu",
) -> ShapeView:
    """Render the surface of a signed distance inside the unit cube, lit from the camera; y is up.

    distance: see `sphere_trace`.
    albedo: points `[M, 3]` → sRGB colors `[M, 3]`; None: one pale color.
    device: where `distance` and `albedo` are evaluated.
    """
    origins, directions = camera_rays(camera, device)
    near, far = ray_box(origins, directions, (0.0,) * 3, (1.0,) * 3)
    hit, t = sphere_trace(distance, origins, directions, near, far)
    points = torch.addcmul(origins[hit], t[hit][:, None], directions[hit])
    normal = torch.zeros_like(origins)
    color = torch.tensor(background, dtype=origins.dtype, device=origins.device).repeat(len(origins), 1)
    if len(points):
        normal[hit] = normals_of(distance, points)
        color[hit] = headlight(normal[hit], directions[hit], PALE if albedo is None else in_chunks(albedo, points))
    shape = (camera.intrinsics.height, camera.intrinsics.width)
    return ShapeView(
        color=color.reshape(*shape, 3),
        hit=hit.reshape(shape),
        depth=torch.where(hit, t, torch.inf).reshape(shape),
        normal=normal.reshape(*shape, 3),
        points=points,
    )
