"""Read OpenEXR: linear light in half or full floats, as float32, of the layer or part that holds the picture."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from scenes.errors import BadInput
from scenes.image.decoded import DecodedImage
from scenes.image.encoding import REC_709, Encoding, identity, to_rec709, to_xyz
from scenes.image.storage import Storage, row_strips

# Channels of colors: sets of names, in the order of preference. The case of letters does not matter.
COLOR_NAMES = (("r", "g", "b"), ("red", "green", "blue"), ("y", "ry", "by"), ("y",))
ALPHA_NAMES = ("a", "alpha")
# Last parts of the names of layers that renderers put the finished picture in, most likely first.
BEAUTY = ("", "combined", "beauty", "rgba", "rgb", "main", "color", "colour", "image", "final", "composite", "c")
# Beginning of the names of layers that hold identities in channels that look like colors.
CRYPTOMATTE = "crypto"
# Layers that a note lists.
MAX_LISTED = 8


@dataclass(frozen=True)
class Layer:
    """Channels of one part that have the same name before the last dot.

    Attributes:
        part: index of the part.
        name: of the layer, else of the part; "" where neither has one.
        channels: names of all its channels in the file.
        chosen: names of the channels to be read: grey, RGB, or luminance and its two chroma channels, perhaps with
            alpha; empty where the layer has no colors.
    """

    part: int
    name: str
    channels: tuple[str, ...]
    chosen: tuple[str, ...]

    @property
    def rank(self) -> tuple[bool, bool, int]:
        """Sorts layers by how likely they are the picture: colors, no identities, a usual name."""
        last = self.name.rpartition(".")[2].lower()
        colors = len(self.chosen) >= 3
        known = BEAUTY.index(last) if last in BEAUTY else len(BEAUTY)
        return not colors, last.startswith(CRYPTOMATTE), known


@dataclass(frozen=True)
class Window:
    """A rectangle of pixels: columns `left` to `right` and rows `top` to `bottom`, all inclusive."""

    left: int
    top: int
    right: int
    bottom: int

    @classmethod
    def of(cls, attribute: Any) -> Window:
        """The window of a header's attribute."""
        (left, top), (right, bottom) = attribute
        return cls(int(left), int(top), int(right), int(bottom))

    @property
    def width(self) -> int:
        return self.right - self.left + 1

    @property
    def height(self) -> int:
        return self.bottom - self.top + 1

    def overlap(self, other: Window) -> Window:
        """The rectangle that both have in common; empty ones have a width or height below 1."""
        return Window(
            max(self.left, other.left),
            max(self.top, other.top),
            min(self.right, other.right),
            min(self.bottom, other.bottom),
        )


def read_exr(path: Path, storage: Storage, layer: str | None = None) -> DecodedImage:
    """Read the picture: the layer or part of that name, else the one that looks finished.

    Colours are premultiplied, as the format has them. The image is the display window; pixels without data are 0.
    Raises BadInput for deep data and for files without colors.
    """
    import OpenEXR

    parts = OpenEXR.File(str(path), header_only=True).parts
    flat = [part for part in parts if part.type() not in (OpenEXR.deepscanline, OpenEXR.deeptile)]
    if not flat:
        raise BadInput("it holds deep data, many samples per pixel, which is not read; flatten it first (DeepToImage)")
    layers = [
        found
        for index, part in enumerate(parts)
        if part in flat
        for found in _layers(index, part.header["channels"], part.header.get("name", "") if len(parts) > 1 else "")
    ]
    chosen = choose_layer(layers, layer)
    notes = [] if layer is not None else _notes_on_choice(layers, chosen)
    header = parts[chosen.part].header
    data, display = Window.of(header["dataWindow"]), Window.of(header["displayWindow"])
    storage.check(data.height, data.width)
    sampled = {one.name: (one.xSampling, one.ySampling) for one in header["channels"]}
    plain = len(parts) == 1 and all(sampled[name] == (1, 1) for name in chosen.chosen)
    read = _read_rows if plain else _read_whole
    pixels = read(path, chosen, data, storage)
    primaries = _chromaticities(header)
    if len(chosen.chosen) >= 3 and chosen.chosen[1].lower().endswith("ry"):
        _luminance_chroma_to_rgb(pixels, primaries)
        notes.append("converted from luminance and chroma")
    pixels = _in_display_window(pixels, data, display, storage, notes)
    aspect = float(header.get("pixelAspectRatio", 1.0))
    if abs(aspect - 1) > 0.01:
        notes.append(f"its pixels are {aspect:g} times as wide as high, and are kept as they are")
    matrix = to_rec709(primaries) if pixels.shape[2] >= 3 else None
    encoding = None if matrix is None else Encoding("primaries other than Rec. 709", identity, matrix)
    return DecodedImage(pixels, "linear", premultiplied=True, encoding=encoding, notes=notes)


