"""Images of a field at any size, scale and crop; evaluated in strips, so memory stays bounded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from fields.export.outputs.base import Output
from fields.export.outputs.maps import draw_map
from fields.export.request import OutputRequest, RenderRequest
from fields.models.field import PointField
from fields.render.raster import Window, evaluate_image
from scenes.domain import Domain
from scenes.errors import BadInput
from scenes.image.signal import check_image_writable, write_image
from scenes.image.storage import Storage


class ImageOutput(Output):
    options = ("size", "scale", "crop", "what")
    what_choices = ("color", "frequency", "flow", "orientation", "explained")

    field: PointField

    def default_name(self, request: RenderRequest) -> str:
        if request.what not in (None, "color"):
            return f"{request.what}.png"
        return "render.exr" if self.field.channels.space == "linear" else "render.png"

    def render(self, out: Path, request: RenderRequest) -> dict[str, Any]:
        width, height, window = image_window(self.field.domain, request, request.crop)
        notes = []
        if request.what in (None, "color"):
            check_image_writable(out, self.field.channels)
            # Above the storage's limit, values lie in a mapped temporary file: memory does not grow with the image.
            values = Storage(max_pixels=width * height).new(height, width, len(self.field.channels), np.float32)
            notes = write_image(out, evaluate_image(self.field, width, height, window, values), self.field.channels)
        else:
            width, height = draw_map(self.field, request.what, out, width=width, height=height, window=window)
        return {"width": width, "height": height, "text": f"{width} x {height}", "notes": notes}


def image_window(domain: Domain, request: OutputRequest, crop: tuple[float, ...] | None) -> tuple[int, int, Window]:
    """Width and height in pixels, and the window in [0, 1], of the image that a request asks for.

    domain: its first two axes are those of the image.
    request: `size` and `scale` are used.
    crop: x0, y0, x1, y1 in pixels of the original; None: the whole image.

    Raises BadInput for a crop that reaches outside of the image, and if both size and scale are given.
    """
    size, scale = request.size, request.scale or 1
    if size and request.scale:
        raise BadInput("`size` and `scale`: give one of the two")
    full_width, full_height = domain.shown_size
    x0, y0, x1, y1 = crop or (0, 0, full_width, full_height)
    if x0 < 0 or y0 < 0 or x1 > full_width or y1 > full_height:
        raise BadInput(
            f"`crop={x0:g},{y0:g},{x1:g},{y1:g}`: reaches outside of the image, "
            f"which has {full_width} x {full_height} pixels"
        )
    width, height = size or (max(1, round((x1 - x0) * scale)), max(1, round((y1 - y0) * scale)))
    return width, height, (x0 / full_width, y0 / full_height, x1 / full_width, y1 / full_height)
