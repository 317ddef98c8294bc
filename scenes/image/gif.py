"""What Pillow does not read of GIF files: their ICC profile, and what becomes of frames in files that say it oddly."""

from __future__ import annotations

# Beginning of the application extension with an ICC profile.
PROFILE = b"\x21\xff\x0bICCRGBG1012"
EXTENSION, PICTURE, CONTROL = 0x21, 0x2C, 0xF9
KEEP, BACKGROUND, PREVIOUS = 1, 2, 3
# Ways of disposal from this one on have no meaning; Pillow takes them for `PREVIOUS`.
FIRST_UNKNOWN = 5


def gif_profile(data: bytes) -> bytes | None:
    """The ICC profile in a GIF file's application extension."""
    start = data.find(PROFILE)
    if start < 0:
        return None
    profile, position = b"", start + len(PROFILE)
    while position < len(data) and (size := data[position]):
        profile += data[position + 1 : position + 1 + size]
        position += 1 + size
    return profile or None


def with_known_disposals(data: bytes) -> bytes:
    """The file with ways of disposal that mean something, as browsers take them.

    There is nothing before the first frame, so what was there is the background; frames with an unknown way are kept.
    """
    changed, position, is_first = bytearray(data), 13 + _palette_bytes(data[10] if len(data) > 12 else 0), True
    while position + 1 < len(data) and data[position] in (EXTENSION, PICTURE):
        if data[position] == EXTENSION:
            if data[position + 1] == CONTROL and position + 3 < len(data):
                flags = data[position + 3]
                way = flags >> 2 & 7
                way = BACKGROUND if way == PREVIOUS and is_first else KEEP if way >= FIRST_UNKNOWN else way
                changed[position + 3] = flags & ~0b11100 | way << 2
            position += 2
        else:
            is_first = False
            flags = data[position + 9] if position + 9 < len(data) else 0
            position += 11 + _palette_bytes(flags)
        while position < len(data) and data[position]:
            position += 1 + data[position]
        position += 1
    return bytes(changed)


def _palette_bytes(flags: int) -> int:
    return 3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0
