"""Match the lenses that a scene's files give with its photographs: how they are turned, and how large they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from PIL import Image

from scenes.errors import BadInput
from scenes.image.pillow import ORIENTATION
from scenes.image.read import read_image
from scenes.io.silence import silence_libraries
from scenes.posed.camera import Intrinsics, checked_intrinsics
from scenes.posed.view import same_aspect

Orientation = Literal["stored", "upright"]
# EXIF orientations from this one on exchange width and height.
FIRST_TURNED = 5
# The optical axis of a lens that fits its image is in this part of the width and height.
AXIS_RANGE = 0.2, 0.8


@dataclass(frozen=True)
class Header:
    """What a photograph's file says before it is decoded: `width` and `height` of the stored pixels, EXIF orientation.

    `orientation` is 1 where the photograph is upright as it is stored, and where the file says nothing.
    """

    width: int
    height: int
    orientation: int = 1

    @property
    def stored(self) -> tuple[int, int]:
        """Width and height of the pixels as they are stored."""
        return self.width, self.height

    @property
    def upright(self) -> tuple[int, int]:
        """Width and height of the photograph turned upright."""
        return (self.height, self.width) if self.orientation >= FIRST_TURNED else self.stored


@dataclass(frozen=True)
class WrittenLens:
    """The lens of a photograph as a scene's file gives it.

    Attributes:
        name: what messages call the photograph.
        file: of the photograph.
        size: width and height in pixels that the lens was written for; None where nothing tells.
        intrinsics: gives the intrinsics for an image of a width and a height.
        guessed: whether `size` was told from the optical axis alone.
    """

    name: str
    file: Path
    size: tuple[float, float] | None
    intrinsics: Callable[[int, int], Intrinsics]
    guessed: bool = False


def image_header(image: Path, name: str) -> Header:
    """The header of an image file. Raises BadInput, naming the view, for other files."""
    try:
        with silence_libraries(), Image.open(image) as opened:
            orientation = _orientation(opened)
            width, height = opened.size
            # Pillow gives the size of a TIFF as it is turned.
            if opened.format == "TIFF" and orientation >= FIRST_TURNED:
                width, height = height, width
            return Header(width, height, orientation)
    except Exception:  # noqa: BLE001  (Pillow raises many types, also for formats that only `read_image` knows)
        pass
    try:
        height, width = read_image(image, upright=False).pixels.shape[:2]
    except BadInput as error:
        raise BadInput(f"{name}: is not an image that can be read") from error
    return Header(width, height)


def _orientation(opened: Image.Image) -> int:
    """EXIF's orientation, 1 to 8, of an image whose pixels are not decoded yet."""
    if opened.format == "PNG":
        # Pillow would decode the pixels to look for EXIF behind them.
        exif = Image.Exif()
        exif.load(opened.info.get("exif", b""))
    else:
        exif = opened.getexif()
    value = exif.get(ORIENTATION, 1)
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def matched_lenses(
    lenses: Sequence[WrittenLens], notes: list[str], orientation: Orientation | None = None
) -> list[tuple[Intrinsics, bool]]:
    """For each photograph its intrinsics, and whether its pixels are to be turned upright.

    Poses are found on pixels as they are stored or on upright ones, and a program does the same for all photographs.
    Sizes tell which where EXIF exchanges width and height of an oblong photograph. Otherwise the photographs whose
    sizes tell decide for the others, and stored pixels are taken where there are none: COLMAP, and the loaders of
    instant-ngp and nerfstudio do not look at EXIF. Lenses that were written for another size are scaled.

    Args:
        notes: gets a line for each decision.
        orientation: how all pixels are to be taken, instead of that decision.

    Raises BadInput, naming the photograph, where its shape is not that of its lens, or the lens is not plausible.
    """
    headers = [image_header(lens.file, lens.name) for lens in lenses]
    told: list[Orientation | None] = [_told_orientation(lens, header) for lens, header in zip(lenses, headers)]
    common = orientation or ("upright" if "upright" in told and "stored" not in told else "stored")
    found: list[tuple[Intrinsics, bool]] = []
    scaled: list[tuple[WrittenLens, Intrinsics]] = []
    for lens, header, own in zip(lenses, headers, told):
        upright = (orientation or own or common) == "upright"
        size = header.upright if upright else header.stored
        intrinsics = _fitted(lens, size, header)
        if lens.size is not None and not _same_size(size, lens.size):
            scaled.append((lens, intrinsics))
        found.append((checked_intrinsics(intrinsics, lens.name), upright))
    tagged = [(own, upright) for own, (_, upright), header in zip(told, found, headers) if header.orientation != 1]
    _note_orientations(tagged, len(lenses), orientation, notes)
    _note_scales(scaled, len(lenses), notes)
    _note_axes([intrinsics for intrinsics, _ in found], notes)
    return found


