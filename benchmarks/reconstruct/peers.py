"""What people have without a GPU: Open3D's fusion and Poisson reconstruction of depth maps, with projected colors.

    python -m benchmarks.reconstruct.peers SCENE [--run RUN] [--out DIR]

* `tsdf`: Open3D's UniformTSDFVolume of depth maps, one for each training view;
* `poisson`: its screened Poisson reconstruction (Kazhdan and Hoppe 2013) of the points of that volume;
* `sparse-poisson`: Poisson reconstruction of the points that COLMAP finds with features in the photographs at the true
  cameras, which needs no depth maps, and is all that COLMAP does without CUDA;
* `dense`: pycolmap's patch match stereo, which needs CUDA: its own message where it cannot run.

The depth maps are a run's (`--run`, the median depths of its field) and, as the best that could be had, the true
mesh's. Vertices get the mean of the photographs that see them. Files are scored as any result is.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
from PIL import Image

from benchmarks.reconstruct.raycast import Drawing, Model, to_linear
from benchmarks.reconstruct.read_mesh import read_models
from benchmarks.reconstruct.score import score_scene, scored_views
from benchmarks.reconstruct.write_truth import write_truth
from scenes.posed.camera import Camera
from scenes.posed.projection import in_image, project
from scenes.posed.view import View

# Cells along the side of the volume, the truncation in cells, and the volume's side in longest sides of what it holds.
CELLS, TRUNCATION, MARGIN = 256, 4.0, 1.06
# Depth of the octree of Poisson's reconstruction, as fine as the volume, and the distance in cells from all points
# beyond which its surface is cut off: it closes whatever is open.
OCTREE_DEPTH, CUT = 8, 6.0
MOST_TRIANGLES = 100_000
# Depth of the octree through COLMAP's points, of which there are some thousand; neighbours that give a point's normal.
SPARSE_DEPTH, NEIGHBOURS = 7, 16
# Fewer points make no surface.
MIN_POINTS = 100
# Largest angle between a surface and a view that gives it color, as a cosine; and how far, in cells, a vertex may be
# behind what a photograph shows.
STEEPEST, BEHIND = 0.2, 1.5


def true_depths(scene: Path, cameras: Sequence[Camera]) -> list[np.ndarray]:
    """Depth maps `[H, W]` float32 of the true mesh, 0 where nothing is."""
    drawing = Drawing(read_models(scene / "truth" / "mesh.glb"))
    return [drawing.depth(camera) for camera in cameras]


def field_depths(run: Path, cameras: Sequence[Camera]) -> list[np.ndarray]:
    """Median depths of a run's field at the cameras of views without distortion, 0 where nothing is."""
    from fields.models.field import RadianceField
    from fields.runs.run import load_field
    from fields.surface.depth_maps import depth_camera, depth_map
    from fields.surface.implicit import corner_and_sides

    field = load_field(run)
    assert isinstance(field, RadianceField)
    corner, sides = corner_and_sides(field.domain)
    side = float(sides.max())
    found = []
    for camera in cameras:
        depth = depth_map(field, depth_camera(camera, camera.num_pixels, corner, side)).depth.cpu().numpy()
        found.append(np.where(np.isfinite(depth), depth * side, 0).astype(np.float32))
    return found


def fused(cameras: Sequence[Camera], depths: Sequence[np.ndarray], cells: int = CELLS) -> tuple[Any, float]:
    """Open3D's volume of depth maps, and the length of its cells, of which `cells` are along each side."""
    import open3d

    points = np.concatenate([_points(camera, depth)[::7] for camera, depth in zip(cameras, depths)])
    low, high = np.quantile(points, [0.0005, 0.9995], axis=0)
    length = MARGIN * float((high - low).max())
    cell = length / cells
    # ScalableTSDFVolume of 0.20 opens its blocks at a thousandth of the depths of images in float32, and stays empty.
    volume = open3d.pipelines.integration.UniformTSDFVolume(
        length=length,
        resolution=cells,
        sdf_trunc=TRUNCATION * cell,
        color_type=open3d.pipelines.integration.TSDFVolumeColorType.NoColor,
        origin=(low + high) / 2 - length / 2,
    )
    far = max(float(depth.max()) for depth in depths) + 1.0
    for camera, depth in zip(cameras, depths):
        lens = camera.intrinsics
        blank: Any = np.zeros((*depth.shape, 3), np.uint8)
        image = open3d.geometry.RGBDImage.create_from_color_and_depth(
            open3d.geometry.Image(blank),
            open3d.geometry.Image(cast(Any, np.ascontiguousarray(depth))),
            depth_scale=1.0,
            depth_trunc=far,
            convert_rgb_to_intensity=False,
        )
        # Open3D has pixel centres at whole numbers.
        intrinsics = open3d.camera.PinholeCameraIntrinsic(
            lens.width, lens.height, lens.fl_x, lens.fl_y, lens.cx - 0.5, lens.cy - 0.5
        )
        pose = np.eye(4)
        pose[:3] = camera.pose @ np.diag([1.0, -1.0, -1.0, 1.0])
        volume.integrate(image, intrinsics, np.linalg.inv(pose))
    return volume, cell


