"""Estimate memory and time of a mesh from a coarse scan, and refuse what does not fit in memory."""

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
# Bytes of slabs, coarse lattices and samples of the quality report, whatever the resolution.
BASE_BYTES = 300 << 20


@dataclass(frozen=True)
class Cost:
    """Expected size of a mesh, and the memory and seconds that extracting it takes."""

    resolution: int
    vertices: int
    bytes: int
    seconds: float

    def __str__(self) -> str:
        return (
            f"{self.resolution} cells: about {_round(self.vertices):,} vertices, {self.bytes / (1 << 30):.1f} GB and "
            f"{max(1, round(self.seconds))} s"
        )


def estimate(scan: CoarseScan, resolution: int, longest: float) -> Cost:
    """Cost of meshing a box with the side `longest`, in the implicit's units, at `resolution` cells along it."""
    squares = scan.area * (resolution / longest) ** 2
    vertices = int(VERTICES_PER_SQUARE * squares)
    return Cost(
        resolution,
        vertices,
        BASE_BYTES + BYTES_PER_VERTEX * vertices,
        vertices * (EVALUATIONS_PER_VERTEX / scan.rate + SECONDS_PER_VERTEX),
    )


def check(cost: Cost, memory: int | None) -> None:
    """Raise BadInput where a mesh needs more than `memory` bytes (default.

    What is free), naming the resolution that fits.
    """
    free = memory if memory is not None else available_memory()
    if cost.bytes <= free:
        return
    fits = int(cost.resolution * (max(free - BASE_BYTES, 0) / (cost.bytes - BASE_BYTES)) ** 0.5) if cost.vertices else 0
    advice = f"`resolution={fits}` would fit" if fits >= MIN_RESOLUTION else "no resolution would fit"
    raise BadInput(
        f"{cost.resolution} cells along the longest side would take about {cost.bytes / (1 << 30):.1f} GB of memory, and "
        f"{free / (1 << 30):.1f} GB are available; {advice}"
    )


def _round(number: int) -> int:
    digits = max(0, len(str(number)) - 2)
    return round(number, -digits)
