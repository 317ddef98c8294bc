"""OpenEXR: linear light, half or float, as float32."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from scenes.errors import BadInput
from scenes.pictures.decoded import Decoded


def read_exr(path: Path, max_pixels: int) -> Decoded:
    import OpenEXR

    try:
        with OpenEXR.File(str(path), separate_channels=True) as file:
            channels = {name: channel.pixels for name, channel in file.channels().items()}
    except RuntimeError as error:
        raise BadInput(f"{path}: the EXR file is damaged or cut short ({error}); get a fresh copy") from None
    names = [name for name in "RGBYA" if name in channels]
    return Decoded(np.stack([channels[name] for name in names], axis=-1).astype(np.float32), "linear", True)
