"""What a student finds hardest is shown again: the three levels of PVD-AL (Fang et al. 2023b), each an option of its own."""

from __future__ import annotations

import numpy as np
import torch
from scipy.spatial.transform import Rotation
from torch import Tensor

from fields.fit.objectives.radiance import RayBatch
from fields.ops.packed import Samples
from scenes.posed.cameras import PathCamera

# Of a step's rays, and of its cameras, this share, the worst, goes into a pool of so many and takes the place of the oldest there.
WORST, RAYS, CAMERAS = 0.1, 1 << 14, 100
# A camera that stands again is turned by up to so much about each of its axes.
TURN = np.pi / 20
# The view of a ray that is none of the step's cameras'.
OTHERS = -1


class HardRays:
    """Origins, directions and times of rays `[n, 7]`, the newest first."""

    def __init__(self, share: float, device: torch.device) -> None:
        self.share = share
        self.pool = torch.zeros(0, 7, device=device)

    def mix_in(self, batch: RayBatch, step: int) -> None:
        """Some of the batch's rays become such as were hard."""
        again = min(int(self.share * len(batch.colors)), len(self.pool))
        if again:
            chosen = self.pool[
                torch.randint(len(self.pool), (again,), generator=torch.Generator().manual_seed(step)).to(
                    self.pool.device
                )
            ]
            batch.origins[:again], batch.directions[:again] = chosen[:, :3], chosen[:, 3:6]
            if batch.times is not None:
                batch.times[:again] = chosen[:, 6]
            batch.views[:again] = OTHERS

    def note(self, batch: RayBatch, error: Tensor) -> None:
        """`error` `[N]` of the batch's rays."""
        worst = error.topk(max(1, int(WORST * len(error)))).indices
        times = batch.times[worst] if batch.times is not None else torch.zeros(len(worst), device=worst.device)
        self.pool = torch.cat(
            [torch.cat([batch.origins[worst], batch.directions[worst], times[:, None]], dim=1), self.pool]
        )[:RAYS]


class HardCameras:
    """Poses, times and whose lens cameras have, as rows `[n, 14]`, the newest first; `known` are the cameras that have the lenses."""

    def __init__(self, share: float, known: list[PathCamera]) -> None:
        self.share = share
        self.all_intrinsics = list(dict.fromkeys(camera.intrinsics for camera in known))
        self.pool = torch.zeros(0, 14, dtype=torch.float64)
        self._standing: list[PathCamera] = []

    def mix_in(self, cameras: list[PathCamera], step: int) -> list[PathCamera]:
        """Some of a step's cameras become such as showed much that was wrong, turned a little."""
        again = min(int(self.share * len(cameras)), len(self.pool))
        random = np.random.Generator(np.random.Philox(key=[step, 1 << 50]))
        turned = []
        for index in random.integers(max(1, len(self.pool)), size=again):
            row = self.pool[index].numpy()
            pose = row[:12].reshape(3, 4).copy()
            pose[:, :3] = pose[:, :3] @ Rotation.from_euler("xyz", random.uniform(-TURN, TURN, 3)).as_matrix()
            turned.append(PathCamera(pose, self.all_intrinsics[int(row[13])], float(row[12])))
        self._standing = turned + cameras[again:]
        return self._standing

    def note(self, batch: RayBatch, error: Tensor) -> None:
        """`error` `[N]` of the batch's rays, whose `views` are numbers of the step's cameras, or `OTHERS`."""
        count, own = len(self._standing), batch.views != OTHERS
        rays = torch.bincount(batch.views[own], minlength=count)
        mean = torch.bincount(batch.views[own], weights=error[own].double(), minlength=count) / rays.clamp(min=1)
        rows = [
            torch.from_numpy(
                np.concatenate(
                    [camera.pose.reshape(-1), [camera.time or 0.0, self.all_intrinsics.index(camera.intrinsics)]]
                )
            )
            for camera in (self._standing[i] for i in mean.topk(max(1, int(WORST * count))).indices.tolist())
        ]
        self.pool = torch.cat([torch.stack(rows), self.pool])[:CAMERAS]


def heaviest(weights: Tensor, samples: Samples, share: float) -> Tensor:
    """Which samples `[S]` are among the `share` of their ray's that have most of `weights` `[S]`, one at least a ray."""
    order = torch.argsort(weights, descending=True)
    order = order[torch.argsort(samples.ray_indices[order], stable=True)]
    place = torch.arange(len(order), device=order.device) - samples.offsets[samples.ray_indices[order]]
    wanted = (samples.counts[samples.ray_indices[order]] * share).ceil()
    chosen = torch.zeros(len(order), dtype=torch.bool, device=order.device)
    chosen[order] = place < wanted
    return chosen
