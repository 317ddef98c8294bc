"""Estimate memory and time of a mesh from a coarse scan, and refuse a mesh that does not fit in memory."""

from __future__ import annotations

from dataclasses import dataclass

from fields.surface.coarse_scan import CoarseScan
from fields.surface.lattice import MIN_RESOLUTION
from scenes.errors import BadInput
from scenes.io.memory import available_memory

# Measured on spheres, armadillo and spot at 256 to 1024 cells.
# Vertices per square of the surface with the side of a cell.
VERTICES_PER_SQUARE = 1.6
# Evaluations of the field per vertex.
EVALUATIONS_PER_VERTEX = 30
# Bytes per vertex while the mesh is extracted and measured.
BYTES_PER_VERTEX = 700
# Seconds per vertex besides the evaluations.
SECONDS_PER_VERTEX = 12e-6
# Vertices of a scene's mesh per square of the resolution, measured on lego and the procedural duck.
SCENE_VERTICES = 4
# Bytes per node of a lattice on which depths are fused: the grid of values, masks, cases and positions of the nodes.
BYTES_PER_NODE = 24
# Bytes of slabs, coarse lattices and samples of the quality report, at any resolution.
BASE_BYTES = 300 << 20


@dataclass(frozen=True)
class Cost:
    """Expected size of a mesh, and the memory and time that extracting it takes.

    resolution: cells along the longest side.
    """

    resolution: int
    vertices: int
    bytes: int
    seconds: float

    def __str__(self) -> str:
        size = f"about {_two_digits(self.vertices):,} vertices"
        return f"{self.resolution} cells: {size}, {_gigabytes(self.bytes)} and {max(1, round(self.seconds))} s"


def estimate(scan: CoarseScan, resolution: int, longest: float) -> Cost:
    """Cost of meshing a box with the side `longest`, in the implicit's units, at `resolution` cells along it."""
    squares = scan.area * (resolution / longest) ** 2
    vertices = int(VERTICES_PER_SQUARE * squares)
    return Cost(
        resolution=resolution,
        vertices=vertices,
        bytes=BASE_BYTES + BYTES_PER_VERTEX * vertices,
        seconds=vertices * (EVALUATIONS_PER_VERTEX / scan.rate + SECONDS_PER_VERTEX),
    )


def estimate_scene(resolution: int, *, dense: bool) -> Cost:
    """Cost of meshing what the cameras of a scene see. dense: whether depths are fused on all nodes of a lattice."""
    vertices = SCENE_VERTICES * resolution**2
    volume = BYTES_PER_NODE * resolution**3 if dense else 0
    return Cost(
        resolution=resolution,
        vertices=vertices,
        bytes=BASE_BYTES + BYTES_PER_VERTEX * vertices + volume,
        seconds=vertices * SECONDS_PER_VERTEX,
    )


def check(cost: Cost, memory: int | None) -> None:
    """Raise BadInput, which names a resolution that fits, if a mesh needs more than `memory` bytes.

    None: the memory that is available.
    """
    free = memory if memory is not None else available_memory()
    if cost.bytes <= free:
        return
    fits = int(cost.resolution * (max(free - BASE_BYTES, 0) / (cost.bytes - BASE_BYTES)) ** 0.5) if cost.vertices else 0
    advice = f"`resolution={fits}` would fit" if fits >= MIN_RESOLUTION else "no resolution would fit"
    raise BadInput(
        f"{cost.resolution} cells along the longest side would take about {_gigabytes(cost.bytes)} of memory, and "
        f"{_gigabytes(free)} are available; {advice}"
    )


def _gigabytes(count: int) -> str:
    return f"{count / (1 << 30):.1f} GB"


def _two_digits(number: int) -> int:
    """A number rounded to its first two digits."""
    return round(number, 2 - max(2, len(str(number))))
