"""Convex parts that together fill a mesh, for the collisions of physics engines (CoACD, Wei et al. 2022)."""

from __future__ import annotations

import importlib.util
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from scenes.errors import BadInput

INSTALL_HINT = "pip install 'field-studio[collision]'"
# Largest concavity of a part, relative to the mesh (the authors' default).
THRESHOLD = 0.05
# Most parts of a mesh, and most corners of a part: what engines still compute with in every frame.
MAX_PARTS = 32
MAX_CORNERS = 64
# Triangles that are enough for parts that are off by 5 % in any case; the time grows with their number.
MAX_FACES = 3_000
# Seconds after which the parts are no longer waited for, unless the caller says so.
DEADLINE = 120.0
# Seconds between two reports of progress, and the time after which about two thirds are usually done.
POLL, TYPICAL_SECONDS = 0.25, 15.0


@dataclass(frozen=True)
class ConvexParts:
    """Convex parts: vertices `[V, 3]` float64 and triangles `[F, 3]` int64 of each; and sentences for people."""

    parts: tuple[tuple[np.ndarray, np.ndarray], ...]
    notes: tuple[str, ...] = ()


def check_coacd_installed() -> None:
    """Check that coacd is there, before long work. Raises BadInput, which names what to install."""
    if importlib.util.find_spec("coacd") is None:
        raise BadInput(f"`collision`: needs the package coacd; install it with: {INSTALL_HINT}")


def convex_parts(
    vertices: np.ndarray,
    faces: np.ndarray,
    *,
    seconds: float | None = None,
    progress: Callable[[float], None] = lambda fraction: None,
) -> ConvexParts:
    """Split a mesh into convex parts.

    Args:
        vertices: `[V, 3]`; those at one place count as one, so seams of charts do no harm.
        faces: `[F, 3]`.
        seconds: time for this. When it is over, the convex hull of the whole is the only part, and a note says so.

    Raises BadInput where coacd is not installed or fails.
    """
    check_coacd_installed()
    vertices, faces = _few_triangles(vertices, faces)
    limit = DEADLINE if seconds is None else seconds
    with tempfile.TemporaryDirectory(prefix="field-studio-") as folder:
        source, out = Path(folder, "mesh.npz"), Path(folder, "parts.npz")
        np.savez(source, vertices=vertices, faces=faces)
        worker = Path(__file__).with_name("convex_worker.py")
        command = [sys.executable, str(worker), str(source), str(out), str(THRESHOLD), str(MAX_PARTS), str(MAX_CORNERS)]
        log = Path(folder, "log.txt")
        with open(log, "wb") as lines:
            process = subprocess.Popen(command, stdout=lines, stderr=lines, env={**os.environ, "PYTHONSAFEPATH": "1"})
        try:
            finished = _wait(process, limit, progress)
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()
        if not finished:
            note = f"No convex parts after {limit:.0f} s; the collision shape is the convex hull of the whole"
            return ConvexParts((_hull(vertices),), (note,))
        if process.returncode or not out.is_file():
            lines = log.read_text(errors="replace").strip().splitlines() or [f"status {process.returncode}"]
            raise BadInput(f"`collision`: coacd could not split this mesh ({lines[-1]})")
        with np.load(out, allow_pickle=False) as data:
            found = tuple(
                (np.asarray(data[f"vertices{index}"], np.float64), np.asarray(data[f"faces{index}"], np.int64))
                for index in range(len(data.files) // 2)
            )
    progress(1.0)
    return ConvexParts(found)


def _wait(process: subprocess.Popen, seconds: float, progress: Callable[[float], None]) -> bool:
    """Wait for a process, with reports of progress. Returns whether it ended in time."""
    start = time.monotonic()
    while True:
        try:
            process.wait(timeout=POLL)
            return True
        except subprocess.TimeoutExpired:
            elapsed = time.monotonic() - start
            if elapsed > seconds:
                return False
            progress(1 - math.exp(-elapsed / TYPICAL_SECONDS))


def _few_triangles(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mesh without seams, and with at most `MAX_FACES` triangles."""
    import fast_simplification

    single, corner = np.unique(np.asarray(vertices, np.float32), axis=0, return_inverse=True)
    welded = single.astype(np.float64)
    faces = corner.reshape(-1)[faces]
    faces = faces[(faces != np.roll(faces, 1, axis=1)).all(axis=1)]
    if len(faces) > MAX_FACES:
        simple = fast_simplification.simplify(welded, faces.astype(np.int32), target_count=MAX_FACES)
        welded, faces = simple[0], simple[1]
    return np.asarray(welded, np.float64), np.asarray(faces, np.int64)


def _hull(vertices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The convex hull of points: its corners and triangles, counter-clockwise from outside."""
    import trimesh

    hull = trimesh.convex.convex_hull(vertices)
    return np.asarray(hull.vertices, np.float64), np.asarray(hull.faces, np.int64)
