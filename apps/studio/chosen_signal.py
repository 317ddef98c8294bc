"""The signal that is chosen on the page: how it was opened, which methods take it, and what a fit of it would take."""

from __future__ import annotations

from typing import Any, TypedDict

import scenes
from apps.studio.memory import LargeCache
from apps.studio.method_options import prepared_method, suitable_methods
from fields.fit.estimate import memory_estimate
from fields.fit.request import FitRequest
from fields.kinds import KINDS
from scenes.signal import Signal

# Pixels of an image. Larger files are refused unread; the command line takes them.
MAX_PIXELS = 50_000_000
# Voxels and the views of a scene may be so many times the pixels of an image: they stay as they are in the file, where
# the values of an image may grow when it is decoded.
VOLUME_FACTOR = 3
# Opened signals, and how many bytes and seconds they are kept.
OPENED: LargeCache[Signal] = LargeCache(max_bytes=256 << 20, seconds=600.0)


class ChosenSignal(TypedDict):
    """Plain data, which Gradio keeps for each visitor. `name`: for people and for the run's folder.

    `methods`: names of those that take the signal. `loader_options`: what was given to `scenes.load`.
    """

    source: str
    kind: str
    name: str
    methods: list[str]
    loader_options: dict[str, Any]


def open_signal(source: str, name: str) -> tuple[ChosenSignal, Signal, str]:
    """Open a signal. Returns what is chosen, the signal, and what its file was recognised as.

    Raises BadInput where it cannot be opened or has more than `MAX_PIXELS` pixels.
    """
    kind, guess = scenes.recognise(source)
    known = scenes.loader_options(kind)
    options: dict[str, Any] = {}
    if "max_pixels" in known:
        options["max_pixels"] = MAX_PIXELS * (1 if KINDS[kind].has_pixels else VOLUME_FACTOR)
    signal = load_cached(source, kind, options)
    chosen = ChosenSignal(source=source, kind=kind, name=name, methods=suitable_methods(signal), loader_options=options)
    return chosen, signal, guess


def load_cached(source: str, kind: str, options: dict[str, Any]) -> Signal:
    """The signal. Those opened last, by all visitors, are kept for their estimates: a scene takes seconds to open."""
    key = (source, kind, tuple(options.items()))
    return OPENED.get(key, lambda: scenes.load(source, kind, **options))


def estimate(chosen: ChosenSignal, request: FitRequest) -> str:
    """Number of parameters, and the memory that the fit of a request would take, for people."""
    signal = load_cached(chosen["source"], chosen["kind"], chosen["loader_options"])
    config = prepared_method(str(request.method), request.settings, signal, request.params)
    count = config.count_parameters(signal.domain, signal.channels)
    stored = _bytes(request.bits / 8 * count)
    memory = _bytes(memory_estimate(config, signal, request.bits))
    return f"{count:,} parameters ({stored}), about {memory} of memory during the fit"


def _bytes(count: float) -> str:
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} GB"
