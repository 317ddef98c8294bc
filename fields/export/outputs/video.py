"""Videos of a field at any size and rate: video files, GIFs, folders of frames, or a single frame."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from fields.export.outputs.audio import requested_part
from fields.export.outputs.base import Output
from fields.export.outputs.image import image_window
from fields.export.request import RenderRequest
from fields.render.raster import Window
from fields.render.video_frame import FilmFrames
from scenes.errors import BadInput
from scenes.image.color import to_bytes
from scenes.image.signal import check_image_writable, write_image
from scenes.video.write import check_video_writable, write_video

MAX_FRAMES = 100_000
BLENDED = "moments between the fitted frames are blends of the two frames beside them: this field does not join them"


class VideoOutput(Output):
    options = ("size", "scale", "crop", "rate", "time", "part")
    suggested_options = {"rate": 60}

    def default_name(self, request: RenderRequest) -> str:
        return "render.mp4" if request.time is None else "frame.png"

    def render(self, out: Path, request: RenderRequest) -> dict[str, Any]:
        if request.time is not None:
            return self._render_frame(out, request, request.time)
        axis = self.field.domain.axes[2]
        width, height, window = image_window(self.field.domain, request, request.crop)
        rate = request.rate or self.field.domain.grid_shape[2] / (axis.upper - axis.lower)
        start, end = requested_part(axis, request, "video")
        count = max(1, round((end - start) * rate))
        if count > MAX_FRAMES:
            raise BadInput(f"that is {count:,} frames, and at most {MAX_FRAMES:,}: give a lower `rate` or a `part`")
        check_video_writable(out)
        times = [(start + (index + 0.5) / rate - axis.lower) / (axis.upper - axis.lower) for index in range(count)]
        film = FilmFrames(self.field)
        notes = write_video(out, self._frames(film, times, width, height, window), rate)
        if film.blends(times):
            notes.append(BLENDED)
        return {
            "width": width,
            "height": height,
            "frames": count,
            "rate": rate,
            "text": f"{count} frames of {width} x {height}",
            "notes": notes,
        }

    def _render_frame(self, out: Path, request: RenderRequest, time: float) -> dict[str, Any]:
        """Write the frame at `time` seconds as an image."""
        axis, channels = self.field.domain.axes[2], self.field.channels
        width, height, window = image_window(self.field.domain, request, request.crop)
        if request.rate or request.part:
            raise BadInput("`time`: is for one image; `rate` and `part` are for a video")
        if not axis.lower <= time <= axis.upper:
            raise BadInput(
                f"`time={time:g}`: is outside of the video, which goes from {axis.lower:g} to {axis.upper:g} s"
            )
        check_image_writable(out, channels)
        film, moment = FilmFrames(self.field), (time - axis.lower) / (axis.upper - axis.lower)
        image = film.frame(moment, width, height, window)
        notes = write_image(out, image, channels)
        if film.blends([moment]):
            notes.append(BLENDED)
        return {"width": width, "height": height, "text": f"{width} x {height} at {time:g} s", "notes": notes}

    def _frames(
        self, film: FilmFrames, times: list[float], width: int, height: int, window: Window
    ) -> Iterator[np.ndarray]:
        for time in self.reported(times):
            yield to_bytes(film.frame(min(time, 1.0), width, height, window))
