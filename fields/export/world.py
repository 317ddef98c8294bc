"""Exports of signals that lie in a larger space, such as a patient's: positions go from their axes to that space."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from scenes.domain import Domain
from scenes.shape.writers.asset import Asset


def world_matrix(domain: Domain) -> np.ndarray:
    """`[3, 4]` float64 from positions (x, y, z, 1) along the axes to the space that the domain lies in."""
    return np.eye(3, 4) if domain.world is None else np.array(domain.world.matrix, np.float64)


def voxel_affine(domain: Domain, counts: list[int] | tuple[int, ...]) -> np.ndarray | None:
    """`[4, 4]` from indices of `counts` voxels that fill the domain to their centres in its space; None without one."""
    if domain.world is None:
        return None
    steps = np.array([(axis.upper - axis.lower) / n for axis, n in zip(domain.axes, counts)])
    centers = np.eye(4)
    centers[:3, :3] = np.diag(steps)
    centers[:3, 3] = np.array([axis.lower for axis in domain.axes[:3]]) + steps / 2
    return np.concatenate([world_matrix(domain), [[0.0, 0.0, 0.0, 1.0]]]) @ centers


def world_positions(domain: Domain, positions: np.ndarray) -> np.ndarray:
    """Positions `[n, 3]` along the axes, in the space of the domain, float64."""
    matrix = world_matrix(domain)
    return np.asarray(positions, np.float64) @ matrix[:, :3].T + matrix[:, 3]


def world_normals(domain: Domain, normals: np.ndarray) -> np.ndarray:
    """Unit normals `[n, 3]`, in the space of the domain. Keeps the type."""
    # Normals stay across a sheared surface by the inverse transpose; the determinant's sign keeps them outside.
    turned = np.asarray(normals, np.float64) @ np.linalg.inv(world_matrix(domain)[:, :3])
    turned /= np.maximum(np.linalg.norm(turned, axis=1, keepdims=True), 1e-12)
    return turned.astype(np.asarray(normals).dtype)


def in_world(asset: Asset, domain: Domain) -> Asset:
    """A mesh along the domain's axes, in the space of the domain; a mirrored one gets its triangles turned over."""
    if domain.world is None:
        return asset
    matrix = world_matrix(domain)[:, :3]
    mirrored = np.linalg.det(matrix) < 0
    tangents = asset.tangents
    if tangents is not None:
        turned = np.asarray(tangents[:, :3], np.float64) @ matrix.T
        turned /= np.maximum(np.linalg.norm(turned, axis=1, keepdims=True), 1e-12)
        signs = -tangents[:, 3:] if mirrored else tangents[:, 3:]
        tangents = np.concatenate([turned, signs], axis=1).astype(tangents.dtype)
    return replace(
        asset,
        vertices=world_positions(domain, asset.vertices),
        normals=world_normals(domain, asset.normals),
        faces=asset.faces[:, ::-1] if mirrored else asset.faces,
        tangents=tangents,
        extras={**asset.extras, "space": domain.world.space, "unit": domain.axes[0].unit},
    )


def world_notes(domain: Domain) -> list[str]:
    """What the coordinates of an export are, for signals that lie in a named space."""
    if domain.world is None:
        return []
    space = f"{domain.world.space}, " if domain.world.space else ""
    return [f"Coordinates are those of the file that was fitted: {space}in {domain.axes[0].unit}"]
