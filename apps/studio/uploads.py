"""What may be uploaded: known kinds of files of limited size; archives are unpacked with suspicion."""

from __future__ import annotations

import shutil
import stat
import zipfile
from pathlib import Path, PurePosixPath

from apps.studio.folders import Folders, cleaned
from scenes.errors import BadInput
from scenes.recognise import FILMS, SHAPES, SOUNDS

PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".avif", ".tif", ".tiff", ".gif", ".exr", ".hdr", ".bmp")
VOLUMES = (".npy", ".npz", ".nrrd", ".nii", ".gz")
ENDINGS = (*PICTURES, *SOUNDS, *FILMS, *VOLUMES, *SHAPES, ".ply", ".zip")
# Inside an archive: a posed scene, the frames of a clip, or a mesh with its textures.
INSIDE = (*PICTURES, *SHAPES, ".json", ".npy", ".npz", ".txt", ".bin", ".ply", ".mtl")

MOST_BYTES = 512 << 20
MOST_UNPACKED = 2 << 30
MOST_FILES = 5000
# Larger pictures are refused unread (the command line takes them).
MOST_PIXELS = 50_000_000


def keep(path: Path, folders: Folders) -> Path:
    """Moves an uploaded file to a folder of its own and returns where its signal is: the file, or what an archive holds."""
    if path.is_symlink() or not path.resolve().is_relative_to(folders.arriving):
        raise BadInput("only what was uploaded here is taken")
    ending = path.suffix.lower()
    if ending not in ENDINGS:
        raise BadInput(f"{path.name}: files ending in {ending or 'nothing'} are not taken; pictures, sounds, clips, volumes, meshes, points "
                       "and zipped scenes are")
    size = path.stat().st_size
    if size > MOST_BYTES:
        raise BadInput(f"{path.name}: {size >> 20} MB; at most {MOST_BYTES >> 20} MB are taken here, the command line takes more")
    if not size:
        raise BadInput(f"{path.name}: the file is empty; get a fresh copy")
    folder = folders.upload()
    try:
        if ending == ".zip":
            return unpack(path, folder)
        target = folder / (cleaned(path.stem) + ending)
        shutil.copyfile(path, target)
        return target
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def unpack(archive: Path, folder: Path) -> Path:
    """The files of a zip archive under `folder`; the one folder at its top where there is just one.

    Refused: names that climb out, absolute names, links, devices, other kinds of files, too many, and more bytes than `MOST_UNPACKED`,
    counted as they come out (an archive's own figures may lie).
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            entries = [entry for entry in opened.infolist() if not entry.is_dir() and not _clutter(entry.filename)]
            if len(entries) > MOST_FILES:
                raise BadInput(f"{archive.name}: holds {len(entries):,} files; at most {MOST_FILES:,} are taken")
            for entry in entries:
                _check(entry, archive.name)
            left = MOST_UNPACKED
            for entry in entries:
                left = _extract(opened, entry, folder, left, archive.name)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, zipfile.zlib.error) as error:
        raise BadInput(f"{archive.name}: cannot be unpacked ({error}); pack it again as a plain zip") from None
    if not entries:
        raise BadInput(f"{archive.name}: holds no pictures; pack a posed scene or the frames of a clip")
    inside = list(folder.iterdir())
    return inside[0] if len(inside) == 1 else folder


def _clutter(name: str) -> bool:
    return any(part in ("__MACOSX", ".DS_Store", "Thumbs.db") for part in PurePosixPath(name).parts)


def _check(entry: zipfile.ZipInfo, archive: str) -> None:
    name = entry.filename
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or ":" in name or "\0" in name:
        raise BadInput(f"{archive}: the name {name!r} leads out of the archive; it is not unpacked")
    mode = entry.external_attr >> 16
    if mode and stat.S_IFMT(mode) not in (0, stat.S_IFREG):
        raise BadInput(f"{archive}: {name!r} is a link or a device; only plain files are unpacked")
    if path.suffix.lower() not in INSIDE:
        raise BadInput(f"{archive}: {name!r} is neither a picture nor a file of cameras; leave it out")


def _extract(opened: zipfile.ZipFile, entry: zipfile.ZipInfo, folder: Path, left: int, archive: str) -> int:
    """Writes one file and returns how many bytes may still come."""
    target = folder.joinpath(*PurePosixPath(entry.filename.replace("\\", "/")).parts)
    target.parent.mkdir(parents=True, exist_ok=True)
    with opened.open(entry) as source, open(target, "xb") as file:
        while chunk := source.read(1 << 20):
            left -= len(chunk)
            if left < 0:
                raise BadInput(f"{archive}: unpacks to more than {MOST_UNPACKED >> 30} GB; it is not taken")
            file.write(chunk)
    return left