def tsdf_mesh(volume: Any) -> tuple[np.ndarray, np.ndarray]:
    """The volume's surface, at most `MOST_TRIANGLES` triangles."""
    return _arrays(volume.extract_triangle_mesh())


def poisson_mesh(volume: Any, cell: float) -> tuple[np.ndarray, np.ndarray]:
    """Poisson's surface through the volume's points, without what is far from all of them."""
    import open3d

    cloud = volume.extract_point_cloud()
    mesh, _ = open3d.geometry.TriangleMesh.create_from_point_cloud_poisson(cloud, depth=OCTREE_DEPTH)
    corners = open3d.geometry.PointCloud(mesh.vertices)
    mesh.remove_vertices_by_mask((np.asarray(corners.compute_point_cloud_distance(cloud)) > CUT * cell).tolist())
    return _arrays(mesh)


def colmap_points(views: Sequence[View]) -> tuple[np.ndarray, np.ndarray]:
    """COLMAP's points at the cameras of views without distortion, and directions towards those that see each."""
    cameras = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for part in ("images", "masks"):
            (folder / part).mkdir()
        for index, view in enumerate(views):
            image, file, lens = view.read_image(), f"{index:04d}.png", view.intrinsics
            alpha = image[..., 3] if image.shape[-1] == 4 else np.full(image.shape[:2], 255, np.uint8)
            Image.fromarray(np.ascontiguousarray(image[..., :3])).save(folder / "images" / file)
            Image.fromarray(np.where(alpha > 127, 255, 0).astype(np.uint8)).save(folder / "masks" / f"{file}.png")
            turn = np.diag([1.0, -1.0, -1.0]) @ view.pose[:, :3].T
            cameras[file] = {
                "width": lens.width,
                "height": lens.height,
                "params": [lens.fl_x, lens.fl_y, lens.cx, lens.cy],
                "pose": np.column_stack([turn, -turn @ view.position]).tolist(),
            }
        (folder / "job.json").write_text(json.dumps({"folder": name, "cameras": cameras}), encoding="utf-8")
        program = [sys.executable, "-m", "benchmarks.reconstruct.colmap_points"]
        subprocess.run([*program, str(folder / "job.json"), str(folder / "out.npz")], check=True)
        found = np.load(folder / "out.npz")
        return found["points"], found["towards"]


def sparse_mesh(points: np.ndarray, towards: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Poisson's surface through sparse points; nothing is cut off but what lies outside of their box."""
    import open3d

    cloud = open3d.geometry.PointCloud(open3d.utility.Vector3dVector(points))
    cloud.estimate_normals(open3d.geometry.KDTreeSearchParamKNN(NEIGHBOURS))
    normals = np.asarray(cloud.normals)
    turned = np.sign((normals * towards).sum(axis=1, keepdims=True))
    cloud.normals = open3d.utility.Vector3dVector(normals * np.where(turned == 0, 1.0, turned))
    mesh, _ = open3d.geometry.TriangleMesh.create_from_point_cloud_poisson(cloud, depth=SPARSE_DEPTH)
    box: Any = cloud.get_axis_aligned_bounding_box().scale(1.05, cloud.get_center())
    return _arrays(mesh.crop(box))


def _arrays(mesh: Any) -> tuple[np.ndarray, np.ndarray]:
    if len(mesh.triangles) > MOST_TRIANGLES:
        mesh = mesh.simplify_quadric_decimation(MOST_TRIANGLES)
    return np.asarray(mesh.vertices), np.asarray(mesh.triangles).astype(np.int64)


def projected_colors(
    vertices: np.ndarray, faces: np.ndarray, views: Sequence[View], cell: float
) -> tuple[np.ndarray, np.ndarray]:
    """Linear colors `[V, 3]`: the mean of the photographs that see each vertex, by the cosine; and normals `[V, 3]`."""
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    normals = np.zeros_like(vertices)
    for k in range(3):
        np.add.at(normals, faces[:, k], np.cross(b - a, c - a))
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-20)
    drawing = Drawing([Model(vertices=vertices, faces=faces)])
    total, weight = np.zeros((len(vertices), 3)), np.zeros(len(vertices))
    for view in views:
        image = view.read_image()
        x, y, depth = project(view, vertices)
        towards = view.position - vertices
        distance = np.linalg.norm(towards, axis=1)
        facing = (towards * normals).sum(axis=1) / distance
        there = np.flatnonzero(in_image(view.intrinsics, x, y) & (depth > 0) & (facing > STEEPEST))
        start = np.broadcast_to(view.position, (len(there), 3))
        hidden = drawing.blocked(start, -towards[there] / distance[there, None], distance[there] - BEHIND * cell)
        there = there[~hidden]
        colors, alpha = _at(image, x[there], y[there])
        share = facing[there] * (alpha > 0.99)
        total[there] += share[:, None] * colors
        weight[there] += share
    seen = weight > 0
    colors = np.full((len(vertices), 3), 0.5)
    colors[seen] = total[seen] / weight[seen, None]
    return np.clip(colors, 0, 1), normals