def _layers(part: int, channels: list[Any], part_name: str) -> list[Layer]:
    groups: dict[str, list[str]] = {}
    for channel in channels:
        groups.setdefault(channel.name.rpartition(".")[0], []).append(channel.name)
    return [
        Layer(part, layer or part_name, tuple(names), tuple(_picture_channels(names)))
        for layer, names in sorted(groups.items())
    ]


def _picture_channels(names: list[str]) -> list[str]:
    """The channels of one layer that make a picture: colors, or a luminance, and alpha; none where there is none."""
    by_name = {name.rpartition(".")[2].lower(): name for name in names}
    for wanted in COLOR_NAMES:
        is_vector = wanted == ("y",) and {"x", "z"} & by_name.keys()
        if set(wanted) <= by_name.keys() and not is_vector:
            found = [by_name[name] for name in wanted]
            return found + [by_name[name] for name in ALPHA_NAMES if name in by_name][:1]
    return []


def choose_layer(layers: list[Layer], wanted: str | None) -> Layer:
    """Choose the layer that is read.

    Raises BadInput where no layer has the wanted name, or none has colors and there is more than one channel.
    """
    if wanted is not None:
        folded = wanted.lower()
        named = [layer for layer in layers if layer.name.lower() == folded] or [
            layer for layer in layers if layer.name.lower().rpartition(".")[2] == folded
        ]
        if not named:
            raise BadInput(
                f"`layer={wanted}`: it has the layers {', '.join(layer.name or '(none)' for layer in layers)}"
            )
        found = named[0]
        if found.chosen:
            return found
        if len(found.channels) in (1, 3):
            return Layer(found.part, found.name, found.channels, found.channels)
        raise BadInput(f"`layer={wanted}`: its channels are {', '.join(found.channels)}, which make no picture")
    pictures = [layer for layer in layers if layer.chosen]
    if pictures:
        return min(pictures, key=lambda layer: layer.rank)  # the first of equals
    names = [name for layer in layers for name in layer.channels]
    if len(names) == 1:
        return Layer(layers[0].part, layers[0].name, layers[0].channels, layers[0].channels)
    raise BadInput(
        f"its channels are {', '.join(names)}: no R, G, B and no Y among them; save it as RGB or grey, or choose a "
        "layer with `layer=NAME`"
    )


def _notes_on_choice(layers: list[Layer], chosen: Layer) -> list[str]:
    """Notes on the layer that is read, and on what is left out."""
    notes = []
    others = [layer.name for layer in layers if (layer.part, layer.name) != (chosen.part, chosen.name)]
    if others:
        listed = ", ".join(name or "without a name" for name in others[:MAX_LISTED])
        more = ", ..." if len(others) > MAX_LISTED else ""
        which = f"the layer {chosen.name}" if chosen.name else "the layer without a name"
        notes.append(f"{which} is read; left out: {listed}{more} (`layer={others[0] or 'NAME'}` takes that)")
    elif chosen.name:
        notes.append(f"the layer {chosen.name} is read")
    rest = next((layer.channels for layer in layers if (layer.part, layer.name) == (chosen.part, chosen.name)), ())
    rest = [name for name in rest if name not in chosen.chosen]
    if rest:
        notes.append(f"ignored: the {'channel' if len(rest) == 1 else 'channels'} {', '.join(rest)}")
    if len(chosen.chosen) == 1 and chosen.chosen[0].rpartition(".")[2].lower() not in ("y", "r"):
        notes.append(f"the channel {chosen.chosen[0]} is read as grey")
    return notes


