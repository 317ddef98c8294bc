"""Gather the photographs of a folder or zip, or frames of a film, as images that cameras are looked for in."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from scenes.errors import BadInput
from scenes.image.read import read_image
from scenes.image.rgb8 import to_rgb8
from scenes.io.silence import silence_libraries
from scenes.posed.find_film import SharpestFrames, count_frames
from scenes.posed.find_looks import Look, look_at_picture, rejected
from scenes.posed.locate import DYNAMIC_MASK, dynamic_mask
from scenes.posed.view import counted_pixels
from scenes.posed.zipped import unpacked
from scenes.recognise import recognise
from scenes.video.read import decode_video_file, image_files

# Longest side in pixels of the images that COLMAP gets. Cameras of larger ones are hardly better, and take longer.
FEATURE_SIDE = 800
# How much smaller images are enlarged for COLMAP, which finds too few features in them.
MAX_ENLARGED = 2.0
# Alpha from which a pixel belongs to the object.
OPAQUE = 128
# Pixels beside a mask's edge where no feature is taken: what is seen there moves with the camera.
MASK_MARGIN = 2
# EXIF: the block of the camera's settings; its focal length, and the same as for a film of 35 mm.
EXIF_CAMERA = 0x8769
EXIF_FOCAL_LENGTH = 0x920A
EXIF_FOCAL_LENGTH_35MM = 0xA405
# Colour behind transparent pixels in COLMAP's images.
BACKGROUND = 128
# Names count as numbered where successive numbers of this fraction of the pictures are at most MAX_GAP apart.
NUMBERED_FRACTION = 0.8
MAX_GAP = 3


@dataclass(frozen=True)
class Picture:
    """An image that a camera is looked for.

    Attributes:
        name: as a person knows it: the photograph's file name, or `frame 120`.
        file: name of its files in the folders `images`, `features` and `masks`.
        camera: pictures with the same text here were taken with the same lens and zoom.
    """

    name: str
    file: str
    camera: str


@dataclass
class Gathered:
    """The pictures of a source.

    Attributes:
        left_out: names of the pictures that are not used, and why.
        order: "film" where neighbours in the list were taken one after another; "numbered" where their names say so,
            which is less sure; else "none".
    """

    pictures: list[Picture] = field(default_factory=list)
    left_out: list[tuple[str, str]] = field(default_factory=list)
    order: str = "none"

    def to_json(self) -> dict:
        """As an object for JSON; `from_json` reads it."""
        return asdict(self)

    @staticmethod
    def from_json(content: dict) -> Gathered:
        """The pictures that `to_json` wrote."""
        pictures = [Picture(**picture) for picture in content["pictures"]]
        return Gathered(pictures, [(name, reason) for name, reason in content["left_out"]], content["order"])


class PictureWriter:
    """Saves pictures in three folders, and deletes those that are left out again.

    `images` gets what the scene keeps; `features` the same at the size at which COLMAP sees it; `feature_masks` what of
    it is masked out; `masks` the masks that the scene keeps.
    """

    def __init__(self, folder: Path, longest: int) -> None:
        self.folder, self.longest = folder, longest
        self.pictures: list[Picture] = []
        self.left_out: list[tuple[str, str]] = []
        self._looks: list[Look] = []
        self._files: set[str] = set()
        for name in ("images", "features"):
            (folder / name).mkdir(parents=True)

    def add(
        self, pixels: np.ndarray, name: str, *, mask: np.ndarray | None = None, lossless: bool = False, focal: int = 0
    ) -> None:
        """Save a picture.

        Args:
            pixels: `[H, W, 1 to 4]` uint8.
            mask: `[h, w]` bool, False where pixels do not count.
            focal: focal length in mm for a film of 35 mm; 0 where it is not known.
        """
        if pixels.dtype != np.uint8:
            raise BadInput(f"has {pixels.dtype} channels; photographs have 8 bits a channel")
        image = Image.fromarray(pixels if pixels.shape[2] != 1 else pixels[..., 0])
        image = image.convert("RGBA" if image.mode in ("LA", "RGBA") else "RGB")
        image = _resized(image, min(1.0, self.longest / max(image.size)))
        exif = Image.Exif()
        if focal:
            exif.get_ifd(EXIF_CAMERA)[EXIF_FOCAL_LENGTH_35MM] = focal
        file = self._file_name(name, ".png" if lossless or image.mode == "RGBA" else ".jpg")
        _save(image, self.folder / "images" / file, exif)
        scale = min(MAX_ENLARGED, FEATURE_SIDE / max(image.size))
        seen = _resized(image, scale)
        counted = None
        if mask is not None:
            drawn = Image.fromarray(mask.astype(np.uint8) * 255)
            (self.folder / "masks").mkdir(exist_ok=True)
            drawn.resize(image.size, Image.Resampling.NEAREST).save(self.folder / "masks" / f"{Path(file).stem}.png")
            counted = np.asarray(drawn.resize(seen.size, Image.Resampling.NEAREST)) >= OPAQUE
        if seen.mode == "RGBA":
            opaque = np.asarray(seen)[..., 3] >= OPAQUE
            counted = opaque if counted is None else counted & opaque
            behind = Image.new("RGBA", seen.size, (BACKGROUND, BACKGROUND, BACKGROUND, 255))
            seen = Image.alpha_composite(behind, seen).convert("RGB")
        _save(seen, self.folder / "features" / file, exif)
        if counted is not None and not counted.all():
            (self.folder / "feature_masks").mkdir(exist_ok=True)
            drawn = Image.fromarray(counted.astype(np.uint8) * 255).filter(ImageFilter.MinFilter(2 * MASK_MARGIN + 1))
            drawn.save(self.folder / "feature_masks" / f"{file}.png")
        self._looks.append(look_at_picture(np.asarray(_resized(seen, min(1.0, image.width / seen.width)))))
        self.pictures.append(Picture(name, file, f"{image.width} x {image.height}, {focal or 'unknown'} mm"))

    def finish(self) -> None:
        """Leave out blurred pictures and doubles."""
        reasons = rejected(self._looks, [picture.name for picture in self.pictures])
        for index, reason in reasons.items():
            self.left_out.append((self.pictures[index].name, reason))
            for found in self.folder.glob(f"*/{self.pictures[index].file}*"):
                found.unlink()
            (self.folder / "masks" / f"{Path(self.pictures[index].file).stem}.png").unlink(missing_ok=True)
        self.pictures = [picture for index, picture in enumerate(self.pictures) if index not in reasons]

    def _file_name(self, name: str, ending: str) -> str:
        """A new file name; COLMAP's lists of pairs are parted by spaces, and masks are named by the stem."""
        stem = re.sub(r"[^A-Za-z0-9_-]", "_", Path(name).stem) or "picture"
        while stem in self._files:
            stem = f"{stem}_{len(self._files)}"
        self._files.add(stem)
        return stem + ending


