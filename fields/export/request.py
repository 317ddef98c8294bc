"""Options of what is written from a fitted field: images, audio, videos, meshes, points, volumes, compressed files.

The command `render` takes a `RenderRequest`, `export` an `ExportRequest`; their flags are derived from these classes.
Which of the options apply is said by the kind (`Output.options`) and by the format (`Format.options`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator

from fields.options import ByteSize, Corners, Count, Positive, Request, TimeSpan, count, option, options_of


def finite(value: object) -> float:
    """A finite number."""
    try:
        number = float(str(value))
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{str(value)!r} is not a number")
    return number


def time_value(value: object) -> float:
    """A time of 0 or more, in seconds for videos."""
    try:
        number = float(str(value))
    except ValueError:
        number = -1.0
    if not 0 <= number < math.inf:
        raise ValueError(f"{str(value)!r} should be a number of seconds, 0 or more")
    return number


def image_size(value: object) -> tuple[int, int]:
    """WIDTHxHEIGHT in pixels, as text or as two numbers."""
    text = _joined(value, "x").lower()
    width, cross, height = text.partition("x")
    if not cross:
        raise ValueError(f"{text!r} should be WIDTHxHEIGHT, such as 1920x1080")
    return count(width), count(height)


def image_region(value: object) -> tuple[float, ...]:
    """Lower and upper corner of a part of an image, X0,Y0,X1,Y1, in the image's own pixels."""
    text = _joined(value, ",")
    try:
        x0, y0, x1, y1 = (float(part) for part in text.split(","))
    except ValueError:
        raise ValueError(f"{text!r} should be X0,Y0,X1,Y1 in pixels, such as 100,50,300,200") from None
    if not (x0 < x1 and y0 < y1):
        raise ValueError(f"{text!r} is empty: X0 should be below X1 and Y0 below Y1")
    return x0, y0, x1, y1


def slice_position(value: object) -> tuple[str, float]:
    """An axis, x, y or z, and the position along it from 0 to 1, as AXIS=FRACTION."""
    text = _joined(value, "=")
    axis, _, fraction = text.partition("=")
    try:
        position = float(fraction)
    except ValueError:
        position = -1.0
    if axis not in ("x", "y", "z") or not 0 <= position <= 1:
        raise ValueError(f"{text!r} should be x, y or z and a fraction from 0 to 1, such as z=0.5")
    return axis, position


def view_or_angles(value: object) -> int | tuple[float, float]:
    """The index of a view, or AZIMUTH,ELEVATION in degrees."""
    text = _joined(value, ",")
    if text.isdecimal():
        return int(text)
    try:
        azimuth, elevation = (float(part) for part in text.split(","))
    except ValueError:
        raise ValueError(
            f"{text!r} should be a number from 0 on, or AZIMUTH,ELEVATION in degrees, such as 30,15"
        ) from None
    if not (abs(azimuth) < 1e6 and -89 <= elevation <= 89):
        raise ValueError(f"{text!r}: the elevation should be between -89 and 89 degrees")
    return azimuth, elevation


def bits_per_parameter(value: object) -> int:
    """A number of bits, from 2 to 8, 16 or 32."""
    if str(value) not in [str(bits) for bits in (*range(2, 9), 16, 32)]:
        raise ValueError(f"{str(value)!r} should be a whole number from 2 to 8, 16 or 32")
    return int(str(value))


def _joined(value: object, separator: str) -> str:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return separator.join(map(str, value))
    return str(value)


ImageSize = Annotated[tuple[int, int], BeforeValidator(image_size)]
Time = Annotated[float, BeforeValidator(time_value)]