def _read_rows(path: Path, layer: Layer, window: Window, storage: Storage) -> np.ndarray:
    """Read the channels of a file of one part, a range of rows at a time, so that memory stays bounded."""
    import Imath
    import OpenEXR

    height, width, names = window.height, window.width, layer.chosen
    pixels = storage.new(height, width, len(names), np.float32)
    file = OpenEXR.InputFile(str(path))
    try:
        for rows in row_strips(height, width):
            planes = file.channels(
                names, Imath.PixelType(Imath.PixelType.FLOAT), window.top + rows.start, window.top + rows.stop - 1
            )
            for channel, plane in enumerate(planes):
                pixels[rows, :, channel] = np.frombuffer(plane, np.float32).reshape(-1, width)
    finally:
        file.close()
    return pixels


def _read_whole(path: Path, layer: Layer, window: Window, storage: Storage) -> np.ndarray:
    """Read the channels of any part, those of lower resolution interpolated. Needs memory for the whole file."""
    import OpenEXR

    pixels = storage.new(window.height, window.width, len(layer.chosen), np.float32)
    with OpenEXR.File(str(path), separate_channels=True) as file:
        channels = file.parts[layer.part].channels
        for index, name in enumerate(layer.chosen):
            channel = channels[name]
            plane = channel.pixels.astype(np.float32, copy=False)
            plane = _enlarged(plane, channel.ySampling, window.height, 0)
            pixels[..., index] = _enlarged(plane, channel.xSampling, window.width, 1)
    return pixels


def _enlarged(plane: np.ndarray, factor: int, length: int, axis: int) -> np.ndarray:
    """A plane whose samples are at every `factor`-th pixel, from the first on, interpolated linearly to all."""
    if factor == 1:
        return plane
    position = np.minimum(np.arange(length) / factor, plane.shape[axis] - 1)
    lower = np.minimum(position.astype(int), max(0, plane.shape[axis] - 2))
    upper = np.minimum(lower + 1, plane.shape[axis] - 1)
    fraction = (position - lower).astype(np.float32)
    fraction = fraction[:, None] if axis == 0 else fraction
    return plane.take(lower, axis) * (1 - fraction) + plane.take(upper, axis) * fraction


def _luminance_chroma_to_rgb(pixels: np.ndarray, primaries: tuple[float, ...]) -> None:
    """Convert Y, (R-Y)/Y, (B-Y)/Y in the first channels to R, G, B, in place."""
    red, green, blue = to_xyz(primaries)[1]
    for rows in row_strips(*pixels.shape[:2]):
        y, ry, by = np.moveaxis(pixels[rows, :, :3].copy(), -1, 0)
        r, b = (ry + 1) * y, (by + 1) * y
        pixels[rows, :, 0], pixels[rows, :, 2] = r, b
        pixels[rows, :, 1] = (y - r * np.float32(red) - b * np.float32(blue)) / np.float32(green)


def _in_display_window(
    pixels: np.ndarray, data: Window, display: Window, storage: Storage, notes: list[str]
) -> np.ndarray:
    """What the display window shows of the data window's pixels. Adds a note where the two differ."""
    shared = data.overlap(display)
    if data == display:
        return pixels
    if shared.width < 1 or shared.height < 1:
        notes.append("its display window shows none of its pixels, so all of them are read")
        return pixels
    notes.append(
        f"the display window, {display.width} x {display.height}, is read; its pixels are {data.width} x {data.height} "
        f"from x {data.left - display.left}, y {data.top - display.top}"
    )
    shown = storage.new(display.height, display.width, pixels.shape[2], np.float32)
    shown[...] = 0
    rows = slice(shared.top - display.top, shared.bottom - display.top + 1)
    columns = slice(shared.left - display.left, shared.right - display.left + 1)
    shown[rows, columns] = pixels[
        shared.top - data.top : shared.bottom - data.top + 1, shared.left - data.left : shared.right - data.left + 1
    ]
    return shown


def _chromaticities(header: dict[str, Any]) -> tuple[float, ...]:
    """The header's primaries and white, in the order of `REC_709`."""
    found = header.get("chromaticities")
    if found is None:
        return REC_709
    values = [float(value) for value in np.asarray(found, np.float64).reshape(-1)]
    return tuple(values) if len(values) == 8 and 0 not in values[1::2] else REC_709
