"""The scene that a radiance student is fitted to: what the teacher shows, from cameras between those of its run."""

from __future__ import annotations

import numpy as np
from torch import Tensor
from torch.nn.functional import adaptive_max_pool3d, max_pool3d

from fields.models.field import RadianceField
from fields.render.camera_view import render_camera
from fields.runs.run import Run
from scenes.errors import BadInput
from scenes.posed.camera import Camera
from scenes.posed.camera_file import CAMERAS_FILE
from scenes.posed.pixels import PixelRays
from scenes.posed.projection import pixel_directions
from scenes.posed.signal import BACKGROUNDS, RadianceScene
from scenes.posed.view import PosedViews, View

# Random cameras whose pixels a step's rays pass through.
CAMERAS_PER_STEP = 16
# A random camera lies between one of the run's and one of this many nearest to it.
NEIGHBOURS = 4
# Views that the student is scored on.
NUM_SCORED = 8
# Offset of the random stream of pixels from that of the cameras of the same step.
PIXEL_STREAM = 1 << 40


class TeacherScene(RadianceScene):
    """A scene of which only the cameras of the teacher's run are known, in its `cameras.json`; no photograph is read.

    Training cameras lie between neighbouring training cameras of the run, with their intrinsics. Scored views are test
    views of the run where it has some, so nothing is trained there. The authors draw cameras from ranges of radius and
    elevation, which suit one data set.

    alpha: whether the run's photographs have alpha, so that training backgrounds are random.

    Raises BadInput if the run has no cameras.
    """

    def __init__(self, teacher: RadianceField, run: Run, alpha: bool) -> None:
        known = run.cameras()
        if not known:
            raise BadInput(f"{run.path}: has no {CAMERAS_FILE}, which says from where its scene is looked at")
        self._teacher, self._brightness = teacher, BACKGROUNDS[run.background]
        self.background = run.background if teacher.background is None else "learned"
        self.domain, self.cascades, self.moving = teacher.domain, teacher.cascades, teacher.moving
        self.has_alpha, self.pixel_size, self.notes = alpha, teacher.step, ()
        # A learned background is copied from the teacher.
        self.plain_color = None
        # A student samples as its teacher does: by proposals, or in occupied cells.
        self.unbounded = teacher.samples_by_proposals
        views = [
            View(
                pose=camera.pose,
                intrinsics=camera.intrinsics,
                time=camera.time,
                name=camera.name or f"camera {index}",
                split=camera.split,
            )
            for index, camera in enumerate(known)
        ]
        self.views = PosedViews(tuple(views))
        self.training = [view for view in views if view.split != "test"] or views
        test = self.views.test or views
        self.test = [test[i] for i in np.unique(np.linspace(0, len(test) - 1, NUM_SCORED).round().astype(int))]
        self.cameras = [camera for camera in known if camera.split != "test"] or known
        self.training_times = np.array([camera.time or 0.0 for camera in self.cameras], np.float32)
        axes = self.domain.axes[:3]
        self._lower, self._side = np.array([axis.lower for axis in axes]), axes[0].upper - axes[0].lower
        self._poses = np.stack([camera.pose for camera in self.cameras])
        positions = self._poses[:, :, 3]
        distances = np.linalg.norm(positions[:, None] - positions[None], axis=-1)
        # For each camera itself and its neighbours, the nearest first.
        self._neighbours = np.argsort(distances, axis=1, kind="stable")[:, : NEIGHBOURS + 1]
        self._images: dict[int, np.ndarray] = {}

    def describe(self) -> str:
        return f"seen by the teacher from between {len(self.cameras)} cameras"

    def dilated_occupancy(self, resolution: int) -> Tensor:
        """The teacher's occupied cells and those next to them at resolution n: `[cascades, n, n, n]` bool, x first."""
        cells = self._teacher.grid.occupancy.cells().float()
        # With the maximum of what a new cell covers, so that no occupied cell is lost.
        return max_pool3d(adaptive_max_pool3d(cells, resolution), 3, stride=1, padding=1) > 0

    def empty_cells(self, resolution: int) -> np.ndarray | None:
        return None if self.cascades > 1 else ~self.dilated_occupancy(resolution)[0].cpu().numpy()

    def rays(self, step: int, count: int, seed: int) -> PixelRays:
        """About `count` rays through random pixels of random cameras. Their colors are left to the teacher."""
        return self.rays_through(self.draw_cameras(step, seed), step, count, seed)

    def draw_cameras(self, step: int, seed: int) -> list[Camera]:
        """The random cameras of a step."""
        random = np.random.Generator(np.random.Philox(key=[seed, step]))
        first = random.integers(len(self.cameras), size=CAMERAS_PER_STEP)
        second = self._neighbours[first, random.integers(self._neighbours.shape[1], size=CAMERAS_PER_STEP)]
        fractions = random.random(CAMERAS_PER_STEP)
        times = (1 - fractions) * self.training_times[first] + fractions * self.training_times[second]
        poses = poses_between(self._poses[first], self._poses[second], fractions)
        return [
            Camera(pose, self.cameras[index].intrinsics, float(time)) for pose, index, time in zip(poses, first, times)
        ]

    def rays_through(self, cameras: list[Camera], step: int, count: int, seed: int) -> PixelRays:
        """About `count` rays, equally many through each of the cameras, of which `views` are the indices."""
        random = np.random.Generator(np.random.Philox(key=[seed, step + PIXEL_STREAM]))
        each = max(1, count // len(cameras))
        directions = [
            pixel_directions(
                camera.intrinsics,
                random.random(each) * camera.intrinsics.width,
                random.random(each) * camera.intrinsics.height,
            )
            @ camera.pose[:, :3].T
            for camera in cameras
        ]
        views = np.repeat(np.arange(len(cameras)), each)
        origins = (np.stack([camera.position for camera in cameras])[views] - self._lower) / self._side
        times = np.array([camera.time or 0.0 for camera in cameras], np.float32)[views] if self.moving else None
        return PixelRays(
            origins=origins.astype(np.float32),
            directions=np.concatenate(directions).astype(np.float32),
            colors=np.zeros((len(origins), 3), np.float32),
            alpha=None,
            times=times,
            views=views,
        )

    def image(self, view: View) -> np.ndarray:
        """What the teacher shows from a view, `[H, W, 3]` float32. Images are kept."""
        # By the object, because a name may occur in both splits.
        if id(view) not in self._images:
            seen, _ = render_camera(self._teacher, view, background=self._brightness)
            self._images[id(view)] = seen.color.cpu().numpy()
        return self._images[id(view)]


def poses_between(a: np.ndarray, b: np.ndarray, fractions: np.ndarray) -> np.ndarray:
    """Poses `[N, 3, 4]` at fractions `[N]` of the way from poses a to poses b.

    Positions move on a line, rotations about one axis by the shortest way.
    """
    from scipy.spatial.transform import Rotation

    along = fractions[:, None]
    first = Rotation.from_matrix(a[:, :, :3])
    turned = first * Rotation.from_rotvec(along * (first.inv() * Rotation.from_matrix(b[:, :, :3])).as_rotvec())
    positions = (1 - along) * a[:, :, 3] + along * b[:, :, 3]
    return np.concatenate([turned.as_matrix(), positions[:, :, None]], axis=2)