def gather(
    source: Path, folder: Path, *, longest: int, frames: int, progress: Callable[[float], None] = lambda fraction: None
) -> Gathered:
    """Save the pictures of a source in a folder, upright and with no side longer than `longest`.

    Photographs that cannot be read, blurred pictures and doubles are left out. Raises BadInput where the source holds
    no pictures.

    Args:
        source: a folder of photographs, or with `images` in it, and perhaps `masks`; a zip of such a folder; a film.
        frames: pictures that are taken of a film, each the sharpest of a stretch.
    """
    writer = PictureWriter(folder, longest)
    if _is_film(source):
        _add_frames(source, writer, frames, progress)
        order = "film"
    else:
        with _photographs(source) as files:
            for index, file in enumerate(files):
                _add_photograph(file, writer)
                progress((index + 1) / len(files))
            order = "numbered" if is_numbered([file.stem for file in files]) else "none"
        if not writer.pictures:
            raise BadInput(f"{source}: none of its photographs can be read; the first: {writer.left_out[0][1]}")
    writer.finish()
    return Gathered(writer.pictures, writer.left_out, order)


def _is_film(source: Path) -> bool:
    if source.is_dir() or source.suffix.lower() == ".zip":
        return False
    if recognise(source)[0] != "video":
        raise BadInput(f"{source}: is neither a film that can be read nor a folder or zip of photographs")
    return True


@contextmanager
def _photographs(source: Path) -> Iterator[list[Path]]:
    """The photographs of a folder or zip, in natural order of their names."""
    if source.is_dir():
        files = _pictures(source)
        if not files and (source / "images").is_dir():
            files = _pictures(source / "images")
        if not files:
            raise BadInput(f"{source}: holds no images; name a folder or zip of photographs, or a film")
        yield files
        return
    folder, temporary = unpacked(source)
    with temporary:
        folders = [folder, *(place for place in sorted(folder.rglob("*")) if place.is_dir() and place.name != "masks")]
        files = max((_pictures(place) for place in folders), key=len)
        if not files:
            raise BadInput(f"{source}: holds no images; name a folder or zip of photographs, or a film")
        yield files


