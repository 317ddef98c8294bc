"""Detect the kind of signal that a file or folder holds: one rule per kind, the first match wins.

A rule looks at the first bytes, at the ending where bytes say nothing, and inside where one format serves several
kinds. `docs/signals/README.md` lists the rules for users.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from scenes.io.files import PROCEDURAL_PREFIX, SKIMAGE_PREFIX, input_file, read_head
from scenes.shape.endings import DESCRIPTIONS, DOUBTFUL, READERS, UNREAD

VIDEO_ENDINGS = (
    *(".mp4", ".mov", ".m4v", ".webm", ".mkv", ".avi", ".mpg", ".mpeg", ".ts", ".m2ts", ".mts", ".vob", ".3gp"),
    *(".wmv", ".flv", ".ogv", ".mxf"),
)
AUDIO_ENDINGS = (
    *(".wav", ".wave", ".bwf", ".w64", ".rf64", ".flac", ".ogg", ".oga", ".opus", ".spx", ".aif", ".aiff", ".aifc"),
    *(".au", ".snd", ".caf", ".mp3", ".mp2", ".m4a", ".m4b", ".aac", ".wma", ".ac3", ".amr", ".ape", ".wv", ".tta"),
    *(".mka", ".weba"),
)
# Ending: description; of formats that are refused by name too.
SHAPE_ENDINGS = {
    **{ending: DESCRIPTIONS[reader] for ending, reader in READERS.items() if ending not in DOUBTFUL},
    **dict.fromkeys(UNREAD, "a shape in a format that is not read"),
}
# ISO media files (the "ftyp" brand) that are not videos.
STILL_BRANDS = (b"avif", b"avis", b"mif1", b"msf1", b"heic", b"heix", b"heim", b"heis", b"hevc", b"crx ")
EBML_HEAD = b"\x1a\x45\xdf\xa3"
# (position, bytes, description) of the first bytes of sounds.
AUDIO_HEADS = (
    (8, b"WAVE", "a WAV file"),
    (0, b"fLaC", "a FLAC file"),
    (8, b"AIFF", "an AIFF file"),
    (8, b"AIFC", "an AIFC file"),
    (0, b".snd", "an AU file"),
    (0, b"caff", "a CAF file"),
    (0, b"riff\x2e\x91\xcf\x11", "a Wave64 file"),
    (0, b"wvPk", "a WavPack file"),
    (0, b"#!AMR", "an AMR file"),
    (0, b"ID3", "an MP3 file"),
    (4, b"ftypM4A ", "an M4A file"),
    (4, b"ftypM4B ", "an M4A file"),
)
# First bytes of Analyze's and NIfTI's headers in files of their own, whose ending is also that of Radiance pictures.
ANALYZE_HEADS = (b"\x5c\x01\x00\x00", b"\x00\x00\x01\x5c")
# First bytes of streams in Ogg files that are films.
OGG_VIDEO = (b"\x80theora", b"\x01video")
# Arrays of an .npz that make it a scene with cameras.
POSED_ARRAYS = {"images", "poses", "focal"}
# A grey TIFF with fewer pages than this is an image.
MIN_STACK_PAGES = 3
# Bytes by which a text is told from a list of points.
POINTS_HEAD = 1 << 14


@dataclass(frozen=True)
class Source:
    """What a rule looks at: `path` (a file or a folder), its lower-case ending, and its first 64 bytes."""

    path: Path
    ending: str
    head: bytes


def _radiance(source: Source) -> str | None:
    """Photographs with their cameras. Comes before the rule for videos, as a folder of images may be both."""
    if source.path.is_dir():
        from scenes.posed.read import posed_folder

        found = posed_folder(source.path)
        return found[0] if found else None
    if source.ending == ".json":
        return "a transforms file" if source.path.stem.lower().startswith("transforms") else None
    if source.ending == ".npz" and set(_archive_names(source.path)) >= POSED_ARRAYS:
        return "an archive with images, poses and focal"
    if source.ending == ".zip":
        from scenes.posed.zipped import camera_files

        found_files = camera_files(source.path)
        return f"a zip with {found_files[0]}" if found_files else None
    return None


def _archive_names(path: Path) -> list[str]:
    """Names of an archive's members without ".npy"; none where it is damaged, which its loader reports."""
    from scenes.io.npz import array_names

    try:
        return array_names(path)
    except (OSError, zipfile.BadZipFile):
        return []


