"""Films of solid fields along key views that somebody has chosen in the viewer."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from apps.studio.exporting import ExportChoice
from fields.export.base import Progress
from fields.export.viewers import CHANNELS, Viewer
from fields.kinds import viewer_for
from fields.runs.run import Run
from scenes.errors import BadInput
from scenes.video.write import write_video

LABEL = "film along key views (.mp4)"
MIN_VIEWS, MAX_VIEWS = 2, 24
MIN_SECONDS, MAX_SECONDS = 1.0, 60.0
# Frames per second, and side of the square frames in pixels.
RATE = 24
SIDE = 360
# Brightness of what is behind a shape.
BACKGROUNDS = {"white": 1.0, "grey": 0.5, "black": 0.0}


@dataclass(frozen=True)
class KeyView:
    """Angles in degrees, and distance and time as of `fields.export.viewers.Viewer.orbit`."""

    azimuth: float
    elevation: float
    distance: float
    time: float = 0.0

    def __post_init__(self) -> None:
        """Raise BadInput where a number is not finite."""
        if not all(map(math.isfinite, (self.azimuth, self.elevation, self.distance, self.time))):
            raise BadInput("a key view has finite angles")


@dataclass(frozen=True, kw_only=True)
class FilmChoice(ExportChoice):
    """A film along key views. `closed`: whether it returns to the first one."""

    views: tuple[KeyView, ...]
    seconds: float
    channel: str = "color"
    background: str = "white"
    closed: bool = False

    def __post_init__(self) -> None:
        """Raise BadInput for too few or too many views, and for other channels and backgrounds."""
        if not MIN_VIEWS <= len(self.views) <= MAX_VIEWS:
            raise BadInput(f"a film goes along {MIN_VIEWS} to {MAX_VIEWS} key views; there are {len(self.views)}")
        if not MIN_SECONDS <= self.seconds <= MAX_SECONDS:
            raise BadInput(f"a film here lasts {MIN_SECONDS:g} to {MAX_SECONDS:g} seconds")
        if self.channel not in CHANNELS or self.background not in BACKGROUNDS:
            raise BadInput("a film shows color, normal or depth before white, grey or black")

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> FilmChoice:
        """The film that a page asks for. Raises BadInput where that is none."""
        try:
            views = tuple(KeyView(*map(float, view)) for view in given["views"])
            return cls(
                label=LABEL,
                ending=".mp4",
                options=dict(given),
                views=views,
                seconds=float(given["seconds"]),
                channel=str(given.get("channel", "color")),
                background=str(given.get("background", "white")),
                closed=bool(given.get("closed", False)),
            )
        except (KeyError, TypeError, ValueError):
            raise BadInput("a film has a list of key views, four numbers each, and seconds") from None

    def estimate(self, run: Run, scale: float, cells: int) -> str:
        return f"{round(self.seconds * RATE)} frames of {SIDE} x {SIDE}"

    def write(self, run: Run, out: Path, scale: float, cells: int, progress: Progress) -> None:
        viewer = viewer_for(run.header["kind"], run.load_field(), run.path)
        if not viewer.solid:
            raise BadInput("only shapes and scenes are filmed from around")
        write_video(out, self._frames(viewer, progress), RATE)

    def _frames(self, viewer: Viewer, progress: Progress) -> Iterator[np.ndarray]:
        along = between(self.views, round(self.seconds * RATE), closed=self.closed)
        for index, view in enumerate(along):
            seen = viewer.orbit(
                view.azimuth, view.elevation, view.distance, SIDE, channel=self.channel, time=view.time
            ).astype(np.float32)
            alpha = seen[..., 3:] / 255
            yield (seen[..., :3] * alpha + 255 * BACKGROUNDS[self.background] * (1 - alpha) + 0.5).astype(np.uint8)
            progress.fraction((index + 1) / len(along))


def between(views: Sequence[KeyView], count: int, *, closed: bool = False) -> list[KeyView]:
    """`count` views on a smooth path through key views (cubic Hermite, Catmull-Rom), an equal time apart.

    The camera turns the shorter way from each view to the next. closed: whether the path returns to the first view.
    """
    keys = np.array([(view.azimuth, view.elevation, view.distance, view.time) for view in views])
    if closed:
        keys = np.concatenate([keys, keys[:1]])
    keys[:, 0] = np.degrees(np.unwrap(np.radians(keys[:, 0])))
    # Distances are ratios: half-way from 1 to 4 is 2.
    keys[:, 2] = np.log(np.maximum(keys[:, 2], 1e-6))
    before, after = (keys[-2] - (keys[-1] - keys[0]), keys[1] + (keys[-1] - keys[0])) if closed else (keys[0], keys[-1])
    padded = np.concatenate([before[None], keys, after[None]])
    slopes = (padded[2:] - padded[:-2]) / 2
    place = np.linspace(0, len(keys) - 1, count, endpoint=not closed)
    index = np.minimum(place.astype(int), len(keys) - 2)
    t = (place - index)[:, None]
    found = (
        (2 * t**3 - 3 * t**2 + 1) * keys[index]
        + (t**3 - 2 * t**2 + t) * slopes[index]
        + (3 * t**2 - 2 * t**3) * keys[index + 1]
        + (t**3 - t**2) * slopes[index + 1]
    )
    found[:, 2] = np.exp(found[:, 2])
    return [KeyView(*row) for row in found.tolist()]
