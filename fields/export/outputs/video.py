"""Clips of a field: films, GIFs, folders of frames, or one picture; at any size and rate."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from fields.export.outputs.base import Output
from fields.export.outputs.image import frame as frame_of
from fields.export.request import RenderRequest
from fields.render.video_frame import render_frame
from scenes.errors import BadInput
from scenes.image.color import to_bytes
from scenes.image.signal import check_image_writable, write_image
from scenes.video.write import check_video_writable, write_video

MAX_FRAMES = 100_000


class VideoOutput(Output):
    takes = ("size", "scale", "crop", "rate", "time", "part")
    suggestion = {"rate": 60}

    def default_name(self, request: RenderRequest) -> str:
        return "render.mp4" if request.time is None else "frame.png"

    def render(self, out: Path, request: RenderRequest) -> dict:
        axis, channels = self.field.domain.axes[2], self.field.channels
        width, height, window = frame_of(self.field.domain, request.size, request.scale, request.crop)
        if request.time is not None:
            if request.rate or request.part:
                raise BadInput("`time`: is for one picture; `rate` and `part` are for a clip")
            if not axis.lower <= request.time <= axis.upper:
                raise BadInput(
                    f"`time={request.time:g}` is outside the clip, which goes from {axis.lower:g} to {axis.upper:g} s"
                )
            check_image_writable(out, channels)
            picture = self.picture((request.time - axis.lower) / (axis.upper - axis.lower), width, height, window)
            notes = write_image(out, picture, channels)
            return {
                "width": width,
                "height": height,
                "text": f"{width} x {height} at {request.time:g} s",
                "notes": notes,
            }
        rate = request.rate or axis.samples / (axis.upper - axis.lower)
        start, end = request.part or (axis.lower, axis.upper)
        if not axis.lower <= start < end <= axis.upper + 1e-9:
            raise BadInput(
                f"`part={start:g},{end:g}` reaches outside the clip, which goes from {axis.lower:g} to {axis.upper:g} s"
            )
        count = max(1, round((end - start) * rate))
        if count > MAX_FRAMES:
            raise BadInput(
                f"{count:,} frames would be written; the most is {MAX_FRAMES:,}: give a lower `rate` or a `part`"
            )
        check_video_writable(out)
        moments = [(start + (index + 0.5) / rate - axis.lower) / (axis.upper - axis.lower) for index in range(count)]
        notes = write_video(out, self._frames(moments, width, height, window), rate)
        return {
            "width": width,
            "height": height,
            "frames": count,
            "rate": rate,
            "text": f"{count} frames of {width} x {height}",
            "notes": notes,
        }

    def _frames(self, moments: list[float], width: int, height: int, window) -> Iterator[np.ndarray]:
        for moment in moments:
            yield to_bytes(self.picture(min(moment, 1.0), width, height, window))

    def picture(self, moment: float, width: int, height: int, window: tuple[float, float, float, float]) -> np.ndarray:
        """`[height, width, 3]` float32 at `moment` in [0, 1].

        A FrameField's own frame is resampled where another size is asked for.
        """
        return render_frame(self.field, moment, width, height, window)
