"""Take a file from standard input, and write one to standard output.

What comes in is kept in a hidden folder beside the runs, because `evaluate`, `--resume` and `fit run.json` read the
source again. What goes out is written to a temporary file first, because formats need one to seek in.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from apps.cli.runs import RUNS
from scenes.errors import BadInput
from scenes.io.atomic import remove_unfinished, temporary_name
from scenes.io.files import read_head

# How a command line names standard input and output.
STANDARD = "-"
# Where what came from standard input is kept: RUNS/.inputs/DIGEST/stdin.ENDING
INPUTS = RUNS / ".inputs"
BLOCK = 1 << 20
# (ending, where its bytes are, the bytes) of formats that are recognised from their first bytes.
SIGNATURES = (
    (".png", 0, b"\x89PNG"),
    (".jpg", 0, b"\xff\xd8\xff"),
    (".gif", 0, b"GIF8"),
    (".webp", 8, b"WEBP"),
    (".tif", 0, b"II*\0"),
    (".tif", 0, b"MM\0*"),
    (".tif", 0, b"II+\0"),
    (".avif", 4, b"ftypavi"),
    (".heic", 4, b"ftyphei"),
    (".heic", 4, b"ftypmif1"),
    (".exr", 0, b"\x76\x2f\x31\x01"),
    (".hdr", 0, b"#?"),
    (".bmp", 0, b"BM"),
    (".jxl", 0, b"\xff\x0a"),
    (".jp2", 4, b"jP  "),
    (".wav", 8, b"WAVE"),
    (".flac", 0, b"fLaC"),
    (".ogg", 0, b"OggS"),
    (".aiff", 8, b"AIFF"),
    (".mp3", 0, b"ID3"),
    (".mp3", 0, b"\xff\xfb"),
    (".mp4", 4, b"ftyp"),
    (".webm", 0, b"\x1a\x45\xdf\xa3"),
    (".avi", 8, b"AVI "),
    (".ply", 0, b"ply"),
    (".glb", 0, b"glTF"),
    (".stl", 0, b"solid"),
    (".off", 0, b"OFF"),
    (".npy", 0, b"\x93NUMPY"),
    (".nrrd", 0, b"NRRD"),
    (".nii", 344, b"n+1\0"),
    (".pgm", 0, b"P5"),
    (".ppm", 0, b"P6"),
    (".pfm", 0, b"PF"),
    (".pfm", 0, b"Pf"),
    (".fsq", 0, b"FSQ1"),
    (".zip", 0, b"PK\x03\x04"),
)


def keep_standard_input() -> Path:
    """Read standard input to its end, and return the file that it is kept in. The same content gives the same file.

    Raises BadInput where nothing comes, where its first bytes are those of no known format, and on a full disk.
    """
    if sys.stdin is None or sys.stdin.isatty():
        raise BadInput("`-` reads a file from standard input, as in: cat photo.jpg | fit-a-scene fit -")
    arriving = INPUTS / temporary_name()
    try:
        INPUTS.mkdir(parents=True, exist_ok=True)
        remove_unfinished(INPUTS)
        digest = hashlib.sha256()
        with open(arriving, "wb") as file:
            while block := sys.stdin.buffer.read(BLOCK):
                digest.update(block)
                file.write(block)
        target = INPUTS / digest.hexdigest()[:16] / f"stdin{_ending(arriving)}"
        target.parent.mkdir(exist_ok=True)
        os.replace(arriving, target)
    except OSError as error:
        raise BadInput(f"standard input cannot be kept in {INPUTS} ({error.strerror or error})") from None
    finally:
        with suppress(OSError):
            arriving.unlink(missing_ok=True)
    return target


def source_of(given: str) -> str:
    """A source as it was given, or the file in which standard input is kept where `-` was given."""
    return str(keep_standard_input()) if given == STANDARD else given


def _ending(file: Path) -> str:
    head = read_head(file, 512)
    if not head:
        raise BadInput("standard input: nothing came")
    ending = next((ending for ending, at, magic in SIGNATURES if head[at : at + len(magic)] == magic), None)
    if ending == ".zip" and _holds_arrays(file):
        return ".npz"
    if ending is None:
        raise BadInput(
            "standard input: its first bytes are those of no known format; write it to a file, and name that"
        )
    return ending


def _holds_arrays(file: Path) -> bool:
    try:
        with zipfile.ZipFile(file) as opened:
            names = opened.namelist()
    except (OSError, zipfile.BadZipFile):
        return False
    return bool(names) and all(name.endswith(".npy") for name in names)


@contextmanager
def written_to(out: Path, ending: str, *, json: bool) -> Iterator[Path]:
    """Give the path to write to: `out` itself, or a temporary file that goes to standard output where `out` is `-`.

    ending: the format of standard output. json: whether a report will be printed there.
    Raises BadInput where standard output is a terminal, or the block wrote more than one file for it.
    """
    if str(out) != STANDARD:
        yield out
        return
    if json:
        raise BadInput("`-` and `json` both write to standard output; give one of them")
    if sys.stdout.isatty():
        raise BadInput("`-` writes a file to standard output, which is a terminal: add > FILE, or name a file")
    with tempfile.TemporaryDirectory(prefix="fit-a-scene-") as folder:
        path = Path(folder) / f"stdout{ending}"
        yield path
        if others := sorted(file.name for file in Path(folder).iterdir() if file != path):
            raise BadInput(f"{ending} has other files beside it ({', '.join(others)}); name a file instead of `-`")
        with open(path, "rb") as file:
            shutil.copyfileobj(file, sys.stdout.buffer, BLOCK)
        sys.stdout.buffer.flush()
