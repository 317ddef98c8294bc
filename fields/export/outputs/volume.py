"""Slices, projections and all voxels of a field of a volume."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from fields.export.outputs.base import Output
from fields.export.request import RenderRequest
from fields.export.world import voxel_affine
from fields.models.field import PointField
from fields.render.projection import maximum_projection
from fields.render.raster import evaluate_lattice, sample_centers
from scenes.domain import Channels, square_size
from scenes.errors import BadInput
from scenes.image.signal import check_image_writable, write_image
from scenes.volume.write import check_volume_writable, is_volume_name, write_volume

# Side of a projection in pixels.
SIDE = 400
# Samples along each ray of a projection of any size: few volumes have more voxels along it.
STEPS = 160
GREY = Channels(("grey",), "srgb")
RGB = Channels(("red", "green", "blue"), "srgb")


class VolumeOutput(Output):
    options = ("size", "scale", "slice")
    suggested_options = {"slice": "z=0.5"}
    render_forms = {"projection": ".png"}

    field: PointField

    def default_name(self, request: RenderRequest) -> str:
        return "slice.png" if request.slice else "projection.png"

    def render(self, out: Path, request: RenderRequest) -> dict[str, Any]:
        """Write all voxels to a volume file; to an image the requested slice, or else a projection from outside."""
        if is_volume_name(out) and not request.slice:
            if request.size:
                raise BadInput("`size`: is for images; the size of a whole volume is given by `scale`")
            return self._write_volume(out, request.scale or 1.0)
        channels = RGB if len(self.field.channels) == 3 else GREY
        check_image_writable(out, channels)
        if request.slice:
            values, text = self._slice(request, *request.slice)
        else:
            values, text = self._projection(request)
        if len(channels) == 1:
            values = values.mean(axis=-1, keepdims=True)
        notes = write_image(out, values, channels)
        return {"width": values.shape[1], "height": values.shape[0], "text": text, "notes": notes}

    def _projection(self, request: RenderRequest) -> tuple[np.ndarray, str]:
        if request.size and request.size[0] != request.size[1]:
            raise BadInput("`size`: a projection is square; give the same number twice, such as 600x600")
        side = request.size[0] if request.size else max(1, round(SIDE * (request.scale or 1)))
        x, y, z = (axis.upper - axis.lower for axis in self.field.domain.axes)
        with torch.no_grad():
            values = maximum_projection(
                lambda points: self.field(points.to(self.field.device)).cpu(), (x, y, z), side, steps=STEPS
            )
        return values, f"projection, {side} x {side}"

    def _slice(self, request: RenderRequest, axis: str, position: float) -> tuple[np.ndarray, str]:
        """The image where `axis` is cut at `position` in [0, 1], `[H, W, C]`, and its description."""
        if request.size and request.scale:
            raise BadInput("`size` and `scale`: give one of the two")
        cut = "xyz".index(axis)
        across, down = (other for i, other in enumerate(self.field.domain.axes) if i != cut)
        # In true proportions, at the finer spacing of the two.
        shape = square_size(across, down)
        width, height = request.size or (max(1, round(n * (request.scale or 1))) for n in shape)
        positions = [sample_centers(width), sample_centers(height)]
        positions.insert(cut, torch.tensor([position]))
        # A slice has no thickness, whatever the size of its pixels.
        footprint = [1 / width, 1 / height]
        footprint.insert(cut, 0.0)
        values = evaluate_lattice(self.field, *positions, footprint=footprint).reshape(height, width, -1)
        return values, f"slice {axis}={position:g}, {width} x {height}"

    def _write_volume(self, out: Path, scale: float) -> dict[str, Any]:
        check_volume_writable(out)
        channels = self.field.channels
        counts = [max(1, round(n * scale)) for n in self.field.domain.grid_shape]
        array = np.empty((*counts[::-1], len(channels)), np.float64 if channels.needs_float64 else np.float32)
        x, y, z = (sample_centers(n) for n in counts)
        for index in range(counts[2]):
            values = evaluate_lattice(self.field, x, y, z[index : index + 1], footprint=[1 / n for n in counts])[0]
            array[index] = values.astype(array.dtype) * (channels.upper - channels.lower) + channels.lower
        domain = self.field.domain
        dx, dy, dz = ((axis.upper - axis.lower) / n for axis, n in zip(domain.axes, counts))
        notes = write_volume(
            out,
            array,
            (dx, dy, dz),
            unit=domain.axes[0].unit,
            affine=voxel_affine(domain, counts),
            space=domain.world.space if domain.world else "",
        )
        return {"voxels": counts, "text": " x ".join(map(str, counts)) + " voxels", "notes": notes}
