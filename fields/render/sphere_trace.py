"""Sphere tracing (Hart 1996): where rays first meet the surface of a signed distance, and a shaded picture of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from fields.ops.ray_box import ray_box
from fields.render.camera import Camera

Distance = Callable[[Tensor], Tensor]
# Points that the distance is asked for at once: full speed for the native encoder, activations of some megabytes.
CHUNK = 1 << 16


@torch.no_grad()
def sphere_trace(
    distance: Distance,
    origins: Tensor,
    directions: Tensor,
    near: Tensor | float,
    far: Tensor | float,
    steps: int = 160,
    tolerance: float = 2e-4,
    share: float = 0.95,
) -> tuple[Tensor, Tensor]:
    """The first meeting of each ray with the surface: `(hit [N] bool, t [N])`.

    distance: points `[M, 3]` → signed distance `[M]`, negative inside, in the units of the points. origins,
    directions `[N, 3]`, directions of unit length; near, far: numbers or `[N]`; a ray with far <= near is not traced.
    A ray advances by `share` times the distance (below 1 for a fitted field, which may overstate it). Once it has stepped
    inside, the surface is known to lie between there and where it was last outside, and it stays between the two: it goes
    to their middle where the distance would lead out or has not halved, so that a field that is much too steep is met as well. It has hit where the
    distance, or the stretch in between, is below `tolerance`, and is given up after `steps`.
    A ray that begins inside hits at near. t is far where nothing was hit.
    """
    if origins.shape != directions.shape or origins.ndim != 2 or origins.shape[-1] != 3:
        raise ValueError(f"rays are [N, 3] twice, not {list(origins.shape)} and {list(directions.shape)}")
    if not (0.0 < share <= 1.0 and tolerance > 0.0 and steps >= 1):
        raise ValueError("share is in (0, 1], tolerance above zero and steps at least 1")
    near, far = (
        torch.as_tensor(x, dtype=origins.dtype, device=origins.device).expand(len(origins)) for x in (near, far)
    )
    hit = torch.zeros(len(origins), dtype=torch.bool, device=origins.device)
    t = far.clone()
    active = (far > near).nonzero().flatten()
    # Only what is still under way is carried from step to step.
    at, first, last, o, d = (x[active] for x in (near, near, far, origins, directions))
    outside, inside, before = first.clone(), torch.full_like(first, torch.inf), torch.full_like(first, torch.inf)
    for _ in range(steps):
        if not len(active):
            break
        value = in_chunks(distance, torch.addcmul(o, at[:, None], d))
        outside, inside = torch.where(value > 0, at, outside), torch.where(value < 0, at, inside)
        arrived = (value.abs() < tolerance) | ((value < 0) & (at <= first)) | (inside - outside < tolerance)
        # The last step is taken in whole: it halves what is left of the error.
        step = at + value * torch.where(arrived, 1.0, share)
        halve = inside.isfinite() & ((step <= outside) | (step >= inside) | (value.abs() > before / 2))
        at = torch.maximum(torch.where(halve, (outside + inside) / 2, step), first)
        # A NaN distance ends its ray without a hit.
        under_way = ~arrived & (at < last)
        done = active[arrived]
        hit[done], t[done] = True, torch.minimum(at, last)[arrived]
        keep = under_way.nonzero().flatten()
        carried = active, at, first, last, o, d, outside, inside, value.abs()
        active, at, first, last, o, d, outside, inside, before = (x[keep] for x in carried)
    return hit, t


def in_chunks(function: Callable[[Tensor], Tensor], points: Tensor, size: int = CHUNK) -> Tensor:
    """`function(points)` for points `[N, ...]`, so many at a time."""
    if len(points) <= size:
        return function(points)
    return torch.cat([function(part) for part in points.split(size)])


def normals_of(distance: Distance, points: Tensor, how: str = "difference", width: float = 2e-3) -> Tensor:
    """Unit normals `[N, 3]` of the level sets through `points` `[N, 3]`: the direction in which the distance grows.

    how "difference" takes four values on a tetrahedron of radius `width` around each point, which also smooths what a
    field of small cells has of them; "autograd" is the exact gradient. Where it vanishes the normal is zero.
    """
    if how == "difference":
        corners = torch.tensor(
            [[1, -1, -1], [-1, -1, 1], [-1, 1, -1], [1, 1, 1]], dtype=points.dtype, device=points.device
        )
        with torch.no_grad():
            gradient = sum(in_chunks(distance, points + c * (width / 3**0.5))[:, None] * c for c in corners)
    elif how == "autograd":

        def exact(part: Tensor) -> Tensor:
            with torch.enable_grad():
                part = part.detach().requires_grad_()
                return torch.autograd.grad(distance(part).sum(), part)[0]

        gradient = in_chunks(exact, points)
    else:
        raise ValueError(f"normals are taken by difference or autograd, not {how!r}")
    return torch.nn.functional.normalize(gradient, dim=-1, eps=1e-20)


def headlight(
    normals: Tensor, directions: Tensor, albedo: Tensor | tuple[float, float, float] = (0.84, 0.82, 0.79)
) -> Tensor:
    """Colours `[N, 3]` in [0, 1] (sRGB) of a matt surface lit from the camera.

    A soft light at the eye, a warm one above it and a cool one from behind: enough for shape to be read everywhere, and
    nothing is black. albedo: one colour, or `[N, 3]`, sRGB. Normals that face away are turned round.
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
    """What a camera sees of a shape; pixels without a surface have hit False, depth infinite and a normal of zero."""

    color: Tensor  # [H, W, 3], sRGB in [0, 1], on the background
    hit: Tensor  # [H, W] bool
    depth: Tensor  # [H, W], along the ray from the camera
    normal: Tensor  # [H, W, 3], unit, in the field's axes
    points: Tensor  # [number of hits, 3], row by row


def render_shape(
    distance: Distance,
    camera: Camera,
    background: tuple[float, float, float] = (1.0, 1.0, 1.0),
    albedo: Callable[[Tensor], Tensor] | None = None,
    normals: str = "difference",
    up: str = "y",
    box: tuple[tuple[float, float, float], tuple[float, float, float]] = ((0.0,) * 3, (1.0,) * 3),
    device: torch.device | str = "cpu",
    **trace,
) -> ShapeView:
    """A shaded picture of the surface inside `box`; `trace` goes to `sphere_trace`.

    albedo: points `[M, 3]` → sRGB colours `[M, 3]`, or None for one pale color. `up` says which axis the light from
    above comes along.
    """
    origins, directions = camera.rays(device)
    near, far = ray_box(origins, directions, *box)
    hit, t = sphere_trace(distance, origins, directions, near, far, **trace)
    points = torch.addcmul(origins[hit], t[hit][:, None], directions[hit])
    normal = torch.zeros_like(origins)
    color = torch.tensor(background, dtype=origins.dtype, device=origins.device).repeat(len(origins), 1)
    if len(points):
        normal[hit] = normals_of(distance, points, normals)
        turned = {"y": [0, 1, 2], "z": [0, 2, 1], "x": [1, 0, 2]}[up]
        paint = {} if albedo is None else {"albedo": in_chunks(albedo, points)}
        color[hit] = headlight(normal[hit][:, turned], directions[hit][:, turned], **paint)
    shape = (camera.height, camera.width)
    depth = torch.where(hit, t, torch.inf)
    return ShapeView(
        color.reshape(*shape, 3), hit.reshape(shape), depth.reshape(shape), normal.reshape(*shape, 3), points
    )
