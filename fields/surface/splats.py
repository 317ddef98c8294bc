"""The surface of a field as 3-D Gaussians (Kerbl et al. 2023): flat ones, side by side, in the colours that the field shows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from fields.render.sphere_trace import in_chunks
from fields.surface.implicit import Implicit, sphere

# Standard deviation along the surface in mean distances between neighbours, and across it as a share of that.
SPREAD, FLATNESS = 0.75, 0.15
OPACITY = 0.95
DEGREE = 3
# Directions of view that the colours are fitted from; of those, only the ones from outside count for a surface.
VIEWS = 64
RIDGE = 1e-2
SH0 = 0.28209479177387814


@dataclass
class Splats:
    """n Gaussians in the implicit's box.

    places, normals, scales (standard deviations along the axes of the rotation) `[n, 3]`; rotations `[n, 4]`: unit quaternions,
    w first; opacities `[n]`; harmonics `[n, 16, 3]`: a colour is 0.5 + their sum with the basis in the direction from the eye.
    """

    places: np.ndarray
    normals: np.ndarray
    scales: np.ndarray
    rotations: np.ndarray
    opacities: np.ndarray
    harmonics: np.ndarray


def splats_on(implicit: Implicit, places: np.ndarray, normals: np.ndarray, area: float) -> Splats:
    """A Gaussian at each of `places` `[n, 3]`, spread evenly over a surface of `area` with those normals."""
    count = len(places)
    spacing = (area / count) ** 0.5
    along = np.full(count, SPREAD * spacing)
    scales = np.stack([along, along, FLATNESS * along], axis=1)
    return Splats(places, normals, scales, _turned(normals), np.full(count, OPACITY), _harmonics(implicit, places, normals))


def basis(directions: np.ndarray, degree: int = DEGREE) -> np.ndarray:
    """Real spherical harmonics `[n, (degree + 1)^2]` at unit directions, in the order and with the signs of the 3DGS format."""
    x, y, z = directions.T
    rows = [np.full(len(directions), SH0)]
    if degree >= 1:
        rows += [-0.4886025119029199 * y, 0.4886025119029199 * z, -0.4886025119029199 * x]
    if degree >= 2:
        rows += [1.0925484305920792 * x * y, -1.0925484305920792 * y * z, 0.31539156525252005 * (2 * z * z - x * x - y * y),
                 -1.0925484305920792 * x * z, 0.5462742152960396 * (x * x - y * y)]
    if degree >= 3:
        rows += [-0.5900435899266435 * y * (3 * x * x - y * y), 2.890611442640554 * x * y * z,
                 -0.4570457994644658 * y * (4 * z * z - x * x - y * y), 0.3731763325901154 * z * (2 * z * z - 3 * x * x - 3 * y * y),
                 -0.4570457994644658 * x * (4 * z * z - x * x - y * y), 1.445305721320277 * z * (x * x - y * y),
                 -0.5900435899266435 * x * (x * x - 3 * y * y)]
    return np.stack(rows, axis=1)


def columns(splats: Splats, corner: np.ndarray, side: float) -> dict[str, np.ndarray]:
    """As the 3DGS format stores them: scales as logarithms, opacities before the sigmoid, the harmonics colour by colour."""
    rest = splats.harmonics[:, 1:].transpose(0, 2, 1).reshape(len(splats.places), -1)
    table = {**dict(zip("xyz", (corner + side * splats.places).T)), **dict(zip(("nx", "ny", "nz"), splats.normals.T)),
             **{f"f_dc_{k}": splats.harmonics[:, 0, k] for k in range(3)},
             **{f"f_rest_{k}": rest[:, k] for k in range(rest.shape[1])},
             "opacity": np.log(splats.opacities / (1 - splats.opacities)),
             **{f"scale_{k}": np.log(side * splats.scales[:, k]) for k in range(3)},
             **{f"rot_{k}": splats.rotations[:, k] for k in range(4)}}
    return {name: column.astype("<f4") for name, column in table.items()}


def _turned(normals: np.ndarray) -> np.ndarray:
    """Quaternions that turn z to the normals, by the shortest way."""
    x, y, z = normals.T.astype(np.float64)
    # (w, axis) = (1 + z, cross(z axis, normal)); straight down, half a turn around x.
    found = np.stack([1 + z, -y, x, np.zeros(len(z))], axis=1)
    found[z < -0.999999] = (0, 1, 0, 0)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


@torch.no_grad()
def _harmonics(implicit: Implicit, places: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """Coefficients `[n, 16, 3]` of the colours less a half; only the first where colours do not depend on the view."""
    points = torch.from_numpy(places).float().to(implicit.device)
    result = np.zeros((len(places), (DEGREE + 1) ** 2, 3))
    if implicit.seen_from is None:
        colours = PALE if implicit.colours is None else in_chunks(implicit.colours, points).cpu().numpy()
        result[:, 0] = (colours - 0.5) / SH0
        return result
    directions = sphere(VIEWS)
    functions = basis(directions)
    # Weighted least squares at each place: from behind the surface nobody looks at it. (A ridge keeps what is not seen small.)
    weights = 1 / (1 + np.exp(12 * (normals.astype(np.float64) @ directions.T - 0.1)))
    system = np.einsum("nv,va,vb->nab", weights, functions, functions)
    system += RIDGE * np.diag([1e-3, *[1.0] * (functions.shape[1] - 1)])
    right = np.zeros_like(result)
    for k, direction in enumerate(directions):
        towards = torch.tensor(direction, dtype=torch.float32, device=implicit.device).expand(len(points), 3)
        seen = torch.cat([implicit.seen_from(*part) for part in zip(points.split(1 << 16), towards.split(1 << 16))])
        right += (weights[:, k, None] * functions[k])[..., None] * (seen.cpu().numpy() - 0.5)[:, None]
    return np.linalg.solve(system, right)


PALE = np.array([0.84, 0.82, 0.79])
