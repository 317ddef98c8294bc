"""Every input of `../shared/reported` is read as its `truth.json` says. Skipped where that folder is not there.

`-k NAME` runs one case; `more` has no truth of its own: its files are relatives of the cases and checked like them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import scenes
from scenes.audio.signal import Audio
from scenes.image.encoding import linear_to_srgb
from scenes.image.signal import Image
from scenes.posed.signal import RadianceScene
from scenes.shape.cloud import CloudSurface
from scenes.shape.signal import Shape
from scenes.shape.surface import MeshSurface
from scenes.signal import Signal
from scenes.video.signal import Video
from scenes.volume.signal import Volume

REPORTED = Path(__file__).resolve().parents[3] / "shared" / "reported"
CASES, MORE = REPORTED / "cases", REPORTED / "more"
# Units of length in micrometres.
MICROMETRES = {"um": 1.0, "µm": 1.0, "μm": 1.0, "micron": 1.0, "mm": 1000.0, "m": 1e6, "nm": 1e-3}

pytestmark = pytest.mark.skipif(not REPORTED.is_dir(), reason="the reported files are not beside the repository")


def truth(case: str) -> dict[str, Any]:
    """What is right for a case."""
    return json.loads((CASES / case / "truth.json").read_text(encoding="utf-8"))


def reported(name: str) -> Path:
    """A file or folder of a case, `CASE/NAME`, or of `more`, `more/NAME`."""
    return REPORTED / name if name.startswith("more/") else CASES / name


def noted(signal: Signal, *words: str) -> bool:
    """Whether a note of the signal has one of the words in it."""
    return any(word.lower() in note.lower() for note in signal.notes for word in words)


def refusal(name: str) -> str:
    """The one line with which an input is refused."""
    with pytest.raises(scenes.BadInput) as caught:
        scenes.load(reported(name))
    message = str(caught.value)
    assert "\n" not in message
    return message


# Posed views


def scene(name: str) -> RadianceScene:
    """The posed scene of that name."""
    kind, _ = scenes.recognise(reported(name))
    assert kind == "radiance"
    signal = scenes.load(reported(name))
    assert isinstance(signal, RadianceScene)
    return signal


def assert_same_scene(found: RadianceScene, control: RadianceScene, pixel_tolerance: float = 3.0) -> None:
    """Both have the same views, cameras and, up to a mean difference in 8-bit levels, photographs."""
    assert len(found.views.views) == len(control.views.views)
    for view, other in zip(found.views.views, control.views.views):
        np.testing.assert_allclose(view.pose, other.pose, atol=1e-6)
        for name in ("width", "height", "fl_x", "fl_y", "cx", "cy"):
            assert getattr(view.intrinsics, name) == pytest.approx(getattr(other.intrinsics, name), rel=1e-4), name
        difference = view.read_image()[..., :3].astype(int) - other.read_image()[..., :3].astype(int)
        assert np.abs(difference).mean() < pixel_tolerance, view.name


POSED = [
    ("posed_exif/tagged", "posed_exif/control"),
    ("posed_halved/with_size", "posed_halved/control"),
    ("posed_halved/angle_y", "posed_halved/control"),
    ("posed_models/scene", "posed_models/only1"),
    ("more/model0_one", "posed_models/only1"),
    ("more/models.zip", "posed_models/only1"),
    ("posed_windows/backslash", "posed_windows/control"),
    ("posed_windows/bom", "posed_windows/control"),
    ("more/upper", "posed_windows/control"),
    ("more/sixteen", "posed_windows/control"),
]


@pytest.mark.parametrize(("name", "control"), POSED, ids=[name for name, _ in POSED])
def test_posed_views_are_those_of_the_control(name, control):
    found, right = scene(name), scene(control)
    # Scenes of other folders than the control's were rendered again, and saved in other formats.
    assert_same_scene(found, right, pixel_tolerance=3.0 if "more/" not in name else 6.0)


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("posed_exif/tagged", "orientation"),
        ("posed_halved/with_size", "scaled"),
        ("posed_models/scene", "model"),
        ("more/models.zip", "model"),
        ("more/sixteen", "16"),
    ],
)
def test_posed_views_say_what_was_decided(name, word):
    assert noted(scene(name), word), scene(name).notes


def test_posed_views_of_the_largest_model_are_as_many_as_truth_says():
    assert f"{len(scene('posed_models/scene').views.views)} views" in truth("posed_models")["right"]


def test_posed_halved_no_size_is_refused_or_warned_of():
    try:
        notes = scene("posed_halved/no_size").notes
    except scenes.BadInput as error:
        notes = (str(error),)
    assert any("corner" in note or "optical axis" in note for note in notes), notes


def test_posed_masks_with_backslashes_are_used():
    found = scene("more/mask_backslash")
    masks = [found.mask(view) for view in found.training]
    assert len(masks) == 21 and all(mask is not None for mask in masks)


def test_posed_exif_of_cameras_held_sideways():
    """Cameras are those of the control turned around their axes; the pixels that go with them are the stored ones."""
    from PIL import Image as Pillow

    found, control = scene("more/exif6_oblong"), scene("posed_exif/control")
    for view, other in zip(found.views.views, control.views.views):
        np.testing.assert_allclose(view.pose[:, 2:], other.pose[:, 2:], atol=1e-6)
        with Pillow.open(view.image) as opened:
            np.testing.assert_array_equal(view.read_image(), np.asarray(opened))
    assert noted(found, "orientation")


# Shapes


def shape(name: str) -> Shape:
    signal = scenes.load(reported(name))
    assert isinstance(signal, Shape)
    return signal


def unit_length(signal: Shape) -> float:
    """Side of the unit cube in units of the file."""
    axis = signal.domain.axes[0]
    return axis.upper - axis.lower


def in_unit_cube(signal: Shape, points: object) -> np.ndarray:
    lower = np.array([axis.lower for axis in signal.domain.axes])
    return (np.atleast_2d(np.asarray(points, np.float64)) - lower) / unit_length(signal)


def distances(signal: Shape, points: object) -> np.ndarray:
    """Signed distances in units of the file."""
    assert signal.quantity == "signed", signal.notes
    return signal.values(in_unit_cube(signal, points))[:, 0] * unit_length(signal)


def volume_and_area(signal: Shape) -> tuple[float, float]:
    """Of the triangles, with the surface's inside told by its own winding."""
    assert isinstance(signal.surface, MeshSurface)
    corners = signal.surface.mesh.vertices[signal.surface.mesh.faces] * unit_length(signal)
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    volume = (corners[:, 0] * normals).sum() / 6
    return float(volume), float(np.linalg.norm(normals, axis=1).sum() / 2)


def sampled_volume(signal: Shape) -> float:
    """Volume of what counts as inside, by points in the box."""
    points = signal.volume_points(20_000)
    lower, upper = signal.box
    box = float(np.prod((upper - lower) * 1.05)) * unit_length(signal) ** 3
    return float(signal.surface.inside(points).mean()) * box


@pytest.mark.parametrize("file", ["u.obj", "u.ply", "u.off", "control.obj"])
def test_mesh_ngon_u(file):
    right, signal = truth("mesh_ngon"), shape(f"mesh_ngon/{file}")
    volume, area = volume_and_area(signal)
    assert volume == pytest.approx(right["u_volume"], abs=1e-6)
    assert area == pytest.approx(right["u_area"], abs=1e-6)
    assert sampled_volume(signal) == pytest.approx(right["u_volume"], rel=0.03)
    distance, cap = right["u_distance_there_and_on_cap"]
    assert distances(signal, [right["u_outside"], cap]) == pytest.approx([distance, distance], abs=1e-4)


def test_mesh_ngon_l():
    signal = shape("mesh_ngon/l.obj")
    assert volume_and_area(signal)[0] == pytest.approx(truth("mesh_ngon")["l_volume"], abs=1e-6)


@pytest.mark.parametrize(
    "file",
    ["float.glb", "ushort.glb", "factor.glb", "textured.glb", "both.glb", "transform.glb", "kd.obj", "control.ply"],
)
def test_glb_colours(file):
    right, signal = truth("glb_colours"), shape(f"glb_colours/{file}")
    assert signal.has_colors
    _, _, colors = signal.surface_points(2000)
    assert colors is not None
    wanted = right["transform"] if file.startswith("transform") else right["srgb"]
    assert np.abs(colors - wanted).max() < 2.5 / 255


@pytest.mark.parametrize("file", ["fan.glb", "strip.glb", "sparse.glb", "control.glb"])
def test_glb_fan(file):
    signal = shape(f"glb_fan/{file}")
    assert volume_and_area(signal)[0] == pytest.approx(truth("glb_fan")["volume"], rel=1e-3)
    middle = [(axis.lower + axis.upper) / 2 for axis in signal.domain.axes]
    assert distances(signal, middle) == pytest.approx([-1.0], abs=0.01)


@pytest.mark.parametrize("file", ["two.ply", "two.stl", "control.ply"])
def test_mesh_insideout(file):
    right, signal = truth("mesh_insideout"), shape(f"mesh_insideout/{file}")
    assert (distances(signal, right["inside"]) < -0.1).all()
    assert sampled_volume(signal) == pytest.approx(right["volume"], rel=0.05)
    assert volume_and_area(signal)[0] == pytest.approx(right["volume"], rel=1e-3)


def test_more_hollow_shells_by_parity_or_said():
    signal = shape("more/hollow.ply")
    middle = [(axis.lower + axis.upper) / 2 for axis in signal.domain.axes]
    assert distances(signal, middle)[0] > 0 or noted(signal, "shell", "nested")


@pytest.mark.parametrize(
    "file",
    ["tri.off", "quads.off", "mixed.off", "comment.off", "same_line.off", "spaces.off", "coff.off", "colours.off"],
)
def test_more_off_files_are_the_unit_cube(file):
    signal = shape(f"more/{file}")
    volume, area = volume_and_area(signal)
    assert (volume, area) == (pytest.approx(1.0), pytest.approx(6.0))
    if file in ("coff.off", "colours.off"):
        lines = reported(f"more/{file}").read_text().splitlines()
        words = lines[2].split()[3:6] if file == "coff.off" else lines[10].split()[4:7]
        colors = signal.surface_points(100)[2]
        assert signal.has_colors and colors is not None
        assert np.abs(colors - np.array(words, float) / 255).max() < 0.01


@pytest.mark.parametrize(("file", "grey"), [("ushort.ply", 40000 / 65535), ("diffuse.ply", 200 / 255)])
def test_cloud_xyz_colours(file, grey):
    signal = shape(f"cloud_xyz/{file}")
    assert signal.has_colors
    colors = signal.surface_points(500)[2]
    assert colors is not None and np.abs(colors - grey).max() < 2 / 255


@pytest.mark.parametrize("file", ["normals.xyz", "comma.xyz", "control.ply"])
def test_cloud_xyz_normals(file):
    signal = shape(f"cloud_xyz/{file}")
    assert isinstance(signal.surface, CloudSurface) and len(signal.surface.points) == 4000
    assert not signal.has_colors
    assert signal.surface.has_estimated_normals == (file == "comma.xyz")


# Pictures


def picture(name: str) -> Image:
    signal = scenes.load(reported(name))
    assert isinstance(signal, Image)
    return signal


@pytest.mark.parametrize("file", ["control.png", "elle.png", "named.png", "named.jpg", "named.tif", "other.png"])
def test_icc_linear(file):
    right, signal = truth("icc_linear"), picture(f"icc_linear/{file}")
    column, row = right["pixel"]
    values = signal.values()
    if signal.channels.space == "linear":
        values = np.where(values <= 0.0031308, 12.92 * values, 1.055 * np.maximum(values, 0) ** (1 / 2.4) - 0.055)
    assert values[row, column] == pytest.approx(right["srgb_there"], abs=(5 if file.endswith("jpg") else 2) / 255)


def test_icc_linear_pq_is_converted_and_said():
    assert noted(picture("icc_linear/pq.png"), "PQ")


@pytest.mark.parametrize("file", ["control.exr", "chroma.exr", "full.exr", "blender.exr"])
def test_exr_chroma(file):
    right, signal = truth("exr_chroma"), picture(f"exr_chroma/{file}")
    column, row = right["pixel"]
    assert signal.channels.names[:3] == ("red", "green", "blue")
    assert signal.values()[row, column, :3] == pytest.approx(right["rgb_there"], abs=0.02)


def test_exr_chroma_blender_says_which_layer():
    assert noted(picture("exr_chroma/blender.exr"), "Combined")


def test_jpeg_fill():
    signal, control = picture("jpeg_fill/fill.jpg"), picture("jpeg_fill/control.jpg")
    np.testing.assert_array_equal(signal.pixels, control.pixels)


@pytest.mark.parametrize("name", [f"tiff_planar/{n}.tif" for n in ("planar", "tiled", "alpha", "control")])
def test_tiff_planar(name):
    right = truth("tiff_planar")
    assert scenes.recognise(reported(name))[0] == right["kind"]
    signal = picture(name)
    assert [signal.width, signal.height] == right["size"]
    np.testing.assert_array_equal(signal.pixels[..., :3], np.load(reported("tiff_planar/pixels.npy")))


@pytest.mark.parametrize("name", ["planar16.tif", "planarfloat.tif", "bands5.tif"])
def test_more_tiff_of_other_types_are_pictures(name):
    signal = picture(f"more/{name}")
    stored = signal.pixels[..., :3].astype(np.float64)
    if signal.channels.space == "linear":
        stored = linear_to_srgb(stored)
    else:
        stored /= np.iinfo(signal.pixels.dtype).max
    right = np.load(reported("tiff_planar/pixels.npy")) / 255
    assert np.abs(stored - right).max() < 2 / 255
    if name.startswith("bands5"):
        assert noted(signal, "5")


# Sounds


def sound(name: str, **options: Any) -> Audio:
    signal = scenes.load(reported(name), **options)
    assert isinstance(signal, Audio)
    return signal


SOUNDS = [f"wav_pipe/{n}" for n in ("control.wav", "sox.wav", "arecord.wav", "ffmpeg.wav", "rf64.wav", "whole.aiff")]
SOUNDS += ["flac_stream/control.flac", "flac_stream/stream.flac", "more/pipe_ffmpeg.flac", "more/pipe_ffmpeg.wav"]


@pytest.mark.parametrize("name", SOUNDS)
def test_sounds_are_as_long_and_loud_as_truth_says(name):
    right = truth("flac_stream") if name.endswith("flac") else truth("wav_pipe")
    signal = sound(name)
    assert (signal.num_samples, signal.rate) == (right["samples"], pytest.approx(right["rate"]))
    control = sound("flac_stream/control.flac" if name.endswith("flac") else "wav_pipe/control.wav")
    assert signal.channels.upper == pytest.approx(control.channels.upper, abs=0.01)
    assert signal.channels.upper == pytest.approx(truth("flac_stream")["largest"], abs=0.01)


@pytest.mark.parametrize("name", ["flac_stream/stream.flac", "more/pipe_ffmpeg.flac", "wav_pipe/sox.wav"])
def test_a_part_of_a_stream(name):
    part = sound(name, part=(0.5, 1.0))
    assert part.num_samples == 8000
    whole = sound(name)
    np.testing.assert_array_equal(part.stored, whole.stored[8000:16000])


def test_wav_pipe_mp3_begins_where_its_control_does():
    signal, control = sound("wav_pipe/tagged.mp3"), sound("wav_pipe/control.wav")
    assert signal.num_samples == truth("wav_pipe")["samples"]
    one, other = signal.values()[:, 0], control.values()[:, 0]
    assert np.corrcoef(one, other)[0, 1] > 0.95


@pytest.mark.parametrize("file", ["aiff_cut.aiff", "rf64_cut.wav"])
def test_wav_pipe_cut_off_is_refused(file):
    assert "cut off" in refusal(f"wav_pipe/{file}")


# Films


def film(name: str) -> Video:
    signal = scenes.load(reported(name))
    assert isinstance(signal, Video)
    return signal


def film_frames(path: Path) -> tuple[int, int]:
    """Width and height of the frames of a film of our own, as stored."""
    width, height, _ = scenes.load(path).domain.grid_shape
    return width, height


@pytest.mark.parametrize("name", ["film_aspect/wide.mp4", "more/wide.mkv", "film_aspect/control.mp4"])
def test_film_aspect(name):
    width, height = truth("film_aspect")["shown"]
    signal = film(name)
    x, y = signal.domain.axes[:2]
    assert (x.upper - x.lower) / (y.upper - y.lower) == pytest.approx(width / height)
    if "control" not in name:
        assert noted(signal, "square")


def test_film_of_mpeg_is_read_whole():
    # MPEG-2 gives shapes of screens, not of pixels; the header of this file says 1, square.
    assert film("more/wide.mpg").domain.grid_shape == (64, 64, 10)


@pytest.mark.slow
def test_film_aspect_is_rendered_in_its_true_shape(tmp_path, capsys):
    from apps.cli.main import main

    quick = ["--steps", "3", "--set", "batch=1024", "table_size=1024"]
    run, out = tmp_path / "run", tmp_path / "out.mp4"
    assert main(["fit", str(reported("film_aspect/wide.mp4")), "--out", str(run), *quick]) == 0
    assert main(["render", str(run), "--out", str(out)]) == 0
    assert "square" in capsys.readouterr().err
    assert list(film_frames(out)) == truth("film_aspect")["shown"]


@pytest.mark.parametrize("file", ["bt601.mp4", "bt601_full.mp4", "bt709.mp4", "bt709_full.mp4", "hlg.mp4"])
def test_film_colour(file):
    right, signal = truth("film_colour"), film(f"film_colour/{file}")
    if file == "hlg.mp4" and noted(signal, "HLG"):
        return
    frame = signal.stored[2].astype(np.float64)
    side = frame.shape[1] // len(right["patches"])
    found = [frame[8:-8, i * side + 8 : (i + 1) * side - 8].mean(axis=(0, 1)) for i in range(len(right["patches"]))]
    assert np.abs(np.array(found) - right["patches"]).max() <= 3


@pytest.mark.parametrize(("name", "frames"), [("sixty.mp4", 60), ("slides.mp4", 3)])
def test_more_whole_films_are_not_called_cut_off(name, frames):
    signal = film(f"more/{name}")
    assert len(signal.times) == frames and not noted(signal, "cut")


# Volumes


def volume(name: str) -> Volume:
    signal = scenes.load(reported(name))
    assert isinstance(signal, Volume)
    return signal


@pytest.mark.parametrize("file", ["imagej.tif", "stack.ome.tif", "control.nii.gz"])
def test_volume_spacing(file):
    signal = volume(f"volume_spacing/{file}")
    extent = [(axis.upper - axis.lower) * MICROMETRES[axis.unit] for axis in signal.domain.axes]
    assert extent == pytest.approx(truth("volume_spacing")["extent_um"], rel=1e-3)


def test_volume_spacing_variation_on_a_large_offset_is_kept():
    signal, control = volume("volume_spacing/big.npy"), volume("volume_spacing/big_control.npy")
    np.testing.assert_allclose(signal.values(), control.values(), atol=1e-6)


@pytest.mark.parametrize("file", ["control.nrrd", "last.nrrd", "rgb24.nii.gz", "vector.nii.gz"])
def test_volume_colour(file):
    right, signal = truth("volume_colour"), volume(f"volume_colour/{file}")
    assert list(signal.domain.grid_shape) == right["size"] and len(signal.channels) == right["channels"]
    steps = [(axis.upper - axis.lower) / n for axis, n in zip(signal.domain.axes, signal.domain.grid_shape)]
    assert steps == pytest.approx([1.0, 1.0, 2.0])
    x, y, z = right["at"]
    stored = signal.values()[z, y, x] * (signal.channels.upper - signal.channels.lower) + signal.channels.lower
    assert stored == pytest.approx(right["rgb_there"], abs=1.0)