def _audio(source: Source) -> str | None:
    for at, magic, description in AUDIO_HEADS:
        if source.head.startswith(magic, at):
            return description
    if source.head[:4] == b"OggS" and not any(name in source.head for name in OGG_VIDEO):
        return "an Ogg file"
    if source.ending in AUDIO_ENDINGS:
        return f"named {source.ending}"
    if (source.head[4:8] == b"ftyp" or source.head[:4] == EBML_HEAD) and _has_only_sound(source.path):
        return "a film file with sound only"
    return None


def _has_only_sound(path: Path) -> bool:
    """Whether an MP4 or Matroska file has sound and no film; False where it is damaged, which readers report."""
    import av
    import av.error

    try:
        with av.open(str(path)) as container:
            return bool(container.streams.audio) and not container.streams.video
    except (av.error.FFmpegError, ValueError, RuntimeError, LookupError):
        return False


def _video(source: Source) -> str | None:
    if source.path.is_dir():
        from scenes.shape.read import shape_files
        from scenes.video.read import image_files

        # Images beside a single mesh are its textures.
        count = 0 if len(shape_files(source.path)) == 1 else len(image_files(source.path))
        return f"a folder of {count} images" if count else None
    if source.head[4:8] == b"ftyp" and source.head[8:12] not in STILL_BRANDS:
        return "an MP4 video"
    if source.head[:4] == EBML_HEAD:
        return "a Matroska or WebM video"
    if source.head[:4] == b"RIFF" and source.head[8:12] == b"AVI ":
        return "an AVI video"
    if source.head[:4] == b"OggS":
        return "an Ogg video"
    if (name := _animation_name(source.head)) and (count := _frame_count(source.path)) > 1:
        return f"{name} of {count} frames"
    return f"named {source.ending}" if source.ending in VIDEO_ENDINGS else None


def _animation_name(head: bytes) -> str | None:
    """What a file is called that may hold several frames; None for other files."""
    if head[:4] == b"GIF8":
        return "a GIF"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "a WebP"
    if head[:4] == b"\x89PNG":
        return "an animated PNG"
    return "an AVIF" if head[4:12] == b"ftypavis" else None


def _frame_count(path: Path) -> int:
    """Number of frames of an animation; 1 where it is damaged, which the image loader reports."""
    from PIL import Image

    from scenes.io.silence import silence_libraries

    try:
        with silence_libraries(), Image.open(path) as opened:
            # A PNG's default image may be no frame of the animation.
            return getattr(opened, "n_frames", 1) - bool(opened.info.get("default_image"))
    except Exception:  # noqa: BLE001  (Pillow raises many types for damaged bytes)
        return 1


def _volume(source: Source) -> str | None:
    from scenes.volume.dicom import dicom_files, is_dicom
    from scenes.volume.read import refused_volume
    from scenes.volume.zarr_store import is_store

    name = source.path.name.lower()
    if source.path.is_dir():
        if refused_volume(source.path):
            return "a volume in a format that is not read"
        if is_store(source.path):
            return "a Zarr store"
        count = len(dicom_files(source.path))
        return f"a folder of {count} DICOM files" if count else None
    if name.endswith((".mhd", ".mha")):
        return "a MetaImage file"
    if name.endswith((".mgz", ".mgh")) or source.head[:4] in ANALYZE_HEADS and source.ending == ".hdr":
        return "a brain scan"
    if source.ending in (".dcm", ".ima") or is_dicom(source.path):
        return "a DICOM file"
    if source.head[:4] == b"NRRD" or name.endswith((".nrrd", ".nhdr")):
        return "a NRRD file"
    if name.endswith((".nii", ".nii.gz")):
        return "a NIfTI file"
    if source.ending == ".npy":
        from scenes.image.portable import is_picture_array

        return None if is_picture_array(source.path) else "an array in a file"
    if source.ending == ".npz":
        return "an archive of arrays"
    if refused_volume(source.path):
        return "a volume in a format that is not read"
    if source.head[:2] in (b"II", b"MM") and (pages := _stack_pages(source.path)):
        return f"a TIFF stack of {pages} slices"
    return None


