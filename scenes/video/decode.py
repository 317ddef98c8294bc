"""Decode films with PyAV: upright, in their true shape, without fields, every frame with its time."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from scenes.errors import BadInput
from scenes.io.media_length import Unknown, announced_end
from scenes.video.color import FrameColors
from scenes.video.frames import (
    DEFAULT_OPTIONS,
    DecodedVideo,
    FilmOptions,
    FrameCollector,
    frame_starts,
    is_within,
    square_size,
)

if TYPE_CHECKING:
    from av import VideoFrame
    from av.container import InputContainer
    from av.filter import Graph
    from av.video.stream import VideoStream

# Frames per second of a film that does not say.
DEFAULT_RATE = 24.0
# Pixels count as square within this fraction, and shapes beyond the other are mistakes in the header.
SQUARE_TOLERANCE = 0.005
MAX_ASPECT = 8.0
# Of this many packets one may give no frame, and at least one, before a film counts as damaged.
PACKETS_PER_MISSING = 50
# Tags under which Matroska says that VP8 and VP9 have an alpha channel beside them, and the decoders that read it.
ALPHA_MODE = "alpha_mode"
ALPHA_DECODERS = {"vp8": "libvpx", "vp9": "libvpx-vp9"}


def decode_video_file(
    file: Path,
    collector: FrameCollector,
    part: tuple[float, float] | None,
    *,
    square: bool = False,
    options: FilmOptions = DEFAULT_OPTIONS,
) -> DecodedVideo:
    """Decode a video file with PyAV and give its frames to `collector`, upright, `[H, W, 3]` uint8.

    Args:
        file: the file.
        collector: receives the frames.
        part: (start, end) in seconds; only frames shown within it are kept.
        square: whether frames whose pixels are not square are stretched, as cameras need them.
        options: how colours and fields are read.

    Raises:
        BadInput: the file is damaged or cut off, or has no video. The message does not name the file.
    """
    import av
    import av.error

    missing = missing_bytes(file)
    try:
        with av.open(str(file)) as container:
            stream = _film(container)
            decoder = _Decoder(container, stream, part, options, is_whole=not missing)
            for frame in decoder:
                collector.add(stretched(frame, decoder.pixel_aspect) if square else frame)
            notes = decoder.notes()
    except BadInput:
        raise
    except (av.error.FFmpegError, ValueError, RuntimeError, LookupError) as error:
        if missing:
            raise _cut_off(missing, collector.count) from None
        own_words = error.strerror if isinstance(error, av.error.FFmpegError) else None
        reason = own_words or str(error) or type(error).__name__
        raise BadInput(
            f"cannot be decoded after {collector.count} frames ({reason.lower()}); get a fresh copy, or convert it to "
            "H.264 MP4 with ffmpeg"
        ) from None
    if missing:
        raise _cut_off(missing, collector.count, decoder.end)
    starts, about_times = frame_starts(decoder.times, decoder.duration, decoder.rate)
    aspect = 1.0 if square else decoder.pixel_aspect
    return DecodedVideo(collector.frames(), starts, [*notes, *about_times], aspect)


def stretched(frame: np.ndarray, pixel_aspect: float) -> np.ndarray:
    """A frame `[H, W, 3]` uint8 with square pixels."""
    if pixel_aspect == 1.0:
        return frame
    from PIL import Image

    size = square_size(frame.shape[1], frame.shape[0], pixel_aspect)
    return np.asarray(Image.fromarray(np.ascontiguousarray(frame)).resize(size, Image.Resampling.LANCZOS))


def missing_bytes(file: Path) -> int:
    """Number of bytes by which a film is shorter than its own structure says; 0 where it is whole, or does not say."""
    with suppress(Unknown):
        return max(0, (announced_end(file) or 0) - file.stat().st_size)
    return 0


def _cut_off(missing: int, count: int, end: float | None = None) -> BadInput:
    there = f"{count} frames" + (f", {end:.2f} s," if end else "")
    return BadInput(
        f"is cut off: {missing:,} bytes of what it announces are missing, and {there} are there; get a fresh copy"
    )


def _film(container: InputContainer) -> VideoStream:
    """The first video track that is not a picture of the cover."""
    from av.stream import Disposition

    films = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    if not films:
        raise BadInput("has no video track; if it is audio, `kind=audio` opens it")
    return films[0]


class _Decoder:
    """Iterates over the frames `[H, W, 3]` uint8 of a part of a stream, whose file may be cut off.

    Attributes:
        times: seconds at which the frames so far are shown.
        end: seconds at which the latest frame ends.
        duration: seconds for which the latest frame is shown; None where the file does not say.
        rate: frames per second, on average.
        pixel_aspect: width of a pixel divided by its height, after rotation.
    """

    def __init__(
        self,
        container: InputContainer,
        stream: VideoStream,
        part: tuple[float, float] | None,
        options: FilmOptions,
        *,
        is_whole: bool,
    ) -> None:
        self.times: list[float] = []
        self.end = 0.0
        self.duration: float | None = None
        self.rate = float(stream.average_rate or DEFAULT_RATE)
        self.pixel_aspect = 1.0
        self._container, self._stream, self._part, self._is_whole = container, stream, part, is_whole
        self._options = options
        self._is_interlaced = False
        self._colors: FrameColors | None = None
        self._deinterlacer: _Deinterlacer | None = None
        self._begin: float | None = None
        self._alpha_unread = False

    def __iter__(self) -> Iterator[np.ndarray]:
        turn: tuple[int, bool] = (0, False)
        for frame in self._whole_frames():
            base = frame.time_base or self._stream.time_base or 0
            time = float(frame.pts * base) if frame.pts is not None else math.nan
            if self._begin is None:
                self._begin = time
            time -= self._begin
            if self._part is not None and time >= self._part[1]:
                return
            if self._colors is None:
                self._colors = FrameColors(frame, ignore_profile=self._options.ignore_profile)
                turn = _turn(frame)
                self.pixel_aspect = self._aspect(swapped=turn[0] % 2 == 1)
            if not is_within(time, self._part):
                continue
            self.duration = float(frame.duration * base) if frame.duration else None
            self.end = time + (self.duration or 1 / self.rate)
            self.times.append(time)
            pixels = self._colors.rgb(frame)
            pixels = pixels[:, ::-1] if turn[1] else pixels
            yield np.rot90(pixels, turn[0]) if turn[0] else pixels

    def notes(self) -> list[str]:
        """One-line remarks for the user on what was decided."""
        notes = []
        if self.pixel_aspect != 1.0:
            notes.append(
                f"its pixels are not square ({self.pixel_aspect:.4g} times as wide as high): it is shown and written "
                "in its true shape; `size` of a render overrules"
            )
        if self._deinterlacer is not None:
            notes.append(
                "it is interlaced: each pair of fields is joined to a frame (bwdif; `keep_fields` leaves frames as "
                "they are stored)"
            )
        elif self._is_interlaced:
            notes.append("it is interlaced: frames are read as they are stored, with two moments in each")
        if self._colors is not None:
            notes += self._colors.notes
            if self._colors.alpha_seen:
                notes.append("its transparent parts are shown on black")
        if self._alpha_unread:
            notes.append("its transparency is not read, as ffmpeg's libraries here lack libvpx")
        films = len(self._container.streams.video)
        if films > 1:
            notes.append(f"of {films} video tracks the first is read")
        if self._container.streams.audio:
            notes.append("its audio is left out; `kind=audio` opens it")
        return notes

    def _whole_frames(self) -> Iterator[VideoFrame]:
        """The decoded frames; of interlaced ones, a frame for each pair of fields."""
        for frame in self._decoded():
            self._is_interlaced |= bool(frame.interlaced_frame)
            if frame.interlaced_frame and self._deinterlacer is None and not self._options.keep_fields:
                self._deinterlacer = _Deinterlacer(self._stream)
            if self._deinterlacer is None:
                yield frame
            else:
                yield from self._deinterlacer.push(frame)
        if self._deinterlacer is not None:
            yield from self._deinterlacer.push(None)

    def _decoded(self) -> Iterator[VideoFrame]:
        """Frames as the decoder gives them. Raises BadInput where an MP4 file gives fewer than it has packets."""
        import av

        stream = self._stream
        # ffmpeg's messages stay off, as PyAV has them by default: with any level its threads wait for the interpreter
        # to report damage, and the interpreter waits for them where a decoder is freed.
        stream.thread_type = "AUTO"
        context: Any = stream.codec_context
        decoder = ALPHA_DECODERS.get(context.name) if stream.metadata.get(ALPHA_MODE) == "1" else None
        if decoder not in (None, *av.codecs_available):
            self._alpha_unread, decoder = True, None
        if decoder:
            extradata = context.extradata
            context = av.CodecContext.create(decoder, "r")
            context.extradata = extradata
        packets, frames = 0, 0
        for packet in self._container.demux(stream):
            packets += bool(packet.size) and not packet.is_discard
            for frame in context.decode(packet if packet.size else None) if decoder else packet.decode():
                frames += 1
                yield frame
        # In other containers a packet may hold what is not shown. Edit lists mark such packets in MP4.
        is_mp4 = "mp4" in self._container.format.name.split(",")
        if self._is_whole and is_mp4 and packets - frames > max(1, packets // PACKETS_PER_MISSING):
            raise BadInput(f"is damaged: of {packets} frames {frames} can be decoded; get a fresh copy")

    def _aspect(self, *, swapped: bool) -> float:
        aspect = float(self._stream.sample_aspect_ratio or self._stream.codec_context.sample_aspect_ratio or 1)
        if not 1 / MAX_ASPECT <= aspect <= MAX_ASPECT or abs(aspect - 1) < SQUARE_TOLERANCE:
            return 1.0
        return 1 / aspect if swapped else aspect


class _Deinterlacer:
    """Joins the fields of interlaced frames with ffmpeg's filter bwdif, and passes other frames through."""

    def __init__(self, stream: VideoStream) -> None:
        import av.filter

        self._graph: Graph = av.filter.Graph()
        nodes = [
            self._graph.add_buffer(template=stream),
            self._graph.add("bwdif", "mode=send_frame:deint=interlaced"),
            self._graph.add("buffersink"),
        ]
        self._graph.link_nodes(*nodes).configure()

    def push(self, frame: VideoFrame | None) -> Iterator[VideoFrame]:
        """Give a frame, or None after the last one. Iterates over the frames that are ready."""
        import av.error

        self._graph.push(frame)
        with suppress(av.error.BlockingIOError, av.error.EOFError):
            while True:
                yield self._graph.vpull()


def _turn(frame: VideoFrame) -> tuple[int, bool]:
    """Quarter turns counter-clockwise after mirroring left and right, and whether to mirror, that make it upright."""
    data = frame.side_data.get("DISPLAYMATRIX")
    if data is None:
        return round(frame.rotation / 90) % 4, False
    # ISO/IEC 14496-12, 6.2.2: rows (a, b, u), (c, d, v), (x, y, w), fixed point; x' = a x + c y, y' = b x + d y.
    a, b, _, c, d = struct.unpack("=5i", bytes(data)[:20])
    mirrored = a * d - b * c < 0
    if mirrored:
        a, b = -a, -b
    return round(math.degrees(math.atan2(-b, a)) / 90) % 4, mirrored
