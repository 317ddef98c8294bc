"""Fields as 3-D Gaussians (Kerbl et al. 2023): on a surface, or where a radiance field has light."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.spatial.transform import Rotation
from scipy.special import spence
from torch import Tensor

from fields.encoders.directions import spherical_harmonics
from fields.render.sphere_trace import PALE, TETRAHEDRON, in_chunks
from fields.surface.implicit import Implicit, fibonacci_sphere
from fields.surface.project import colors_at
from fields.surface.radiance import Radiance
from fields.surface.ray_sample_voxels import NUM_DIRECTIONS, RayVoxels

# Gaussians on a surface: standard deviation along the surface in mean distances between neighbours; that across the
# surface as a fraction of it; and opacity.
SPREAD = 0.75
FLATNESS = 0.15
OPACITY = 0.95
# Gaussians of voxels: standard deviation in sides of the voxel, and largest opacity.
WIDTH = 0.5
MAX_OPACITY = 0.99
# 1 over the mean length of a ray in a voxel, in sides of the voxel.
INVERSE_CHORD = 1.5
# Smallest opacity: one level of an 8-bit image, below which viewers leave a Gaussian out.
MIN_OPACITY = 1 / 255
# Variance that viewers add to a Gaussian in the image, in squares of a pixel.
BLUR = 0.3
# Degree of the spherical harmonics of colors.
DEGREE = 3
# Weight of the directions that no camera looked in, all together, in the fit of colors.
UNSEEN_WEIGHT = 0.05
# Weight that keeps coefficients small where the colors leave them undecided.
RIDGE = 1e-2
# Gaussians whose colors are fitted at once.
CHUNK = 1 << 14
# Spherical harmonic of degree 0.
SH0 = 0.28209479177387814


@dataclass(kw_only=True)
class Splats:
    """n Gaussians in the implicit's box.

    positions, normals: `[n, 3]`.
    scales: standard deviations along the axes of the rotation, `[n, 3]`.
    rotations: unit quaternions, w first, `[n, 4]`.
    opacities: `[n]`.
    harmonics: `[n, 16, 3]`; a color is 0.5 plus their sum with the basis in the direction from the camera.
    """

    positions: np.ndarray
    normals: np.ndarray
    scales: np.ndarray
    rotations: np.ndarray
    opacities: np.ndarray
    harmonics: np.ndarray


def surface_splats(implicit: Implicit, positions: np.ndarray, normals: np.ndarray, area: float) -> Splats:
    """A flat Gaussian of one color at each of `positions` `[n, 3]`, which are spread evenly over a surface.

    normals: `[n, 3]`. area: of the surface, in the implicit's units.
    """
    count = len(positions)
    spacing = (area / count) ** 0.5
    along = np.full(count, SPREAD * spacing)
    colors = colors_at(implicit, positions)
    harmonics = np.zeros((count, (DEGREE + 1) ** 2, 3))
    harmonics[:, 0] = ((np.array(PALE) if colors is None else colors) - 0.5) / SH0
    return Splats(
        positions=positions,
        normals=normals,
        scales=np.stack([along, along, FLATNESS * along], axis=1),
        rotations=_rotations_of_z_to(normals),
        opacities=np.full(count, OPACITY),
        harmonics=harmonics,
    )


@torch.no_grad()
def voxel_splats(scene: Radiance, voxels: RayVoxels) -> Splats:
    """A Gaussian for each voxel that light comes from: as wide as the voxel, as thick as the light in it, as opaque.

    A layer of voxels of side a loses as much light as the logarithms of the Gaussians' transparencies add up to over a
    square of side a, on average 2 pi (WIDTH a)^2 Li2(opacity). Rays cross a voxel along two thirds of its side, on
    average.
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
    variances, rotations = np.linalg.eigh(covariance)
    rotations[np.linalg.det(rotations) < 0] *= -1
    thickness = -INVERSE_CHORD * np.log1p(-np.clip(voxels.opacities.cpu().numpy(), 0.0, 1 - 1e-6))
    pixels = voxels.pixel_sizes.cpu().numpy() / sides
    opacities = _inverse_dilogarithm(thickness / (2 * np.pi * (WIDTH**2 + BLUR * pixels**2)))
    return Splats(
        positions=voxels.means.cpu().numpy(),
        normals=normals,
        scales=WIDTH * np.sqrt(np.maximum(variances, 0)),
        rotations=Rotation.from_matrix(rotations).as_quat(scalar_first=True),
        opacities=np.clip(opacities, MIN_OPACITY, MAX_OPACITY),
        harmonics=_fit_harmonics(scene, voxels, normals),
    )