def scaled_intrinsics(intrinsics: Intrinsics, width: int, height: int) -> Intrinsics:
    """The intrinsics for the same image in another resolution."""
    x, y = width / intrinsics.width, height / intrinsics.height
    return replace(
        intrinsics,
        width=width,
        height=height,
        fl_x=intrinsics.fl_x * x,
        fl_y=intrinsics.fl_y * y,
        cx=intrinsics.cx * x,
        cy=intrinsics.cy * y,
    )


def _told_orientation(lens: WrittenLens, header: Header) -> Orientation | None:
    """How a photograph's pixels go with its lens, where its size tells; None where it does not."""
    if lens.size is None or header.orientation < FIRST_TURNED:
        return None
    for same in (_same_size, lambda one, other: same_aspect(*one, *other)):
        stored, upright = same(header.stored, lens.size), same(header.upright, lens.size)
        if stored != upright:
            return "stored" if stored else "upright"
        if stored:
            return None
    return None


def _same_size(one: tuple[float, float], other: tuple[float, float]) -> bool:
    """Whether two sizes are the same up to rounding."""
    return abs(one[0] - other[0]) < 1 and abs(one[1] - other[1]) < 1


def _fitted(lens: WrittenLens, size: tuple[int, int], header: Header) -> Intrinsics:
    """The intrinsics for an image of a size, scaled where they were written for another one."""
    if lens.size is None:
        return lens.intrinsics(*size)
    if not same_aspect(*size, *lens.size):
        turned = " turned upright" if size != header.stored else ""
        raise BadInput(
            f"{lens.name}: the image{turned} is {size[0]} x {size[1]}, but its camera is given for "
            f"{lens.size[0]:g} x {lens.size[1]:g}, which is another shape"
        )
    if _same_size(size, lens.size):
        return lens.intrinsics(*size)
    width, height = max(1, round(lens.size[0])), max(1, round(lens.size[1]))
    return scaled_intrinsics(lens.intrinsics(width, height), *size)


def _note_orientations(
    tagged: Sequence[tuple[str | None, bool]], count: int, given: Orientation | None, notes: list[str]
) -> None:
    """Say how photographs with an EXIF orientation are used; `tagged` has what their sizes tell, and what is done."""
    for turned in (False, True):
        told = [own for own, upright in tagged if upright == turned]
        if not told:
            continue
        what = "turned upright" if turned else "used as they are stored"
        why = "as the sizes of their cameras say" if any(told) else "as other programs find poses on these"
        change = "" if given else f" (change it with `orientation={'stored' if turned else 'upright'}`)"
        notes.append(
            f"{len(told)} of {count} photographs have an EXIF orientation: their pixels are {what}, "
            f"{'as was asked' if given else why}{change}"
        )


def _note_scales(scaled: list[tuple[WrittenLens, Intrinsics]], count: int, notes: list[str]) -> None:
    if not scaled:
        return
    lens, intrinsics = scaled[0]
    assert lens.size is not None
    here, there = f"{intrinsics.width} x {intrinsics.height}", f"{lens.size[0]:g} x {lens.size[1]:g}"
    if lens.guessed:
        notes.append(
            f"the optical axis of {len(scaled)} of {count} photographs is given far from the middle of their {here} "
            f"pixels: their lens is taken as written for {there} and scaled; give the right w and h beside it if not"
        )
    else:
        notes.append(
            f"{len(scaled)} of {count} photographs are {here} and their lens was written for {there}: it is scaled to "
            "the photographs"
        )


def _note_axes(found: list[Intrinsics], notes: list[str]) -> None:
    """Warn of optical axes near the border of the image, with which a fit seldom succeeds."""
    low, high = AXIS_RANGE
    odd = [own for own in found if not (low < own.cx / own.width < high and low < own.cy / own.height < high)]
    if odd:
        notes.append(
            f"the optical axis of {len(odd)} of {len(found)} photographs is at ({odd[0].cx:g}, {odd[0].cy:g}), near "
            f"the border of their {odd[0].width} x {odd[0].height} pixels; if they were cropped or scaled after the "
            "lens was found, the fit will be blurred: give the lens of the photographs as they are"
        )
