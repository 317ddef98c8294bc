"""What the ways to make a texture are worth: the true mesh of a scene, textured from its photographs.

    python -m benchmarks.reconstruct.texels SCENE [--size 1024] [--every 1] [--shift 0.002] [--tests 8]

Prints, for each way, the PSNR on test views (the project's own drawing) and the difference of colors on both sides of
seams, of 255. SCENE is a folder of `benchmarks.reconstruct.scenes`. --every N: only every N-th photograph. --shift: the
mesh is moved by that fraction of its longest side.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from benchmarks.reconstruct.ceiling import welded
from benchmarks.reconstruct.read_mesh import read_models
from fields.surface.charts import unwrap
from fields.surface.padding import fill_unused
from fields.surface.texturing.atlas import Atlas, bilinear_taps, make_atlas
from fields.surface.texturing.collect import collect_pixels
from fields.surface.texturing.footprints import MeshInViews
from fields.surface.texturing.gains import level_exposures
from fields.surface.texturing.mesh_psnr import mesh_psnr
from fields.surface.texturing.photo_texture import texel_regularisation
from fields.surface.texturing.rows import PixelRows, texel_taps, weighted_mean
from fields.surface.texturing.solve import solve_colors
from scenes.image.color import to_bytes
from scenes.posed.read import open_posed

# Weight of a texel in a photograph from which on it may be the best for the texel.
LEAST_WEIGHT = 1e-2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scene", type=Path)
    parser.add_argument("--size", type=int, default=1024, help="texels along the side of the texture")
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--shift", type=float, default=0.0)
    parser.add_argument("--tests", type=int, default=8, help="number of test views")
    options = parser.parse_args()
    views = open_posed(options.scene)
    training, test = views.training[:: options.every], views.test[: options.tests]
    vertices, faces = welded(read_models(options.scene / "truth" / "mesh.glb"))
    vertices = vertices + options.shift / 3**0.5 * float(np.ptp(vertices, axis=0).max())
    charts = unwrap(vertices, faces, options.size)
    vertices, faces, uv = vertices[charts.source], charts.faces, charts.uv
    atlas = make_atlas(vertices, faces, uv, options.size)
    mesh = MeshInViews.of(vertices, faces, uv, options.size)
    rows = collect_pixels(mesh, training, texel_taps(atlas, faces, uv), atlas.num_texels).rows
    gains = level_exposures(rows, atlas.parts(), len(training))
    print(f"{options.scene.name}: {sum(map(len, rows)):,} pixels, spread of gains {np.log(gains).std():.4f}")
    mean, weight = weighted_mean(rows)
    prior = _filled(atlas, mean, weight > 0)
    seen = np.ones(atlas.num_texels, bool)
    ways = {
        "mean": lambda: prior,
        "single best view": lambda: best_view(rows, prior, len(training)),
        "solved texels": lambda: solve_colors(rows, prior, texel_regularisation(atlas, seen)).colors,
    }
    for name, make in ways.items():
        colors = np.clip(make(), 0, 1).astype(np.float32)
        texture = to_bytes(fill_unused(atlas.image(np.ascontiguousarray(colors)), atlas.number >= 0))
        steps = seam_steps(texture, atlas)
        score = mesh_psnr(vertices, faces, uv, texture, test)
        seams = f"seams {steps.mean():.2f} in the mean, {np.quantile(steps, 0.95):.2f} at 95 %"
        print(f"{name:18} {score:6.2f} dB, {seams}", flush=True)


def best_view(rows: list[PixelRows], prior: np.ndarray, num_views: int) -> np.ndarray:
    """Colors `[U, 3]` of each unknown in the photograph that shows it with the largest weight."""
    best, colors = np.zeros(len(prior), np.float32), prior.copy()
    for view in range(num_views):
        total = np.zeros((len(prior), 5), np.float32)
        for block in rows:
            some = np.flatnonzero(block.views == view)
            trust = block.trust[some]
            part = PixelRows(block.matrix[some], block.colors[some], trust, block.views[some])
            total += part.pulled(np.column_stack([part.colors * trust[:, None], trust, np.ones_like(trust)]))
        trust = total[:, 3] / np.maximum(total[:, 4], 1e-9)
        better = (trust > best) & (total[:, 4] > LEAST_WEIGHT)
        best[better], colors[better] = trust[better], total[better, :3] / total[better, 3:4]
    return colors


def seam_steps(texture: np.ndarray, atlas: Atlas) -> np.ndarray:
    """Largest difference of a channel, of 255, between both sides of seams, `[K]`."""
    sides = []
    for side in range(2):
        taps, weights = bilinear_taps(atlas.seams[:, side], atlas.size)
        sides.append((texture.reshape(-1, 3)[taps] * weights[..., None]).sum(axis=1))
    return np.abs(sides[0] - sides[1]).max(axis=1)


def _filled(atlas: Atlas, colors: np.ndarray, known: np.ndarray) -> np.ndarray:
    mask = np.zeros(atlas.size**2, bool)
    mask[atlas.texels] = known
    image = atlas.image(np.ascontiguousarray(colors, np.float32))
    return fill_unused(image, mask.reshape(atlas.size, atlas.size)).reshape(-1, 3)[atlas.texels]


if __name__ == "__main__":
    main()
