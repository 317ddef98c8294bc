"""Colours of 3MF files: base materials, groups of colours, textures, mixtures and layers of these.

3MF materials and properties extension 1.2.
"""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from xml.etree import ElementTree

import numpy as np

from scenes.shape.colors import MeshColors, Texture, Wrap
from scenes.shape.readers.images import decoded

WRAPS: dict[str, Wrap] = {"wrap": "repeat", "mirror": "mirror", "clamp": "clamp", "none": "clamp"}
# Names of groups of plain colours, and of the attribute that has them.
COLOR_GROUPS = {"colorgroup": "color", "basematerials": "displaycolor"}
WHITE = "#FFFFFF"


class ThreemfLooks:
    """The properties of a model, by which its triangles are coloured. notes: remarks on what is not read."""

    def __init__(self, archive: zipfile.ZipFile, root: ElementTree.Element) -> None:
        self.notes: list[str] = []
        self._archive = archive
        self._colors: dict[str, np.ndarray] = {}  # sRGB `[n, 3]`
        self._coords: dict[str, np.ndarray] = {}  # `[n, 2]`, origin at the lower left
        self._textures: dict[str, Texture | None] = {}
        self._layers: dict[str, tuple[str, list[int]]] = {}
        entries = [(local_name(entry.tag), entry.get("id", ""), entry) for entry in root.iter()]
        images = {ident: entry for name, ident, entry in entries if name == "texture2d"}
        read: dict[str, Texture | None] = {}
        for name, ident, entry in entries:
            if name in COLOR_GROUPS:
                colors = [_color(child.get(COLOR_GROUPS[name], WHITE)) for child in entry]
                self._colors[ident] = np.array(colors).reshape(-1, 3)
            elif name == "texture2dgroup":
                self._coords[ident] = np.array([(c.get("u"), c.get("v")) for c in entry], np.float64).reshape(-1, 2)
                image = entry.get("texid", "")
                if image not in read:
                    read[image] = self._texture(images.get(image))
                self._textures[ident] = read[image]
        for name, ident, entry in entries:
            if name == "compositematerials":
                self._mix(ident, entry)
            elif name == "multiproperties":
                self._take_layer(ident, entry)

    def of(self, triangles: Sequence[ElementTree.Element], entry: ElementTree.Element) -> MeshColors | None:
        """Colours of triangles by their own property, else by that of their object; None where there are none."""
        if not (self._colors or self._coords):
            return None
        group, first = entry.get("pid", ""), entry.get("pindex", "0")
        corners, uv = np.ones((len(triangles), 3, 3)), np.zeros((len(triangles), 3, 2))
        textures: list[Texture] = []
        texture_of = np.full(len(triangles), -1)
        colored = False
        for row, triangle in enumerate(triangles):
            own = triangle.get("pid")
            p1 = triangle.get("p1", first if own is None else "0")
            ident, numbers = self._resolved(
                group if own is None else own, [int(p1), int(triangle.get("p2", p1)), int(triangle.get("p3", p1))]
            )
            if ident in self._colors and max(numbers) < len(self._colors[ident]):
                corners[row] = self._colors[ident][numbers]
                colored = True
            elif (texture := self._textures.get(ident)) is not None and max(numbers) < len(self._coords[ident]):
                uv[row] = self._coords[ident][numbers]
                if not any(texture is other for other in textures):
                    textures.append(texture)
                texture_of[row] = next(number for number, other in enumerate(textures) if other is texture)
                colored = True
        if not colored:
            return None
        return MeshColors(corners, uv=uv, textures=textures, texture_of=texture_of) if textures else MeshColors(corners)

    def _resolved(self, ident: str, numbers: list[int]) -> tuple[str, list[int]]:
        """The group of colours or coordinates that a property stands for, and the indices in it."""
        if ident not in self._layers:
            return ident, numbers
        inner, indices = self._layers[ident]
        return inner, [indices[number] if number < len(indices) else 0 for number in numbers]

    def _texture(self, entry: ElementTree.Element | None) -> Texture | None:
        name = "" if entry is None else entry.get("path", "")
        files = {member.lstrip("/").lower(): member for member in self._archive.namelist()}
        member = files.get(name.lstrip("/").lower())
        if entry is None or member is None:
            self.notes.append(f"the texture {name or 'of a group'} is not in the file: fitted without it")
            return None
        try:
            image = decoded(self._archive.read(member))
        except Exception as error:  # noqa: BLE001  (Pillow raises many types for damaged bytes)
            self.notes.append(f"the texture {name} cannot be read ({str(error)[:80]}): fitted without it")
            return None
        wrap = (
            WRAPS.get(entry.get("tilestyleu", "wrap"), "repeat"),
            WRAPS.get(entry.get("tilestylev", "wrap"), "repeat"),
        )
        return Texture(image, wrap, entry.get("filter") == "nearest")

    def _mix(self, ident: str, entry: ElementTree.Element) -> None:
        """Mixtures of base materials: means of their colours, by their fractions."""
        base = self._colors.get(entry.get("matid", ""))
        indices = [int(number) for number in entry.get("matindices", "").split()]
        if base is None or not indices or max(indices) >= len(base):
            return
        weights = np.array([[float(value) for value in child.get("values", "").split()] for child in entry])
        if weights.ndim == 2 and weights.shape[1] == len(indices):
            total = np.maximum(weights.sum(axis=1, keepdims=True), 1e-9)
            self._colors[ident] = weights / total @ base[indices]

    def _take_layer(self, ident: str, entry: ElementTree.Element) -> None:
        """Of layers of properties, the topmost with a texture, else the topmost with colours."""
        layers = entry.get("pids", "").split()
        known = [layer for layer in layers if self._textures.get(layer) is not None] or [
            layer for layer in layers if layer in self._colors
        ]
        if not known:
            return
        place = layers.index(known[-1])
        picked = [[int(number) for number in child.get("pindices", "").split()] for child in entry]
        # A missing index is 0.
        self._layers[ident] = known[-1], [indices[place] if place < len(indices) else 0 for indices in picked]
        if len(layers) > 1:
            self.notes.append(f"of {len(layers)} layers of colours, one is read: that with a texture, else the topmost")


def local_name(tag: str) -> str:
    """A name without its namespace."""
    return tag.rpartition("}")[2]


def _color(text: str) -> list[float]:
    return [int(text[at : at + 2], 16) / 255 for at in (1, 3, 5)]
