"""Pictures of a field, at any size, scale and crop; evaluated in strips, so memory stays bounded."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fields.export.outputs.base import Output
from fields.export.request import RenderRequest
from fields.render.raster import picture
from scenes.domain import Domain
from scenes.errors import BadInput
from scenes.image.signal import check_image_writable, write_image
from scenes.image.storage import Storage


class ImageOutput(Output):
    takes = ("size", "scale", "crop", "what")
    shows = ("color", "frequency", "flow", "orientation", "explained")

    def default_name(self, request: RenderRequest) -> str:
        if request.what not in (None, "color"):
            return f"{request.what}.png"
        return "render.exr" if self.field.channels.space == "linear" else "render.png"

    def render(self, out: Path, request: RenderRequest) -> dict:
        width, height, window = frame(self.field.domain, request.size, request.scale, request.crop)
        if request.what not in (None, "color"):
            return self._map(request.what, out, width, height, window)
        check_image_writable(out, self.field.channels)  # told before the work, not after it
        # Beyond the storage's limit the values lie in a mapped temporary file: memory does not grow with the picture.
        values = Storage(max_pixels=width * height).new(height, width, len(self.field.channels), np.float32)
        notes = write_image(out, picture(self.field, width, height, window, values), self.field.channels)
        return {"width": width, "height": height, "text": f"{width} x {height}", "notes": notes}

    def _map(self, what: str, out: Path, width: int, height: int, window: tuple[float, float, float, float]) -> dict:
        from fields.export.outputs.maps import draw_map

        width, height = draw_map(self.field, what, out, width, height, window)
        return {"width": width, "height": height, "text": f"{width} x {height}"}


def frame(domain: Domain, size, scale, crop) -> tuple[int, int, tuple[float, float, float, float]]:
    """Pixels and window (in [0, 1]) of the picture that `size`, `scale` and `crop` ask for, of the first two axes."""
    if size and scale:
        raise BadInput("`size` and `scale`: give one of the two")
    full_width, full_height = domain.shape[:2]
    x0, y0, x1, y1 = crop or (0, 0, full_width, full_height)
    if x0 < 0 or y0 < 0 or x1 > full_width or y1 > full_height:
        raise BadInput(
            f"`crop={x0:g},{y0:g},{x1:g},{y1:g}` reaches outside the picture of {full_width} x {full_height} pixels"
        )
    width, height = size or (max(1, round((x1 - x0) * (scale or 1))), max(1, round((y1 - y0) * (scale or 1))))
    return width, height, (x0 / full_width, y0 / full_height, x1 / full_width, y1 / full_height)
