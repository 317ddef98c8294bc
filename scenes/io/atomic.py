"""Write files and folders whole or not at all.

What is being written has a hidden name that tells which process writes it. A process that is killed leaves such a file
behind, and the next one that writes into the folder removes it.
"""

from __future__ import annotations

import errno
import hashlib
import os
import platform
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from scenes.errors import BadInput

# What to tell the user about an operating system error, by its number.
ADVICE = {
    errno.ENOENT: "its folder does not exist; make the folder first",
    errno.ENOTDIR: "a part of the path is a file, not a folder; choose another place",
    errno.EACCES: "no permission; choose a folder that you may write to",
    errno.EPERM: "not permitted; choose a folder that you may write to",
    errno.EROFS: "the disk is read-only; choose another place",
    errno.ENOSPC: "the disk is full; free some space or choose another place",
    errno.EDQUOT: "your disk quota is used up; free some space or choose another place",
    errno.EFBIG: "the file would be larger than the system allows; choose another place or a smaller result",
    errno.ENAMETOOLONG: "the name is too long; choose a shorter one",
}


# Names of files that are being written: the machine, the process, and what makes them unique.
_UNFINISHED = re.compile(r"\.writing-([0-9a-f]{6})-(\d+)-[0-9a-f]{12}")


@contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path to write to; when the block ends without an error, that file becomes `path`.

        with atomic_write("fit.png") as temporary:
            temporary.write_bytes(data)

    The temporary file is empty at first. It lies in the same folder, so that the last step is a rename, and has the
    same ending, so that libraries recognise the format. It is fsynced, renamed over `path`, and the folder is fsynced.
    If the block raises, the temporary file is deleted and an earlier `path` stays as it was. Another process sees the
    old content or the new, never a part. A symbolic link stays a link: the file that it points to is replaced.

    Raises:
        BadInput: the file cannot be written: no such folder, no permission, `path` is a folder, a full disk. An OSError
            inside the block counts as that too, unless it names another file.
    """
    path = Path(path)
    target = Path(os.path.realpath(path))
    temporary = target.with_name(temporary_name(target.suffix))
    try:
        if target.is_dir():
            raise BadInput(f"cannot write {path}: it is a folder; name a file")
        remove_unfinished(target.parent)
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        yield temporary
        _fsync(temporary)
        os.replace(temporary, target)
        _fsync(target.parent)
    except OSError as error:
        if error.filename is not None and Path(error.filename) not in (temporary, target, target.parent):
            raise
        raise BadInput(f"cannot write {path}: {_reason(error)}") from error
    finally:
        with suppress(OSError):
            temporary.unlink()


@contextmanager
def atomic_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give the path of a folder to create; when the block ends without an error, that folder becomes `path`.

    Raises:
        BadInput: `path` exists and is not an empty folder, or cannot be written.
    """
    path = Path(path)
    check_new_folder(path)
    temporary = path.with_name(temporary_name())
    remove_unfinished(path.absolute().parent)
    try:
        yield temporary
        if path.is_dir():
            path.rmdir()
        os.replace(temporary, path)
    except OSError as error:
        raise BadInput(f"cannot write {path}: {_reason(error)}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def check_new_folder(path: str | os.PathLike[str]) -> None:
    """Check that a new folder can be made, before long work.

    Raises:
        BadInput: `path` exists and is not an empty folder, or the folder above it does not exist.
    """
    path = Path(path)
    if holds_anything(path):
        raise BadInput(f"{path}: exists and is not an empty folder; give another name")
    if not path.absolute().parent.is_dir():
        raise BadInput(f"cannot write {path}: its folder does not exist; make the folder first")


def check_path_writable(path: str | os.PathLike[str]) -> None:
    """Check that `atomic_write` could write a file, before long work. Leaves nothing behind.

    Raises:
        BadInput: as `atomic_write`.
    """

    class Writable(Exception):
        pass

    with suppress(Writable), atomic_write(path):
        raise Writable


def atomic_write_bytes(path: str | os.PathLike[str], content: bytes) -> None:
    """Write `content` to `path`, whole or not at all. Raises BadInput as `atomic_write`."""
    with atomic_write(path) as temporary:
        temporary.write_bytes(content)


def append_line(path: str | os.PathLike[str], line: str) -> None:
    """Append a line to a text file, in one write. Raises BadInput as `atomic_write`."""
    try:
        with open(path, "a", encoding="utf-8") as file:
            file.write(line + "\n")
    except OSError as error:
        raise BadInput(f"cannot write {path}: {_reason(error)}") from error


def holds_anything(path: Path) -> bool:
    """Whether a path is a file, or a folder with something besides what killed processes left half-written."""
    return path.exists() and (not path.is_dir() or any(not is_unfinished(inside) for inside in path.iterdir()))


def is_unfinished(path: Path) -> bool:
    """Whether a file or folder is one that is being written, or that a killed process was writing."""
    return _UNFINISHED.match(path.name) is not None


def temporary_name(suffix: str = "") -> str:
    """A name for what is being written, which tells the machine and the process that write it."""
    return f".writing-{_here()}-{os.getpid()}-{secrets.token_hex(6)}{suffix}"


def remove_unfinished(folder: Path) -> None:
    """Remove what processes of this machine that have ended were writing in a folder when they were killed."""
    with suppress(OSError):
        for path in [Path(entry.path) for entry in os.scandir(folder) if entry.name.startswith(".writing-")]:
            found = _UNFINISHED.match(path.name)
            if found is None or found[1] != _here() or _is_alive(int(found[2])):
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                with suppress(OSError):
                    path.unlink()


def _here() -> str:
    """A short name of the space in which process numbers mean the same: this machine, or this container."""
    try:
        space = os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        space = 0
    return hashlib.sha256(f"{platform.node()} {space}".encode()).hexdigest()[:6]


def _is_alive(process: int) -> bool:
    import psutil

    return psutil.pid_exists(process)


def _fsync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _reason(error: OSError) -> str:
    """Why a file could not be written, and what to do."""
    fallback = error.strerror or str(error) or type(error).__name__
    return fallback if error.errno is None else ADVICE.get(error.errno, fallback)
