"""Train again on what a student finds hardest: the three levels of PVD-AL (Fang et al. 2023b), an option each."""

from __future__ import annotations

import numpy as np
import torch
from scipy.spatial.transform import Rotation
from torch import Tensor

from fields.fit.objectives.ray_batches import RayBatch
from fields.ops.packed import Samples
from scenes.posed.camera import Camera

# Fraction of a step's rays, and of its cameras, that enter the pools: those with the largest errors.
WORST_FRACTION = 0.1
# Sizes of the pools; new entries replace the oldest.
MAX_RAYS = 1 << 14
MAX_CAMERAS = 100
# Largest angle, in radians, by which a camera that is used again is turned about each of its axes.
MAX_TURN = np.pi / 20
# View index of a ray that belongs to none of the step's cameras.
NO_VIEW = -1
# Columns of `HardCameras.pool`: the pose, 3 x 4 row by row, then the time and the index of the intrinsics.
POSE_COLUMNS = 12
CAMERA_COLUMNS = 14


class HardRays:
    """Pool of the rays with the largest errors.

    fraction: of a batch's rays, how many are replaced by rays of the pool.
    pool: origins, directions and times, `[n, 7]`, the newest first.
    """

    def __init__(self, fraction: float, device: torch.device) -> None:
        self.fraction = fraction
        self.pool = torch.zeros(0, 7, device=device)

    def mix_in(self, batch: RayBatch, step: int) -> None:
        """Replace the first rays of the batch by random rays of the pool, in place."""
        count = min(int(self.fraction * len(batch.colors)), len(self.pool))
        if count:
            generator = torch.Generator().manual_seed(step)
            chosen = self.pool[torch.randint(len(self.pool), (count,), generator=generator).to(self.pool.device)]
            batch.origins[:count], batch.directions[:count] = chosen[:, :3], chosen[:, 3:6]
            if batch.times is not None:
                batch.times[:count] = chosen[:, 6]
            batch.views[:count] = NO_VIEW

    def record(self, batch: RayBatch, error: Tensor) -> None:
        """Add the batch's rays with the largest `error` `[N]` to the pool."""
        worst = error.topk(max(1, int(WORST_FRACTION * len(error)))).indices
        times = batch.times[worst] if batch.times is not None else torch.zeros(len(worst), device=worst.device)
        rays = torch.cat([batch.origins[worst], batch.directions[worst], times[:, None]], dim=1)
        self.pool = torch.cat([rays, self.pool])[:MAX_RAYS]


class HardCameras:
    """Pool of the cameras with the largest mean errors.

    fraction: of a step's cameras, how many are replaced by cameras of the pool.
    known: cameras whose intrinsics the steps use.
    pool: pose, time and index of the intrinsics, `[n, 14]`, the newest first.
    """

    def __init__(self, fraction: float, known: list[Camera]) -> None:
        self.fraction = fraction
        self.all_intrinsics = list(dict.fromkeys(camera.intrinsics for camera in known))
        self.pool = torch.zeros(0, CAMERA_COLUMNS, dtype=torch.float64)
        self._cameras: list[Camera] = []

    def mix_in(self, cameras: list[Camera], step: int) -> list[Camera]:
        """The step's cameras, of which the first are replaced by random cameras of the pool, turned a little."""
        count = min(int(self.fraction * len(cameras)), len(self.pool))
        random = np.random.Generator(np.random.Philox(key=[step, 1 << 50]))
        turned = []
        for index in random.integers(max(1, len(self.pool)), size=count):
            row = self.pool[index].numpy()
            pose = row[:POSE_COLUMNS].reshape(3, 4).copy()
            angles = random.uniform(-MAX_TURN, MAX_TURN, 3)
            pose[:, :3] = pose[:, :3] @ Rotation.from_euler("xyz", angles).as_matrix()
            time, intrinsics = row[POSE_COLUMNS:]
            turned.append(Camera(pose, self.all_intrinsics[int(intrinsics)], float(time)))
        self._cameras = turned + cameras[count:]
        return self._cameras

    def record(self, batch: RayBatch, error: Tensor) -> None:
        """Add the step's cameras with the largest mean error to the pool.

        error: `[N]`, of the batch's rays, whose `views` are indices of the step's cameras or `NO_VIEW`.
        """
        count, known = len(self._cameras), batch.views != NO_VIEW
        rays = torch.bincount(batch.views[known], minlength=count)
        total = torch.bincount(batch.views[known], weights=error[known].double(), minlength=count)
        worst = (total / rays.clamp(min=1)).topk(max(1, int(WORST_FRACTION * count))).indices
        rows = [self._row(self._cameras[index]) for index in worst.tolist()]
        self.pool = torch.cat([torch.stack(rows), self.pool])[:MAX_CAMERAS]

    def _row(self, camera: Camera) -> Tensor:
        intrinsics = self.all_intrinsics.index(camera.intrinsics)
        return torch.from_numpy(np.concatenate([camera.pose.reshape(-1), [camera.time or 0.0, intrinsics]]))


def heaviest_samples(weights: Tensor, samples: Samples, fraction: float) -> Tensor:
    """Mask `[S]` of the `fraction` of each ray's samples with the largest `weights` `[S]`, at least one per ray."""
    order = torch.argsort(weights, descending=True)
    order = order[torch.argsort(samples.ray_indices[order], stable=True)]
    rank = torch.arange(len(order), device=order.device) - samples.offsets[samples.ray_indices[order]]
    wanted = (samples.counts[samples.ray_indices[order]] * fraction).ceil()
    chosen = torch.zeros(len(order), dtype=torch.bool, device=order.device)
    chosen[order] = rank < wanted
    return chosen
