"""What a teacher shows from cameras that nobody stood at: the scene that a radiance student is fitted to."""

from __future__ import annotations

import numpy as np
from torch import Tensor
from torch.nn.functional import adaptive_max_pool3d, max_pool3d

from fields.export.outputs.radiance import RadianceOutput
from fields.models.radiance import EncodedRadiance
from fields.runs.run import Run
from scenes.errors import BadInput
from scenes.posed.cameras import CAMERAS, PathCamera
from scenes.posed.rays import directions_of
from scenes.posed.signal import RadianceScene, Rays
from scenes.posed.view import PosedViews, View

# A step's rays go through random pixels of so many random cameras.
CAMERAS_A_STEP = 16
# A random camera lies between one of the run's and one of so many nearest to it.
NEIGHBOURS = 4
# Views that the student is scored on.
SCORED = 8


class TaughtScene(RadianceScene):
    """Of the run's data only the cameras are known (`cameras.json`): they tell from where the scene is meant to be looked at.

    Cameras for training lie between neighbouring ones of the run's, with their lenses; those for scoring are `SCORED` that the run was scored on itself,
    and never trained between, where it has such. No pixel of a photograph is looked at. (The authors draw from ranges of radius and elevation that suit
    one data set.)
    """

    def __init__(self, teacher: EncodedRadiance, run: Run, alpha: bool) -> None:
        known = run.cameras()
        if not known:
            raise BadInput(f"{run.path}: has no {CAMERAS}, which says from where its scene is looked at")
        self._teacher, self._output = teacher, RadianceOutput(teacher, run.path)
        self.backdrop = self._output.backdrop if teacher.background is None else "learned"
        self.domain, self.levels, self.moving = teacher.domain, teacher.levels, teacher.moving
        # (students sample as their teacher does: by proposals or by cells)
        self.has_alpha, self.unbounded, self.pixel, self.notes = alpha, teacher.guide is not None, teacher.step, ()
        views = [
            View(camera.name or f"camera {index}", None, camera.pose, camera.intrinsics, camera.split, camera.time)
            for index, camera in enumerate(known)
        ]
        self.views = PosedViews(tuple(views))
        self.training = [view for view in views if view.split != "test"] or views
        test = self.views.of("test") or views
        self.test = [test[i] for i in np.unique(np.linspace(0, len(test) - 1, SCORED).round().astype(int))]
        self.cameras = cameras = [camera for camera in known if camera.split != "test"] or known
        self.training_times = np.array([camera.time or 0.0 for camera in cameras], np.float32)
        axes = self.domain.axes[:3]
        self._lower, self._side = np.array([axis.lower for axis in axes]), axes[0].upper - axes[0].lower
        self._poses = np.stack([camera.pose for camera in cameras])
        places = self._poses[:, :, 3]
        self._beside = np.argsort(np.linalg.norm(places[:, None] - places[None], axis=-1), axis=1, kind="stable")[
            :, : NEIGHBOURS + 1
        ]
        self._pictures: dict[int, np.ndarray] = {}

    def describe(self) -> str:
        return f"seen by the teacher from between {len(self.cameras)} cameras"

    def near(self, resolution: int) -> Tensor:
        """Cells `[levels, n, n, n]` bool, x first, of the teacher's occupancy at that resolution, and those beside them."""
        cells = self._teacher.grid.occupancy.cells().float()
        # (the most of what a cell covers, so that none is lost)
        return max_pool3d(adaptive_max_pool3d(cells, resolution), 3, stride=1, padding=1) > 0

    def empty(self, resolution: int) -> np.ndarray | None:
        return None if self.levels > 1 else ~self.near(resolution)[0].cpu().numpy()

    def rays(self, step: int, count: int, seed: int) -> Rays:
        """About `count` rays through random pixels of random cameras; their colours are left to the teacher."""
        return self.rays_through(self.drawn(step, seed), step, count, seed)

    def drawn(self, step: int, seed: int) -> list[PathCamera]:
        """A step's cameras."""
        random = np.random.Generator(np.random.Philox(key=[seed, step]))
        first = random.integers(len(self.cameras), size=CAMERAS_A_STEP)
        second = self._beside[first, random.integers(self._beside.shape[1], size=CAMERAS_A_STEP)]
        shares = random.random(CAMERAS_A_STEP)
        times = (1 - shares) * self.training_times[first] + shares * self.training_times[second]
        return [
            PathCamera(pose, self.cameras[index].intrinsics, float(time))
            for pose, index, time in zip(between(self._poses[first], self._poses[second], shares), first, times)
        ]

    def rays_through(self, cameras: list[PathCamera], step: int, count: int, seed: int) -> Rays:
        """About `count` rays, as many through each of `cameras`; `views` are their numbers there."""
        random = np.random.Generator(np.random.Philox(key=[seed, step + (1 << 40)]))
        each = max(1, count // len(cameras))
        directions = [
            directions_of(
                camera.intrinsics,
                random.random(each) * camera.intrinsics.width,
                random.random(each) * camera.intrinsics.height,
            )
            @ camera.pose[:, :3].T
            for camera in cameras
        ]
        views = np.repeat(np.arange(len(cameras)), each)
        origins = (np.stack([camera.pose[:, 3] for camera in cameras])[views] - self._lower) / self._side
        times = np.array([camera.time for camera in cameras], np.float32)[views] if self.moving else None
        return Rays(
            origins.astype(np.float32),
            np.concatenate(directions).astype(np.float32),
            np.zeros((len(origins), 3), np.float32),
            None,
            times,
            views,
        )

    def picture(self, view: View) -> np.ndarray:
        """What the teacher shows, `[H, W, 3]` float32."""
        # (by object: names may come twice, in two splits)
        if id(view) not in self._pictures:
            self._pictures[id(view)] = (
                self._output.see(PathCamera(view.pose, view.intrinsics, view.time))[0].color.cpu().numpy()
            )
        return self._pictures[id(view)]


def between(a: np.ndarray, b: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """The poses `[N, 3, 4]` that far, `[N]`, from poses a to poses b: places on a line, rotations on the shortest way."""
    from scipy.spatial.transform import Rotation

    shares = shares[:, None]
    first = Rotation.from_matrix(a[:, :, :3])
    turned = first * Rotation.from_rotvec(shares * (first.inv() * Rotation.from_matrix(b[:, :, :3])).as_rotvec())
    return np.concatenate([turned.as_matrix(), ((1 - shares) * a[:, :, 3] + shares * b[:, :, 3])[:, :, None]], axis=2)
