"""Open files as signals: `scenes.load("photo.jpg")`.

The package needs numpy only. Each loader imports the file libraries that it needs, so importing `scenes` is cheap.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any

from scenes.errors import BadInput
from scenes.recognise import recognise

if TYPE_CHECKING:
    from scenes.signal import Signal

__all__ = ["LOADERS", "BadInput", "load", "loader_options", "recognise", "reopen"]

# The kinds of signal, each with its loader as "module:function". A loader takes the source and keyword-only options.
LOADERS = {
    "image": "scenes.image.signal:open_image",
    "audio": "scenes.audio.signal:open_audio",
    "volume": "scenes.volume.signal:open_volume",
    "video": "scenes.video.signal:open_video",
    "shape": "scenes.shape.signal:open_shape",
    "radiance": "scenes.posed.signal:open_radiance",
}


def load(source: str | os.PathLike[str], kind: str = "auto", **options: Any) -> Signal:
    """Open a file or folder as a signal.

    Args:
        source: a path; "skimage:NAME" for a photograph that comes with scikit-image; "procedural:NAME" for a
            computed scene.
        kind: a key of `LOADERS`, or "auto" to detect it from the content (see `recognise`).
        **options: options of the kind's loader; `loader_options` names them, the loader's docstring explains them.

    Raises:
        BadInput: the source, the kind or an option cannot be used.
    """
    if kind == "auto":
        kind, _ = recognise(source)
    if kind not in LOADERS:
        raise BadInput(f"there is no kind of signal called {kind}; there are {', '.join(LOADERS)}")
    loader = _import_loader(kind)
    known = _option_names(loader)
    if unknown := options.keys() - known:
        raise BadInput(
            f"{source}: the kind {kind} has no option {', '.join(sorted(unknown))}; it has {', '.join(sorted(known))}"
        )
    return loader(source, **options)


def loader_options(kind: str) -> set[str]:
    """Names of the options that `load` takes for a kind."""
    return _option_names(_import_loader(kind))


def reopen(kind: str, source: dict[str, Any]) -> Signal:
    """Open a signal again from an earlier `Signal.source`, with the same options.

    Raises:
        BadInput: the file is missing, its content or the mask's content has changed, or the signal came from an array.
    """
    if source["path"] == "array":
        raise BadInput("this signal was an array in Python; it cannot be opened again from its description")
    signal = load(source["path"], kind, **source.get("options", {}))
    if signal.source["sha256"] != source["sha256"]:
        raise BadInput(f"{source['path']}: the content has changed since; restore the earlier file, or start again")
    if signal.source.get("mask_sha256") != source.get("mask_sha256"):
        raise BadInput(
            f"{source['options']['mask']}: the mask has changed since; restore the earlier one, or start again"
        )
    return signal


def _import_loader(kind: str) -> Callable[..., Signal]:
    module, _, function = LOADERS[kind].partition(":")
    return getattr(import_module(module), function)


def _option_names(loader: Callable[..., Signal]) -> set[str]:
    parameters = inspect.signature(loader).parameters.values()
    return {parameter.name for parameter in parameters if parameter.kind is inspect.Parameter.KEYWORD_ONLY}
