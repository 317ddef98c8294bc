"""Films and animations as other programs write them: public reports rebuilt small (see tests/reported)."""

import io
import struct
import zlib
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

import scenes
from scenes.video.signal import Video, open_video

COUNT = 12
MILLISECOND = Fraction(1, 1000)


def shades(count: int = COUNT) -> np.ndarray:
    """`[count, 48, 64, 3]`: plain frames, each brighter than the one before."""
    return np.broadcast_to((20 + 18 * np.arange(count, dtype=np.uint8))[:, None, None, None], (count, 48, 64, 3)).copy()


def encode(target, codec: str, form: str, *, options=None, container=None, first: int = 0, rate: int = 10) -> None:
    """Write `shades` from `first` milliseconds on."""
    with av.open(target, "w", format=form, options=container or {}) as opened:
        stream = opened.add_stream(codec, rate=rate, options=options or {})
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        stream.codec_context.time_base = MILLISECOND
        for index, pixels in enumerate(shades()):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = first + index * 1000 // rate, MILLISECOND
            opened.mux(stream.encode(frame))
        opened.mux(stream.encode())


def has_all_frames(path: Path) -> Video:
    """Every frame once, in the order in which they are shown, evenly from 0 s on."""
    video = scenes.load(path)
    assert isinstance(video, Video)
    found = video.stored[:, 24, 32, 1].astype(int)
    assert np.abs(found - shades()[:, 0, 0, 0]).max() <= 8, found
    np.testing.assert_allclose(video.times, (np.arange(COUNT) + 0.5) / COUNT, atol=2e-3)
    assert video.domain.axes[2].lower == 0
    return video


B_FRAMES = {"bf": "2", "crf": "4", "x264-params": "b-adapt=0:keyint=12"}
# Report: ending, how the container is written, first time in milliseconds.
MP4 = {
    "mlt 89": (".mp4", {}, 0),
    "mkvtoolnix 1889": (".mp4", {"use_editlist": "0"}, 0),
    "gpac 190": (".mov", {"movflags": "faststart"}, 0),
    "HandBrake 568": (".mp4", {}, 2500),
    "fiftyone 8416": (".mp4", {"movflags": "negative_cts_offsets"}, 0),
    "shaka-packager 1610": (".mp4", {"movflags": "frag_keyframe+empty_moov+delay_moov"}, 0),
    "gpac 2085": (".mp4", {"movflags": "frag_keyframe+empty_moov+delay_moov+skip_trailer"}, 0),
    "mediabunny 317": (".mp4", {"movflags": "frag_every_frame+empty_moov"}, 0),
    "moq 1999": (".mp4", {"movflags": "frag_keyframe+empty_moov+default_base_moof"}, 300),
}


@pytest.mark.parametrize("report", MP4)
def test_mp4_with_frames_out_of_order(tmp_path, report):
    ending, container, first = MP4[report]
    path = tmp_path / f"a{ending}"
    encode(str(path), "libx264", ending[1:], options=B_FRAMES, container=container, first=first)
    has_all_frames(path)


class Pipe(io.RawIOBase):
    """Keeps what is written, and cannot go back."""

    def __init__(self) -> None:
        self.content = b""

    def write(self, data) -> int:
        self.content += bytes(data)
        return len(data)

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False


VP9 = {"crf": "4", "b": "0", "deadline": "realtime", "cpu-used": "8"}
WEBM = {
    "cobalt 566": ("libvpx-vp9", "webm", VP9, {}, 0),
    "torchcodec 691": ("libvpx-vp9", "matroska", VP9, {}, 0),
    "shotcut 875": ("libvpx", "webm", {"crf": "4", "b": "2000k", "deadline": "realtime"}, {"live": "1"}, 0),
    "lintel 14": (
        "libvpx",
        "webm",
        {"crf": "4", "b": "2000k", "deadline": "realtime"},
        {"cluster_time_limit": "100"},
        0,
    ),
    "MediaInfoLib 1272": ("libvpx-vp9", "webm", VP9, {}, 5000),
    "remotion 1223": ("libvpx-vp9", "webm", VP9, {}, 0),
    "ffms2 293": ("libvpx", "webm", {"crf": "4", "b": "2000k", "auto-alt-ref": "1", "lag-in-frames": "12"}, {}, 0),
    "NVEnc 250": ("libx264", "matroska", B_FRAMES, {}, 0),
    "mpv 1842": ("libvpx-vp9", "webm", VP9 | {"tile-columns": "2", "row-mt": "1"}, {}, 0),
}


