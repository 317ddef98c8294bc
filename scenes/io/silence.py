"""Silence libraries that print, so that their complaints reach the user as one BadInput."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def silence_libraries() -> Iterator[None]:
    """Drop what libraries print inside the block.

    That is: Python warnings, tifffile's log, and what C libraries (OpenEXR, libpng) write to the standard output and
    error of the process, which no Python setting reaches. It holds for the whole process, so keep the block short.
    """
    logger = logging.getLogger("tifffile")
    was_disabled = logger.disabled
    logger.disabled = True
    try:
        with warnings.catch_warnings(), _redirect_output_to_null():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.disabled = was_disabled


@contextmanager
def _redirect_output_to_null() -> Iterator[None]:
    """Point the file descriptors 1 and 2 to the null device."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()  # text printed before the block is not dropped
    saved = []
    null = os.open(os.devnull, os.O_WRONLY)
    try:
        for descriptor in (1, 2):
            try:
                saved.append((descriptor, os.dup(descriptor)))
            except OSError:  # the process has no such stream
                continue
            os.dup2(null, descriptor)
        yield
    finally:
        for descriptor, copy in saved:
            os.dup2(copy, descriptor)
            os.close(copy)
        os.close(null)