def _pictures(folder: Path) -> list[Path]:
    return [file for file in image_files(folder) if not file.name.startswith(DYNAMIC_MASK)]


def _add_photograph(file: Path, writer: PictureWriter) -> None:
    try:
        pixels, _ = to_rgb8(read_image(file))
        if pixels.shape[2] in (2, 4) and not pixels[..., -1].any():
            raise BadInput(f"{file}: is transparent all over")
        mask = mask_of(file, pixels.shape[:2])
        lossless = file.suffix.lower() == ".png"
        writer.add(pixels, file.name, mask=mask, lossless=lossless, focal=_focal_length(file))
    except BadInput as error:
        writer.left_out.append((file.name, str(error).removeprefix(f"{file}: ").removeprefix(f"{file} ")))
    except OSError as error:
        writer.left_out.append((file.name, f"cannot be opened: {error.strerror or error}"))


def mask_of(file: Path, size: tuple[int, int]) -> np.ndarray | None:
    """The mask `[H, W]` bool of a photograph; None where there is none.

    It is an image in a folder `masks` in or beside the photograph's folder, with the photograph's name (`NAME.png`, or
    as COLMAP has it `NAME.jpg.png`), dark where pixels do not count; or instant-ngp's beside the photograph. Raises
    BadInput where it has another size, up to scale, or nothing counts.
    """
    places = [folder / "masks" for folder in (file.parent, file.parent.parent)]
    candidates = [place / name for place in places for name in (f"{file.stem}.png", f"{file.name}.png")]
    path = next((path for path in candidates if path.is_file()), dynamic_mask(file))
    if path is None:
        return None
    mask = counted_pixels(read_image(path).pixels, path)
    if abs(mask.shape[0] * size[1] - mask.shape[1] * size[0]) > 0.02 * mask.shape[0] * size[1]:
        raise BadInput(f"its mask {path.name} is {mask.shape[1]} x {mask.shape[0]}, which is another shape")
    if not mask.any():
        raise BadInput(f"its mask {path.name} masks out all of it")
    return mask


def _focal_length(file: Path) -> int:
    """The focal length in mm for a film of 35 mm that a photograph's EXIF block gives; 0 where it gives none."""
    try:
        with silence_libraries(), Image.open(file) as opened:
            value = float(opened.getexif().get_ifd(EXIF_CAMERA).get(EXIF_FOCAL_LENGTH_35MM) or 0)
    except Exception:  # noqa: BLE001  (Pillow raises many types for damaged blocks)
        return 0
    return int(value) if 1 <= value <= 2000 else 0


def _add_frames(source: Path, writer: PictureWriter, frames: int, progress: Callable[[float], None]) -> None:
    total = count_frames(source)

    def save(pixels: np.ndarray, index: int) -> None:
        writer.add(pixels, f"frame {index:05}")

    sharpest = SharpestFrames(max(1, total // frames), save, lambda count: progress(min(1.0, count / max(total, 1))))
    try:
        decode_video_file(source, sharpest, None, square=True)
    except BadInput as error:
        # The frames before the damage are as good as they were.
        if len(writer.pictures) < frames // 2:
            raise BadInput(f"{source}: {error}") from None
        writer.left_out.append(("the film's end", str(error)))


def is_numbered(stems: Iterable[str]) -> bool:
    """Whether names are of pictures that were taken one after another: one prefix, and numbers with few gaps."""
    found = [re.fullmatch(r"(.*?)(\d+)", stem) for stem in stems]
    pairs = [(match[1], int(match[2])) for match in found if match]
    if not pairs or len(pairs) < len(found):
        return False
    near = sum(a[0] == b[0] and 0 < b[1] - a[1] <= MAX_GAP for a, b in zip(pairs, pairs[1:]))
    return near >= NUMBERED_FRACTION * (len(pairs) - 1)


def _resized(image: Image.Image, scale: float) -> Image.Image:
    if scale == 1.0:
        return image
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.resize(size, Image.Resampling.LANCZOS)


def _save(image: Image.Image, path: Path, exif: Image.Exif) -> None:
    if path.suffix == ".jpg":
        image.save(path, quality=95, subsampling=0, exif=exif)
    else:
        image.save(path, compress_level=1, exif=exif)
