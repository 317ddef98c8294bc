"""Files become signals: `scenes.load("photo.jpg")`.

Numpy and file libraries only, and those are imported by the loader that needs them: importing this is cheap.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from scenes.errors import BadInput
from scenes.recognise import recognise

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from scenes.signal import Signal

# Who opens each kind of signal: "module:function", called with the source and the options.
LOADERS = {
    "image": "scenes.image.signal:open_image",
    "audio": "scenes.audio.signal:open_audio",
    "volume": "scenes.volume.signal:open_volume",
    "video": "scenes.video.signal:open_video",
    "shape": "scenes.shape.signal:open_shape",
    "radiance": "scenes.posed.signal:open_radiance",
}


def load(source: str | os.PathLike, kind: str = "auto", **options) -> Signal:
    """The signal of a SOURCE: a file, or skimage:NAME for a photograph that comes with scikit-image.

    `kind` is a key of `LOADERS`, or "auto" to tell from the content. `options` are the loader's own (for pictures those
    of `scenes.image.signal.open_image`). Raises BadInput where the source, the kind or an option cannot be used.
    """
    if kind == "auto":
        kind, _ = recognise(source)
    if kind not in LOADERS:
        raise BadInput(f"there is no kind of signal called {kind}; there are {', '.join(LOADERS)}")
    loader = _resolve(LOADERS[kind])
    if unknown := options.keys() - _parameters(loader):
        raise BadInput(
            f"{source}: the kind {kind} has no option {', '.join(sorted(unknown))}; "
            f"it has {', '.join(sorted(_parameters(loader)))}"
        )
    return loader(source, **options)


def loader_options(kind: str) -> set[str]:
    """The names of the options that `load` takes for a kind."""
    return _parameters(_resolve(LOADERS[kind]))


def reopen(kind: str, source: dict) -> Signal:
    """The signal that `source` (from an earlier `Signal.source`) describes, with the same options.

    Raises BadInput where the file is gone or its content is another.
    """
    if source["path"] == "array":
        raise BadInput("this signal was an array in Python; it cannot be opened again from its description")
    signal = load(source["path"], kind, **source.get("options", {}))
    if signal.source["sha256"] != source["sha256"]:
        raise BadInput(f"{source['path']}: the content has changed since; bring back the file of then, or start anew")
    if signal.source.get("mask_sha256") != source.get("mask_sha256"):
        raise BadInput(
            f"{source['options']['mask']}: the mask has changed since; bring back the one of then, or start anew"
        )
    return signal


def _resolve(place: str) -> Callable[..., Signal]:
    module, _, function = place.partition(":")
    return getattr(import_module(module), function)


def _parameters(loader: Callable[..., Signal]) -> set[str]:
    import inspect

    return {
        name
        for name, parameter in inspect.signature(loader).parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }
