"""Take over uploaded files: known formats of limited size. Archives are unpacked without trusting them."""

from __future__ import annotations

import shutil
from pathlib import Path

from apps.studio.folders import Folders, clean_name
from scenes.errors import BadInput
from scenes.io.unpack import ZipLimits, unpack_zip
from scenes.recognise import AUDIO_ENDINGS, SHAPE_ENDINGS, VIDEO_ENDINGS

IMAGE_ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".avif", ".tif", ".tiff", ".gif", ".exr", ".hdr", ".bmp")
VOLUME_ENDINGS = (".npy", ".npz", ".nrrd", ".nii", ".gz")
ENDINGS = (*IMAGE_ENDINGS, *AUDIO_ENDINGS, *VIDEO_ENDINGS, *VOLUME_ENDINGS, *SHAPE_ENDINGS, ".ply", ".zip")
# Files inside an archive: a posed scene, the frames of a video, or a mesh with its textures.
ARCHIVE_ENDINGS = (*IMAGE_ENDINGS, *SHAPE_ENDINGS, ".json", ".npy", ".npz", ".txt", ".bin", ".ply", ".mtl")

# Bytes of an uploaded file.
MAX_BYTES = 512 << 20
ARCHIVE_LIMITS = ZipLimits(
    max_files=5000, max_bytes=2 << 30, endings=ARCHIVE_ENDINGS, advice="the command line takes more"
)


def keep_upload(path: Path, folders: Folders) -> Path:
    """Copy an uploaded file to a folder of its own, and return the signal: the file, or what an archive holds.

    Raises BadInput where the file did not arrive as an upload, has an unknown format, is empty or too large, or is an
    archive that is damaged or holds something else.
    """
    if path.is_symlink() or not path.resolve().is_relative_to(folders.arriving):
        raise BadInput("only files that were uploaded here are taken")
    ending = path.suffix.lower()
    if ending not in ENDINGS:
        raise BadInput(
            f"{path.name}: files ending in {ending or 'nothing'} are not taken; images, audio, videos, volumes, "
            "meshes, point clouds and zipped scenes are"
        )
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise BadInput(
            f"{path.name}: {size >> 20} MB; at most {MAX_BYTES >> 20} MB are taken here, the command line takes more"
        )
    if not size:
        raise BadInput(f"{path.name}: the file is empty; get a fresh copy")
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


def unpack_archive(archive: Path, folder: Path) -> Path:
    """Unpack a zip archive into `folder`, and return the first folder inside that holds more than one folder."""
    unpack_zip(archive, folder, ARCHIVE_LIMITS, shown=archive.name)
    inside = list(folder.iterdir())
    if not inside:
        raise BadInput(f"{archive.name}: holds no images; pack a posed scene or the frames of a video")
    while len(inside) == 1 and inside[0].is_dir():
        folder, inside = inside[0], list(inside[0].iterdir())
    return inside[0] if len(inside) == 1 else folder