class OutputRequest(Request):
    """Options that `render` and `export` share. None: not given, so the writer decides."""

    sections: ClassVar[Mapping[str, str]] = {
        "surface": "surfaces",
        "media": "images, audio, video",
        "scene": "shapes and scenes",
        "file": "compressed files",
    }

    size: ImageSize | None = option(
        None, section="media", metavar="WxH", help="Size of the image in pixels. By default that of the original."
    )
    scale: Positive | None = option(
        None,
        section="media",
        metavar="K",
        help="Write K times as many pixels along each side as the original has, or samples per second.",
    )
    rate: Positive | None = option(
        None,
        section="media",
        metavar="N",
        kinds=("audio", "video"),
        help="Samples per second of audio, or frames per second of a video. By default those of the original.",
    )
    time: Time | None = option(
        None,
        section="media",
        metavar="T",
        kinds=("video", "radiance"),
        help="Write the frame of a video at this second, or a moving scene at this moment, from 0 to 1.",
    )
    part: TimeSpan | None = option(
        None, section="media", metavar="START,END", kinds=("audio", "video"), help="Write only this part, in seconds."
    )

    crop: Annotated[tuple[float, ...], BeforeValidator(image_region)] | None = option(
        None,
        section="media",
        metavar="X0,Y0,X1,Y1",
        kinds=("image", "video"),
        help="Only this part of the image, in pixels of the original.",
    )

    def given(self) -> list[str]:
        """Names of the options that differ from their default."""
        return [o.name for o in options_of(type(self)) if getattr(self, o.name) != o.default]

    def given_values(self) -> dict[str, Any]:
        """The options that differ from their default, as keyword arguments of another request."""
        return {name: getattr(self, name) for name in self.given()}


class RenderRequest(OutputRequest):
    """Options of an image, audio or a video of a field."""

    slice: Annotated[tuple[str, float], BeforeValidator(slice_position)] | None = option(
        None,
        section="media",
        metavar="AXIS=FRACTION",
        kinds=("volume",),
        help="Cut through a volume, such as z=0.5 for the middle. By default a projection from outside.",
    )
    what: Literal["color", "depth", "normal", "frequency", "flow", "orientation", "explained"] | None = option(
        None,
        section="scene",
        help="What the image shows. Of a shape or scene: color (default), depth or normal. Of an image that was "
        "fitted by nstr: a map of its frequencies, of where they rise (flow), of the direction across its waves "
        "(orientation), or of what the transport explains.",
    )
    view: Annotated[int | tuple[float, float], BeforeValidator(view_or_angles)] | None = option(
        None,
        section="scene",
        metavar="N",
        kinds=("shape", "radiance"),
        help="View of a shape: one of the 8 around it, or AZIMUTH,ELEVATION in degrees. View of a scene: its camera N; "
        "those for testing come first.",
    )
    turntable: bool = option(
        False,
        section="scene",
        kinds=("shape", "radiance"),
        help="Render an animation once around a shape (.gif, .webp, .png) or a scene (.mp4, .gif).",
    )
    frames: Count | None = option(None, section="scene", hidden=True, help="Frames of a turntable.")
    path: Path | None = option(
        None,
        section="scene",
        metavar="FILE",
        kinds=("radiance",),
        help="Render a video along the cameras of this JSON file, one frame each.",
    )
    box: Corners | None = option(
        None,
        section="scene",
        metavar="X0,Y0,Z0,X1,Y1,Z1",
        kinds=("radiance",),
        help="Show only the inside of this box, in units of the scene, which `info` shows. "
        "Negative numbers need an equals sign: --box=-1,...",
    )
    clean: bool = option(
        False,
        section="scene",
        kinds=("radiance",),
        help="Remove floaters: density that no camera saw, and small components in mid-air.",
    )