def _stack_pages(path: Path) -> int:
    """Number of pages of a TIFF that are slices of a volume; 0 for other TIFFs.

    They are grey and equal in size, or the file names an axis of depth, as ImageJ's and OME's do. Also 0 where there
    are fewer than `MIN_STACK_PAGES`, or the TIFF is damaged, which the image loader reports.
    """
    import tifffile

    from scenes.io.silence import silence_libraries

    try:
        with silence_libraries(), tifffile.TiffFile(path) as opened:
            series = opened.series[0]
            sizes = dict(zip(series.axes, series.shape))
            # Samples of one page that are stored plane by plane ("S") are a picture's colors.
            if len(series.shape) == 3 and series.axes[-2:] == "YX" and series.axes[0] != "S":
                pages = series.shape[0]
            else:
                pages = sizes.get("Z", 0)
            return pages if pages >= MIN_STACK_PAGES else 0
    except Exception:  # noqa: BLE001  (tifffile raises many types for damaged bytes)
        return 0


def _shape(source: Source) -> str | None:
    """A mesh or a point cloud. A .ply file counts whatever it holds: with faces it is a mesh, else a cloud."""
    if source.path.is_dir():
        from scenes.shape.read import shapes_below

        files = shapes_below(source.path)
        return f"a folder with {files[0].name}" if len(files) == 1 else None
    if source.ending == ".zip":
        from scenes.shape.read import zipped_shapes

        names = zipped_shapes(source.path)
        return f"a zip with {names[0] if len(names) == 1 else f'{len(names)} shapes'}" if names else None
    if source.head.startswith((b"ply\n", b"ply\r")):
        return "a PLY file"
    if source.head.startswith(b"glTF"):
        return "a glTF scene"
    if source.ending in DOUBTFUL:
        from scenes.shape.readers.xyz import looks_like_points

        return "a list of points" if looks_like_points(read_head(source.path, POINTS_HEAD)) else None
    return SHAPE_ENDINGS.get(source.ending)


# (kind, rule). A rule returns a description of what it found, for the user, or None.
RULES: list[tuple[str, Callable[[Source], str | None]]] = [
    ("radiance", _radiance),
    ("audio", _audio),
    ("video", _video),
    ("volume", _volume),
    ("shape", _shape),
]


def recognise(source: str | os.PathLike[str]) -> tuple[str, str]:
    """Detect the kind of a source.

    A file that no rule knows is taken for an image: the image loader then says what is wrong with it.

    Args:
        source: as in `scenes.load`.

    Returns:
        A key of `scenes.LOADERS`, and a description of what the source was recognised by.

    Raises:
        BadInput: there is no such file, it cannot be read, or it is a folder of none of the kinds.
    """
    if str(source).startswith(SKIMAGE_PREFIX):
        return "image", "one of scikit-image's photographs"
    if str(source).startswith(PROCEDURAL_PREFIX):
        return "radiance", "a computed scene"
    path = Path(source).expanduser()
    # (Of a name that is too long `Path.is_dir` raises an error, and this says that there is no such folder.)
    if not os.path.isdir(path):
        path = input_file(source)
    candidate = Source(path, path.suffix.lower(), b"" if os.path.isdir(path) else read_head(path))
    for kind, rule in RULES:
        if description := rule(candidate):
            return kind, description
    input_file(source)  # refuses a folder
    return "image", "not one of the other kinds"
