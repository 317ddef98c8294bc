"""Read OpenEXR: linear light in half or full floats, as float32."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from scenes.errors import BadInput
from scenes.image.decoded import DecodedImage
from scenes.image.storage import Storage, row_strips

# Chromaticities of Rec. 709: x and y of red, green, blue and white.
REC_709 = (0.64, 0.33, 0.30, 0.60, 0.15, 0.06, 0.3127, 0.3290)


def read_exr(path: Path, storage: Storage) -> DecodedImage:
    """Read the image of the first part. Colours are premultiplied, as the format has them."""
    import Imath
    import OpenEXR

    num_parts = len(OpenEXR.File(str(path), header_only=True).parts)
    file = OpenEXR.InputFile(str(path))  # this interface reads a range of rows, so memory stays bounded
    try:
        header = file.header()
        window = header["dataWindow"]
        height, width = window.max.y - window.min.y + 1, window.max.x - window.min.x + 1
        names, notes = choose_channels(sorted(header["channels"]))
        if any((header["channels"][name].xSampling, header["channels"][name].ySampling) != (1, 1) for name in names):
            raise BadInput("its channels have different resolutions, which is not supported; save it as plain RGB")
        if num_parts > 1:
            notes.append(f"{num_parts} parts, the first is used")
        if header["displayWindow"] != window:
            notes.append("the image is the data window, not the display window")
        if "chromaticities" in header and not np.allclose(_xy(header["chromaticities"]), REC_709, atol=0.01):
            notes.append("primaries other than Rec. 709 are ignored")
        pixels = storage.new(height, width, len(names), np.float32)
        for rows in row_strips(height, width):
            planes = file.channels(
                names, Imath.PixelType(Imath.PixelType.FLOAT), window.min.y + rows.start, window.min.y + rows.stop - 1
            )
            for channel, plane in enumerate(planes):
                pixels[rows, :, channel] = np.frombuffer(plane, np.float32).reshape(-1, width)
    finally:
        file.close()
    return DecodedImage(pixels, "linear", premultiplied=True, notes=notes)


def choose_channels(present: list[str]) -> tuple[list[str], list[str]]:
    """Choose the channels that make the image, and say what is left out.

    Colours outside of layers come first, then the first layer that has colours, then a single channel of any name.

    Args:
        present: names of the file's channels.

    Returns:
        The names for RGB, RGBA, grey, or grey and alpha, in that order, and notes for the user.

    Raises:
        BadInput: there are no colours and more than one channel.
    """
    layers = sorted({name.rpartition(".")[0] for name in present}, key=lambda layer: (layer != "", layer))
    for layer in layers:
        prefix = f"{layer}." if layer else ""
        for colors in (("R", "G", "B"), ("Y",)):
            names = [prefix + color for color in colors]
            if set(names) <= set(present):
                if f"{prefix}A" in present:
                    names.append(f"{prefix}A")
                return names, _notes_on_rest(present, names, layer)
    if len(present) == 1:
        return present, [] if present[0] == "R" else [f"the channel {present[0]} is read as grey"]
    raise BadInput(f"its channels are {', '.join(present)}: no R, G, B and no Y among them; save it as RGB or grey")


def _notes_on_rest(present: list[str], names: list[str], layer: str) -> list[str]:
    """Notes on the layer that is read and the channels that are not."""
    notes = [f"the layer {layer} is read"] if layer else []
    if rest := [name for name in present if name not in names]:
        notes.append(f"ignored: the {'channel' if len(rest) == 1 else 'channels'} {', '.join(rest)}")
    return notes


def _xy(chromaticities: Any) -> list[float]:
    """The coordinates of an Imath chromaticities attribute, in the order of `REC_709`."""
    points = (chromaticities.red, chromaticities.green, chromaticities.blue, chromaticities.white)
    return [value for point in points for value in (point.x, point.y)]
