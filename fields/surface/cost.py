"""What making a mesh will take, before it is begun: estimated from a survey, refused where it does not fit."""

from __future__ import annotations

from dataclasses import dataclass

from fields.surface.coarse_scan import CoarseScan
from fields.surface.lattice import COARSEST
from scenes.errors import BadInput
from scenes.io.memory import available_memory

# Measured on spheres, armadillo and spot at 256 to 1024 cells: vertices a square of one cell, questions a vertex,
# bytes a vertex while the mesh is made and measured, and seconds a vertex beside the questions.
VERTICES_A_SQUARE = 1.6
QUESTIONS_A_VERTEX = 30
BYTES_A_VERTEX = 700
SECONDS_A_VERTEX = 12e-6
# Slabs, coarse lattices, samples of the quality report.
BYTES_ALWAYS = 300 << 20


@dataclass(frozen=True)
class Cost:
    resolution: int
    vertices: int
    bytes: int
    seconds: float

    def __str__(self) -> str:
        return (
            f"{self.resolution} cells: about {_round(self.vertices):,} vertices, {self.bytes / (1 << 30):.1f} GB and "
            f"{max(1, round(self.seconds))} s"
        )


def estimate(seen: CoarseScan, resolution: int, longest: float, questions: float = QUESTIONS_A_VERTEX) -> Cost:
    """longest: side of the box that is meshed, in the implicit's units."""
    squares = seen.area * (resolution / longest) ** 2
    vertices = int(VERTICES_A_SQUARE * squares)
    return Cost(
        resolution,
        vertices,
        BYTES_ALWAYS + BYTES_A_VERTEX * vertices,
        vertices * (questions / seen.rate + SECONDS_A_VERTEX),
    )


def check(cost: Cost, memory: int | None) -> None:
    """BadInput where the bytes are more than `memory` (default: what the machine has free), with the resolution that would do."""
    free = memory if memory is not None else available_memory()
    if cost.bytes <= free:
        return
    fits = (
        int(cost.resolution * (max(free - BYTES_ALWAYS, 0) / (cost.bytes - BYTES_ALWAYS)) ** 0.5)
        if cost.vertices
        else 0
    )
    advice = f"`resolution={fits}` would fit" if fits >= COARSEST else "no resolution would fit"
    raise BadInput(
        f"{cost.resolution} cells along the longest side would take about {cost.bytes / (1 << 30):.1f} GB of memory, and "
        f"{free / (1 << 30):.1f} GB are there; {advice}"
    )


def _round(number: int) -> int:
    digits = max(0, len(str(number)) - 2)
    return round(number, -digits)
