"""Materials of OBJ files: the colour `Kd` and the texture `map_Kd`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from scenes.shape.colors import Texture, Wrap
from scenes.shape.readers.images import beside_image

# Numbers that follow an option of `map_Kd`; of -s, -o and -t up to three.
OPTION_NUMBERS = {
    "-blendu": 1, "-blendv": 1, "-bm": 1, "-boost": 1, "-cc": 1, "-clamp": 1, "-imfchan": 1, "-mm": 2, "-texres": 1,
    "-type": 1, "-colorspace": 1, "-o": 3, "-s": 3, "-t": 3,
}  # fmt: skip


@dataclass(frozen=True)
class Material:
    """A material.

    Attributes:
        color: sRGB `[3]`, what a face without a texture has; None where `Kd` is not there.
        texture: the image, or None.
        factor: sRGB `[3]` that the texture is multiplied by.
        scale, offset: of texture coordinates, `[2]`.
    """

    color: np.ndarray | None = None
    texture: Texture | None = None
    factor: tuple[float, ...] = (1.0, 1.0, 1.0)
    scale: tuple[float, float] = (1.0, 1.0)
    offset: tuple[float, float] = (0.0, 0.0)


def read_materials(path: Path, library: Path, notes: list[str], files: list[Path]) -> dict[str, Material]:
    """The materials of an .mtl file by their names.

    Args:
        path: the OBJ file; textures are looked for beside the library and beside it.
        library: the .mtl file.
        notes: gets remarks on what is missing or was decided.
        files: gets the files that were read.
    """
    materials: dict[str, Material] = {}
    name, lines = None, library.read_text("utf-8-sig", errors="replace").replace("\\\n", " ").splitlines()
    files.append(library)
    for line in lines:
        key, _, rest = line.strip().replace("\t", " ").partition(" ")
        rest = rest.strip()
        if key == "newmtl":
            name = rest
            materials[name] = Material()
        elif name is None or not rest:
            continue
        elif key.lower() == "kd":
            materials[name] = replace(materials[name], color=_color(rest))
        elif key.lower() == "map_kd":
            materials[name] = _textured(materials[name], path, library, rest, notes, files)
    return {name: _with_factor(material, name, notes) for name, material in materials.items()}


def _color(text: str) -> np.ndarray | None:
    """sRGB `[3]` of `Kd`: three numbers, or one for all; None for spectral files and CIE XYZ, which are rare."""
    try:
        numbers = [float(word) for word in text.split()[:3]]
    except ValueError:
        return None
    return np.clip(np.array(numbers * 3 if len(numbers) == 1 else numbers, np.float64), 0, 1) if numbers else None


def _with_factor(material: Material, name: str, notes: list[str]) -> Material:
    """The material with what its texture is multiplied by.

    The format multiplies it by `Kd`, but programs that know no such product write a grey there that means nothing
    (Blender 0.8, 3ds Max 0.588, others 0). So a grey is taken for that, and a colour for a tint.
    """
    if material.texture is None or material.color is None or (material.color == 1).all():
        return material
    color = ", ".join(f"{value:g}" for value in material.color)
    if np.ptp(material.color) < 1e-6:
        notes.append(f"the material {name} has a texture and the grey Kd {color}: the texture is read as it is")
        return material
    notes.append(f"the material {name} has a texture, which is multiplied by its Kd {color}")
    return replace(material, factor=tuple(map(float, material.color)))


def _textured(
    material: Material, path: Path, library: Path, text: str, notes: list[str], files: list[Path]
) -> Material:
    words = text.split()
    scale, offset, wrap = (1.0, 1.0), (0.0, 0.0), "repeat"
    while words and words[0].lower() in OPTION_NUMBERS:
        option, count = words[0].lower(), OPTION_NUMBERS[words[0].lower()]
        values = words[1 : 1 + count]
        if option in ("-o", "-s", "-t"):
            # Later ones of three numbers may be left out.
            values = _numbers(values)
            pair = (values + [0.0 if option == "-o" else 1.0] * 2)[:2]
            scale = (pair[0], pair[1]) if option == "-s" else scale
            offset = (pair[0], pair[1]) if option == "-o" else offset
        elif option == "-clamp" and values and values[0].lower() == "on":
            wrap = "clamp"
        words = words[1 + len(values) :]
    if not words:
        return material
    # Names may have spaces.
    name = text[text.index(words[0]) :] if len(words) > 1 else words[0]
    image, note = beside_image(library, name)
    if image is None:
        image, note = beside_image(path, name)
    if image is None:
        notes += [note] if note else []
        return material
    files.append(image.path)
    both: tuple[Wrap, Wrap] = ("clamp", "clamp") if wrap == "clamp" else ("repeat", "repeat")
    return replace(material, texture=Texture(image.pixels, both), scale=scale, offset=offset)


def _numbers(words: list[str]) -> list[float]:
    """The numbers with which words begin."""
    numbers = []
    for word in words:
        try:
            numbers.append(float(word))
        except ValueError:
            break
    return numbers
