"""What a teacher shows from cameras that nobody stood at: the scene that a radiance student is fitted to."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from fields.radiance_field import EncodedRadiance
from fields.render.volume import render_picture
from scenes.errors import BadInput
from scenes.posed.cameras import PathCamera, read_cameras
from scenes.posed.rays import directions_of, rays_of
from scenes.posed.view import View
from scenes.radiance import BACKDROPS, RadianceScene, Rays
from scenes.sampling import _generator

# A step's rays go through random pixels of so many random cameras.
CAMERAS_A_STEP = 16
# A random camera lies between one of the run's and one of so many nearest to it.
NEIGHBOURS = 4
# Views that the student is scored on.
SCORED = 8
CHUNK = 1 << 14


class TaughtScene(RadianceScene):
    """Of the run's data only the cameras are known (`cameras.json`): they tell from where the scene is meant to be looked at.

    Cameras for training lie between neighbouring ones, with their lenses; those for scoring are `SCORED` of the run's own. No pixel of a
    photograph is looked at. (The authors draw from ranges of radius and elevation that suit one data set.)
    """

    def __init__(self, teacher: EncodedRadiance, cameras: list[PathCamera], alpha: bool, backdrop: str = "white") -> None:
        self.teacher, self.cameras, self.backdrop = teacher, cameras, backdrop
        self.domain, self.levels, self.moving = teacher.domain, teacher.levels, teacher.moving
        # (samples are those of cells, however far the scene goes)
        self.has_alpha, self.unbounded, self.pixel, self.notes = alpha, False, teacher.step, ()
        views = [View(camera.name or f"camera {index}", None, camera.pose, camera.lens, "test", camera.time) for index, camera in enumerate(cameras)]
        self.training = views
        self.test = [views[i] for i in np.unique(np.linspace(0, len(views) - 1, SCORED).round().astype(int))]
        self.training_times = np.array([camera.time or 0.0 for camera in cameras], np.float32)
        axes = self.domain.axes[:3]
        self._lower, self._side = np.array([axis.lower for axis in axes]), axes[0].upper - axes[0].lower
        places = np.stack([camera.pose[:, 3] for camera in cameras])
        self._near = np.argsort(np.linalg.norm(places[:, None] - places[None], axis=-1), axis=1, kind="stable")[:, :NEIGHBOURS + 1]
        self._pictures: dict[str, np.ndarray] = {}

    def describe(self) -> str:
        return f"seen by the teacher from between {len(self.cameras)} cameras"

    def empty(self, resolution: int) -> None:
        return None

    def rays(self, step: int, count: int, seed: int) -> Rays:
        """About `count` rays through random pixels of random cameras; their colours are left to the teacher."""
        random = np.random.Generator(np.random.Philox(key=[seed, step]))
        parts = [self._rays_of_one(random, max(1, count // CAMERAS_A_STEP)) for _ in range(CAMERAS_A_STEP)]
        origins, directions, times = (np.concatenate(part) for part in zip(*parts))
        return Rays(origins.astype(np.float32), directions.astype(np.float32), np.zeros((len(origins), 3), np.float32), None,
                    times.astype(np.float32) if self.moving else None, np.zeros(len(origins), np.int64))

    def _rays_of_one(self, random: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        first = self.cameras[random.integers(len(self.cameras))] if len(self.cameras) > 1 else self.cameras[0]
        index = next(i for i, camera in enumerate(self.cameras) if camera is first)
        second, share = self.cameras[random.choice(self._near[index])], random.random()
        pose, lens = between(first.pose, second.pose, share), first.lens
        directions = directions_of(lens, random.random(count) * lens.width, random.random(count) * lens.height) @ pose[:, :3].T
        time = (1 - share) * (first.time or 0.0) + share * (second.time or 0.0)
        return np.broadcast_to((pose[:, 3] - self._lower) / self._side, directions.shape), directions, np.full(count, time)

    def rays_of(self, view: View, stride: int = 1) -> tuple[np.ndarray, np.ndarray]:
        y, x = np.mgrid[0:view.lens.height:stride, 0:view.lens.width:stride]
        return rays_of(view, x.reshape(-1) + 0.5, y.reshape(-1) + 0.5)

    @torch.no_grad()
    def picture(self, view: View) -> np.ndarray:
        """What the teacher shows, `[H, W, 3]` float32."""
        if view.name not in self._pictures:
            teacher = self.teacher
            origins, directions = (torch.from_numpy(np.ascontiguousarray(x)) for x in self.rays_of(view))
            learned = teacher.backdrop()
            seen = render_picture(teacher, teacher.to_cube(origins), directions.float().to(teacher.occupied.device), (view.lens.height, view.lens.width),
                                  teacher.grid, BACKDROPS[self.backdrop] if learned is None else learned, CHUNK,
                                  (view.time or 0.0) if teacher.moving else None, **teacher.how)
            self._pictures[view.name] = seen.color.cpu().numpy()
        return self._pictures[view.name]


def between(a: np.ndarray, b: np.ndarray, share: float) -> np.ndarray:
    """The pose `[3, 4]` that far from pose a to pose b: places on a line, rotations on the shortest way."""
    from scipy.spatial.transform import Rotation, Slerp

    rotation = Slerp([0.0, 1.0], Rotation.from_matrix(np.stack([a[:, :3], b[:, :3]])))(share).as_matrix()
    return np.concatenate([rotation, ((1 - share) * a[:, 3] + share * b[:, 3])[:, None]], axis=1)


def cameras_of(run_folder: Path) -> list[PathCamera]:
    """Those that the run was fitted with."""
    file = run_folder / "cameras.json"
    if not file.is_file():
        raise BadInput(f"{run_folder}: has no cameras.json, which says from where its scene is looked at")
    return read_cameras(file)
