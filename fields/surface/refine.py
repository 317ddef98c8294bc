"""Move a mesh's vertices so that the drawn mesh looks like the photographs, silhouettes included.

Each vertex moves along its normal, and has a color. Both take Gauss-Newton steps at once, whose matrices have their
entries on the mesh's edges, and which Nesterov's acceleration carries on. Movements are smoothed by the mesh's
Laplacian, since a vertex alone may cover less than a pixel.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass

import numpy as np
import torch
from scipy import sparse
from scipy.sparse.linalg import cg

from fields.surface.extract import ProgressCallback, no_progress
from fields.surface.mesh_image import mesh_edges
from fields.surface.photo_pixels import PhotoPixels, photo_pixels
from fields.surface.topology import vertex_normals
from fields.surface.view_sums import Mesh, Pose, ViewSums
from scenes.errors import BadInput
from scenes.posed.view import View

# Pixels of a photograph; larger ones are reduced.
MAX_PIXELS = 1 << 18
# Rounds that fit colors alone before vertices move: to any colors, and to colors that are known already.
COLOR_ROUNDS = 3
KNOWN_COLOR_ROUNDS = 1
# Rounds that move vertices; they gain less and less.
MAX_ROUNDS = 16
# Rounds that a budget of time should suffice for; otherwise fewer photographs are used.
MIN_ROUNDS = 10
# Fraction of the budget of time in which photographs are read.
READING_TIME = 0.2
# Differences beyond this many times the usual one count linearly: reflections are not of the surface.
OUTLIER = 3.0
# Least difference, in 0 to 1, that counts as usual: rounding of photographs.
MIN_DIFFERENCE = 0.01
# Strength of the smoothing of movements, and of the pull to where they began, relative to the photographs'.
SMOOTHING = 0.5
ANCHORING = 0.01
# The same for colors, which matters for vertices that no photograph shows.
COLOR_SMOOTHING = 1e-3
COLOR_ANCHORING = 1e-9
# A round that lowers the error by less than this fraction is the last one.
MIN_GAIN = 5e-3
# Iterations of the conjugate gradients, and the relative residual at which they stop.
CG_STEPS = 200
CG_TOLERANCE = 1e-2
# Movement over which the vertices' speeds in images are measured, in cells.
PROBE = 0.1
# Seconds between calls of the progress callback.
PROGRESS_SECONDS = 0.5


@dataclass(frozen=True)
class Refined:
    """A mesh whose vertices were fitted to photographs.

    vertices: `[V, 3]` float64.
    colors: sRGB `[V, 3]` float32 in 0 to 1, fitted to the photographs too.
    moved: distance along the normals `[V]` float64, in the scene's units.
    psnr_before, psnr_after: of the mesh with fitted colors against the photographs that were used, in dB, a mean over
        the views; over white where photographs have alpha, else on the pixels that the mesh covers. NaN where the
        time did not suffice for one round.
    views, rounds: number of photographs used, and of passes over them.
    """

    vertices: np.ndarray
    colors: np.ndarray
    moved: np.ndarray
    psnr_before: float
    psnr_after: float
    views: int
    rounds: int


def refine_vertices(
    vertices: np.ndarray,
    faces: np.ndarray,
    views: Sequence[View],
    *,
    colors: np.ndarray | None = None,
    cell: float | None = None,
    seconds: float | None = None,
    progress: ProgressCallback = no_progress,
) -> Refined:
    """Fit the vertices of a welded mesh to photographs, to within fractions of a pixel.

    vertices: `[V, 3]` in the scene's units; faces: `[F, 3]`, counter-clockwise from outside.
    views: photographs. Where they have alpha, it shapes the silhouettes; where they have none, what lies outside of the
        mesh says nothing, and silhouettes before other parts of the mesh alone are seen.
    colors: sRGB `[V, 3]` in 0 to 1 to begin with; None: they come from the photographs.
    cell: longest way of a vertex; None: the mean length of an edge.
    seconds: wall clock in which it ends, with the best state so far. None: it ends when the error hardly falls.

    Surfaces that do not look alike from all sides are fitted as well as one color per vertex allows. Exposures that
    differ between photographs should be levelled before.

    Raises BadInput where no photograph shows the mesh, and ValueError without views or faces.
    """
    if not len(views) or not len(faces):
        raise ValueError("refining needs views and faces")
    clock = _Clock(seconds, progress)
    fit = _Fit(np.asarray(vertices, np.float64), np.ascontiguousarray(faces, np.int64), cell)
    photos = _photos(views, clock)
    start = np.full((len(vertices), 3), 0.5) if colors is None else np.asarray(colors, np.float64)
    return fit.run(photos, start, KNOWN_COLOR_ROUNDS if colors is not None else COLOR_ROUNDS, clock)


class _Clock:
    """The budget of time, and what is told of it."""

    def __init__(self, seconds: float | None, progress: ProgressCallback) -> None:
        self.begin, self.seconds, self.progress = time.monotonic(), seconds or math.inf, progress

    @property
    def used(self) -> float:
        """Fraction of the budget that has passed; 0 without one."""
        return (time.monotonic() - self.begin) / self.seconds

    def tell(self, fraction: float) -> None:
        """Report the larger of the fractions of work and of time."""
        self.progress(min(1.0, max(fraction, self.used)))


def _photos(views: Sequence[View], clock: _Clock) -> list[PhotoPixels]:
    """The photographs, or as many as can be read in time, which then are an even selection."""
    # Any first part of multiples of the golden ratio lies evenly.
    order = np.argsort(np.arange(len(views)) * 0.6180339887 % 1.0)
    photos = []
    for index in order:
        photos.append(photo_pixels(views[index], MAX_PIXELS))
        clock.tell(0.0)
        if clock.used > READING_TIME:
            break
    return photos


@dataclass(frozen=True)
class _State:
    """Movements along normals `[V]` and colors `[V, 3]`, float64."""

    moved: np.ndarray
    colors: np.ndarray

    def beyond(self, other: _State, factor: float, cell: float) -> _State:
        """This state, carried on by `factor` of the way from the other one to it."""
        moved = self.moved + factor * (self.moved - other.moved)
        return _State(np.clip(moved, -cell, cell), self.colors + factor * (self.colors - other.colors))


class _Fit:
    """The mesh that is fitted, with the smoothing of its movements."""

    def __init__(self, vertices: np.ndarray, faces: np.ndarray, cell: float | None) -> None:
        self.vertices = vertices
        self.mesh = Mesh(faces, mesh_edges(faces), len(vertices))
        self.normals = vertex_normals(vertices, faces)
        lengths = np.linalg.norm(np.diff(vertices[self.mesh.edges.ends], axis=1)[:, 0], axis=1)
        self.cell = float(lengths.mean()) if cell is None else cell
        self.laplacian = self.mesh.laplacian()
        identity = sparse.identity(len(vertices), format="csr")
        self.smoothing = SMOOTHING * self.laplacian + ANCHORING * identity
        self.color_smoothing = COLOR_SMOOTHING * self.laplacian + COLOR_ANCHORING * identity

    def run(self, photos: list[PhotoPixels], colors: np.ndarray, warm_up: int, clock: _Clock) -> Refined:
        """Fit colors for `warm_up` rounds, then colors and vertices. Restarts from the best state when errors rise."""
        state = best = previous = _State(np.zeros(len(self.vertices)), colors)
        best_error, best_psnr, before, momentum, outlier, scale, rounds = (
            math.inf,
            math.nan,
            math.nan,
            1.0,
            math.inf,
            0.0,
            0,
        )
        last = MAX_ROUNDS + warm_up
        while rounds < last:
            begin = time.monotonic()
            moving = rounds >= warm_up
            sums = self._pass(photos, state, ViewSums(self.mesh, outlier, moving), clock, (rounds, last))
            if sums is None:
                break
            if not sums.psnr:
                raise BadInput("no photograph shows the mesh; are its cameras those of the mesh?")
            if rounds == 0:
                photos = _affordable(photos, time.monotonic() - begin, clock)
            rounds += 1
            psnr = float(np.mean(sums.psnr))
            error = sums.loss + 0.5 * scale * float(state.moved @ (self.smoothing @ state.moved))
            first = rounds <= warm_up + 1
            if first:
                # Colors are not compared with those of earlier rounds, since what counts as an outlier changes.
                outlier = max(MIN_DIFFERENCE, OUTLIER * float(np.mean(sums.usual)))
                before = psnr
            elif error > best_error:
                if momentum == 1.0:
                    break
                state, previous, momentum = best, best, 1.0
                continue
            gain = 1.0 if first else 1 - error / best_error
            best, best_error, best_psnr = state, math.inf if first and rounds <= warm_up else error, psnr
            if gain < MIN_GAIN:
                break
            found = _State(state.moved, self._better_colors(sums, state.colors))
            if not moving:
                state = previous = found
                continue
            matrix = self.mesh.matrix(sums.faces, sums.edges)
            scale = scale or _mean_diagonal(matrix)
            pull = scale * self.smoothing
            step = _solved(matrix + pull, -(sums.gradient + pull @ state.moved))
            found = _State(np.clip(state.moved + step, -self.cell, self.cell), found.colors)
            following = (1 + math.sqrt(1 + 4 * momentum**2)) / 2
            state = found.beyond(previous, (momentum - 1) / following, self.cell)
            previous, momentum = found, following
        clock.tell(1.0)
        return Refined(
            self.vertices + best.moved[:, None] * self.normals,
            np.clip(best.colors, 0, 1).astype(np.float32),
            best.moved,
            before,
            best_psnr,
            len(photos),
            rounds,
        )

    def _better_colors(self, sums: ViewSums, colors: np.ndarray) -> np.ndarray:
        matrix = self.mesh.matrix(sums.color_faces)
        pull = _mean_diagonal(matrix) * self.color_smoothing
        right = -(sums.color_gradient + pull @ colors)
        return colors + np.stack([_solved(matrix + pull, right[:, channel]) for channel in range(3)], axis=1)

    def _pass(
        self,
        photos: list[PhotoPixels],
        state: _State,
        sums: ViewSums,
        clock: _Clock,
        number: tuple[int, int],
    ) -> ViewSums | None:
        """The sums over all photographs, or None where the time is over before.

        number: how many rounds were before, and how many there are at most.
        """
        vertices = self.vertices + state.moved[:, None] * self.normals
        pose = Pose(vertices, self.normals, state.colors.astype(np.float32), PROBE * self.cell)
        workers = max(1, min(torch.get_num_threads(), len(photos)))
        done = [0] * workers

        def work(worker: int) -> ViewSums | None:
            own = ViewSums(self.mesh, sums.outlier, sums.geometry)
            for photo in photos[worker::workers]:
                if clock.used > 1:
                    return None
                own.add_view(photo, pose)
                done[worker] += 1
            return own

        with ThreadPoolExecutor(workers) as pool:
            running = {pool.submit(work, worker) for worker in range(workers)}
            pending = running
            while pending:
                _, pending = wait(pending, timeout=PROGRESS_SECONDS)
                clock.tell((number[0] + sum(done) / len(photos)) / number[1])
        for part in running:
            found = part.result()
            if found is None:
                return None
            sums.add(found)
        return sums


def _affordable(photos: list[PhotoPixels], seconds: float, clock: _Clock) -> list[PhotoPixels]:
    """As many photographs as the time is enough for, if a round with all of them takes `seconds`.

    The first round moves nothing, and takes about half as long as later ones.
    """
    left = clock.seconds * (1 - clock.used)
    rounds = left / (2 * seconds)
    if rounds >= MIN_ROUNDS or math.isinf(left):
        return photos
    return photos[: max(2, int(len(photos) * rounds / MIN_ROUNDS))]


def _mean_diagonal(matrix: sparse.csr_matrix) -> float:
    """Mean of the entries of the diagonal above zero; 1 where there is none."""
    diagonal = matrix.diagonal()
    positive = diagonal[diagonal > 0]
    return float(positive.mean()) if len(positive) else 1.0


def _solved(matrix: sparse.csr_matrix, right: np.ndarray) -> np.ndarray:
    """Solution of a symmetric positive system by conjugate gradients, preconditioned by its diagonal."""
    diagonal = matrix.diagonal()
    inverse = sparse.diags(1 / np.where(diagonal > 0, diagonal, 1))
    return cg(matrix, right, rtol=CG_TOLERANCE, maxiter=CG_STEPS, M=inverse)[0]
