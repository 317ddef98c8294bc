"""A fitted scene as the stages of an asset take it: field, cameras, and the photographs where they are still there."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch

from fields.export.scene_assets.true_shape import true_shape
from fields.fit import fit as fitting
from fields.models.field import RadianceField
from fields.runs.run import Run
from fields.surface.radiance import Radiance
from scenes.errors import BadInput
from scenes.posed.camera import Camera
from scenes.posed.signal import BACKGROUNDS, RadianceScene
from scenes.posed.view import View
from scenes.procedural.still_life import StillLife

# Points whose colors are queried at once.
CHUNK = 1 << 18


@dataclass(frozen=True)
class FittedScene:
    """A field, what it was fitted to, and a digest that tells whether either has changed.

    cameras: of the run, in units of the scene; empty if it has none.
    training, test: photographs of both splits; empty where the files are gone or have changed.
    background: what transparent pixels show in scores, 0 or 1.
    key: digest of the fitted weights and of the photographs.
    notes: sentences that a person should read.
    truth: the shape that the photographs show, where it is known.
    """

    field: RadianceField
    cameras: tuple[Camera, ...]
    training: tuple[View, ...]
    test: tuple[View, ...]
    background: float
    key: str
    name: str
    notes: tuple[str, ...] = ()
    truth: StillLife | None = None

    @classmethod
    def of_run(cls, run: Run, signal: RadianceScene | None = None, device: str = "auto") -> Self:
        """The scene of a run. signal: its photographs, if they are open already."""
        field = run.load_field(fitting.resolve_device(device))
        if not isinstance(field, RadianceField):
            raise BadInput(f"{run.path}: is no scene")
        notes = []
        if signal is None:
            try:
                opened = fitting.reopen(run)
                signal = opened if isinstance(opened, RadianceScene) else None
            except BadInput as error:
                notes.append(f"The photographs cannot be read ({error}); colors come from the field")
        digest = hashlib.sha256(run.weights.read_bytes())
        digest.update(str(run.header["source"]).encode())
        digest.update(str(signal is not None).encode())
        return cls(
            field=field,
            cameras=tuple(run.cameras()),
            training=() if signal is None else tuple(signal.training),
            test=() if signal is None else tuple(signal.test),
            background=BACKGROUNDS[run.background],
            key=digest.hexdigest()[:32],
            name=run.path.name,
            notes=tuple(notes),
            truth=None if signal is None else true_shape(str(signal.source["path"])),
        )

    @torch.no_grad()
    def colors(self, positions: np.ndarray) -> np.ndarray:
        """sRGB `[N, 3]` float32, means over directions of view, at positions `[N, 3]` in units of the scene."""
        scene = Radiance(self.field)
        points = torch.from_numpy((positions - scene.corner) / scene.side).float().to(scene.device)
        parts = [scene.colors(part).cpu() for part in points.split(CHUNK)]
        return torch.cat(parts).numpy() if parts else np.zeros((0, 3), np.float32)
