"""Name the files that are pictures and that no reader here opens, with what to do instead."""

from __future__ import annotations

from pathlib import Path

# Camera raw by first bytes: (offset, bytes), name. Most others are TIFFs, which `scenes.image.tiff` looks into.
RAW_SIGNATURES = [
    (0, b"FUJIFILMCCD-RAW", "Fujifilm RAF"),
    (0, b"IIRO", "Olympus ORF"),
    (0, b"IIRS", "Olympus ORF"),
    (0, b"MMOR", "Olympus ORF"),
    (0, b"IIU\0", "Panasonic RW2"),
    (0, b"FOVb", "Sigma X3F"),
    (0, b"\0MRM", "Minolta MRW"),
    (6, b"HEAPCCDR", "Canon CRW"),
    (4, b"ftypcrx ", "Canon CR3"),
    (8, b"CR\2", "Canon CR2"),
]
RAW_ENDINGS = {
    ".arw": "Sony ARW",
    ".cr2": "Canon CR2",
    ".cr3": "Canon CR3",
    ".crw": "Canon CRW",
    ".dng": "DNG",
    ".erf": "Epson ERF",
    ".iiq": "Phase One IIQ",
    ".mrw": "Minolta MRW",
    ".nef": "Nikon NEF",
    ".nrw": "Nikon NRW",
    ".orf": "Olympus ORF",
    ".pef": "Pentax PEF",
    ".raf": "Fujifilm RAF",
    ".rw2": "Panasonic RW2",
    ".sr2": "Sony SR2",
    ".srw": "Samsung SRW",
    ".x3f": "Sigma X3F",
    ".3fr": "Hasselblad 3FR",
}
RAW_ADVICE = "develop it in a raw converter (darktable, RawTherapee) and give the 16-bit TIFF"
# Other files by first bytes: (offset, bytes), description.
OTHERS = [
    (
        0,
        b"PK\3\4",
        "a zip without cameras and without a shape: unpack it and name what is in it; for photographs, "
        "fit-a-scene poses finds the cameras",
    ),
    (0, b"\x1f\x8b", "packed with gzip: unpack it first"),
    (0, b"7z\xbc\xaf", "a 7-Zip archive: unpack it and name what is in it"),
    (0, b"Rar!", "a RAR archive: unpack it and name what is in it"),
    (0, b"\xabKTX 11", "a KTX texture of version 1, which no library here reads: convert it to PNG or KTX2"),
    (0, b"sB\x13\0", "a Basis Universal texture, which no library here reads: unpack it to PNG with basisu"),
    (0, b"%PDF", "a PDF document: export its page as PNG"),
    (0, b"%!PS", "a PostScript drawing: export it as PNG"),
    (0, b"\xc5\xd0\xd3\xc6", "a PostScript drawing: export it as PNG"),
    (0, b"gimp xcf", "a GIMP project: export it as PNG, TIFF or EXR"),
    (0, b"\x80\x2a\x5f\xd7", "a Cineon scan, which no library here reads: convert it to DPX or EXR"),
    (0, b"\xd7\xc0\xd0\xc0", "a Cineon scan, which no library here reads: convert it to DPX or EXR"),
    (0, b"\xd7\xcd\xc6\x9a", "a Windows metafile: export it as PNG"),
]


def raw_name(head: bytes, path: Path) -> str | None:
    """What a camera raw file is called; None for other files. TIFFs are told by their ending alone."""
    for offset, mark, name in RAW_SIGNATURES:
        if head.startswith(mark, offset):
            return name
    is_tiff = head[:2] in (b"II", b"MM")
    return RAW_ENDINGS.get(path.suffix.lower()) if is_tiff else None


def describe_other(head: bytes) -> str:
    """Describe a file that is not an image that can be read, as far as its first bytes tell."""
    for offset, mark, description in OTHERS:
        if head.startswith(mark, offset):
            return description
    try:
        text = head.decode("utf-8", errors="strict")
    except UnicodeDecodeError as error:
        # The last character may be cut off.
        text = head[: error.start].decode("utf-8") if error.start >= len(head) - 3 else "\0"
    if "<svg" in text:
        return "an SVG drawing (holds text, not an image): export it as PNG"
    if all(character.isprintable() or character.isspace() for character in text):
        return "holds text, not an image"
    return "its content is not an image"
