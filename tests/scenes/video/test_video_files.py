"""Films as people have them: shapes of pixels, rotation, timing, fields, colours, transparency, and cut-off files."""

from fractions import Fraction

import av
import numpy as np
import pytest
from PIL import Image

import scenes
from scenes.errors import BadInput
from scenes.image.color import srgb_to_linear
from scenes.image.encoding import PRIMARIES, linear_to_srgb, to_rec709
from scenes.video.color import KNEE, FrameColors
from scenes.video.decode import decode_video_file
from scenes.video.frames import FrameBuffer
from scenes.video.signal import Video, open_video

MILLISECOND = Fraction(1, 1000)


def squares(count: int = 6, width: int = 64, height: int = 48) -> np.ndarray:
    """`[count, height, width, 3]`: a bright square moves over a gradient; its upper left corner is red."""
    frames = np.zeros((count, height, width, 3), np.uint8)
    frames[..., 2] = np.linspace(40, 200, width)
    frames[:, : height // 4, : width // 4] = (220, 20, 20)
    for index in range(count):
        frames[index, height // 2 : height // 2 + 16, 8 + 4 * index : 24 + 4 * index] = (240, 240, 60)
    return frames


def encode(path, frames: np.ndarray, *, codec: str = "libx264", times=None, **wanted) -> None:
    """Write frames `[T, H, W, 3 or 4]` at `times` in milliseconds.

    wanted: `pix_fmt`, `rate`, `aspect`, `last` (milliseconds of the last frame), `rotation` (degrees), `form`,
    `options`, and attributes of the frames such as `colorspace`.
    """
    rate, last = wanted.pop("rate", 10), wanted.pop("last", None)
    aspect, rotation, form = wanted.pop("aspect", None), wanted.pop("rotation", None), wanted.pop("form", None)
    options, pix_fmt = wanted.pop("options", {}), wanted.pop("pix_fmt", "yuv420p")
    with av.open(str(path), "w", format=form) as container:
        stream = container.add_stream(codec, rate=rate, options=options)
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], pix_fmt
        if aspect:
            stream.codec_context.sample_aspect_ratio = aspect
        if rotation:
            stream.set_display_rotation(rotation)
        if times is not None:
            stream.codec_context.time_base = MILLISECOND
            stream.codec_context.max_b_frames = 0
        for name, value in wanted.items():
            setattr(stream.codec_context, name, value)
        packets = []
        for index, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(
                np.ascontiguousarray(pixels), format="rgba" if pixels.shape[2] == 4 else "rgb24"
            ).reformat(format=pix_fmt, dst_colorspace=wanted.get("colorspace"))
            for name, value in wanted.items():
                setattr(frame, name, value)
            if times is not None:
                frame.pts, frame.time_base = times[index], MILLISECOND
            packets += stream.encode(frame)
        packets += stream.encode()
        if last:
            packets[-1].duration = last
        for packet in packets:
            container.mux(packet)


def load(path) -> Video:
    video = scenes.load(path)
    assert isinstance(video, Video)
    return video


@pytest.mark.parametrize(("name", "codec"), [("a.mp4", "libx264"), ("a.mkv", "libx264"), ("a.mov", "prores_ks")])
@pytest.mark.parametrize(
    ("aspect", "shown"),
    [(Fraction(2), (128, 48)), (Fraction(64, 45), (92, 48)), (Fraction(8, 9), (64, 54)), (Fraction(1), (64, 48))],
)
def test_films_are_shown_in_their_true_shape(tmp_path, name, codec, aspect, shown):
    pix_fmt = "yuv422p10le" if codec == "prores_ks" else "yuv420p"
    encode(tmp_path / name, squares(), codec=codec, aspect=aspect, pix_fmt=pix_fmt)
    video = load(tmp_path / name)
    assert (video.domain.shown_size, video.domain.grid_shape) == (shown, (64, 48, 6))
    assert video.preview().shape == (*shown[::-1], 3)
    assert ("square" in " ".join(video.notes)) == (aspect != 1)


def test_poses_get_frames_with_square_pixels(tmp_path):
    encode(tmp_path / "a.mp4", squares(), aspect=Fraction(2))
    video = decode_video_file(tmp_path / "a.mp4", FrameBuffer(10**9, 10**9), None, square=True)
    assert video.frames.shape == (6, 48, 128, 3) and video.pixel_aspect == 1


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_rotated_films_are_upright_and_in_their_true_shape(tmp_path, degrees):
    encode(tmp_path / "a.mp4", squares(), aspect=Fraction(2), rotation=degrees)
    video = load(tmp_path / "a.mp4")
    upright = np.rot90(squares()[0], degrees // 90)
    np.testing.assert_allclose(video.stored[0, 2:-2, 2:-2].astype(int), upright[2:-2, 2:-2], atol=60)
    assert np.abs(video.stored[0].astype(int) - upright).mean() < 8
    assert video.domain.shown_size == ((48, 128) if degrees != 180 else (128, 48))


def test_a_mirrored_film_is_mirrored_back(tmp_path):
    encode(tmp_path / "a.mp4", squares(), rotation=180)
    content = (tmp_path / "a.mp4").read_bytes()
    turned = b"".join(np.array([-1 << 16, 0, 0, 0, -1 << 16], ">i4").tobytes()[i : i + 4] for i in range(0, 20, 4))
    at = content.index(turned)
    mirror = np.array([-1 << 16, 0, 0, 0, 1 << 16], ">i4").tobytes()
    (tmp_path / "a.mp4").write_bytes(content[:at] + mirror + content[at + 20 :])
    assert np.abs(load(tmp_path / "a.mp4").stored[0].astype(int) - squares()[0][:, ::-1]).mean() < 8


@pytest.mark.parametrize(
    ("name", "codec"),
    [("a.mp4", "libx264"), ("a.mkv", "libx264"), ("a.webm", "libvpx-vp9"), ("a.mov", "mpeg4"), ("a.ts", "libx264")],
)
@pytest.mark.parametrize(
    ("times", "last"),
    [((0, 100, 200), 8000), ((0, 1000, 2000), 10), ((0, 100, 200, 5000, 5100), 100), ((3000, 3033, 3066, 3101), 33)],
    ids=["long", "short", "gap", "late"],
)
def test_whole_films_of_any_timing_are_read(tmp_path, name, codec, times, last):
    encode(tmp_path / name, squares(len(times)), codec=codec, times=times, last=last, rate=25)
    video = load(tmp_path / name)
    assert len(video.times) == len(times)
    starts = np.array(times, float) - times[0]
    if name.endswith((".mp4", ".mkv", ".webm", ".mov")):
        middle = (starts[:-1] + starts[1:]) / 2 / 1000
        np.testing.assert_allclose(video.times[:-1] * video.domain.axes[2].upper, middle, atol=0.05 * middle.max())


def test_what_an_edit_list_leaves_out_is_left_out(tmp_path):
    encode(tmp_path / "a.mp4", squares(10), codec="mpeg4", options={"g": "1"})
    content = bytearray((tmp_path / "a.mp4").read_bytes())
    # ISO/IEC 14496-12, 8.6.6: duration of the segment in the film's time, and where it begins in the track's.
    entry, scale = content.index(b"elst") + 12, content.index(b"mdhd") + 16
    duration = int.from_bytes(content[entry : entry + 4], "big")
    begin = int.from_bytes(content[scale : scale + 4], "big") * 3 // 10
    content[entry : entry + 8] = (duration * 7 // 10).to_bytes(4, "big") + begin.to_bytes(4, "big")
    (tmp_path / "a.mp4").write_bytes(content)
    video = load(tmp_path / "a.mp4")
    assert len(video.times) == 7 and video.domain.axes[2].upper == pytest.approx(0.7)
    assert np.abs(video.stored[0].astype(int) - squares(10)[3]).mean() < 5


CUT = [
    ("a.mp4", "libx264", None),
    ("a.mov", "mpeg4", None),
    ("fast.mp4", "libx264", "mp4"),
    ("a.mkv", "libx264", None),
    ("a.webm", "libvpx-vp9", None),
    ("a.avi", "mpeg4", None),
    ("a.flv", "flv", None),
    ("a.wmv", "wmv2", "asf"),
]


@pytest.mark.parametrize(("name", "codec", "form"), CUT, ids=[name for name, _, _ in CUT])
def test_cut_off_films_are_refused_even_by_a_frame(tmp_path, name, codec, form):
    noise = np.random.default_rng(0).integers(0, 256, (20, 48, 64, 3), dtype=np.uint8)
    encode(tmp_path / name, noise, codec=codec, form=form)
    content = (tmp_path / name).read_bytes()
    if name == "fast.mp4":  # the index first, as for the web
        content = _index_first(content)
        (tmp_path / name).write_bytes(content)
    assert len(load(tmp_path / name).times) == 20
    for length in (len(content) // 2, len(content) - 400):
        (tmp_path / name).write_bytes(content[:length])
        with pytest.raises(BadInput, match="cut off|cannot be decoded") as caught:
            open_video(tmp_path / name)
        assert name in str(caught.value)
        if name == "fast.mp4":
            assert "frames" in str(caught.value)


@pytest.mark.parametrize("trailer", [b"\0" * 40, b"camera's own data, of no box" * 3, b"\1\2"])
def test_what_cameras_append_to_films_does_not_make_them_cut_off(tmp_path, trailer):
    for name, codec in (("a.mp4", "libx264"), ("a.avi", "mpeg4"), ("a.mkv", "libx264")):
        encode(tmp_path / name, squares(), codec=codec)
        with open(tmp_path / name, "ab") as file:
            file.write(trailer)
        assert len(load(tmp_path / name).times) == 6


def _index_first(content: bytes) -> bytes:
    """An MP4 file with its box `moov` before `mdat`."""
    boxes, at = {}, 0
    while at < len(content):
        size = int.from_bytes(content[at : at + 4], "big")
        boxes[content[at + 4 : at + 8]] = content[at : at + size]
        at += size
    moov = bytearray(boxes[b"moov"])
    table = moov.index(b"stco") + 4
    for index in range(int.from_bytes(moov[table + 4 : table + 8], "big")):
        place = slice(table + 8 + 4 * index, table + 12 + 4 * index)
        moov[place] = (int.from_bytes(moov[place], "big") + len(moov)).to_bytes(4, "big")
    return b"".join([boxes.pop(b"ftyp"), bytes(moov), *(box for name, box in boxes.items() if name != b"moov")])


class Pipe:
    """A file that cannot seek."""

    def __init__(self) -> None:
        self.content = bytearray()

    def write(self, data: bytes) -> int:
        self.content += bytes(data)
        return len(data)


@pytest.mark.parametrize(
    ("form", "codec"), [("matroska", "libx264"), ("webm", "libvpx-vp9"), ("mp4", "libx264"), ("avi", "mpeg4")]
)
def test_films_from_a_pipe_are_read_whole(tmp_path, form, codec):
    pipe = Pipe()
    options = {"movflags": "frag_keyframe+empty_moov"} if form == "mp4" else {}
    with av.open(pipe, "w", format=form, options=options) as container:
        stream = container.add_stream(codec, rate=10)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        for frame in squares(12):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    (tmp_path / "film").write_bytes(pipe.content)
    assert len(load(tmp_path / "film").times) == 12


def test_interlaced_films_are_joined_to_frames(tmp_path):
    options = {"flags": "+ildct+ilme", "x264-params": "interlaced=1:tff=1", "crf": "10"}
    combed = squares(8)
    combed[:-1, 1::2] = combed[1:, 1::2]  # the second field is a frame later
    encode(tmp_path / "a.mp4", combed, options=options, rate=25)
    video = load(tmp_path / "a.mp4")
    assert len(video.times) == 8 and any("interlaced" in note for note in video.notes)

    def combs(frames: np.ndarray) -> float:
        rows = frames[1:7, 24:40].astype(float)
        return float(np.abs(rows[:, 1:-1] - (rows[:, :-2] + rows[:, 2:]) / 2).mean())

    assert combs(video.stored) < 0.5 * combs(combed)
    stored = open_video(tmp_path / "a.mp4", keep_fields=True)
    assert combs(stored.stored) > 0.8 * combs(combed) and any("two moments" in note for note in stored.notes)


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt"),
    [
        ("a.webm", "libvpx-vp9", "yuva420p"),
        ("a.mov", "prores_ks", "yuva444p10le"),
        ("b.mov", "qtrle", "argb"),
        ("c.mov", "png", "rgba"),
    ],
)
def test_transparent_parts_are_black(tmp_path, name, codec, pix_fmt):
    frames = np.concatenate([squares(), np.full((6, 48, 64, 1), 255, np.uint8)], axis=3)
    frames[:, :, 32:, 3] = 0
    encode(tmp_path / name, frames, codec=codec, pix_fmt=pix_fmt)
    video = load(tmp_path / name)
    assert any("transparent" in note for note in video.notes)
    assert video.stored[:, :, 36:].max() <= 3
    assert np.abs(video.stored[:, :, :28].astype(int) - squares()[:, :, :28]).mean() < 8


PATCHES = np.array([(200, 40, 40), (40, 180, 60), (50, 60, 210), (220, 200, 60), (128, 128, 128), (16, 16, 16)])


def patches(height: int = 32) -> np.ndarray:
    return np.repeat(np.repeat(PATCHES[None], height, axis=0), 32, axis=1).astype(np.uint8)[None].repeat(4, axis=0)


def colors_of(video: Video) -> np.ndarray:
    frame = video.stored[2].astype(float)
    return np.array([frame[8:-8, 32 * i + 8 : 32 * i + 24].mean(axis=(0, 1)) for i in range(len(PATCHES))])


@pytest.mark.parametrize(("matrix", "full"), [(1, False), (1, True), (5, False), (5, True), (9, False)])
@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv420p10le", "yuv444p"])
def test_matrices_and_ranges_keep_colors(tmp_path, matrix, full, pix_fmt):
    encode(tmp_path / "a.mp4", patches(), pix_fmt=pix_fmt, colorspace=matrix, color_range=1, options={"crf": "4"})
    if full:
        encode_full_range(tmp_path / "a.mp4", matrix, pix_fmt)
    assert np.abs(colors_of(load(tmp_path / "a.mp4")) - PATCHES).max() <= 3


def encode_full_range(path, matrix: int, pix_fmt: str) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"crf": "4"})
        stream.height, stream.width, stream.pix_fmt = 32, 192, pix_fmt
        stream.codec_context.colorspace, stream.codec_context.color_range = matrix, 2
        for pixels in patches():
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            container.mux(stream.encode(frame.reformat(format=pix_fmt, dst_colorspace=matrix, dst_color_range=2)))
        container.mux(stream.encode())


def test_large_films_without_a_matrix_are_rec_709_and_small_ones_rec_601(tmp_path):
    for height, matrix in ((720, 1), (480, 5)):
        with av.open(str(tmp_path / f"{height}.mkv"), "w") as container:
            stream = container.add_stream("ffv1", rate=10)
            stream.height, stream.width, stream.pix_fmt = height, 192, "yuv444p"
            for pixels in patches(height)[:3]:
                frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
                frame = frame.reformat(format="yuv444p", dst_colorspace=matrix)
                frame.colorspace = 2
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
        assert np.abs(colors_of(load(tmp_path / f"{height}.mkv")) - PATCHES).max() <= 3


@pytest.mark.parametrize("name, transfer", [("PQ", 16), ("HLG", 18)])
def test_hdr_films_are_compressed_to_sdr_and_said(tmp_path, name, transfer):
    encode(tmp_path / "a.mp4", patches(), pix_fmt="yuv420p10le", colorspace=9, color_trc=transfer, color_primaries=9)
    assert any(f"HDR ({name})" in note and "compressed" in note for note in load(tmp_path / "a.mp4").notes)


# Values of 0, 100, 203 (BT.2408's white) and 1,000 cd/m² of grey in BT.2100's curves; HLG's on a display of 1,000.
@pytest.mark.parametrize(
    "transfer, values", [(16, (0.0, 0.5081, 0.5807, 0.7518)), (18, (0.0, 0.6296, 0.7499, 1.0))], ids=["PQ", "HLG"]
)
def test_hdr_light_below_the_knee_is_exact_and_above_it_stays_ordered(transfer, values):
    grey = np.zeros((2, 4, 3), np.uint16)
    grey[:] = (np.array(values)[:, None] * 65535).round().astype(np.uint16)
    first = av.VideoFrame.from_ndarray(grey, format="rgb48le")
    first.color_trc, first.color_primaries = transfer, 9
    found = FrameColors(first).rgb(first)[0, :, 0] / 255
    linear = np.where(found <= 0.04045, found / 12.92, ((found + 0.055) / 1.055) ** 2.4)
    assert KNEE > 100 / 203
    np.testing.assert_allclose(linear[:2], [0, 100 / 203], atol=0.01)
    assert linear[1] < linear[2] < linear[3] <= 1 and linear[2] == pytest.approx(
        KNEE + 0.4 * (1 - np.exp(-1)), abs=0.01
    )


@pytest.mark.parametrize("primaries, name", [(9, "Rec. 2020"), (11, "DCI-P3"), (12, "Display P3")])
def test_wide_gamuts_are_converted_to_srgb(primaries, name):
    color = np.full((2, 2, 3), (0.5, 0.4, 0.3))
    first = av.VideoFrame.from_ndarray((color * 65535).astype(np.uint16), format="rgb48le")
    first.color_trc, first.color_primaries = 1, primaries
    colors = FrameColors(first)
    light = srgb_to_linear(color[:1, :1]) @ to_rec709(PRIMARIES[primaries][1]).T
    np.testing.assert_allclose(colors.rgb(first)[0, 0], linear_to_srgb(light)[0, 0] * 255, atol=0.6)
    assert colors.notes == [f"its colours are converted from {name} to sRGB (`ignore_profile` takes them as stored)"]
    np.testing.assert_allclose(FrameColors(first, ignore_profile=True).rgb(first)[0, 0], color[0, 0] * 255, atol=1)
    assert colors.rgb(first)[0, 0, 0] > 0.5 * 255 + 2  # more vivid red in the narrower gamut


def test_ten_bits_sound_first_and_covers_of_albums(tmp_path):
    with av.open(str(tmp_path / "film.mkv"), "w") as container:
        sound = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        film = container.add_stream("libx265", rate=10, options={"x265-params": "log-level=none"})
        film.height, film.width, film.pix_fmt = 48, 64, "yuv420p10le"
        noise = av.AudioFrame.from_ndarray(np.ones((1, 800), np.int16), format="s16", layout="mono")
        noise.sample_rate = 8000
        container.mux(sound.encode(noise))
        for frame in squares():
            container.mux(film.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        for stream in (film, sound):
            container.mux(stream.encode())
    video = load(tmp_path / "film.mkv")
    assert len(video.times) == 6 and video.notes[-1].startswith("its audio is left out")
    assert np.abs(video.stored.astype(int) - squares()).mean() < 8


@pytest.mark.parametrize("name", ["a.gif", "a.webp", "a.png"])
def test_animations_keep_their_times_and_show_transparency_on_black(tmp_path, name):
    frames = [Image.fromarray(frame).convert("RGBA") for frame in squares(4)]
    for frame in frames:
        frame.paste((0, 0, 0, 0), (48, 0, 64, 48))
    lossless = {"lossless": True} if name == "a.webp" else {}
    durations = [100, 100, 600, 200]
    frames[0].save(
        tmp_path / name,
        save_all=True,
        append_images=frames[1:],
        duration=durations,
        disposal=1 if name == "a.png" else 2,  # the background, in each format
        **lossless,
    )
    video = scenes.load(tmp_path / name, "video")
    assert isinstance(video, Video)
    np.testing.assert_allclose(video.times, [0.05, 0.15, 0.5, 0.9], atol=1e-3)
    assert video.stored[:, :, 48:].max() == 0 and any("transparent" in note for note in video.notes)
    assert np.abs(video.stored[3, :, :48].astype(int) - squares(4)[3, :, :48]).mean() < 12


def test_frames_of_ten_milliseconds_and_less_last_a_tenth_of_a_second_as_in_browsers(tmp_path):
    frames = [Image.fromarray(frame) for frame in squares(4)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:], duration=[10, 0, 20, 50])
    video = load(tmp_path / "a.gif")
    assert video.domain.axes[2].upper == pytest.approx(0.27)


def test_disordered_times_are_replaced_and_said(tmp_path):
    from scenes.video.frames import frame_starts

    starts, notes = frame_starts([0.0, 0.1, 0.1, 0.3], 0.1, 10.0)
    np.testing.assert_allclose(starts, np.arange(5) / 10)
    assert "`rate`" in notes[0]
