"""Take over uploaded files: known formats of limited size. Archives are unpacked without trusting them."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from PIL import Image
from PIL.ExifTags import Base

from apps.studio.folders import Folders, clean_name
from scenes.errors import BadInput
from scenes.image.read import ENDINGS as PICTURE_ENDINGS
from scenes.io.files import read_head
from scenes.io.unpack import ZipLimits, unpack_zip
from scenes.posed.read import posed_folder
from scenes.recognise import AUDIO_ENDINGS, POINTS_HEAD, SHAPE_ENDINGS, VIDEO_ENDINGS
from scenes.shape.endings import DOUBTFUL
from scenes.shape.readers.xyz import looks_like_points
from scenes.video.read import image_files

IMAGE_ENDINGS = tuple(sorted({ending for endings in PICTURE_ENDINGS.values() for ending in endings} - {".npy"}))
VOLUME_ENDINGS = (".npy", ".npz", ".nrrd", ".nii", ".gz", ".mha", ".mgz", ".mgh", ".dcm")
ENDINGS = (*IMAGE_ENDINGS, *AUDIO_ENDINGS, *VIDEO_ENDINGS, *VOLUME_ENDINGS, *SHAPE_ENDINGS, *DOUBTFUL, ".ply", ".zip")
# Files that are unpacked from an archive: a posed scene, the frames of a video, or a mesh with its textures. Others,
# such as a licence or notes beside them, are left out.
ARCHIVE_ENDINGS = (
    *IMAGE_ENDINGS,
    *SHAPE_ENDINGS,
    *DOUBTFUL,
    ".json",
    ".npy",
    ".npz",
    ".txt",
    ".bin",
    ".ply",
    ".mtl",
    ".dcm",
)

# Files beside the only folder of an archive that do not make it more than that folder.
NOTE_ENDINGS = (".txt", ".json")

# Images of a folder that are looked at to tell photographs from frames.
LOOKED_AT = 12
# Bytes of an uploaded file.
MAX_BYTES = 512 << 20
# Photographs of one scene, and their bytes.
MAX_PHOTOGRAPHS = 1000
MAX_PHOTOGRAPHS_BYTES = 2 << 30
ARCHIVE_LIMITS = ZipLimits(
    max_files=5000, max_bytes=2 << 30, endings=ARCHIVE_ENDINGS, advice="the command line takes more"
)


def keep_upload(path: Path, folders: Folders) -> Path:
    """Copy an uploaded file to a folder of its own, and return the signal: the file, or what an archive holds.

    Raises BadInput where the file did not arrive as an upload, has an unknown format, is empty or too large, or is an
    archive that is damaged or holds something else.
    """
    ending = _check(path, folders, ENDINGS, "images, audio, videos, volumes, meshes, point clouds and zipped scenes")
    if ending in DOUBTFUL and not looks_like_points(read_head(path, POINTS_HEAD)):
        raise BadInput(f"{path.name}: is no list of points: x y z on each line, perhaps with normals and colors")
    folder = folders.new_upload()
    try:
        if ending == ".zip":
            return unpack_archive(path, folder)
        target = folder / (clean_name(path.stem) + ending)
        shutil.copyfile(path, target)
        return target
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def keep_photographs(paths: Sequence[Path], folders: Folders) -> Path:
    """Copy uploaded photographs to a folder of their own, and return it; or take one film, or one zip.

    Raises BadInput as `keep_upload`, for a mixture of those, and for too many photographs.
    """
    if len(paths) == 1 and paths[0].suffix.lower() in (".zip", *VIDEO_ENDINGS):
        return keep_upload(paths[0], folders)
    if len(paths) > MAX_PHOTOGRAPHS:
        raise BadInput(f"{len(paths)} photographs; at most {MAX_PHOTOGRAPHS} are taken here")
    for path in paths:
        _check(path, folders, IMAGE_ENDINGS, "photographs, or one zip of them, or one film")
    total = sum(path.stat().st_size for path in paths)
    if total > MAX_PHOTOGRAPHS_BYTES:
        raise BadInput(f"{total >> 20} MB of photographs; at most {MAX_PHOTOGRAPHS_BYTES >> 20} MB are taken here")
    folder = folders.new_upload()
    try:
        target = folder / "photographs"
        target.mkdir()
        for index, path in enumerate(paths):
            file = target / f"{clean_name(path.stem)}{path.suffix.lower()}"
            shutil.copyfile(path, file.with_stem(f"{file.stem}-{index}") if file.exists() else file)
        return target
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def refuse_photographs(folder: Path) -> None:
    """Raise BadInput where a folder without cameras holds photographs instead of the frames of a film.

    Frames have one size, and no camera wrote its name into them.
    """
    if not folder.is_dir() or posed_folder(folder):
        return
    files = image_files(folder)
    step = max(1, len(files) // LOOKED_AT)
    heads = [head for file in files[::step] if (head := _photograph_head(file)) is not None]
    taken, sizes = sum(head[0] for head in heads), {head[1] for head in heads}
    if len(heads) > 1 and (2 * taken > len(heads) or len(sizes) > 1):
        raise BadInput(
            f"{len(files)} photographs without cameras: drop them under “Photographs to 3-D”, or one of them alone here"
        )


def _photograph_head(file: Path) -> tuple[bool, tuple[int, int]] | None:
    """Whether a camera wrote its name into an image, and the image's size, turned or not; None where that is unread."""
    try:
        with Image.open(file) as opened:
            exif = opened.getexif()
            low, high = sorted(opened.size)
            return bool(exif.get(Base.Make) or exif.get(Base.Model)), (low, high)
    except Exception:  # noqa: BLE001  (Pillow raises many types for damaged bytes; the reader reports them)
        return None


def _check(path: Path, folders: Folders, endings: Sequence[str], taken: str) -> str:
    """The ending of an uploaded file. Raises BadInput where it is none, of another format, empty or too large."""
    if path.is_symlink() or not path.resolve().is_relative_to(folders.arriving):
        raise BadInput("only files that were uploaded here are taken")
    ending = path.suffix.lower()
    if ending not in endings:
        raise BadInput(f"{path.name}: files ending in {ending or 'nothing'} are not taken; {taken} are")
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise BadInput(
            f"{path.name}: {size >> 20} MB; at most {MAX_BYTES >> 20} MB are taken here, the command line takes more"
        )
    if not size:
        raise BadInput(f"{path.name}: the file is empty; get a fresh copy")
    return ending


def unpack_archive(archive: Path, folder: Path) -> Path:
    """Unpack a zip archive into `folder`, and return the first folder inside that holds more than one folder."""
    unpack_zip(archive, folder, ARCHIVE_LIMITS, shown=archive.name)
    inside = list(folder.iterdir())
    if not inside:
        raise BadInput(f"{archive.name}: holds no images; pack a posed scene or the frames of a video")
    while (only := _only_folder(folder, inside)) is not None:
        folder, inside = only, list(only.iterdir())
    return inside[0] if len(inside) == 1 else folder


def _only_folder(folder: Path, inside: list[Path]) -> Path | None:
    """The one folder in a folder beside which lie notes at most; None where there is none, or a scene begins here."""
    folders = [path for path in inside if path.is_dir()]
    if len(folders) != 1 or any(path.suffix.lower() not in NOTE_ENDINGS for path in inside if path.is_file()):
        return None
    return None if posed_folder(folder) else folders[0]