def _at(image: np.ndarray, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Linear colors `[N, 3]` and alpha `[N]` of a photograph between four pixels."""
    height, width = image.shape[:2]
    color = to_linear(image[..., :3])
    alpha = image[..., 3] / 255 if image.shape[-1] == 4 else np.ones((height, width))
    x, y = np.clip(x - 0.5, 0, width - 1.001), np.clip(y - 0.5, 0, height - 1.001)
    x0, y0 = x.astype(int), y.astype(int)
    fx, fy = x - x0, y - y0
    corners = [
        ((y0, x0), (1 - fx) * (1 - fy)),
        ((y0, np.minimum(x0 + 1, width - 1)), fx * (1 - fy)),
        ((np.minimum(y0 + 1, height - 1), x0), (1 - fx) * fy),
        ((np.minimum(y0 + 1, height - 1), np.minimum(x0 + 1, width - 1)), fx * fy),
    ]
    # The least alpha of the four, so that a color mixed with the background does not count.
    least = np.min([alpha[at] for at, _ in corners], axis=0)
    return np.sum([share[:, None] * color[at] for at, share in corners], axis=0), least


def _points(camera: Camera, depth: np.ndarray) -> np.ndarray:
    rows, columns = np.nonzero(depth)
    lens = camera.intrinsics
    z = depth[rows, columns].astype(np.float64)
    x, y = (columns + 0.5 - lens.cx) / lens.fl_x * z, (rows + 0.5 - lens.cy) / lens.fl_y * z
    return np.stack([x, -y, -z], axis=1) @ camera.pose[:, :3].T + camera.position


def peers(scene: Path, run: Path | None = None, out: Path | None = None) -> dict[str, dict]:
    """Scores of `tsdf` and `poisson` of a run's depths, as `true-tsdf` and `true-poisson` of the true ones, and of
    `sparse-poisson`, which has none where COLMAP finds too few points. `seconds` are those of depths and surface.

    Raises ValueError for a scene with distortion, which Open3D's fusion does not have.
    """
    _, _, training = scored_views(scene)
    if any(view.intrinsics.model != "pinhole" for view in training):
        raise ValueError(f"{scene}: Open3D's fusion has no lens distortion")
    sources = {} if run is None else {"": lambda: field_depths(run, training)}
    if (scene / "truth" / "mesh.glb").is_file():
        sources["true-"] = lambda: true_depths(scene, training)
    found = {}
    with tempfile.TemporaryDirectory() as folder:

        def scored(name: str, vertices: np.ndarray, faces: np.ndarray, cell: float, begun: float) -> None:
            colors, normals = projected_colors(vertices, faces, training, cell)
            taken = time.perf_counter() - begun
            file = (out or Path(folder)) / f"{name}.glb"
            write_truth(file, [Model(vertices=vertices, faces=faces, colors=colors, normals=normals)])
            found[name] = {**score_scene(file, scene), "seconds": round(taken, 1)}

        for prefix, depths_of in sources.items():
            begun = time.perf_counter()
            volume, cell = fused(training, depths_of())
            depths_took = time.perf_counter() - begun
            for name in ("tsdf", "poisson"):
                begun = time.perf_counter() - depths_took
                vertices, faces = tsdf_mesh(volume) if name == "tsdf" else poisson_mesh(volume, cell)
                scored(prefix + name, vertices, faces, cell, begun)
        begun = time.perf_counter()
        points, towards = colmap_points(training)
        if len(points) < MIN_POINTS:
            return found
        vertices, faces = sparse_mesh(points, towards)
        # Sparse points leave the surface less exact than a volume's cells do.
        scored("sparse-poisson", vertices, faces, float(np.ptp(points, axis=0).max()) / 2**SPARSE_DEPTH, begun)
        found["sparse-poisson"]["points"] = len(points)
    return found


def dense_stage() -> str:
    """What pycolmap's dense stage says here: "available", or why not, in its own words."""
    import pycolmap

    if not hasattr(pycolmap, "patch_match_stereo"):
        return "this pycolmap has no patch_match_stereo"
    with tempfile.TemporaryDirectory() as folder:
        try:
            pycolmap.patch_match_stereo(folder)
        except Exception as error:  # noqa: BLE001  (whatever it raises is what is to be told)
            return str(error).strip().splitlines()[-1]
    return "available"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scene", type=Path)
    parser.add_argument("--run", type=Path, help="a run of this scene")
    parser.add_argument("--out", type=Path, help="keep the files in this folder")
    options = parser.parse_args()
    if options.out is not None:
        options.out.mkdir(parents=True, exist_ok=True)
    for name, scores in peers(options.scene, options.run, options.out).items():
        print(name, json.dumps({key: round(value, 5) for key, value in scores.items()}))
    print("dense:", dense_stage())


if __name__ == "__main__":
    main()
