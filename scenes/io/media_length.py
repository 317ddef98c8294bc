"""Where the headers of sounds and films say that the file ends, so that cut-off files can be told from whole ones.

Decoders play what is there without an error, and durations in headers are no measure: the last frame may be long or
short, and edit lists leave parts out. Lengths in bytes are exact. Layouts are from the formats' specifications: RIFF
and OpenDML, EBU Tech 3306 (RF64), ITU-R BS.2088 (BW64), AIFF-C, CAF, Sony Wave64, RFC 3533 (Ogg), ISO/IEC 14496-12
(MP4), RFC 8794 and 9559 (EBML and Matroska), FLV, ASF.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

# Lengths that programs write where they cannot go back to the header, as on a pipe: 0, and the largest numbers of 31
# and 32 bits less a header, rounded to blocks. (sox: 0x7FFFF000, arecord: 0x80000000, ffmpeg: 0xFFFFFFFF.)
PIPE_31 = range(0x7FFF0000, 0x80000100)
PIPE_32 = range(0xFFFF0000, 1 << 32)
# sox writes this number of samples into an AIFF header on a pipe.
PIPE_AIFF = 0x7F000000
# Largest page of an Ogg file and length of a page's header, in bytes.
OGG_MAX_PAGE = 65307
OGG_HEADER = 27
# Flag of the last page of an Ogg stream, in byte 5 of its header.
OGG_LAST_PAGE = 4
WAVE64_RIFF = bytes.fromhex("726966662e91cf11a5d628db04c10000")
WAVE64_DATA = b"data"
# Ids of Matroska: the segment, its clusters. A length of all ones is unknown.
EBML_HEAD = b"\x1a\x45\xdf\xa3"
MATROSKA_SEGMENT = 0x18538067
MATROSKA_CLUSTER = 0x1F43B675
# Types of the outermost boxes of MP4 and QuickTime files.
ISO_BOXES = tuple(
    name.encode()
    for name in [
        "ftyp",
        "styp",
        "moov",
        "moof",
        "mdat",
        "free",
        "skip",
        "wide",
        "pnot",
        "sidx",
        "ssix",
        "mfra",
        "uuid",
        "udta",
        "meta",
        "pdin",
        "prft",
        "emsg",
        "junk",
    ]
)
ASF_HEADER = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
ASF_FILE_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
# Bytes in which the header objects of an ASF file are looked for.
ASF_SEARCHED = 1 << 16
# An MP3 may lack this many bytes of what its header announces: encoders count tags and padding differently.
MP3_SLACK = 4096


class Unknown(Exception):
    """The header does not say where the file ends: it was written to a pipe, or never completed."""


def announced_end(file: Path) -> int | None:
    """Number of bytes that a file has by its own headers; None for formats that do not say.

    Raises:
        Unknown: the format says, and this file does not: it was written to a pipe.
    """
    size = file.stat().st_size
    with open(file, "rb") as opened:
        head = opened.read(16)
        for matches, end in _FORMATS:
            if matches(head):
                return end(opened, size)
    return None


def _riff(opened: BinaryIO, size: int) -> int | None:
    """A WAV file: the end of its data chunk, which for RF64 and BW64 is in the chunk ds64."""
    opened.seek(12)
    long_data = None
    while len(header := opened.read(8)) == 8:
        length = int.from_bytes(header[4:], "little")
        start = opened.tell()
        if header[:4] == b"ds64":
            long_data = int.from_bytes(opened.read(16)[8:], "little")
        if header[:4] == b"data":
            if length == 0xFFFFFFFF and long_data:
                length = long_data
            elif length == 0 and start >= size:
                return start
            elif length == 0 or length in PIPE_31 or length in PIPE_32:
                raise Unknown
            return start + length
        opened.seek(start + length + length % 2)
    return None


def _avi(opened: BinaryIO, size: int) -> int | None:
    """An AVI file: the end of the last of its RIFF chunks (OpenDML has one for each GiB)."""
    end = 0
    while end < size:
        opened.seek(end)
        header = opened.read(8)
        if len(header) < 8 or header[:4] != b"RIFF":
            break
        length = int.from_bytes(header[4:], "little")
        if length == 0 or length in PIPE_31 or length in PIPE_32:
            raise Unknown
        end += 8 + length + length % 2
    # Some programs leave out the last byte of padding.
    return end - 1


def _aiff(opened: BinaryIO, size: int) -> int | None:
    opened.seek(12)
    while len(header := opened.read(8)) == 8:
        length = int.from_bytes(header[4:], "big")
        start = opened.tell()
        if header[:4] == b"SSND":
            if length <= 8 and size > start + 8 or length >= PIPE_AIFF:
                raise Unknown
            return start + length
        opened.seek(start + length + length % 2)
    return None


def _au(opened: BinaryIO, size: int) -> int | None:
    opened.seek(0)
    order = "big" if opened.read(4) == b".snd" else "little"
    offset, length = (int.from_bytes(opened.read(4), order) for _ in range(2))
    if length == 0xFFFFFFFF or length == 0 and size > offset:
        raise Unknown
    return offset + length


def _caf(opened: BinaryIO, size: int) -> int | None:
    opened.seek(8)
    while len(header := opened.read(12)) == 12:
        length = int.from_bytes(header[4:], "big", signed=True)
        if header[:4] == b"data":
            if length < 0:
                raise Unknown
            return opened.tell() + length
        if length < 0:
            return None
        opened.seek(length, os.SEEK_CUR)
    return None


def _wave64(opened: BinaryIO, size: int) -> int | None:
    opened.seek(40)
    while len(header := opened.read(24)) == 24:
        # The length counts the header; chunks begin at multiples of 8.
        length = int.from_bytes(header[16:], "little")
        start = opened.tell() - 24
        if header[:4] == WAVE64_DATA:
            if length <= 24 and size > start + 24 or length >= 1 << 62:
                raise Unknown
            return start + length
        if length < 24:
            return None
        opened.seek(start + length + -length % 8)
    return None


def _ogg(opened: BinaryIO, size: int) -> int | None:
    """The end of the last page where that is complete, and beyond the file where it is not."""
    opened.seek(max(0, size - OGG_MAX_PAGE - OGG_HEADER))
    tail = opened.read()
    start = tail.rfind(b"OggS")
    if start < 0 or len(tail) < start + OGG_HEADER:
        return size + 1
    page = tail[start:]
    # The header's last byte counts the entries of the segment table, whose sum is the length of the page's body.
    body = OGG_HEADER + page[OGG_HEADER - 1]
    length = body + sum(page[OGG_HEADER:body])
    if len(page) < max(body, length):
        return size - len(page) + max(body + 1, length)
    if not page[5] & OGG_LAST_PAGE:
        raise Unknown
    return size


def _iso(opened: BinaryIO, size: int) -> int | None:
    """An MP4 or QuickTime file: the end of the last of its outermost boxes."""
    end = 0
    while end < size:
        opened.seek(end)
        header = opened.read(16)
        length = int.from_bytes(header[:4], "big")
        if length == 1:
            length = int.from_bytes(header[8:], "big")
        # A box of length 0 reaches to the end of the file. Cameras append what is no box, and zeros as padding.
        if length == 0 or header[4:8] not in ISO_BOXES:
            return size
        if length < 8:
            return None
        end += length
    return end


def _ebml(opened: BinaryIO, size: int) -> int | None:
    """A Matroska or WebM file: the end of its segment, or of the last cluster of a segment without a length."""
    opened.seek(0)
    while opened.tell() < size:
        found, length = _vint(opened, keep_marker=True), _vint(opened)
        start = opened.tell()
        if found is None:
            return None
        if length is None:
            if found == MATROSKA_SEGMENT:
                continue
            raise Unknown  # a cluster without a length reaches to the next one
        if found == MATROSKA_SEGMENT or start + length > size:
            return start + length
        opened.seek(start + length)
    raise Unknown


def _vint(opened: BinaryIO, keep_marker: bool = False) -> int | None:
    """A number of variable length (RFC 8794, section 4); None where all its bits are ones, or the file ends."""
    first = opened.read(1)
    if not first or first == b"\0":
        return None
    count = 9 - first[0].bit_length()
    value = int.from_bytes(first + opened.read(count - 1), "big")
    if keep_marker:
        return value
    value &= (1 << 7 * count) - 1
    return None if value == (1 << 7 * count) - 1 else value


def _flv(opened: BinaryIO, size: int) -> int | None:
    opened.seek(5)
    end = int.from_bytes(opened.read(4), "big")
    while end + 4 < size:
        opened.seek(end + 4)
        header = opened.read(4)
        end += 4 + 11 + int.from_bytes(header[1:], "big")
    return end


def _asf(opened: BinaryIO, size: int) -> int | None:
    opened.seek(0)
    head = opened.read(ASF_SEARCHED)
    at = head.find(ASF_FILE_PROPERTIES)
    if at < 0 or len(head) < at + 92:
        return None
    if head[at + 88] & 1:
        raise Unknown  # the flag of a broadcast
    return int.from_bytes(head[at + 40 : at + 48], "little")


def mp3_header_end(file: Path) -> int | None:
    """The end by the header that encoders put into the first frame ("Xing" or "Info"); None where there is none.

    Only with that header decoders know the length, and how much silence the encoder added.
    """
    with open(file, "rb") as opened:
        return _mp3(opened, 0)


def _mp3(opened: BinaryIO, size: int) -> int | None:
    opened.seek(0)
    start = 0
    head = opened.read(10)
    if head[:3] == b"ID3":
        start = 10 + sum((byte & 127) << 7 * place for place, byte in enumerate(reversed(head[6:10])))
    opened.seek(start)
    frame = opened.read(64)
    for name in (b"Xing", b"Info"):
        at = frame.find(name)
        # Flags say which fields follow: 1 the number of frames, 2 the number of bytes.
        if at > 0 and frame[at + 7] & 1:
            length = int.from_bytes(frame[at + 12 : at + 16], "big") if frame[at + 7] & 2 else 0
            return max(0, start + length - MP3_SLACK)
    return None


def _is_mp3(head: bytes) -> bool:
    return head[:3] == b"ID3" or head[:1] == b"\xff" and len(head) > 1 and head[1] & 0xE6 == 0xE2


_FORMATS: tuple[tuple[Callable[[bytes], bool], Callable[[BinaryIO, int], int | None]], ...] = (
    (lambda head: head[:4] in (b"RIFF", b"RF64", b"BW64") and head[8:12] == b"WAVE", _riff),
    (lambda head: head[:4] == b"RIFF" and head[8:12] == b"AVI ", _avi),
    (lambda head: head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"), _aiff),
    (lambda head: head[:4] in (b".snd", b"dns."), _au),
    (lambda head: head[:4] == b"caff", _caf),
    (lambda head: head == WAVE64_RIFF, _wave64),
    (lambda head: head[:4] == b"OggS", _ogg),
    (lambda head: head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"styp"), _iso),
    (lambda head: head[:4] == EBML_HEAD, _ebml),
    (lambda head: head[:3] == b"FLV", _flv),
    (lambda head: head == ASF_HEADER, _asf),
    (_is_mp3, _mp3),
)
