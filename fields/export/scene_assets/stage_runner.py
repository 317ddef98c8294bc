"""Run stages one after the other, each within its time, and take those that are kept from the run's folder."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fields.export.scene_assets.reports import Reports
from fields.export.scene_assets.schedule import Schedule
from fields.export.scene_assets.stage_folder import Stage, StageFolder, stage_key

Progress = Callable[[float], None]


@dataclass
class Result:
    """What a stage made.

    Attributes:
        arrays: by name; kept in one file.
        images: `[H, W, 3]` uint8 by name; kept as one file each.
        notes: sentences that a person should read.
        facts: plain values about the result.
    """

    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    images: dict[str, np.ndarray] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)


class StageRunner:
    """Runs stages whose results are kept in a folder.

    key: digest of what the first stage works on.
    """

    def __init__(self, folder: StageFolder, schedule: Schedule, reports: Reports, key: str) -> None:
        self.folder, self.schedule, self.reports = folder, schedule, reports
        self.key = key
        self.seconds: dict[str, float] = {}

    def run(self, name: str, options: Mapping[str, Any], work: Callable[[float, Progress], Result]) -> Result:
        """The result of a stage: the kept one, or what `work(seconds, progress)` returns.

        options: what the stage depends on besides the stages before, as plain JSON data.
        """
        self.key = stage_key({"stage": name, **options}, self.key)
        kept = self.folder.done(name, self.key)
        if kept is not None:
            self.reports.kept(name)
            self.seconds[name] = kept.seconds
            return self._load(name, kept)
        seconds = self.schedule.for_stage(name)
        self.reports.begin(name, seconds)
        begun = time.perf_counter()
        result = work(seconds, self.reports.fraction)
        taken = round(time.perf_counter() - begun, 3)
        self.seconds[name] = taken
        if result.arrays:
            self.folder.save_arrays(name, result.arrays)
        for image_name, image in result.images.items():
            self.folder.save_image(f"{name}-{image_name}", image)
        facts = {**result.facts, "images": sorted(result.images)}
        self.folder.finish(name, Stage(self.key, taken, result.notes, facts))
        self.reports.end(name, taken)
        for note in result.notes:
            self.reports.message(note)
        return result

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Context of a stage that is done every time; its seconds are added to what it took before."""
        self.reports.begin(name, self.schedule.for_stage(name))
        begun = time.perf_counter()
        yield
        taken = time.perf_counter() - begun
        self.seconds[name] = round(self.seconds.get(name, 0.0) + taken, 3)
        self.reports.end(name, taken)

    def _load(self, name: str, kept: Stage) -> Result:
        images = {image: self.folder.load_image(f"{name}-{image}") for image in kept.facts["images"]}
        arrays = self.folder.load_arrays(name) if (self.folder.path / f"{name}.safetensors").is_file() else {}
        return Result(arrays, images, kept.notes, kept.facts)
