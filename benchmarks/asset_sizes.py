"""Bytes of mesh files: `python -m benchmarks.asset_sizes` prints them by format, encoding and texture.

The mesh has 100,352 triangles in 1,444 charts, a bumpy torus, and its texture of 2048 x 2048 is four photographs with
noise, which leaves no texel free: more than a scanned object has.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from scenes.shape.writers.asset import Asset
from scenes.shape.writers.glb import write_glb
from scenes.shape.writers.obj import write_obj
from scenes.shape.writers.threemf import write_3mf
from scenes.shape.writers.usdz import write_usdz

# Vertices around the torus in both directions, and of a chart.
SIDE, CHART = 224, 6
# Texels along a side, and the noise of a photograph in 8-bit levels.
TEXTURE, NOISE = 2048, 4.0


def torus(*, charts: bool) -> Asset:
    """The mesh with colored vertices, or split along the borders of charts and with texture coordinates."""
    random = np.random.default_rng(0)
    row, column = (axis.reshape(-1) for axis in np.meshgrid(np.arange(SIDE), np.arange(SIDE), indexing="ij"))
    around, across = 2 * np.pi * row / SIDE, 2 * np.pi * column / SIDE
    radius = 0.35 + 0.02 * np.sin(9 * around) * np.sin(11 * across)
    outward = np.stack([np.cos(across) * np.cos(around), np.sin(across), np.cos(across) * np.sin(around)], axis=1)
    centre = np.stack([np.cos(around), np.zeros(SIDE**2), np.sin(around)], axis=1)
    vertices = centre + radius[:, None] * outward + random.normal(0, 0.0005, (SIDE**2, 3))
    index = np.arange(SIDE**2).reshape(SIDE, SIDE)
    below, right = np.roll(index, -1, axis=0), np.roll(index, -1, axis=1)
    corner = np.roll(below, -1, axis=1)
    upper, lower = np.stack([index, corner, below], axis=-1), np.stack([index, right, corner], axis=-1)
    faces = np.concatenate([upper.reshape(-1, 3), lower.reshape(-1, 3)])
    if not charts:
        return Asset(vertices, faces, outward, colors=random.random(vertices.shape))
    chart = np.tile(row // CHART * SIDE + column // CHART, 2)
    _, first, inverse = np.unique(faces * SIDE**2 + chart[:, None], return_index=True, return_inverse=True)
    source = faces.reshape(-1)[first]
    ordered = inverse.reshape(-1, 3)[np.argsort(chart, kind="stable")]
    uv = np.stack([row, column], axis=1)[source] / SIDE
    return Asset(vertices[source], ordered, outward[source], uv=uv)


def photographs() -> np.ndarray:
    """Four photographs as one texture `[2048, 2048, 3]` uint8."""
    from skimage import data

    half = TEXTURE // 2
    tiles = [
        np.asarray(Image.fromarray(image).resize((half, half), Image.Resampling.BICUBIC), np.float64)
        for image in (data.astronaut(), data.chelsea(), data.coffee(), data.rocket())
    ]
    image = np.concatenate([np.concatenate(tiles[:2], axis=1), np.concatenate(tiles[2:], axis=1)])
    noise = np.random.default_rng(0).normal(0, NOISE, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


def sizes(folder: Path) -> dict[str, tuple[int, float]]:
    """Bytes of each file, and the seconds that writing it took."""
    plain, colored = torus(charts=True), torus(charts=False)
    textured = Asset(plain.vertices, plain.faces, plain.normals, uv=plain.uv, texture=photographs())
    glb, usdz, obj, printed = (folder / f"a{ending}" for ending in (".glb", ".usdz", ".obj", ".3mf"))
    writers: dict[str, tuple[Path, Callable[[], object]]] = {
        "geometry": (glb, lambda: write_glb(glb, plain)),
        "geometry, quantized": (glb, lambda: write_glb(glb, plain, quantize=True)),
        "geometry, meshopt": (glb, lambda: write_glb(glb, plain, meshopt=True)),
        "colors": (glb, lambda: write_glb(glb, colored)),
        "colors, quantized": (glb, lambda: write_glb(glb, colored, quantize=True)),
        "colors, meshopt": (glb, lambda: write_glb(glb, colored, meshopt=True)),
        "PNG": (glb, lambda: write_glb(glb, textured)),
        "PNG, quantized": (glb, lambda: write_glb(glb, textured, quantize=True)),
        "JPEG, quantized": (glb, lambda: write_glb(glb, textured, quantize=True, texture_format="jpeg")),
        "JPEG, meshopt": (glb, lambda: write_glb(glb, textured, meshopt=True, texture_format="jpeg")),
        "WebP, quantized": (glb, lambda: write_glb(glb, textured, quantize=True, texture_format="webp")),
        "USDZ, JPEG": (usdz, lambda: write_usdz(usdz, textured, texture_format="jpeg")),
        "OBJ without its images": (obj, lambda: write_obj(obj, textured, texture_format="jpeg")),
        "3MF with colors": (printed, lambda: write_3mf(printed, colored)),
    }
    found = {}
    for name, (file, write) in writers.items():
        start = time.perf_counter()
        write()
        found[name] = (file.stat().st_size, time.perf_counter() - start)
    return found


def main() -> None:
    """Print the table."""
    asset = torus(charts=True)
    print(f"{len(asset.vertices):,} vertices, {len(asset.faces):,} triangles")
    with tempfile.TemporaryDirectory() as folder:
        for name, (size, seconds) in sizes(Path(folder)).items():
            print(f"{name:24s} {size / 1e6:6.2f} MB {seconds:6.1f} s")


if __name__ == "__main__":
    main()
