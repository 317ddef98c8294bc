"""What kind of signal a source holds: one rule a kind of file, first match wins; `docs/signals/README.md` shows them to people.

A rule looks at the first bytes, at the ending where bytes say nothing, and inside where one format serves several kinds.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from scenes.io.files import PROCEDURAL_PREFIX, SKIMAGE_PREFIX, input_file, read_head

VIDEO_ENDINGS = (".mp4", ".mov", ".m4v", ".webm", ".mkv", ".avi", ".mpg", ".mpeg")
AUDIO_ENDINGS = (".wav", ".flac", ".ogg", ".oga", ".opus", ".aif", ".aiff", ".mp3")


@dataclass(frozen=True)
class Look:
    """What a rule is shown: `path` (a file or a folder), its lower-case ending, and its first 64 bytes."""

    path: Path
    ending: str
    head: bytes


def _radiance(look: Look) -> str | None:
    """Photographs with their cameras; before the rule of clips, as a folder of pictures may be both."""
    if look.path.is_dir():
        from scenes.posed.read import posed_folder

        found = posed_folder(look.path)
        return found and found[0]
    if look.ending == ".json":
        return "a transforms file" if look.path.stem.startswith("transforms") else None
    if look.ending == ".npz" and {"images", "poses", "focal"} <= set(_members(look.path)):
        return "an archive with images, poses and focal"
    if look.ending == ".zip":
        names = {name.rpartition("/")[2] for name in _members(look.path)}
        known = names & {"transforms.json", "transforms_train.json", "poses_bounds", "cameras.txt", "cameras.bin"}
        return "a zip with " + sorted(known)[0] if known else None
    return None


def _members(path: Path) -> list[str]:
    """The names of an archive's arrays."""
    import zipfile

    try:
        with zipfile.ZipFile(path) as opened:
            return [name.removesuffix(".npy") for name in opened.namelist()]
    except (OSError, zipfile.BadZipFile):  # (a damaged archive is its loader's to describe)
        return []


def _audio(look: Look) -> str | None:
    if look.head[:4] in (b"RIFF", b"RF64") and look.head[8:12] == b"WAVE":
        return "a WAV file"
    if look.head[:4] == b"fLaC":
        return "a FLAC file"
    if look.head[:4] == b"OggS":
        return "an Ogg file"
    if look.ending in AUDIO_ENDINGS:
        return f"named {look.ending}"
    return None


def _video(look: Look) -> str | None:
    if look.path.is_dir():
        from scenes.shape.read import shape_files
        from scenes.video.read import image_files

        # Pictures beside a single mesh are its textures.
        count = 0 if len(shape_files(look.path)) == 1 else len(image_files(look.path))
        return f"a folder of {count} pictures" if count else None
    if look.head[4:8] == b"ftyp" and look.head[8:12] not in (b"avif", b"avis", b"mif1", b"heic", b"M4A "):
        return "an MP4 film"
    if look.head[:4] == b"\x1a\x45\xdf\xa3":
        return "a Matroska or WebM film"
    if look.head[:4] == b"RIFF" and look.head[8:12] == b"AVI ":
        return "an AVI film"
    if look.head[:4] == b"GIF8" and (count := _gif_frames(look.path)) > 1:
        return f"a GIF of {count} frames"
    return f"named {look.ending}" if look.ending in VIDEO_ENDINGS else None


def _gif_frames(path: Path) -> int:
    from PIL import Image

    from scenes.io.silence import silence_libraries

    try:
        with silence_libraries(), Image.open(path) as opened:
            return opened.n_frames
    except Exception:  # noqa: BLE001  (a damaged GIF is the picture loader's to describe)
        return 1


def _volume(look: Look) -> str | None:
    name = look.path.name.lower()
    if look.head[:4] == b"NRRD" or name.endswith((".nrrd", ".nhdr")):
        return "a NRRD file"
    if name.endswith((".nii", ".nii.gz")):
        return "a NIfTI file"
    if look.ending == ".npy":
        return "an array in a file"
    if look.ending == ".npz":
        return "an archive of arrays"
    if look.head[:2] in (b"II", b"MM") and (pages := _stack(look.path)):
        return f"a TIFF stack of {pages} grey pages"
    return None


def _stack(path: Path) -> int:
    """How many pages a TIFF has, if they are grey, equal in size and at least three; else 0."""
    import tifffile

    from scenes.io.silence import silence_libraries

    try:
        with silence_libraries(), tifffile.TiffFile(path) as opened:
            series = opened.series[0]
            return (
                series.shape[0] if len(series.shape) == 3 and series.axes[-2:] == "YX" and series.shape[0] >= 3 else 0
            )
    except Exception:  # noqa: BLE001  (a damaged TIFF is the picture loader's to describe)
        return 0


SHAPE_ENDINGS = {
    ".obj": "an OBJ file",
    ".stl": "an STL file",
    ".gltf": "a glTF scene",
    ".glb": "a glTF scene",
    ".off": "an OFF file",
    ".xyz": "a list of points",
}


def _shape(look: Look) -> str | None:
    """A .ply counts whatever it holds: with faces it is a mesh, else a point cloud."""
    if look.path.is_dir():
        from scenes.shape.read import shape_files

        files = shape_files(look.path)
        return f"a folder with {files[0].name}" if len(files) == 1 else None
    if look.head.startswith((b"ply\n", b"ply\r")):
        return "a PLY file"
    if look.head.startswith(b"glTF"):
        return "a glTF scene"
    return SHAPE_ENDINGS.get(look.ending)


# (kind, rule): a rule returns what it saw, for people, or None.
RULES: list[tuple[str, Callable[[Look], str | None]]] = [
    ("radiance", _radiance),
    ("audio", _audio),
    ("video", _video),
    ("volume", _volume),
    ("shape", _shape),
]


def recognise(source: str | os.PathLike) -> tuple[str, str]:
    """The kind of a source and what it was recognised by; raises BadInput where there is nothing to look at.

    What no rule knows is taken for a picture: the picture loader says what is wrong with it.
    """
    if str(source).startswith(SKIMAGE_PREFIX):
        return "image", "one of scikit-image's photographs"
    if str(source).startswith(PROCEDURAL_PREFIX):
        return "radiance", "a scene made of formulas"
    path = Path(source).expanduser()
    if not path.is_dir():
        path = input_file(source)
    look = Look(path, path.suffix.lower(), b"" if path.is_dir() else read_head(path))
    for kind, rule in RULES:
        if seen := rule(look):
            return kind, seen
    input_file(source)  # a folder is refused here
    return "image", "not one of the other kinds"