@pytest.mark.parametrize("report", WEBM)
@pytest.mark.parametrize("through", ["file", "pipe"])
def test_webm_of_files_and_pipes(tmp_path, report, through):
    codec, form, options, container, first = WEBM[report]
    path = tmp_path / ("a.webm" if form == "webm" else "a.mkv")
    pipe = Pipe()
    encode(str(path) if through == "file" else pipe, codec, form, options=options, container=container, first=first)
    if through == "pipe":
        path.write_bytes(pipe.content)
    has_all_frames(path)


# Animations: 8 x 8 with the colours black, red, green, blue; each frame is (left, top, indices, disposal, transparent).
COLORS = np.array([(0, 0, 0), (255, 0, 0), (0, 255, 0), (0, 0, 255)], np.uint8)
WHOLE = np.full((8, 8), 1)
SMALL = np.full((2, 2), 2)
CORNER = np.array([[0, 3], [3, 0]])


def gif(frames) -> bytes:
    """A GIF whose frames are as given, with a pause of 100 ms each. Codes of three bits, each after a reset."""
    out = b"GIF89a" + struct.pack("<HHBBB", 8, 8, 0x91, 0, 0) + COLORS.tobytes()
    for left, top, indices, disposal, transparent in frames:
        flags = disposal << 2 | (transparent is not None)
        out += b"\x21\xf9\x04" + struct.pack("<BHBB", flags, 10, transparent or 0, 0)
        out += b"\x2c" + struct.pack("<4HB", left, top, indices.shape[1], indices.shape[0], 0) + b"\x02"
        codes = [code for index in indices.reshape(-1) for code in (4, int(index))] + [5]
        bits = sum(code << 3 * place for place, code in enumerate(codes))
        data = bits.to_bytes(-(-3 * len(codes) // 8), "little")
        out += (
            b"".join(bytes([len(part)]) + part for part in (data[at : at + 255] for at in range(0, len(data), 255)))
            + b"\0"
        )
    return out + b";"


def drawn(*layers) -> np.ndarray:
    """Indices `[8, 8]` of pictures drawn over each other: (left, top, indices, transparent index or None)."""
    canvas = np.zeros((8, 8), int)
    for left, top, indices, transparent in layers:
        area = canvas[top : top + indices.shape[0], left : left + indices.shape[1]]
        area[...] = np.where(indices == transparent, area, indices) if transparent is not None else indices
    return canvas


FIRST, SECOND, THIRD = (0, 0, WHOLE, None), (2, 2, SMALL, None), (5, 5, CORNER, 0)
GIFS = {
    "omggif 45": ((1, 1, 1), [drawn(FIRST), drawn(FIRST, SECOND), drawn(FIRST, SECOND, THIRD)]),
    "omggif 21": ((0, 0, 0), [drawn(FIRST), drawn(FIRST, SECOND), drawn(FIRST, SECOND, THIRD)]),
    "omggif 20": (
        (1, 2, 1),
        [drawn(FIRST), drawn(FIRST, SECOND), drawn(FIRST, (2, 2, np.zeros((2, 2), int), None), THIRD)],
    ),
    "gifdecoder 19": ((2, 1, 1), [drawn(FIRST), drawn(SECOND), drawn(SECOND, THIRD)]),
    "GifImageView 46": ((1, 3, 1), [drawn(FIRST), drawn(FIRST, SECOND), drawn(FIRST, THIRD)]),
    "android-gif-drawable 663": ((1, 3, 3), [drawn(FIRST), drawn(FIRST, SECOND), drawn(FIRST, THIRD)]),
    "XamlAnimatedGif 29": ((1, 5, 1), [drawn(FIRST), drawn(FIRST, SECOND), drawn(FIRST, SECOND, THIRD)]),
}


@pytest.mark.parametrize("report", GIFS)
def test_gif_whose_frames_are_parts(tmp_path, report):
    disposals, wanted = GIFS[report]
    layers = [FIRST, SECOND, THIRD]
    (tmp_path / "a.gif").write_bytes(
        gif([(x, y, part, way, clear) for (x, y, part, clear), way in zip(layers, disposals)])
    )
    video = open_video(tmp_path / "a.gif")
    np.testing.assert_array_equal(video.stored, COLORS[np.array(wanted)])
    np.testing.assert_allclose(video.times, [1 / 6, 3 / 6, 5 / 6], atol=1e-6)


def test_gif_whose_first_frame_asks_for_what_was_before_it(tmp_path):
    """android-gif-drawable 330: there is nothing before the first frame, so nothing is there after it."""
    (tmp_path / "a.gif").write_bytes(gif([(0, 0, WHOLE, 3, None), (2, 2, SMALL, 1, None)]))
    found = open_video(tmp_path / "a.gif").stored
    np.testing.assert_array_equal(found[0], COLORS[WHOLE])
    np.testing.assert_array_equal(found[1, 2:4, 2:4], COLORS[SMALL])
    np.testing.assert_array_equal(found[1, 5:], 0)


def apng(frames, *, hidden: bool = False) -> bytes:
    """An APNG of (left, top, indices, disposal, blend); the first is the default image unless that is hidden."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    def data(indices: np.ndarray) -> bytes:
        alpha = np.where(indices == 0, 0, 255).astype(np.uint8)
        rows = np.dstack([COLORS[indices], alpha])
        return zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))

    out = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 6, 0, 0, 0))
    out += chunk(b"acTL", struct.pack(">II", len(frames), 0))
    number = 0
    if hidden:
        out += chunk(b"IDAT", data(np.full((8, 8), 3)))
    for index, (left, top, indices, disposal, blend) in enumerate(frames):
        height, width = indices.shape
        out += chunk(b"fcTL", struct.pack(">5IHHBB", number, width, height, left, top, 1, 10, disposal, blend))
        number += 1
        if index == 0 and not hidden:
            out += chunk(b"IDAT", data(indices))
        else:
            out += chunk(b"fdAT", struct.pack(">I", number) + data(indices))
            number += 1
    return out + chunk(b"IEND", b"")


APNGS = {
    "zune-image 185": ([(0, 0, WHOLE, 0, 0), (2, 2, SMALL, 0, 0)], [drawn(FIRST), drawn(FIRST, SECOND)]),
    "ImageSharp 2708": (
        [(0, 0, WHOLE, 0, 0), (2, 2, SMALL, 2, 1), (5, 5, CORNER, 0, 1)],
        [drawn(FIRST), drawn(FIRST, SECOND), drawn(FIRST, THIRD)],
    ),
    "image-decoder-api 2": (
        [(0, 0, WHOLE, 1, 0), (2, 2, SMALL, 1, 0), (5, 5, CORNER, 0, 0)],
        [drawn(FIRST), drawn(SECOND), drawn((5, 5, CORNER, None))],
    ),
}


@pytest.mark.parametrize("hidden", [False, True], ids=["default image", "hidden image"])
@pytest.mark.parametrize("report", APNGS)
def test_apng_whose_frames_are_parts(tmp_path, report, hidden):
    frames, wanted = APNGS[report]
    (tmp_path / "a.png").write_bytes(apng(frames, hidden=hidden))
    np.testing.assert_array_equal(open_video(tmp_path / "a.png").stored, COLORS[np.array(wanted)])
