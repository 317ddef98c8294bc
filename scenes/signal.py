"""The interface of every kind of signal."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from scenes.domain import Channels, Domain
from scenes.errors import BadInput
from scenes.lattice import Lattice


class Signal(ABC):
    """Values measured over a domain, from which training samples are drawn.

    Attributes:
        kind: key of the kind in `scenes.LOADERS`.
        domain: the axes.
        channels: what the values mean.
        source: JSON-serialisable description from which `scenes.reopen` opens the signal again; at least `path`.
        notes: one-line remarks of the loader for the user, for example "3 pages, the first is used".
    """

    kind: ClassVar[str]
    domain: Domain
    channels: Channels
    source: dict[str, Any]
    notes: tuple[str, ...] = ()

    @property
    def preferred_loss(self) -> str:
        """Name of the loss that suits the values: "relative_l2" for linear (HDR) values, else "l2"."""
        return "relative_l2" if self.channels.space == "linear" else "l2"

    @abstractmethod
    def batch(self, step: int, count: int, seed: int) -> tuple[np.ndarray, ...]:
        """Training samples of one step.

        A pure function of its arguments, so a resumed training draws what an uninterrupted one would have drawn.

        Returns:
            Coords `[n, D]` float32 in [0, 1] and values `[n, C]` float32, with n <= `count`. Some kinds add weights
            of the samples' losses, `[n]` float32.
        """

    def on_grid(self, side: int) -> np.ndarray:
        """Resample the values to a regular grid of `side` samples along every axis.

        Detail finer than the grid is averaged away.

        Returns:
            `[C, side, ..., side]` float32, with x as the last axis.

        Raises:
            BadInput: the signal has no regular grid.
        """
        raise BadInput(f"a signal of the kind {self.kind} has no regular grid of values to look at")

    @cached_property
    def lattice(self) -> Lattice | None:
        """The samples with the filter that gives values between them; None for signals without a regular lattice."""
        return None

    def bandwidth(self) -> float:
        """Frequency below which nearly all of the energy lies, as a fraction of the Nyquist frequency.

        1 for kinds that do not measure it. Methods ask time series for it, whose detail is often coarser than their
        sample rate.
        """
        return 1.0

    def set_budget(self, seconds: float | None, steps: int | None, batch: int) -> None:
        """Prepare for a training of `seconds` or `steps` with `batch` samples per step.

        Called once, before the first batch. A kind that decides something from the budget records it in `source`.
        """

    @abstractmethod
    def preview(self, longest_side: int = 1024) -> np.ndarray:
        """An image of the signal for people: `[H, W, 3]` uint8, sRGB, at most `longest_side` pixels wide and high."""

    def rescale_to(self, channels: Channels) -> None:
        """Give values in the range of `channels` (its `lower` to `upper`) from now on.

        For scoring this signal against values in the range of another one. Signals without a range of their own do
        nothing.
        """

    def describe(self) -> str:
        """Size and channels in a few words, for example "512 x 512, RGB"."""
        size = " x ".join(str(n) for n in self.domain.shape)
        names = "+".join(self.channels.names)
        for long, short in (("red+green+blue", "RGB"), ("RGB+alpha", "RGB with alpha")):
            names = names.replace(long, short)
        return f"{size}, {names}{', linear' if self.channels.space == 'linear' else ''}"


def changed_options(loader: Callable[..., Signal], **options: Any) -> dict[str, Any]:
    """Those options of a loader that differ from its defaults, for `Signal.source`."""
    parameters = inspect.signature(loader).parameters
    return {name: value for name, value in options.items() if value != parameters[name].default}
