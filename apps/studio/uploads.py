"""What may be uploaded: known kinds of files of limited size; archives are unpacked with suspicion."""

from __future__ import annotations

import shutil
from pathlib import Path

from apps.studio.folders import Folders, cleaned
from scenes.errors import BadInput
from scenes.io.unpack import ZipLimits, unpack_zip
from scenes.recognise import AUDIO_ENDINGS, SHAPE_ENDINGS, VIDEO_ENDINGS

PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".avif", ".tif", ".tiff", ".gif", ".exr", ".hdr", ".bmp")
VOLUMES = (".npy", ".npz", ".nrrd", ".nii", ".gz")
ENDINGS = (*PICTURES, *AUDIO_ENDINGS, *VIDEO_ENDINGS, *VOLUMES, *SHAPE_ENDINGS, ".ply", ".zip")
# Inside an archive: a posed scene, the frames of a clip, or a mesh with its textures.
INSIDE = (*PICTURES, *SHAPE_ENDINGS, ".json", ".npy", ".npz", ".txt", ".bin", ".ply", ".mtl")

MAX_BYTES = 512 << 20
MAX_IN_ARCHIVES = ZipLimits(max_files=5000, max_bytes=2 << 30, endings=INSIDE, advice="the command line takes more")
# Larger pictures are refused unread (the command line takes them).
MAX_PIXELS = 50_000_000


def keep(path: Path, folders: Folders) -> Path:
    """Moves an uploaded file to a folder of its own and returns where its signal is: the file, or what an archive holds."""
    if path.is_symlink() or not path.resolve().is_relative_to(folders.arriving):
        raise BadInput("only what was uploaded here is taken")
    ending = path.suffix.lower()
    if ending not in ENDINGS:
        raise BadInput(
            f"{path.name}: files ending in {ending or 'nothing'} are not taken; pictures, sounds, clips, volumes, meshes, points "
            "and zipped scenes are"
        )
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise BadInput(
            f"{path.name}: {size >> 20} MB; at most {MAX_BYTES >> 20} MB are taken here, the command line takes more"
        )
    if not size:
        raise BadInput(f"{path.name}: the file is empty; get a fresh copy")
    folder = folders.upload()
    try:
        if ending == ".zip":
            return unpacked(path, folder)
        target = folder / (cleaned(path.stem) + ending)
        shutil.copyfile(path, target)
        return target
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def unpacked(archive: Path, folder: Path) -> Path:
    """Where the files of a zip archive are: under `folder`, or below it as long as there is just one folder."""
    unpack_zip(archive, folder, MAX_IN_ARCHIVES, shown=archive.name)
    inside = list(folder.iterdir())
    if not inside:
        raise BadInput(f"{archive.name}: holds no pictures; pack a posed scene or the frames of a clip")
    while len(inside) == 1 and inside[0].is_dir():
        folder, inside = inside[0], list(inside[0].iterdir())
    return inside[0] if len(inside) == 1 else folder
