"""Slices, projections and whole volumes of a field."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from fields.export.outputs.base import Output
from fields.export.request import RenderRequest
from fields.render.projection import project
from fields.render.raster import centres, lattice
from scenes.domain import Channels
from scenes.errors import BadInput
from scenes.image.signal import check_image_writable, write_image
from scenes.volume.write import check_volume_writable, is_volume_name, write_volume

SIDE = 400
# Samples along a ray, whatever the picture's size: a volume has seldom more voxels along it.
STEPS = 160
GREY = Channels(("grey",), "srgb")


class VolumeOutput(Output):
    takes = ("size", "scale", "slice")
    suggestion = {"slice": "z=0.5"}

    def default_name(self, request: RenderRequest) -> str:
        return "slice.png" if request.slice else "projection.png"

    def render(self, out: Path, request: RenderRequest) -> dict:
        """A volume file gets all voxels; a picture gets `slice=AXIS=SHARE`, or else a projection from outside."""
        axes = self.field.domain.axes
        if is_volume_name(out) and not request.slice:
            if request.size:
                raise BadInput("`size`: a whole volume is sized by `scale`")
            return self._whole(out, request.scale or 1.0)
        colors = Channels(("red", "green", "blue"), "srgb") if len(self.field.channels) == 3 else GREY
        check_image_writable(out, colors)
        if request.slice:
            values, text = self._slice(request)
        else:
            if request.size and request.size[0] != request.size[1]:
                raise BadInput("`size`: a projection is square; give the same number twice, such as 600x600")
            side = request.size[0] if request.size else max(1, round(SIDE * (request.scale or 1)))
            device = next(self.field.parameters()).device
            with torch.no_grad():
                values = project(
                    lambda points: self.field(points.to(device)).cpu(),
                    tuple(a.upper - a.lower for a in axes),
                    side,
                    steps=STEPS,
                )
            text = f"projection, {side} x {side}"
        if len(colors) == 1:
            values = values.mean(axis=-1, keepdims=True)
        notes = write_image(out, values, colors)
        return {"width": values.shape[1], "height": values.shape[0], "text": text, "notes": notes}

    def _slice(self, request: RenderRequest) -> tuple[np.ndarray, str]:
        name, share = request.slice
        cut = "xyz".index(name)
        if request.size and request.scale:
            raise BadInput("`size` and `scale`: give one of the two")
        shape = [n for i, n in enumerate(self.field.domain.shape) if i != cut]
        width, height = request.size or (max(1, round(n * (request.scale or 1))) for n in shape)
        places = [centres(width), centres(height)]
        places.insert(cut, torch.tensor([share]))
        return lattice(self.field, *places).reshape(height, width, -1), f"slice {name}={share:g}, {width} x {height}"

    def _whole(self, out: Path, scale: float) -> dict:
        check_volume_writable(out)
        channels = self.field.channels
        counts = [max(1, round(n * scale)) for n in self.field.domain.shape]
        array = np.empty((*counts[::-1], len(channels)), np.float32)
        x, y, z = (centres(n) for n in counts)
        for index in range(counts[2]):
            array[index] = (
                lattice(self.field, x, y, z[index : index + 1])[0] * (channels.upper - channels.lower) + channels.lower
            )
        spacing = tuple((axis.upper - axis.lower) / n for axis, n in zip(self.field.domain.axes, counts))
        write_volume(out, array, spacing)
        return {"voxels": counts, "text": " x ".join(map(str, counts)) + " voxels"}
