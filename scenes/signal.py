"""The contract of every kind of signal."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np

from scenes.domain import Channels, Domain
from scenes.errors import BadInput


class Signal(ABC):
    """What was measured: values over a domain, and how to draw training samples of them.

    `source` is what `run.json` records so that the signal can be opened again: at least `path`.
    `notes` are one-line remarks of the loader that the user should read ("3 pages, the first is used").
    """

    kind: ClassVar[str]
    domain: Domain
    channels: Channels
    source: dict
    notes: tuple[str, ...] = ()

    @property
    def preferred_loss(self) -> str:
        """The loss where none is asked for."""
        return "relative_l2" if self.channels.space == "linear" else "l2"

    @abstractmethod
    def batch(self, step: int, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Training samples of one step: coords `[n, D]` float32 in [0, 1], values `[n, C]` float32, n <= count.

        A third array `[n]`, where there is one, weighs the samples' losses. A pure function of its arguments: a resumed run
        draws what the uninterrupted one would have drawn.
        """

    def on_grid(self, side: int) -> np.ndarray:
        """The values on a regular grid of `side` samples along every axis: `[C, side, ..., side]` float32, x last.

        What is finer than the grid is averaged away. BadInput where the signal has no such grid.
        """
        raise BadInput(f"a signal of the kind {self.kind} has no regular grid of values to look at")

    def set_budget(self, seconds: float | None, steps: int | None, batch: int) -> None:
        """Told of the budget before anything is drawn; what is decided from it belongs into `source`."""

    @abstractmethod
    def preview(self, longest_side: int = 1024) -> np.ndarray:
        """A picture of the signal for people: `[H, W, 3]` uint8, sRGB."""

    def rescale_to(self, channels: Channels) -> None:
        """Gives values on the scale of these channels (`lower` to `upper`) from now on: those of a field that is scored."""

    def describe(self) -> str:
        """Its size and channels in a few words."""
        names = "+".join(self.channels.names)
        for long, short in (("red+green+blue", "RGB"), ("RGB+alpha", "RGB with alpha")):
            names = names.replace(long, short)
        return f"{' x '.join(str(n) for n in self.domain.shape)}, {names}{', linear' if self.channels.space == 'linear' else ''}"
