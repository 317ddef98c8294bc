"""The ceiling of a scene: the true mesh with a texture fitted to the photographs, written and scored as any result is.

    python -m benchmarks.reconstruct.ceiling SCENE [--texture-size 2048] [--keep FILE.glb]

What is missing to a perfect image is what no texture can show (reflections), what its texels cannot resolve, and what
the fit of the texels loses. Truths of more than `MOST_TRIANGLES` triangles are simplified before, as a result is.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.reconstruct.raycast import Model
from benchmarks.reconstruct.read_mesh import read_models
from benchmarks.reconstruct.score import score_scene, scored_views
from benchmarks.reconstruct.write_truth import write_truth

MOST_TRIANGLES = 100_000


def ceiling(
    scene: Path,
    *,
    size: int = 2048,
    seconds: float | None = None,
    background: str = "white",
    keep: Path | None = None,
) -> dict:
    """`score` of the true mesh of a scene's folder with fitted texels, and the `seconds` of charts and texels.

    keep: file that the mesh is written to; one that is there already is scored as it is, and has no `seconds`.

    Raises FileNotFoundError where the scene has no truth.
    """
    if keep is not None and keep.is_file():
        return score_scene(keep, scene, background=background)
    from fields.surface.charts import unwrap
    from fields.surface.texturing.photo_texture import photo_texture

    truth = scene / "truth" / "mesh.glb"
    if not truth.is_file():
        raise FileNotFoundError(f"{scene}: has no truth/mesh.glb")
    vertices, faces = welded(read_models(truth))
    if len(faces) > MOST_TRIANGLES:
        vertices, faces = _simplified(vertices, faces)
    _, _, training = scored_views(scene)
    begun = time.perf_counter()
    charts = unwrap(vertices, faces, size)
    painted = photo_texture(vertices[charts.source], charts.faces, charts.uv, training, size, seconds=seconds)
    taken = time.perf_counter() - begun
    uv = np.stack([charts.uv[:, 0], 1 - charts.uv[:, 1]], axis=1)
    model = Model(vertices=vertices[charts.source], faces=charts.faces, uv=uv, texture=painted.texture)
    with tempfile.TemporaryDirectory() as folder:
        file = keep or Path(folder) / "ceiling.glb"
        write_truth(file, [model])
        scores = score_scene(file, scene, background=background)
        return {**scores, "seconds": round(taken, 1), "texture": painted.texture.shape[0]}


def welded(models: list[Model]) -> tuple[np.ndarray, np.ndarray]:
    """All models as one mesh `[V, 3]` and `[F, 3]`, with one vertex for each position and no flat faces."""
    first = np.cumsum([0, *(len(model.vertices) for model in models)])
    faces = np.concatenate([model.faces + start for model, start in zip(models, first)])
    positions = np.concatenate([model.vertices for model in models]).astype(np.float32)
    vertices, same = np.unique(positions, axis=0, return_inverse=True)
    faces = same.reshape(-1)[faces]
    flat = (faces == np.roll(faces, 1, axis=1)).any(axis=1)
    return vertices.astype(np.float64), faces[~flat].astype(np.int64)


def _simplified(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    import open3d

    mesh = open3d.geometry.TriangleMesh(
        open3d.utility.Vector3dVector(vertices), open3d.utility.Vector3iVector(faces.astype(np.int32))
    ).simplify_quadric_decimation(MOST_TRIANGLES)
    return np.asarray(mesh.vertices), np.asarray(mesh.triangles).astype(np.int64)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scene", type=Path)
    parser.add_argument("--texture-size", type=int, default=2048)
    parser.add_argument("--seconds", type=float, help="time for the texels")
    parser.add_argument("--keep", type=Path, help="write the file there")
    options = parser.parse_args()
    found = ceiling(options.scene, size=options.texture_size, seconds=options.seconds, keep=options.keep)
    print(json.dumps({name: round(value, 5) for name, value in found.items()}))


if __name__ == "__main__":
    main()
