"""Shapes that the experiments share, and how well a method knows the distances near a surface."""

from __future__ import annotations

import time
from pathlib import Path
from typing import NamedTuple

from scenes.shape.signal import Shape

ARMADILLO = Path(__file__).resolve().parents[3] / "shared" / "data" / "meshes" / "armadillo.obj"
NEAR = 0.02
LATTICE = 128
SAMPLES = 1 << 18


def solids() -> Shape:
    """A torus and a turned box in one: round and sharp."""
    import trimesh

    torus = trimesh.creation.torus(0.6, 0.2, major_sections=128, minor_sections=64)
    box = trimesh.creation.box((0.5, 0.5, 1.2), trimesh.transformations.rotation_matrix(0.6, (1, 0.5, 0.2)))
    both = trimesh.util.concatenate([torus, box])
    assert isinstance(both, trimesh.Trimesh)
    return Shape.from_mesh(both.vertices, both.faces, samples=SAMPLES)


def armadillo() -> Shape | None:
    """The scan from the shared data; None where that is not there."""
    if not ARMADILLO.is_file():
        return None
    import trimesh

    mesh = trimesh.load(ARMADILLO, process=False)
    assert isinstance(mesh, trimesh.Trimesh)
    return Shape.from_mesh(mesh.vertices, mesh.faces, samples=SAMPLES)


class Near(NamedTuple):
    """Mean error of the distances of fresh samples within 0.02 of the surface, in unit cubes.

    The field's parameters; seconds of the steps; IoU on 128^3.
    """

    error: float
    parameters: int
    seconds: float
    iou: float


def near_surface_error(signal: Shape, name: str, options: dict, parameters: int, steps: int, seed: int = 0) -> Near:
    import torch

    from fields.fit.fit import prepare
    from fields.methods.registry import make_method

    method = make_method(name, options).prepare(signal).sized(3, 1, parameters)
    trainer, _ = prepare(signal, method, steps=steps, seed=seed)
    begun = time.perf_counter()
    trainer.run()
    seconds = time.perf_counter() - begun
    coords, distances, _ = (torch.from_numpy(array) for array in signal.batch(0, 1 << 16, 99))
    near = distances[:, 0].abs() < NEAR
    with torch.no_grad():
        error = float((trainer.field(coords[near]) - distances[near]).abs().mean())
    return Near(error, trainer.field.num_parameters, seconds, _iou(signal, trainer.field))


def _iou(signal: Shape, field) -> float:
    """Of what is inside, at the middles of 128^3 cells."""
    import torch

    axis = (torch.arange(LATTICE) + 0.5) / LATTICE
    places = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), dim=-1).reshape(-1, 3)
    with torch.no_grad():
        found = torch.cat([field(part)[:, 0] < 0 for part in places.split(1 << 16)])
    wanted = torch.from_numpy(signal.surface.inside(places.numpy()).astype(bool))
    return float((found & wanted).sum() / (found | wanted).sum())
