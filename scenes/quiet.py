"""Libraries that talk: their complaints reach the user as one BadInput, not as lines in between."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet(descriptors: bool = False) -> Iterator[None]:
    """Drops Python warnings and tifffile's log inside the block.

    With `descriptors`, also what C libraries (OpenEXR) print to the process's standard output and error, which no
    Python setting reaches. That holds for the whole process, so keep such a block short.
    """
    logger = logging.getLogger("tifffile")
    was_disabled = logger.disabled
    logger.disabled = True
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with _closed_mouth() if descriptors else _open_mouth():
                yield
        finally:
            logger.disabled = was_disabled


@contextmanager
def _open_mouth() -> Iterator[None]:
    yield


@contextmanager
def _closed_mouth() -> Iterator[None]:
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    kept = []
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        for descriptor in (1, 2):
            try:
                kept.append((descriptor, os.dup(descriptor)))
                os.dup2(nowhere, descriptor)
            except OSError:  # a process without that stream has nothing to silence
                continue
        yield
    finally:
        for descriptor, copy in kept:
            os.dup2(copy, descriptor)
            os.close(copy)
        os.close(nowhere)