class ExportRequest(OutputRequest):
    """Options of a file for other programs."""

    resolution: Count | None = option(
        None,
        section="surface",
        metavar="N",
        help="Cells along the longest side (default 256). More give finer detail; memory grows with their square.",
    )
    level: Annotated[float, BeforeValidator(finite)] | None = option(
        None,
        section="surface",
        label="Value at the surface",
        metavar="V",
        help="Value of the field at the surface. By default 0 for distances, 0.5 for occupancy, and chosen from the "
        "histogram for volumes and scenes.",
    )
    box: Corners | None = option(
        None,
        section="surface",
        label="Crop box",
        metavar="X0,Y0,Z0,X1,Y1,Z1",
        help="Write only what lies in this box, in units of the fitted file. Negative numbers need an equals sign: "
        "--box=-1,...",
    )
    largest: bool = option(
        False, section="surface", label="Largest component only", help="Keep only the largest connected component."
    )
    keep_components: bool = option(
        False,
        section="surface",
        label="Keep small components",
        help="Keep small connected components, which otherwise are removed: specks that no one modelled.",
    )
    triangles: Count | None = option(
        None, section="surface", metavar="N", help="Triangles of the mesh, at most. By default as many as there are."
    )
    texture: bool = option(
        False,
        section="surface",
        help="Unwrap the mesh and bake a texture. The mesh is simplified to 50,000 triangles unless their number is "
        "given.",
    )
    texture_size: Count | None = option(
        None,
        section="surface",
        label="Texture size (texels)",
        metavar="N",
        help="Texels along the side of the texture (default 2048); there is a texture then.",
    )
    normal_map: bool = option(
        False,
        section="surface",
        help="Bake the field's normals as a tangent-space normal map, beside the texture of its colors.",
    )
    error_map: bool = option(
        False,
        section="surface",
        label="Color by error",
        help="Color the vertices by their distance from the source, or from the field's surface if there is no source.",
    )
    up: Literal["x", "y", "z", "-x", "-y", "-z"] | None = option(
        None,
        section="surface",
        label="Axis that is up",
        metavar="AXIS",
        help="Put the mesh upright on the ground, with this axis of the source up; negative ones need an equals sign, "
        "--up=-z. By default it stays as it is, or follows a scene's cameras where it is put upright all the same.",
    )
    length: Positive | None = option(
        None,
        section="surface",
        label="Longest side (metres)",
        metavar="METRES",
        help="Length of the mesh's longest side, in metres; it is put upright on the ground then.",
    )
    units: Literal["source", "metres"] | None = option(
        None,
        section="surface",
        help="source (default): coordinates and axes of the fitted file or of the poses. metres: upright on the "
        "ground; a unit counts as a metre unless the length is given.",
    )
    quantize: bool = option(
        False,
        section="surface",
        label="Quantize positions",
        help="Store positions with 16 bits and directions with 8, for half of the bytes (KHR_mesh_quantization).",
    )
    meshopt: bool = option(
        False,
        section="surface",
        help="Compress the mesh further, for viewers on the web (EXT_meshopt_compression).",
    )
    texture_format: Literal["png", "jpeg", "webp"] | None = option(
        None,
        section="surface",
        help="How textures are stored (default png). jpeg and webp are several times smaller.",
    )
    collision: bool = option(
        False,
        section="surface",
        help="Write convex parts for physics engines too, as NAME-collision.glb.",
    )
    points: Count | None = option(
        None,
        section="surface",
        metavar="N",
        help="Number of points (default 500,000) or splats (default 200,000).",
    )
    memory: ByteSize | None = option(
        None,
        section="surface",
        metavar="SIZE",
        help="Refuse an export that would need more memory than this. By default the memory that is free.",
    )
    frames: Count | None = option(
        None,
        section="scene",
        metavar="N",
        kinds=("radiance",),
        help="Number of views once around the scene. By default a video has 60, and a folder of posed images shows the "
        "views of the run's own cameras.",
    )
    bits: Annotated[int, BeforeValidator(bits_per_parameter)] | None = option(
        None,
        section="file",
        metavar="N",
        help="Bits per parameter. Of .fsq before entropy coding, 2 to 8 (default 8); of .html 8, 16 or 32 (default 16)."
        " Fewer give a smaller, less exact file.",
    )

    @property
    def textured(self) -> bool:
        """Whether the mesh gets a texture, of colors or of normals."""
        return self.texture or self.texture_size is not None or self.normal_map
