"""Types of the options of the functions in `field_studio`, for editors and type checkers.

Written by `tests/field_studio/option_types.py` from the requests that describe the options; do not edit it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypedDict

if TYPE_CHECKING:
    from fields.distill.stages import Stages


class LoadOptions(TypedDict, total=False):
    """Options of `load`; see its documentation."""

    held_out: float | str | None
    part: Sequence[float] | str | None
    rate: float | str | None
    mask: str | None
    refuse_invalid: bool
    layer: str | None
    keep_fields: bool
    ignore_profile: bool
    max_pixels: int | str | None
    memory: int | str | None
    quantity: Literal["signed", "unsigned", "occupancy"] | None
    nested: Literal["cavities", "solid"] | None
    max_points: int | str | None
    background: Literal["white", "black"] | None
    unbounded: bool | None
    orientation: Literal["stored", "upright"] | None
    pose_convention: Literal["opengl", "opencv", "w2c", "w2c-opencv"] | None


class FitOptions(TypedDict, total=False):
    """Options of `fit`."""

    params: int | str | None
    steps: int | str | None
    seconds: float | str | None
    device: Literal["auto", "cpu", "cuda", "mps"]
    out: os.PathLike[str] | str | None
    settings: Mapping[str, Any]
    bits: Literal[8, 16, 32]
    seed: int | str
    kind: str
    held_out: float | str | None
    init: Literal["default", "fresh"]
    start: os.PathLike[str] | str | None
    keep_fraction: float | str
    between: float | str | None
    part: Sequence[float] | str | None
    rate: float | str | None
    mask: str | None
    refuse_invalid: bool
    layer: str | None
    keep_fields: bool
    ignore_profile: bool
    max_pixels: int | str | None
    memory: int | str | None
    quantity: Literal["signed", "unsigned", "occupancy"] | None
    nested: Literal["cavities", "solid"] | None
    max_points: int | str | None
    background: Literal["white", "black"] | None
    unbounded: bool | None
    orientation: Literal["stored", "upright"] | None
    pose_convention: Literal["opengl", "opencv", "w2c", "w2c-opencv"] | None


class RenderOptions(TypedDict, total=False):
    """Options of `render`."""

    size: Sequence[int] | str | None
    scale: float | str | None
    rate: float | str | None
    time: float | str | None
    part: Sequence[float] | str | None
    crop: Sequence[float] | str | None
    slice: tuple[str, float] | str | None
    what: Literal["color", "depth", "normal", "frequency", "flow", "orientation", "explained"] | None
    view: int | Sequence[float] | str | None
    turntable: bool
    frames: int | str | None
    path: os.PathLike[str] | str | None
    box: Sequence[float] | str | None
    clean: bool


class ExportOptions(TypedDict, total=False):
    """Options of `export`."""

    size: Sequence[int] | str | None
    scale: float | str | None
    rate: float | str | None
    time: float | str | None
    part: Sequence[float] | str | None
    crop: Sequence[float] | str | None
    resolution: int | str | None
    level: float | str | None
    box: Sequence[float] | str | None
    largest: bool
    keep_components: bool
    triangles: int | str | None
    texture: bool
    texture_size: int | str | None
    normal_map: bool
    error_map: bool
    up: Literal["x", "y", "z", "-x", "-y", "-z"] | None
    length: float | str | None
    units: Literal["source", "metres"] | None
    quantize: bool
    meshopt: bool
    texture_format: Literal["png", "jpeg", "webp"] | None
    collision: bool
    points: int | str | None
    memory: int | str | None
    frames: int | str | None
    bits: int | str | None


class DistillOptions(TypedDict, total=False):
    """Options of `distill`."""

    params: int | str | None
    steps: int | str | None
    seconds: float | str | None
    device: Literal["auto", "cpu", "cuda", "mps"]
    out: os.PathLike[str] | str | None
    settings: Mapping[str, Any]
    bits: Literal[8, 16, 32]
    seed: int | str
    share_heads: bool
    stages: Stages


class CompareOptions(TypedDict, total=False):
    """Options of `compare`."""

    params: int | str | None
    steps: int | str | None
    seconds: float | str | None
    device: Literal["auto", "cpu", "cuda", "mps"]
    kind: str
    held_out: float | str | None
    seeds: int | str


class ReconstructOptions(TypedDict, total=False):
    """Options of `reconstruct`."""

    seconds: float | str | None
    preview: bool
    steps: int | str | None
    seed: int | str
    device: Literal["auto", "cpu", "cuda", "mps"]
    method: str | None
    settings: Mapping[str, Any]
    background: Literal["white", "black"] | None
    unbounded: bool | None
    orientation: Literal["stored", "upright"] | None
    pose_convention: Literal["opengl", "opencv", "w2c", "w2c-opencv"] | None
    triangles: int | str | None
    texture_size: int | str | None
    resolution: int | str | None
    box: Sequence[float] | str | None
    close_holes: bool
    cut_base: bool
    refine: bool | None
    normal_map: bool
    up: str | None
    units: Literal["source", "metres"]
    length: float | str | None
    scale_from: str | None
    texture_format: Literal["png", "jpeg", "webp"]
    meshopt: bool
    collision: bool
