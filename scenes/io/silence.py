"""Libraries that talk: their complaints reach the user as one BadInput, not as lines in between."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def silence_libraries() -> Iterator[None]:
    """Drops what libraries say inside the block: Python warnings, tifffile's log, and what C libraries (OpenEXR,
    libpng) print to the process's standard output and error, which no Python setting reaches.

    That holds for the whole process, so keep such a block short.
    """
    logger = logging.getLogger("tifffile")
    was_disabled = logger.disabled
    logger.disabled = True
    try:
        with warnings.catch_warnings(), _descriptors_to_nowhere():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.disabled = was_disabled


@contextmanager
def _descriptors_to_nowhere() -> Iterator[None]:
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()  # what was said before still goes out
    kept = []
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        for descriptor in (1, 2):
            try:
                kept.append((descriptor, os.dup(descriptor)))
            except OSError:  # a process without that stream has nothing to silence
                continue
            os.dup2(nowhere, descriptor)
        yield
    finally:
        for descriptor, copy in kept:
            os.dup2(copy, descriptor)
            os.close(copy)
        os.close(nowhere)
