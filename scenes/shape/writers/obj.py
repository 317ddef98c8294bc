"""OBJ, with an .mtl and pictures beside it; the .obj appears last, so it never names a file that is not there."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from scenes.io.atomic import atomic_write, atomic_write_bytes
from scenes.shape.writers.asset import Asset, png

# Lines at once, as text.
CHUNK = 1 << 16


def write_obj(path: Path, asset: Asset) -> list[Path]:
    """Returns the files that lie beside it.

    Colours without a texture follow the places, as most programs read them; as some of those let a material win over such
    colours, there is no .mtl then.
    """
    path = Path(path)
    beside, painted = {}, asset.colors is not None and asset.texture is None
    material = ["# Field Studio", "newmtl material", "Ka 0 0 0", "Ks 0 0 0", "illum 1"]
    if asset.texture is not None:
        beside[path.with_suffix(".png")] = png(asset.texture)
        material += ["Kd 1 1 1", f"map_Kd {path.with_suffix('.png').name}"]
    else:
        material += ["Kd 0.84 0.82 0.79"]
    if asset.normal_map is not None:
        place = path.with_name(f"{path.stem}-normals.png")
        beside[place] = png(asset.normal_map)
        material += [f"norm {place.name}", f"map_Bump {place.name}"]
    if not painted:
        beside[path.with_suffix(".mtl")] = ("\n".join(material) + "\n").encode()
    there = {place for place in beside if place.exists()}
    try:
        for place, content in beside.items():
            atomic_write_bytes(place, content)
        _write(path, asset, painted)
    except BaseException:
        for place in set(beside) - there:
            place.unlink(missing_ok=True)
        raise
    return list(beside)


def _write(path: Path, asset: Asset, painted: bool) -> None:
    places = np.concatenate([asset.vertices, asset.colors], axis=1) if painted else asset.vertices
    corner = asset.faces + 1
    with atomic_write(path) as temporary, open(temporary, "w", encoding="ascii", newline="\n") as file:
        file.write(
            "# Field Studio\n" + ("" if painted else f"mtllib {path.with_suffix('.mtl').name}\n") + f"o {asset.name}\n"
        )
        _lines(file, "v " + " ".join(["%.7g"] * 3 + ["%.4f"] * (places.shape[1] - 3)), places)
        _lines(file, "vn %.4f %.4f %.4f", asset.normals)
        if asset.uv is not None:
            _lines(file, "vt %.6f %.6f", asset.uv)
        file.write("" if painted else "usemtl material\n")
        if asset.uv is not None:
            _lines(file, "f %d/%d/%d %d/%d/%d %d/%d/%d", np.repeat(corner, 3, axis=1))
        else:
            _lines(file, "f %d//%d %d//%d %d//%d", np.repeat(corner, 2, axis=1))


def _lines(file, pattern: str, rows: np.ndarray) -> None:
    for start in range(0, len(rows), CHUNK):
        part = rows[start : start + CHUNK]
        file.write((pattern + "\n") * len(part) % tuple(part.reshape(-1).tolist()))
