"""The objective of posed views: rays through an occupancy grid, composited, against the pixels that they saw."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from fields.fit.metrics.samples import psnr, ssim
from fields.fit.objectives.base import Objective, point_loss
from fields.methods.base import Method
from fields.models.radiance import NEAR, EncodedRadiance
from fields.ops.distortion import distortion
from fields.ops.packed import Samples
from fields.render.floaters import blocked
from fields.render.volume import RadianceView, render_picture, render_rays
from fields.sampling.occupancy import OccupancyGrid
from fields.sampling.proposal import envelope_loss
from fields.surface.implicit import sphere
from scenes.errors import BadInput
from scenes.image.color import to_bytes
from scenes.posed.cameras import CAMERAS, write_cameras
from scenes.posed.signal import BACKDROPS, RadianceScene, Rays
from scenes.posed.view import View
from scenes.sampling import philox

if TYPE_CHECKING:
    from fields.runs.run import Run

# Steps between looks at which cells are occupied.
GRID_STEPS = 16
# Density that depends on where it is seen from counts with the most of 16 sides; a look takes two of them in turn, as they take time, and cells keep the most.
SIDES, LOOKS = 16, 8
# Of the samples that were aimed at: how many rays a first step takes, and how many samples of a ray are passed over at most for one
# that counts.
FIRST_RAYS, PASSED_OVER = 1 / 128, 6
MIN_RAYS, MAX_RAYS = 64, 1 << 17
# Rays through views for testing that are looked at while it fits, seconds between looks, and the share of the time that they may take.
WATCHED_RAYS, WATCH_SECONDS, WATCH_SHARE = 4096, 5.0, 0.02
PANELS, PANEL_WIDTH, GAP, ERROR_GAIN = 4, 320, 6, 5
EXPOSURE_PULL = 1e-2
CHUNK = 1 << 14
# Steps until samples go where proposals say, and not more evenly.
ANNEAL_STEPS = 50
# About how long proposed intervals are where there is something, in sides of the cube.
GUIDED_STEP = 1 / 64
# Matter that lets a third of the light through this share of the cube's side is solid.
SOLID_LENGTH = 0.02


class RayBatch(NamedTuple):
    """Rays `[N, 3]` in units of the cube, what they saw `[N, 3]`, what was behind them `[N, 3]`, times `[N]` or None, the view of each,
    and the number that jitters their samples."""

    origins: Tensor
    directions: Tensor
    colors: Tensor
    background: Tensor | None
    times: Tensor | None
    views: Tensor
    jitter: int


class RadianceObjective(Objective):
    signal: RadianceScene
    requires = EncodedRadiance
    shown = "views for testing: target, fit, error"
    # (as space empties the same samples are those of more rays)
    step_cost_varies = True

    def __init__(self, signal: RadianceScene, loss: str, gradient_terms: dict[str, float] | None = None) -> None:
        super().__init__(signal, loss, gradient_terms)
        self.method: Method | None = None
        self.grid: OccupancyGrid | None = None
        self.exposure: nn.Parameter | None = None
        self.views: list[dict] = []
        self.remarks: list[str] = []
        self._rays = self._steps = 0
        self._restored: dict[str, Tensor] | None = None
        self._field: EncodedRadiance | None = None
        self._watched: tuple[float, float] | None = None  # when and what
        self._watch_cost = 0.0
        self._scored = signal.test

    # Training

    def parameter_groups(self, method: Method) -> list[dict]:
        self.method = method
        self._rays = max(MIN_RAYS, int(method.batch * FIRST_RAYS))
        if not method.exposure:
            return []
        self.exposure = nn.Parameter(torch.zeros(len(self.signal.training), 3))
        return [{"params": [self.exposure], "lr": method.learning_rate, "sparse": False}]

    def before_step(self, field: EncodedRadiance, step: int, total: int | None) -> None:
        self._steps = step
        self._field = field
        if self.grid is None:
            self._begin(field)
        if step and step % GRID_STEPS == 0:
            length = field.step if field.guide is None else GUIDED_STEP
            self.grid.update(self._density_for_grid(field, step), length, seed=self.method.batch)
            field.occupied = self.grid.words

    def _begin(self, field: EncodedRadiance) -> None:
        self.grid = OccupancyGrid(field.cells, field.levels).to(field.occupied.device)
        if self.method.hull and field.levels == 1:
            empty = self.signal.empty(field.cells)
            if empty is not None and not empty.all():
                self.grid.leave_out(torch.from_numpy(empty)[None])
        if self._restored is not None:
            self.grid.load_state_dict({**self._restored, "words": field.occupied})
            self._restored = None
        field.occupied = self.grid.words

    def _density_for_grid(self, field: EncodedRadiance, step: int):
        random = torch.Generator().manual_seed(step)

        def density(points: Tensor) -> Tensor:
            time = None
            if field.moving:
                # A cell is occupied while anything is ever in it.
                times = torch.from_numpy(self.signal.training_times)
                time = times[torch.randint(len(times), (len(points),), generator=random)].to(points.device)
            coords = field.coords(points)
            if not field.sees_directions:
                return field.density(coords, time)[0]
            some = torch.from_numpy(sphere(SIDES)[step // GRID_STEPS % LOOKS :: LOOKS]).float().to(points.device)
            return torch.stack([field.density(coords, time, side.expand_as(points))[0] for side in some]).amax(0)

        return density

    def batch(self, step: int, count: int, seed: int, device: torch.device) -> RayBatch:
        """As many rays as lately had about `count` samples that light reached."""
        rays = self._drawn(step, seed)
        origins, directions, colors, views = (
            torch.from_numpy(x).to(device) for x in (rays.origins, rays.directions, rays.colors, rays.views)
        )
        background = None
        if self.method.background == "random":
            words = (
                philox(seed, step + (1 << 40)).random_raw(-(-3 * len(colors) // 8)).view(np.uint8)[: 3 * len(colors)]
            )
            background = torch.from_numpy(words.reshape(-1, 3).astype(np.float32) / 255.0).to(device)
        elif self.method.background in BACKDROPS:
            background = torch.full((3,), BACKDROPS[self.method.background], device=device)
        if rays.alpha is not None:
            alpha = torch.from_numpy(rays.alpha).to(device)
            # (a learned background is learned from views without alpha)
            behind = (
                background
                if background is not None
                else torch.full((3,), BACKDROPS[self.signal.backdrop], device=device)
            )
            colors = colors * alpha + behind * (1.0 - alpha)
        times = None if rays.times is None else torch.from_numpy(rays.times).to(device)
        return RayBatch(origins, directions, colors, background, times, views, (seed * 1_000_003 + step) & 0xFFFFFFFF)

    def _drawn(self, step: int, seed: int) -> Rays:
        return self.signal.rays(step, self._rays, seed)

    def loss(self, field: EncodedRadiance, batch: RayBatch) -> Tensor:
        background = field.backdrop() if batch.background is None else batch.background
        how, proposed = field.how, None
        if field.guide is not None:
            proposed = field.propose(
                batch.origins, batch.directions, batch.jitter, 0, min(1.0, self._steps / ANNEAL_STEPS)
            )
            how = how | {"sampler": lambda *_: proposed.samples}
        found = render_rays(
            field, batch.origins, batch.directions, self.grid, background, seed=batch.jitter, time=batch.times, **how
        )
        color = found.color
        if self.exposure is not None:
            color = color * torch.exp(self.exposure.to(color.device)[batch.views])
        loss = point_loss(self.loss_name, color, batch.colors)
        if self.method.distortion:
            loss = (
                loss
                + self.method.distortion
                * distortion(found.weights, found.samples if proposed is None else _inverse(found.samples)).mean()
            )
        if proposed is not None:
            dense = found.weights.new_zeros(len(proposed.samples)).index_copy(0, found.kept, found.weights.detach())
            loss = (
                loss + envelope_loss(proposed.edges, dense.reshape(len(batch.colors), -1), *proposed.rounds[0]).mean()
            )
        if self.exposure is not None:
            loss = loss + EXPOSURE_PULL * self.exposure.square().mean()
        self._adapt(len(found.samples), found.looked)
        return loss

    def _adapt(self, reached: int, looked: int) -> None:
        """How many rays the next step takes."""
        a_ray = max(reached, looked / PASSED_OVER, 1) / self._rays
        wanted = int(self.method.batch / a_ray)
        self._rays = max(MIN_RAYS, min(MAX_RAYS, wanted, 2 * self._rays))

    def state(self) -> dict[str, Tensor]:
        if self.grid is None:
            return {}
        # (which cells are occupied is in the field)
        state = {f"grid.{name}": tensor for name, tensor in self.grid.state_dict().items() if name != "words"}
        state["rays"] = torch.tensor(self._rays)
        return state if self.exposure is None else {**state, "exposure": self.exposure.detach()}

    def restore(self, state: dict[str, Tensor]) -> None:
        if not state:
            return
        self._rays = int(state["rays"])
        self._restored = {
            name.removeprefix("grid."): tensor for name, tensor in state.items() if name.startswith("grid.")
        }
        if self.exposure is not None:
            self.exposure.data.copy_(state["exposure"])

    def save_sidecar(self, folder: Path) -> None:
        write_cameras(folder / CAMERAS, self.signal.views.views)

    def exclude_training_views(self, run: Run) -> None:
        """Scores all views but those from where, and when, one for training was taken, whatever their files hold out."""
        known = [camera for camera in run.cameras() if camera.split == "train"]
        views = self.signal.views.views
        self._scored = [view for view in views if not any(camera.looks_like(view) for camera in known)]
        if not self._scored:
            raise BadInput(
                f"{self.signal.source['path']}: the run was fitted to all of its {len(views)} views; name a folder with others"
            )

    # Scores and pictures

    @torch.no_grad()
    def view(self, field: EncodedRadiance, view: View, stride: int = 1) -> RadianceView:
        """What the field shows from there, on the stated background; every `stride`-th pixel."""
        origins, directions = (torch.from_numpy(np.ascontiguousarray(x)) for x in self.signal.rays_of(view, stride))
        shape = -(-view.intrinsics.height // stride), -(-view.intrinsics.width // stride)
        return render_picture(
            field,
            field.to_cube(origins),
            directions.float().to(field.occupied.device),
            shape,
            field.grid,
            self.backdrop(field),
            CHUNK,
            (view.time or 0.0) if field.moving else None,
            **field.how,
        )

    def backdrop(self, field: EncodedRadiance) -> Tensor | float:
        learned = field.backdrop()
        return BACKDROPS[self.signal.backdrop] if learned is None else learned

    def running_quality(self, loss: float) -> tuple[str, float]:
        """PSNR of a part of the views for testing, looked at every few seconds."""
        if self._field is None:
            return super().running_quality(loss)
        begun = time.perf_counter()
        if self._watched is None or begun - self._watched[0] > max(WATCH_SECONDS, self._watch_cost / WATCH_SHARE):
            quality = self.part_psnr(self._field)
            now = time.perf_counter()
            self._watched, self._watch_cost = (now, quality), now - begun
        return "test_psnr", self._watched[1]

    def part_psnr(self, field: EncodedRadiance) -> float:
        chosen, stride = watched(self.signal)
        scores = []
        for view in chosen:
            fit, target, mask = (
                self.view(field, view, stride).color.cpu().numpy(),
                self.signal.picture(view),
                self.signal.mask(view),
            )
            mask = None if mask is None or not mask[::stride, ::stride].any() else mask[::stride, ::stride]
            scores.append(_psnr(fit, target[::stride, ::stride], mask))
        return float(np.mean(scores))

    def evaluate(self, field: EncodedRadiance) -> dict[str, float]:
        """Means over the views for testing; those of each are in `views`. PSNR is that of the pixels that a view's mask leaves; SSIM
        that of the picture in which the others are the target's."""
        self.views, self.remarks = [], self._remarks(field)
        for view in self._scored:
            fit, target, mask = (
                self.view(field, view).color.cpu().numpy(),
                self.signal.picture(view),
                self.signal.mask(view),
            )
            scores = {
                "psnr": _psnr(fit, target, mask),
                "ssim": ssim(fit if mask is None else np.where(mask[..., None], fit, target), target),
            }
            self.views.append(
                {"name": view.name, **{name: value for name, value in scores.items() if value is not None}}
            )
        return {
            name: float(np.mean([scores[name] for scores in self.views])) for name in self.views[0] if name != "name"
        }

    def details(self) -> dict:
        return {
            "views": [
                {name: round(v, 5) if isinstance(v, float) else v for name, v in scores.items()}
                for scores in self.views
            ],
            **({"remarks": self.remarks} if self.remarks else {}),
        }

    @torch.no_grad()
    def _remarks(self, field: EncodedRadiance) -> list[str]:
        """Cameras that stand in solid matter: they see nothing but what is at their lens, and spoil what others see."""
        axes = self.signal.domain.axes[:3]
        training = self.signal.training
        found = blocked(
            field.grid.occupancy.cells().cpu().numpy(),
            [axis.lower for axis in axes],
            [axis.upper for axis in axes],
            training,
        )
        if found:
            points = field.coords(field.to_cube(torch.from_numpy(np.stack([view.pose[:, 3] for view in found]))))
            times = (
                torch.tensor([view.time or 0.0 for view in found], dtype=torch.float32, device=points.device)
                if field.moving
                else None
            )
            thickness = field.density(points, times)[0] * SOLID_LENGTH
            found = [view for view, thick in zip(found, thickness.tolist()) if thick > 1.0]
        if not found:
            return []
        names = ", ".join(view.name for view in found[:3]) + (", ..." if len(found) > 3 else "")
        return [
            f"{len(found)} of {len(training)} cameras stand in solid matter ({names}): their poses may be wrong, or a longer fit clears it"
        ]

    def evaluation_seconds(self, field: EncodedRadiance) -> float:
        """From a part of one view in the middle."""
        view = self.signal.test[len(self.signal.test) // 2]
        stride = max(1, round((view.intrinsics.width * view.intrinsics.height / 16384) ** 0.5))
        begun = time.perf_counter()
        fit = self.view(field, view, stride).color.cpu().numpy()
        spent = (time.perf_counter() - begun) * stride**2
        begun = time.perf_counter()
        target = self.signal.picture(view)
        ssim(np.zeros_like(target) if stride > 1 else fit, target)
        return (spent + time.perf_counter() - begun) * len(self.signal.test)

    def preview(self, field: EncodedRadiance, longest_side: int = 1024) -> np.ndarray:
        """The first view for testing as the fit shows it."""
        view = self.signal.test[0]
        return to_bytes(
            self.view(field, view, -(-max(view.intrinsics.width, view.intrinsics.height) // longest_side))
            .color.cpu()
            .numpy()
        )

    def save_preview(self, field: EncodedRadiance, path: Path) -> None:
        """Columns of four views for testing; rows of target, fit, five times their difference."""
        from PIL import Image as Pillow

        from scenes.io.atomic import atomic_write

        test = self.signal.test
        columns = []
        for index in np.linspace(0, len(test) - 1, min(PANELS, len(test))).round().astype(int):
            stride = -(-test[index].intrinsics.width // PANEL_WIDTH)
            target = self.signal.picture(test[index])[::stride, ::stride]
            fit = self.view(field, test[index], stride).color.cpu().numpy()
            panels = [to_bytes(target), to_bytes(fit), to_bytes(np.abs(np.clip(fit, 0, 1) - target) * ERROR_GAIN)]
            columns.append([np.pad(panel, ((0, GAP), (0, GAP), (0, 0)), constant_values=255) for panel in panels])
        tallest = max(len(column[0]) for column in columns)
        columns = [
            np.concatenate([np.pad(p, ((0, tallest - len(p)), (0, 0), (0, 0)), constant_values=255) for p in column])
            for column in columns
        ]
        with atomic_write(path) as temporary:
            Pillow.fromarray(np.concatenate(columns, axis=1)[:-GAP, :-GAP]).save(temporary)


def watched(scene: RadianceScene) -> tuple[list[View], int]:
    """The views for testing that are looked at while it fits, and the stride of the pixels that are, both ways."""
    chosen = scene.test[:: max(1, len(scene.test) // 4)][:4]
    pixels = sum(view.intrinsics.width * view.intrinsics.height for view in chosen)
    return chosen, max(1, round((pixels / WATCHED_RAYS) ** 0.5))


def _psnr(fit: np.ndarray, target: np.ndarray, mask: np.ndarray | None) -> float:
    """Of the pixels of pictures `[H, W, 3]` that count."""
    return psnr(fit, target) if mask is None else psnr(fit[mask][None], target[mask][None])


def _inverse(samples: Samples) -> Samples:
    """The same intervals in 1 / distance, from 0 near to 1 far away: what is far may be spread out farther."""
    return Samples(1.0 - NEAR / samples.t_starts, 1.0 - NEAR / samples.t_ends, samples.ray_indices, samples.offsets)
