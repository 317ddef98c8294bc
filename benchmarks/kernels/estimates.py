"""What the CUDA kernels could reach at best: bytes and operations of each, against the limits of two GPUs.

    python -m benchmarks.kernels.estimates [--write] [--held FILE]

Prints the table of docs/kernels.md, and writes it there with `--write`. `--held` compares measured rows, as `make gpu`
stores them, with the estimates. Nothing is measured here, and no GPU is needed.

A kernel takes at least as long as the largest of four: its data through the memory, its sectors of 32 bytes through the
L2 cache (gathers and atomic sums move a sector for each row, or two of a cell that lie in one), its arithmetic, and its
reads of shared memory. Launches come on top. Problems are those of `benchmarks.kernels`.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fields.ops.bench import (
    GRID_POINTS,
    LAYER_INPUTS,
    LAYER_UNITS,
    MLP_POINTS,
    MLP_SIZES,
    PLANE_FEATURES,
    RBF_FEATURES,
    RBF_KERNELS,
    RBF_NEIGHBOURS,
)
from fields.ops.grid_layout import GridLayout

PAGE = Path(__file__).resolve().parents[2] / "docs" / "kernels.md"
BEGIN, END = "<!-- estimates: made by `python -m benchmarks.kernels.estimates --write` -->", "<!-- end of estimates -->"
# Bytes of a float32, and of a sector of the caches.
WORD, SECTOR = 4, 32
# Sectors for two entries that are adjacent along x, on average, where a sector has four: three of four pairs share one.
SECTORS_OF_PAIR = 1.25
# Time from one launch to the next, about, in seconds.
LAUNCH = 4e-6
# Samples of the problem `march`, about, and channels that are composited.
SAMPLES, CHANNELS = 1_000_000, 3
RAYS = 8_192
# Blocks of the MLP's backward pass, each with sums of its own (MAX_MLP_BLOCKS in csrc/cuda/mlp.h).
MLP_BLOCKS = 264


@dataclass(frozen=True)
class Gpu:
    """Limits of a GPU: bytes/s of memory and of the L2 cache, operations/s in float32 and of half on tensor cores.

    The L2 rates are assumed, as vendors give none; all others are from data sheets. `reads`: values/s that all
    multiprocessors read from shared memory, at 32 a clock each. `vector_atomics`: whether a pair of floats is one
    atomic operation (compute capability 9.0 on).
    """

    name: str
    memory: float
    cache: float
    float32: float
    half: float
    reads: float
    vector_atomics: bool


GPUS = (
    Gpu("H200", 4.8e12, 5.5e12, 66.9e12, 989e12, 132 * 1.98e9 * 32, True),
    Gpu("RTX 4090", 1.008e12, 5.0e12, 82.6e12, 165e12, 128 * 2.52e9 * 32, False),
)


@dataclass(frozen=True)
class Work:
    """What one pass moves and computes.

    memory: bytes that memory must move at least. gathered: sectors that are read in the cache. added: sectors that are
    added to atomically. pairs: whether a lane adds pairs of floats, which takes two operations where there are no
    vector atomics. operations: in float32, or in half on tensor cores. reads: values that lanes read from shared
    memory.
    """

    id: str
    memory: float
    gathered: float = 0.0
    added: float = 0.0
    pairs: bool = False
    operations: float = 0.0
    reads: float = 0.0
    half: bool = False
    launches: int = 1

    def times(self, gpu: Gpu) -> dict[str, float]:
        """Seconds by each of the limits, and of the launches."""
        # An atomic sum reads and writes its sector.
        added = self.added * (2 if self.pairs and not gpu.vector_atomics else 1) * 2 * SECTOR
        return {
            "memory": self.memory / gpu.memory,
            "cache": (self.gathered * SECTOR + added + self.memory) / gpu.cache,
            "arithmetic": self.operations / (gpu.half if self.half else gpu.float32),
            "shared memory": self.reads / gpu.reads,
            "launches": self.launches * LAUNCH,
        }

    def limit(self, gpu: Gpu) -> tuple[float, str]:
        """Seconds that the pass takes at least, and what limits it."""
        times = self.times(gpu)
        name = max(times, key=lambda key: times[key])
        return times[name], name


def hash_grid(dimensions: int, bits: int) -> list[Work]:
    """Forward pass, and both passes with the table's gradient."""
    layout = GridLayout(dimensions, levels=16, features=2, base_resolution=16, growth=1.38, table_size=1 << bits)
    points, levels, corners = GRID_POINTS, layout.levels, 1 << dimensions
    table = layout.num_parameters * WORD
    rows = points * levels * corners
    through = points * (dimensions + layout.outputs) * WORD
    forward = Work(
        f"hashgrid{dimensions}d-{bits}-fwd",
        memory=through + table,
        gathered=rows / 2 * SECTORS_OF_PAIR,
        # A weight of as many factors as axes, and a multiply-add for each feature.
        operations=rows * (dimensions + 2 * layout.features),
    )
    both = Work(
        f"hashgrid{dimensions}d-{bits}-fwdbwd",
        # The gradient is cleared, and written back.
        memory=forward.memory + through + 2 * table,
        gathered=forward.gathered,
        added=rows,
        pairs=True,
        operations=2 * forward.operations,
        launches=3,
    )
    return [forward, both]


