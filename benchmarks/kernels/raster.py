"""Rasterisation of triangle meshes.

`raster-{size}`: face, weights and depth at each pixel of an image of size x size, of a closed mesh of 81,920 triangles
in it. Peers cast a ray per pixel with Open3D's RaycastingScene (Embree, `pip install open3d`):
`open3d` with the search structure built once, as for a mesh that does not move, and `open3d-moved` with a new one each
time.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np

from benchmarks.kernels.case import Case

# Rounds of subdivision of an icosahedron: 81,920 triangles.
SUBDIVISIONS = 6


def bumpy_sphere() -> tuple[np.ndarray, np.ndarray]:
    """Vertices `[V, 3]` float64 and faces `[F, 3]` int64 of a sphere of radius 1 with bumps."""
    import trimesh

    sphere = trimesh.creation.icosphere(SUBDIVISIONS)
    normals = np.array(sphere.vertices, np.float64)
    return normals * (1 + 0.05 * np.sin(9 * normals).sum(axis=1, keepdims=True)), np.array(sphere.faces, np.int64)


def prepare(contender: str, case: str, device: str = "cpu") -> Callable[[], object]:
    """The contender's image of the mesh."""
    import torch

    from fields.ops.rasterise import rasterise
    from fields.render.mesh_projection import project_vertices
    from scenes.posed.camera import Camera, Intrinsics
    from scenes.posed.pose import look_at

    size = int(case.split("-")[1])
    vertices, faces = bumpy_sphere()
    camera = Camera(look_at((2.4, 1.8, 1.0), (0.0, 0.0, 0.0)), Intrinsics.pinhole(size, size, size * 1.2))
    if contender.startswith("open3d"):
        open3d: Any = import_module("open3d")
        threads = torch.get_num_threads()
        rays = open3d.core.Tensor(np.concatenate(camera.rays(), axis=1).astype(np.float32))
        mesh = open3d.core.Tensor(vertices.astype(np.float32)), open3d.core.Tensor(faces.astype(np.uint32))

        def built() -> Any:
            scene = open3d.t.geometry.RaycastingScene(nthreads=threads)
            scene.add_triangles(*mesh)
            return scene

        if contender == "open3d-moved":
            return lambda: built().cast_rays(rays, nthreads=threads)
        scene = built()
        return lambda: scene.cast_rays(rays, nthreads=threads)
    arrays = project_vertices(camera, vertices), faces
    positions, triangles = (torch.from_numpy(array).to(device) for array in arrays)
    backend = "native" if contender == "native" else "torch"
    return lambda: rasterise(positions, triangles, size, size, backend=backend)


CASES = [Case(f"raster-{size}", ("native", "torch", "open3d", "open3d-moved"), prepare) for size in (200, 800)]
