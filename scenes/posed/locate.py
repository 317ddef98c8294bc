"""Find the files that a scene's files name, as people's disks have them.

Names come from other systems: with backslashes, in another case, without an ending or with that of an earlier format,
with letters composed in another way, or as the full path on another machine.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

# Endings of an image that a name may lack, in the order in which they are tried.
IMAGE_ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".exr", ".tif", ".tiff", ".bmp", ".avif", ".hdr")
# Folders of masks, as seen from the scene's folder or the one of its photographs.
MASK_FOLDERS = ("masks", "mask")
# How the names of instant-ngp's masks begin, which lie beside the photographs. What is not black there does not count.
DYNAMIC_MASK = "dynamic_mask_"
# Folders of depth pictures, which are not used.
DEPTH_FOLDERS = ("depth", "depths", "depth_maps")


def file_in(folder: Path, name: str) -> Path | None:
    """The file of that name in a folder, whatever its case; None where there is none."""
    return SceneFiles(folder).find(name, exact=True)


class SceneFiles:
    """The files below a scene's folder, found by names that may be written in another way.

    A folder is listed once, when the first name in it is looked for.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._listed: dict[Path, dict[str, str]] = {}

    def find(self, name: str, *, exact: bool = False) -> Path | None:
        """The file that a name means; None where there is none.

        `exact`: the name has its ending; else it may lack it, or the file may have become one of another format.
        """
        plain = name.replace("\\", "/")
        if _is_file(direct := self.root / plain):
            return direct
        parts = [part for part in PurePosixPath(plain).parts if part not in (".", "/") and not part.endswith(":")]
        if ".." in parts:
            parts = parts[len(parts) - parts[::-1].index("..") :]
        # A path on another machine ends as it does here: in the scene's folder, or in a folder in it.
        rooted = plain.startswith("/") or plain[1:2] == ":" or ".." in plain
        for start in range(len(parts) if rooted else 1):
            if found := self._below(self.root, parts[start:], exact):
                return found
        return None

    def first(self, names: Iterable[str]) -> Path | None:
        """The file of the first name that there is, whatever the case."""
        return next((found for name in names if (found := self.find(name, exact=True))), None)

    def folder(self, names: Sequence[str]) -> Path | None:
        """The first folder of these names, whatever the case; None where there is none."""
        listed = self._names(self.root)
        places = (self.root / listed[key] for name in names if (key := _key(name)) in listed)
        return next((place for place in places if place.is_dir()), None)

    def _below(self, folder: Path, parts: Sequence[str], exact: bool) -> Path | None:
        for part in parts[:-1]:
            actual = self._names(folder).get(_key(part))
            if actual is None:
                return None
            folder = folder / actual
        if not parts:
            return None
        names, last = self._names(folder), parts[-1]
        wanted = [last]
        if not exact:
            stem = last[: -len(ending)] if (ending := _image_ending(last)) else last
            wanted += [last + ending for ending in IMAGE_ENDINGS] + [stem + ending for ending in IMAGE_ENDINGS]
        for candidate in wanted:
            actual = names.get(_key(candidate))
            if actual is not None and (folder / actual).is_file():
                return folder / actual
        return None

    def _names(self, folder: Path) -> dict[str, str]:
        if folder not in self._listed:
            try:
                names = sorted(entry.name for entry in folder.iterdir())
            except OSError:
                names = []
            self._listed[folder] = {_key(name): name for name in names}
        return self._listed[folder]


class Masks:
    """The folder of masks of a scene, where it has one: those that no file names belong to photographs by their names.

    Args:
        files: of the scene's folder, in which the folder of masks lies.
        photographs: names of all photographs, as the scene has them.
        from_folder: whether masks are looked for in such a folder, and not only beside the photographs.
    """

    def __init__(self, files: SceneFiles, photographs: Sequence[str], *, from_folder: bool = True) -> None:
        self._folder = files.folder(MASK_FOLDERS) if from_folder else None
        self._files = None if self._folder is None else SceneFiles(self._folder)
        folders = {name.replace("\\", "/").rpartition("/")[0] for name in photographs}
        # Names alone do not tell the photographs of several folders apart.
        self._by_name = len(folders) == 1
        self.found = 0
        self.dynamic = 0

    def find(self, photograph: str, image: Path) -> Path | None:
        """The mask of a photograph by its name and its file `image`; None where there is none."""
        mask = None
        if self._files is not None:
            names = mask_names(photograph)
            if self._by_name:
                names += [name.rpartition("/")[2] for name in names]
            mask = self._files.first(names)
            self.found += mask is not None
        if mask is None and (mask := dynamic_mask(image)) is not None:
            self.dynamic += 1
        return mask

    def note(self, notes: list[str]) -> None:
        """Say that masks are used."""
        if self.dynamic:
            notes.append(
                f"{self.dynamic} masks {DYNAMIC_MASK}*.png beside the photographs are used: what is not black there "
                "does not count, as in instant-ngp"
            )
        if self._folder is not None and self.found:
            notes.append(f"{self.found} masks in {self._folder.name} are used: what is dark there does not count")


def dynamic_mask(image: Path) -> Path | None:
    """instant-ngp's mask beside a photograph; None where there is none."""
    mask = image.with_name(f"{DYNAMIC_MASK}{image.stem}.png")
    return mask if _is_file(mask) else None


def mask_names(name: str) -> list[str]:
    """Names that a photograph's mask may have in a folder of masks: `NAME.png`, or as COLMAP has it `NAME.jpg.png`.

    `name` is the photograph's, relative to its folder.
    """
    plain = name.replace("\\", "/")
    stem = plain[: -len(ending)] if (ending := _image_ending(plain)) else plain
    return [f"{plain}.png", f"{stem}.png", *(f"{stem}{other}" for other in IMAGE_ENDINGS[1:3])]


def _image_ending(name: str) -> str:
    return next((name[-len(ending) :] for ending in IMAGE_ENDINGS if name.lower().endswith(ending)), "")


def _key(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False