def _mlp_passes(sizes: Sequence[int], points: int, half: bool) -> tuple[float, float]:
    """Operations of the forward and the backward kernel, which computes the values again, and its reads of memory."""
    padded = [-(-size // 16) * 16 for size in sizes]
    products = 2 * points * sum(a * b for a, b in zip(padded, padded[1:]))
    operations = 4 * products
    # In float32 a lane reads six values for eight multiply-adds; tensor cores are fed by rows of 16.
    return operations, operations / 2 / 16 if half else operations / 2 * 6 / 8


def mlp(half: bool) -> Work:
    """The MLP with gradients of features and weights."""
    operations, reads = _mlp_passes(MLP_SIZES, MLP_POINTS, half)
    gradients = sum((a + 1) * b for a, b in zip(MLP_SIZES, MLP_SIZES[1:])) * WORD
    through = MLP_POINTS * (3 * MLP_SIZES[0] + 2 * MLP_SIZES[-1]) * WORD
    return Work(
        "mlp-64-half" if half else "mlp-64",
        memory=through + 2 * MLP_BLOCKS * gradients,
        operations=operations,
        reads=reads,
        half=half,
        launches=5,
    )


def step(half: bool) -> Work:
    """The training step of a 2-D grid and its MLP: values, loss, gradients and Adam."""
    layout = GridLayout(2, levels=16, features=2, base_resolution=16, growth=1.38, table_size=1 << 15)
    operations, reads = _mlp_passes((layout.outputs, *MLP_SIZES[1:]), MLP_POINTS, half)
    rows = MLP_POINTS * layout.levels * 4
    # The gradient of the features, once written and once read; Adam reads five arrays of the table and writes four.
    features = 2 * MLP_POINTS * layout.outputs * WORD
    table = layout.num_parameters * WORD
    return Work(
        "step2d-15-half" if half else "step2d-15",
        memory=features + MLP_POINTS * (2 + 4 * 3) * WORD + 11 * table,
        # Features are computed in both kernels.
        gathered=2 * rows / 2 * SECTORS_OF_PAIR,
        added=rows,
        pairs=True,
        operations=operations,
        reads=reads,
        half=half,
        launches=14,
    )


def factored(id: str, corners: int, entries: int, outputs: int) -> Work:
    """A factored grid with the table's gradient: rows of 16 features are two whole sectors."""
    rows = GRID_POINTS * corners
    through = 2 * GRID_POINTS * (3 + outputs) * WORD
    return Work(
        id,
        memory=through + 3 * entries * PLANE_FEATURES * WORD,
        gathered=rows * PLANE_FEATURES * WORD / SECTOR,
        # Adjacent lanes add adjacent features.
        added=rows * PLANE_FEATURES * WORD / SECTOR,
        operations=rows * PLANE_FEATURES * 6,
        launches=3,
    )


def rays() -> Work:
    """Marching and compositing with gradients. Marching is bound by the latency of its cells, which is not counted."""
    sample = (2 + 1) * WORD + 8
    composited = (3 + CHANNELS) * WORD + WORD
    return Work(
        "march",
        memory=SAMPLES * (sample + 2 * composited + (1 + CHANNELS) * WORD) + RAYS * 60,
        operations=SAMPLES * 80,
        launches=8,
    )


def rbf() -> list[Work]:
    """Interpolation of radial basis functions with the features' gradient, and the layer of Gaussian units."""
    pairs = GRID_POINTS * RBF_NEIGHBOURS
    row = RBF_FEATURES * WORD / SECTOR
    gather = Work(
        "neurbf-gather",
        memory=GRID_POINTS * (2 + RBF_NEIGHBOURS + 2 * RBF_FEATURES) * WORD + 3 * RBF_KERNELS * RBF_FEATURES * WORD,
        gathered=2 * pairs * (row + 2),
        added=pairs * row,
        # A sine in either pass, of about twenty operations, and two multiply-adds.
        operations=2 * pairs * RBF_FEATURES * 24,
        launches=3,
    )
    products = GRID_POINTS * LAYER_UNITS * LAYER_INPUTS
    layer = Work(
        "gaussian-layer",
        memory=GRID_POINTS * (3 * LAYER_INPUTS + 4 * LAYER_UNITS) * WORD,
        # Forward, the inputs' gradient, and the sums; an exponential of about ten operations for each pair in the first
        # two.
        operations=products * (14 + 14 + 6),
        reads=2 * products,
        launches=4,
    )
    return [gather, layer]


def all_work() -> list[Work]:
    """Every row of the table."""
    grids = [work for bits in (15, 19) for dimensions in (2, 3) for work in hash_grid(dimensions, bits)]
    plane, line = 128**2, 128
    return [
        *grids,
        mlp(False),
        mlp(True),
        step(False),
        step(True),
        factored("triplane", 3 * 4, 3 * plane, PLANE_FEATURES),
        factored("tensorf-vm", 3 * (4 + 2), 3 * (plane + line), 3 * PLANE_FEATURES),
        factored("densegrid3d", 8, 64**3, PLANE_FEATURES),
        rays(),
        *rbf(),
    ]


def table() -> str:
    """The table of docs/kernels.md."""
    heads = ["pass", "memory, MB", "sectors read, M", "sectors added to, M", "operations, M"]
    heads += [f"{gpu.name}, ms at least" for gpu in GPUS]
    lines = [f"| {' | '.join(heads)} |", "|" + "---|" * len(heads)]
    for work in all_work():
        numbers = (work.memory, work.gathered, work.added, work.operations)
        cells = [work.id, *(f"{1e-6 * number:.3g}" if number else "" for number in numbers)]
        for gpu in GPUS:
            seconds, name = work.limit(gpu)
            cells.append(f"{1e3 * seconds:.3g} ({name})")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def held(rows: list[dict], gpu: str) -> list[str]:
    """Lines that compare measured rows with the limits of the GPU of that name, or of the first whose name it holds."""
    limits = next((known for known in GPUS if known.name.lower() in gpu.lower()), None)
    if limits is None:
        return [f"no limits of {gpu} are known; there are {', '.join(known.name for known in GPUS)}"]
    measured = {row["id"]: row["value"] for row in rows if row.get("unit") == "ms" and row.get("value")}
    lines = []
    for work in all_work():
        if work.id in measured:
            seconds, name = work.limit(limits)
            share = 1e3 * seconds / measured[work.id]
            lines.append(f"{work.id}: {measured[work.id]:.3g} ms, at least {1e3 * seconds:.3g} ({name}): {share:.0%}")
    return lines


def page_with_table(text: str) -> str:
    """The page with today's table between its marks."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{table()}\n\n{END}{after}"


def main() -> None:
    """Print the table or the comparison."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.kernels.estimates")
    parser.add_argument("--write", action="store_true", help="write the table into docs/kernels.md")
    parser.add_argument("--held", type=Path, metavar="FILE", help="rows that make gpu has stored")
    options = parser.parse_args()
    if options.held:
        stored = json.loads(options.held.read_text(encoding="utf-8"))
        print(*held(stored["rows"], stored["machine"]["gpu"]), sep="\n")
        return
    print(table())
    if options.write:
        PAGE.write_text(page_with_table(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
