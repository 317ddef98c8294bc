"""Split a mesh into convex parts with coacd, in a process of its own: `python convex_worker.py IN OUT THRESHOLD
MAX_PARTS MAX_VERTICES`.

IN is an `.npz` with `vertices` `[V, 3]` and `faces` `[F, 3]`; OUT gets `vertices0`, `faces0`, `vertices1` and so on.
coacd brings an OpenMP runtime of its own, which must not meet that of torch, and cannot be stopped from within.
"""

from __future__ import annotations

import sys

import numpy as np

# Rounds and width of the tree search, and samples for the concavity: the authors' defaults (150, 20 and 2,000) take
# several times as long.
ROUNDS = 60
WIDTH = 12
SAMPLES = 1000


def main(source: str, out: str, threshold: float, max_parts: int, max_vertices: int) -> None:
    """Read, decompose, write."""
    import coacd  # pyright: ignore[reportMissingImports]

    coacd.set_log_level("error")
    with np.load(source, allow_pickle=False) as data:
        mesh = coacd.Mesh(data["vertices"].astype(np.float64), data["faces"].astype(np.int32))
    parts = coacd.run_coacd(
        mesh,
        threshold=threshold,
        max_convex_hull=max_parts,
        decimate=True,
        max_ch_vertex=max_vertices,
        seed=0,
        mcts_iterations=ROUNDS,
        mcts_nodes=WIDTH,
        resolution=SAMPLES,
    )
    arrays = {}
    for index, (vertices, faces) in enumerate(parts):
        arrays |= {f"vertices{index}": np.asarray(vertices), f"faces{index}": np.asarray(faces)}
    np.savez(out, **arrays)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5]))
