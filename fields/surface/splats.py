"""The surface of a field as 3-D Gaussians (Kerbl et al.

2023): flat ones, side by side, in the colours that the field shows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.spatial.transform import Rotation
from scipy.special import spence
from torch import Tensor

from fields.encoders.directions import spherical_harmonics
from fields.render.sphere_trace import in_chunks
from fields.surface.implicit import Implicit, sphere
from fields.surface.project import TETRAHEDRON, colors_at
from fields.surface.radiance import Radiance
from fields.surface.ray_sample_voxels import NUM_DIRECTIONS, RayVoxels

# Standard deviation along the surface in mean distances between neighbours, and across it as a share of that.
SPREAD, FLATNESS = 0.75, 0.15
OPACITY = 0.95
DEGREE = 3
# The same in sides of the cell that a Gaussian stands for; and the most that one may hide.
WIDTH, MAX_OPACITY, CHORD = 0.5, 0.99, 1.5
# What viewers add to the variance of a Gaussian in the picture, in squares of a pixel.
BLUR = 0.3
# What directions that no camera looked in count for, all together, and what keeps coefficients small that nothing
# decides.
UNSEEN, RIDGE = 0.05, 1e-2
CHUNK = 1 << 14
SH0 = 0.28209479177387814


@dataclass
class Splats:
    """n Gaussians in the implicit's box.

    places, normals, scales (standard deviations along the axes of the rotation) `[n, 3]`; rotations `[n, 4]`: unit
    quaternions, w first; opacities `[n]`; harmonics `[n, 16, 3]`: a colour is 0.5 + their sum with the basis in the
    direction from the eye.
    """

    positions: np.ndarray
    normals: np.ndarray
    scales: np.ndarray
    rotations: np.ndarray
    opacities: np.ndarray
    harmonics: np.ndarray


def splats_on(implicit: Implicit, positions: np.ndarray, normals: np.ndarray, area: float) -> Splats:
    """A Gaussian at each of `positions` `[n, 3]`, spread evenly over a surface of `area` with those normals."""
    count = len(positions)
    spacing = (area / count) ** 0.5
    along = np.full(count, SPREAD * spacing)
    scales = np.stack([along, along, FLATNESS * along], axis=1)
    colors = np.broadcast_to(PALE, positions.shape) if implicit.colors is None else colors_at(implicit, positions)
    harmonics = np.zeros((count, (DEGREE + 1) ** 2, 3))
    harmonics[:, 0] = (colors - 0.5) / SH0
    return Splats(positions, normals, scales, _turned(normals), np.full(count, OPACITY), harmonics)


@torch.no_grad()
def splats_seen(scene: Radiance, voxels: RayVoxels) -> Splats:
    """A Gaussian for each of the cells that light comes from: as wide as the cell, as thick as the light in it, and as
    opaque as the field.

    A layer of cells of side a takes from light what the logarithms of the Gaussians' transparencies add up to over a
    square of side a: 2 pi (WIDTH a)^2 Li2(opacity), on average. Rays cross a cell along two thirds of its side, on
    average too.
    """
    axes = scene.cell_axes(voxels.corners, voxels.size).cpu().double().numpy()
    sides = np.abs(np.linalg.det(axes)) ** (1 / 3)
    lengths = torch.from_numpy(sides).float().to(scene.device)
    normals = _normals(scene, voxels.means.float(), lengths, voxels.directions)
    across = np.einsum("nij,nkj->nik", axes, axes)
    along = np.einsum("nij,nj->ni", across, normals)
    full = np.einsum("ni,ni->n", along, normals)
    spread = np.einsum("ni,nij,nj->n", normals, voxels.covariances.cpu().numpy(), normals)
    flat = np.clip(12 * spread / full, FLATNESS**2, 1.0)
    covariance = across - ((1 - flat) / full)[:, None, None] * along[:, :, None] * along[:, None, :]
    squares, turns = np.linalg.eigh(covariance)
    turns[np.linalg.det(turns) < 0] *= -1
    thickness = -CHORD * np.log1p(-np.clip(voxels.opacities.cpu().numpy(), 0.0, 1 - 1e-6))
    pixels = voxels.pixel_sizes.cpu().numpy() / sides
    opacities = _dilogarithm_inverse(thickness / (2 * np.pi * (WIDTH**2 + BLUR * pixels**2)))
    return Splats(
        voxels.means.cpu().numpy(),
        normals,
        WIDTH * np.sqrt(np.maximum(squares, 0)),
        Rotation.from_matrix(turns).as_quat(scalar_first=True),
        np.clip(opacities, 1 / 255, MAX_OPACITY),
        _harmonics(scene, voxels, normals),
    )


def _normals(scene: Radiance, positions: Tensor, lengths: Tensor, seen: Tensor) -> np.ndarray:
    """Where light gets out the soonest, over a cell's length `[n]`.

    Where it is as dark all around, the mean direction to the eyes.
    """
    slope = torch.zeros_like(positions)
    for corner in TETRAHEDRON:
        way = torch.tensor(corner, dtype=positions.dtype, device=positions.device) / 3**0.5
        slope += (
            torch.exp(-in_chunks(scene.unmasked_density, positions + lengths[:, None] * way) * lengths)[:, None] * way
        )
    towards = -(seen.float() @ torch.from_numpy(sphere(NUM_DIRECTIONS)).float().to(seen.device))
    normals = torch.nn.functional.normalize(slope + 1e-3 * towards, dim=-1, eps=1e-20).cpu().double().numpy()
    normals[~(np.linalg.norm(normals, axis=1) > 0.5)] = (0, 0, 1)
    return normals


def basis(directions: np.ndarray, degree: int = DEGREE) -> np.ndarray:
    """Real spherical harmonics `[n, (degree + 1)^2]` at unit directions, in the order and with the signs of the 3DGS
    format.

    The 3DGS format has the Condon-Shortley phase, a factor (-1)^m, which the encoding of directions leaves out.
    """
    orders = np.concatenate([np.arange(-band, band + 1) for band in range(degree + 1)])
    return spherical_harmonics(torch.from_numpy(directions), degree + 1).numpy() * np.where(orders % 2, -1.0, 1.0)


def columns(splats: Splats, corner: np.ndarray, side: float) -> dict[str, np.ndarray]:
    """As the 3DGS format stores them.

    Scales as logarithms, opacities before the sigmoid, the harmonics colour by colour.
    """
    rest = splats.harmonics[:, 1:].transpose(0, 2, 1).reshape(len(splats.positions), -1)
    table = {
        **dict(zip("xyz", (corner + side * splats.positions).T)),
        **dict(zip(("nx", "ny", "nz"), splats.normals.T)),
        **{f"f_dc_{k}": splats.harmonics[:, 0, k] for k in range(3)},
        **{f"f_rest_{k}": rest[:, k] for k in range(rest.shape[1])},
        "opacity": np.log(splats.opacities / (1 - splats.opacities)),
        **{f"scale_{k}": np.log(side * splats.scales[:, k]) for k in range(3)},
        **{f"rot_{k}": splats.rotations[:, k] for k in range(4)},
    }
    return {name: column.astype("<f4") for name, column in table.items()}


def _turned(normals: np.ndarray) -> np.ndarray:
    """Quaternions that turn z to the normals, by the shortest way."""
    x, y, z = normals.T.astype(np.float64)
    # (w, axis) = (1 + z, cross(z axis, normal)); straight down, half a turn around x.
    found = np.stack([1 + z, -y, x, np.zeros(len(z))], axis=1)
    found[z < -0.999999] = (0, 1, 0, 0)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def _dilogarithm_inverse(values: np.ndarray) -> np.ndarray:
    """The opacity in [0, OPAQUEST] whose dilogarithm is nearest to each of `values`."""
    opacities = 1 - np.geomspace(1, 1 - MAX_OPACITY, 1024)
    return np.interp(values, spence(1 - opacities), opacities)


@torch.no_grad()
def _harmonics(scene: Radiance, voxels: RayVoxels, normals: np.ndarray) -> np.ndarray:
    """Coefficients `[n, 16, 3]` of the colours less a half, by least squares over 64 directions.

    Directions count as much as light went there to the cameras, and a little from wherever the surface can be seen; a
    ridge keeps small what neither decides.
    """
    directions = sphere(NUM_DIRECTIONS)
    functions = basis(directions)
    ridge = RIDGE * np.diag([1e-3, *[1.0] * (functions.shape[1] - 1)])
    parts = []
    for first in range(0, len(normals), CHUNK):
        some = slice(first, first + CHUNK)
        open_to = 1 / (1 + np.exp(12 * (normals[some].astype(np.float64) @ directions.T - 0.1)))
        weights = voxels.directions[some].cpu().numpy() + UNSEEN * open_to / open_to.sum(axis=1, keepdims=True)
        colors_of = scene.color_function(voxels.means[some].float())
        colors = np.stack(
            [colors_of(torch.tensor(d, dtype=torch.float32, device=scene.device)).cpu().numpy() for d in directions],
            axis=1,
        )
        weighted = weights[..., None] * functions
        system = weighted.transpose(0, 2, 1) @ functions + ridge
        parts.append(np.linalg.solve(system, weighted.transpose(0, 2, 1) @ (colors.astype(np.float64) - 0.5)))
    return np.concatenate(parts)


PALE = np.array([0.84, 0.82, 0.79])