def harmonic_basis(directions: np.ndarray, degree: int = DEGREE) -> np.ndarray:
    """Real spherical harmonics `[n, (degree + 1)^2]` at unit directions, in the order and with the signs of 3DGS.

    3DGS has the Condon-Shortley phase, a factor (-1)^m, which the encoding of directions leaves out.
    """
    orders = np.concatenate([np.arange(-band, band + 1) for band in range(degree + 1)])
    return spherical_harmonics(torch.from_numpy(directions), degree + 1).numpy() * np.where(orders % 2, -1.0, 1.0)


def splat_columns(splats: Splats, corner: np.ndarray, side: float) -> dict[str, np.ndarray]:
    """Columns of a PLY file in the 3DGS format: names, order and activations.

    corner, side: where the implicit's box lies, in units of the file.

    Scales are stored as logarithms, opacities before the sigmoid, harmonics color by color.
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


def _rotations_of_z_to(normals: np.ndarray) -> np.ndarray:
    """Quaternions `[n, 4]`, w first, of the smallest rotations from the z axis to the normals `[n, 3]`."""
    x, y, z = normals.T.astype(np.float64)
    # (w, axis) = (1 + z, cross(z axis, normal)); straight down, half a turn around x.
    found = np.stack([1 + z, -y, x, np.zeros(len(z))], axis=1)
    found[z < -0.999999] = (0, 1, 0, 0)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def _inverse_dilogarithm(values: np.ndarray) -> np.ndarray:
    """The opacity in [0, MAX_OPACITY] whose dilogarithm is nearest to each of `values`."""
    opacities = 1 - np.geomspace(1, 1 - MAX_OPACITY, 1024)
    return np.interp(values, np.asarray(spence(1 - opacities)), opacities)


def _normals(scene: Radiance, positions: Tensor, lengths: Tensor, directions: Tensor) -> np.ndarray:
    """Unit directions `[n, 3]` in which the light lost over a length `[n]` falls; +z if there is none.

    directions: see `RayVoxels`. Where the density is even all around, the normal is the mean direction to the cameras.
    """
    slope = torch.zeros_like(positions)
    for corner in TETRAHEDRON:
        step = torch.tensor(corner, dtype=positions.dtype, device=positions.device) / 3**0.5
        density = in_chunks(scene.unmasked_density, positions + lengths[:, None] * step)
        slope += torch.exp(-density * lengths)[:, None] * step
    towards = -(directions.float() @ torch.from_numpy(fibonacci_sphere(NUM_DIRECTIONS)).float().to(directions.device))
    normals = torch.nn.functional.normalize(slope + 1e-3 * towards, dim=-1, eps=1e-20).cpu().double().numpy()
    normals[~(np.linalg.norm(normals, axis=1) > 0.5)] = (0, 0, 1)
    return normals


@torch.no_grad()
def _fit_harmonics(scene: Radiance, voxels: RayVoxels, normals: np.ndarray) -> np.ndarray:
    """Coefficients `[n, 16, 3]` of the colors minus 0.5, by least squares over 64 directions.

    A direction's weight is the light that went there to the cameras, and a little more if the surface is visible from
    there. A ridge keeps coefficients small where neither decides them.
    """
    directions = fibonacci_sphere(NUM_DIRECTIONS)
    functions = harmonic_basis(directions)
    ridge = RIDGE * np.diag([1e-3, *[1.0] * (functions.shape[1] - 1)])
    parts = []
    for first in range(0, len(normals), CHUNK):
        some = slice(first, first + CHUNK)
        visible = 1 / (1 + np.exp(12 * (normals[some].astype(np.float64) @ directions.T - 0.1)))
        unseen = UNSEEN_WEIGHT * visible / visible.sum(axis=1, keepdims=True)
        colors_of = scene.color_function(voxels.means[some].float())
        colors = np.stack(
            [colors_of(torch.tensor(d, dtype=torch.float32, device=scene.device)).cpu().numpy() for d in directions],
            axis=1,
        )
        weighted = (voxels.directions[some].cpu().numpy() + unseen)[..., None] * functions
        system = weighted.transpose(0, 2, 1) @ functions + ridge
        parts.append(np.linalg.solve(system, weighted.transpose(0, 2, 1) @ (colors.astype(np.float64) - 0.5)))
    return np.concatenate(parts)
