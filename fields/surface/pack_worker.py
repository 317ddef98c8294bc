"""Pack charts with xatlas in a process of its own: `python pack_worker.py FOLDER SIZE GAP SECONDS`.

FOLDER holds `uv.npy` (`[V, 2]` float32, any unit), `faces.npy` (`[F, 3]` uint32) and `charts.npy` (`[F]` uint32, the
chart of each face). Each packing that fits replaces `packed.npy`: `[V, 2]` float32 in texels. xatlas can be stopped
only from outside; a timer of the system ends this process, should the one that started it be gone.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from pathlib import Path

import numpy as np

# Attempts at a density; each one's side tells the next one's density.
ATTEMPTS = 6
# A packing is good enough if its longer side has this fraction of the square's.
GOOD_FIT = 0.985
# Fraction of the square that charts and gaps fill in the first attempt: it should fit, in case there is no second.
FIRST_FILL = 0.6
# Linux: signal when the parent ends (PR_SET_PDEATHSIG of prctl).
_PARENT_DEATH_SIGNAL = 1


def main(folder: Path, size: int, gap: int) -> None:
    """Write better and better packings until one is good enough."""
    import xatlas

    uv, faces, charts = (np.load(folder / f"{name}.npy", allow_pickle=False) for name in ("uv", "faces", "charts"))
    # Half of the gap stays free at the borders, so that repeated textures keep it too.
    room = size - gap
    density, best = _first_density(uv, faces, charts, room, gap), 0.0
    too_dense = np.inf
    for _ in range(ATTEMPTS):
        atlas = xatlas.Atlas()
        atlas.add_uv_mesh(uv, faces, charts[:, None])
        options = xatlas.PackOptions()
        options.padding, options.bilinear, options.resolution = (gap + 1) // 2, False, 0
        options.texels_per_unit = density
        atlas.generate(xatlas.ChartOptions(), options)
        side = max(atlas.width, atlas.height)
        if side <= room and density > best:
            best = density
            _store(folder / "packed.npy", _texels(atlas, len(uv)) + gap / 2)
            if side >= GOOD_FIT * room:
                return
        elif side > room:
            too_dense = min(too_dense, density)
        density *= (room - 1) / side
        if not best < density < too_dense:
            if not np.isfinite(too_dense):
                return
            density = (best + too_dense) / 2 if best else 0.97 * too_dense


def _first_density(uv: np.ndarray, faces: np.ndarray, charts: np.ndarray, room: int, gap: int) -> float:
    """Texels per unit at which charts and the gaps around them fill `FIRST_FILL` of the square, roughly."""
    p, q = uv[faces[:, 1]] - uv[faces[:, 0]], uv[faces[:, 2]] - uv[faces[:, 0]]
    area = float(np.abs(p[:, 0] * q[:, 1] - p[:, 1] * q[:, 0]).sum(dtype=np.float64)) / 2
    order = np.argsort(charts, kind="stable")
    starts = 3 * np.flatnonzero(np.diff(charts[order].astype(np.int64), prepend=-1))
    points = uv[faces[order]].reshape(-1, 2)
    extent = np.maximum.reduceat(points, starts) - np.minimum.reduceat(points, starts)
    half = gap * float(extent.sum(dtype=np.float64)) / 2
    left = max(FIRST_FILL * room**2 - gap**2 * len(starts), 0.01 * room**2)
    return (-half + (half**2 + area * left) ** 0.5) / area


def _texels(atlas, count: int) -> np.ndarray:  # noqa: ANN001
    """Positions of the vertices in texels, `[count, 2]` float32."""
    source, _, uv = atlas[0]
    texels = np.full((count, 2), np.nan, np.float32)
    texels[source] = uv * np.array([atlas.width, atlas.height], np.float32)
    return texels


def _store(path: Path, array: np.ndarray) -> None:
    part = path.with_suffix(".part")
    with open(part, "wb") as file:
        np.save(file, array.astype(np.float32), allow_pickle=False)
    os.replace(part, path)


def _end_with_parent(seconds: float) -> None:
    if hasattr(signal, "setitimer"):
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, seconds)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PARENT_DEATH_SIGNAL, signal.SIGKILL)


if __name__ == "__main__":
    _end_with_parent(float(sys.argv[4]))
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
