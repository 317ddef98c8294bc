"""Score a mesh file: drawn against photographs, and measured against a true mesh.

    python -m benchmarks.reconstruct.score FILE SCENE [--background white] [--picture OUT.png]

The file is read by `benchmarks.reconstruct.read_mesh` and drawn by `benchmarks.reconstruct.raycast`, which share
nothing with the project: no light, the base color alone, filtered and multiplied in linear light, 3 x 3 samples a
pixel. The figures:

* `psnr`, `ssim`: means over the views, each composited on the background, as the project scores fields.
* `chamfer`: mean of `from_truth` and `to_truth`, the mean distances from points of the truth to the nearest surface of
  the file and back, divided by the truth's longest side. Points are 100,000 by area, with a fixed seed; those of the
  truth that no training camera sees are left out (`unseen` is their fraction), those of the file never are.
* `normal_angle`: mean angle in degrees between the planes of the nearest triangles, both ways; 180 where a surface is
  inside out. `shading_angle`: the same with the file's normals between corners, from the truth only.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.reconstruct.raycast import SAMPLES, Drawing, Model, directions, interpolated
from benchmarks.reconstruct.read_mesh import image_bytes, moved, read_models, source_transform
from scenes.posed.camera import Camera
from scenes.posed.transforms import open_transforms
from scenes.posed.view import View

BACKGROUNDS = {"white": 1.0, "black": 0.0}
POINTS = 100_000
SEED = 20
# How far before a point of the truth a ray from a camera may stop and still have reached it, in longest sides.
REACHED = 2e-3


def score(
    path: str | Path,
    cameras: Sequence[Camera],
    photographs: Sequence[np.ndarray],
    truth: str | Path | None = None,
    *,
    background: str = "white",
    seen_by: Sequence[Camera] | None = None,
    transform: np.ndarray | None = None,
    truth_parts: int | None = None,
    samples: int = SAMPLES,
    picture: str | Path | None = None,
) -> dict:
    """The figures of the module's text, and `triangles`, `parts` (connected pieces), `bytes` of the file.

    For a binary glTF also `bytes_without_texture`, what the file would have without its images.

    Args:
        path: a `.glb`, `.obj`, `.ply` or `.stl` file.
        cameras, photographs: of the views; each photograph `[H, W, 3 or 4]` uint8 sRGB with straight alpha.
        truth: the file of the true mesh, in the cameras' coordinates.
        background: "white" or "black", behind transparent pixels and behind the mesh.
        seen_by: cameras that decide which of the truth is seen. None: those of the views.
        transform: `[4, 4]` from the file's coordinates to the cameras'. None: that in the file's extras, if any.
        truth_parts: only so many models of the truth's file are measured from; None: all.
        picture: where a picture of four views goes, the photograph above the mesh.
    """
    path = Path(path)
    models = read_models(path, source_transform(path) if transform is None else transform)
    if not models or not sum(len(model.faces) for model in models):
        raise ValueError(f"{path}: has no triangles")
    found: dict = views_scores(models, cameras, photographs, background, samples, picture)
    if truth is not None:
        true = read_models(Path(truth))
        found |= surface_scores(models, true[:truth_parts], true, seen_by or cameras)
    found["triangles"] = sum(len(model.faces) for model in models)
    found["parts"] = parts_of(models)
    found["bytes"] = path.stat().st_size
    if path.suffix == ".glb":
        found["bytes_without_texture"] = found["bytes"] - image_bytes(path)
    return found


def views_scores(
    models: Sequence[Model],
    cameras: Sequence[Camera],
    photographs: Sequence[np.ndarray],
    background: str = "white",
    samples: int = SAMPLES,
    picture: str | Path | None = None,
) -> dict:
    """`psnr` and `ssim` of the drawn models, means over the views; `inside_psnr` of the pixels the models cover."""
    behind = BACKGROUNDS[background]
    drawing = Drawing(models)
    rows, panels = [], []
    shown = set(np.linspace(0, len(cameras) - 1, min(4, len(cameras))).round().astype(int).tolist())
    for index, (camera, photograph) in enumerate(zip(cameras, photographs)):
        image = drawing.draw(camera, samples)
        covered = image[..., 3] == 1
        drawn = image[..., :3] + (1 - image[..., 3:]) * behind
        target = composited(photograph, behind)
        error = np.square(drawn.astype(np.float64) - target)
        inside = -10 * np.log10(max(error[covered].mean(), 1e-12)) if covered.any() else 0.0
        rows.append((-10 * np.log10(max(error.mean(), 1e-12)), structural_similarity(drawn, target), inside))
        if index in shown:
            panels.append(np.concatenate([target, drawn, np.clip(5 * np.abs(drawn - target), 0, 1)]))
    if picture is not None:
        from PIL import Image

        Image.fromarray(np.rint(255 * np.concatenate(panels, axis=1)).astype(np.uint8)).save(picture)
    psnr, ssim, inside = np.mean(rows, axis=0)
    return {"psnr": float(psnr), "ssim": float(ssim), "inside_psnr": float(inside)}


def composited(photograph: np.ndarray, behind: float) -> np.ndarray:
    """A photograph `[H, W, 3 or 4]` uint8 on a plain background, `[H, W, 3]` float64 sRGB."""
    pixels = photograph.astype(np.float64) / 255
    if pixels.shape[-1] == 3:
        return pixels
    return pixels[..., :3] * pixels[..., 3:] + (1 - pixels[..., 3:]) * behind


def structural_similarity(a: np.ndarray, b: np.ndarray) -> float:
    """SSIM (Wang et al. 2004) by scikit-image: Gaussian windows of sigma 1.5, borders left out."""
    from skimage.metrics import structural_similarity as ssim

    found = ssim(
        a.astype(np.float64),
        b.astype(np.float64),
        channel_axis=-1,
        data_range=1.0,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
    )
    return float(found)  # pyright: ignore[reportArgumentType]  (a tuple only where gradients are asked for)


def surface_scores(
    models: Sequence[Model], truth: Sequence[Model], blockers: Sequence[Model], seen_by: Sequence[Camera]
) -> dict:
    """`chamfer`, `from_truth`, `to_truth`, `normal_angle`, `shading_angle`, `unseen`, and the worst distances.

    Args:
        truth: what is measured from.
        blockers: all that can hide it from the cameras; `to_truth` is the distance to these.
        seen_by: a point of the truth that none of these sees is not counted.
    """
    ours, true, everything = _Surface(models), _Surface(truth), _Surface(blockers)
    longest = float(true.sides.max())
    points, normals = true.sampled(POINTS)
    seen = visible(Drawing(blockers), points, seen_by, REACHED * longest)
    points, normals = points[seen], normals[seen]
    there, triangles, weights = ours.nearest(points)
    angles = angle(normals, ours.planes[triangles])
    own_points, own_normals = ours.sampled(POINTS)
    back, own_triangles, _ = everything.nearest(own_points)
    own_angles = angle(own_normals, everything.planes[own_triangles])
    found = {
        "chamfer": float((there.mean() + back.mean()) / 2 / longest),
        "from_truth": float(there.mean() / longest),
        "to_truth": float(back.mean() / longest),
        "farthest_from_truth": float(np.quantile(there, 0.999) / longest),
        "farthest_to_truth": float(np.quantile(back, 0.999) / longest),
        "normal_angle": float((angles.mean() + own_angles.mean()) / 2),
        "unseen": float(1 - seen.mean()),
    }
    if ours.normals is not None:
        shading = interpolated(ours.normals, ours.faces[triangles], weights)
        found["shading_angle"] = float(angle(normals, shading).mean())
    return found


class _Surface:
    """Several models as one set of triangles, for points on it and for nearest points."""

    def __init__(self, models: Sequence[Model]) -> None:
        first = np.cumsum([0, *(len(model.vertices) for model in models)])
        self.vertices = np.concatenate([model.vertices for model in models])
        self.faces = np.concatenate([model.faces + start for model, start in zip(models, first)])
        have = all(model.normals is not None for model in models)
        self.normals = np.concatenate([model.normals for model in models]) if have else None  # type: ignore[list-item]
        a, b, c = (self.vertices[self.faces[:, k]] for k in range(3))
        crossed = np.cross(b - a, c - a)
        self.areas = np.linalg.norm(crossed, axis=1) / 2
        self.planes = crossed / np.maximum(2 * self.areas[:, None], 1e-300)
        self.sides = self.vertices[self.faces].reshape(-1, 3).max(axis=0) - self.vertices[self.faces].reshape(
            -1, 3
        ).min(axis=0)
        self._drawing = Drawing([Model(vertices=self.vertices, faces=self.faces)])

    def sampled(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Points `[count, 3]` evenly over the area, always the same ones, and the normals of their triangles."""
        random = np.random.default_rng(SEED)
        edges = np.cumsum(self.areas)
        # One point in each of `count` equal parts of the area spreads them more evenly than chance.
        at = (np.arange(count) + random.random(count)) / count * edges[-1]
        triangles = np.minimum(np.searchsorted(edges, at, side="right"), len(edges) - 1)
        r, s = np.sqrt(random.random(count)), random.random(count)
        weights = np.stack([1 - r, r * (1 - s), r * s], axis=1)
        corners = self.vertices[self.faces[triangles]]
        return np.einsum("nk,nkc->nc", weights, corners), self.planes[triangles]

    def nearest(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Distance to the nearest triangle `[N]`, its index, and the weights of its corners at the nearest point."""
        tensor = self._drawing._tensor
        answer = self._drawing.scene.compute_closest_points(tensor(points.astype(np.float32)))
        triangles = answer["primitive_ids"].numpy().astype(np.int64)
        second = answer["primitive_uvs"].numpy()
        weights = np.concatenate([1 - second.sum(axis=1, keepdims=True), second], axis=1)
        # From the triangle's own vertices in float64: those of open3d are float32.
        at = np.einsum("nk,nkc->nc", weights.astype(np.float64), self.vertices[self.faces[triangles]])
        return np.linalg.norm(points - at, axis=1), triangles, weights


def angle(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Angles `[N]` in degrees between vectors `[N, 3]`."""
    cosine = (a * b).sum(axis=1) / np.maximum(np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1), 1e-30)
    return np.degrees(np.arccos(np.clip(cosine, -1, 1)))


def visible(drawing: Drawing, points: np.ndarray, cameras: Sequence[Camera], reached: float) -> np.ndarray:
    """Which points `[N, 3]` of a surface at least one camera sees: inside of its image, and with nothing before it."""
    seen = np.zeros(len(points), bool)
    for camera in cameras:
        left = np.flatnonzero(~seen)
        towards = points[left] - camera.position
        distance = np.linalg.norm(towards, axis=1)
        towards = towards / distance[:, None]
        # The image's border as directions: points between the corners' directions of a lens without distortion.
        inside = _in_image(camera, towards)
        left, towards, distance = left[inside], towards[inside], distance[inside]
        start = np.broadcast_to(camera.position, towards.shape)
        seen[left[~drawing.blocked(start, towards, distance - reached)]] = True
    return seen


def _in_image(camera: Camera, towards: np.ndarray) -> np.ndarray:
    """Which directions `[N, 3]` fall inside of the image, `[N]` bool."""
    lens = camera.intrinsics
    local = towards @ camera.pose[:, :3]
    ahead = local[:, 2] < -1e-6
    depth = np.where(ahead, -local[:, 2], 1)
    u, v = local[:, 0] / depth, -local[:, 1] / depth
    # The rays through the middles of the image's sides bound it, also with distortion, up to a few pixels.
    middle_x, middle_y = lens.width / 2, lens.height / 2
    sides = directions(
        camera,
        np.array([0.0, lens.width, middle_x, middle_x]),
        np.array([middle_y, middle_y, 0.0, lens.height]),
    )
    local = sides @ camera.pose[:, :3].astype(np.float32)
    across, down = local[:, 0] / -local[:, 2], local[:, 1] / local[:, 2]
    return ahead & (u > across[0]) & (u < across[1]) & (v > down[2]) & (v < down[3])


def parts_of(models: Sequence[Model]) -> int:
    """Connected pieces of all models; vertices at one position are one."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    surface = np.concatenate([model.vertices for model in models])
    first = np.cumsum([0, *(len(model.vertices) for model in models)])
    faces = np.concatenate([model.faces + start for model, start in zip(models, first)])
    _, same = np.unique(surface.astype(np.float32), axis=0, return_inverse=True)
    corners = same.reshape(-1)[faces]
    rows, columns = corners[:, [0, 1]].ravel(), corners[:, [1, 2]].ravel()
    count = same.max() + 1
    graph = coo_matrix((np.ones(len(rows), bool), (rows, columns)), shape=(count, count))
    _, labels = connected_components(graph, directed=False)
    return len(np.unique(labels[corners[:, 0]]))


def scored_views(scene: str | Path) -> tuple[list[View], list[np.ndarray], list[View]]:
    """The test views of a scene, their photographs, and the training views.

    Where a rendered scene has true test views (without backdrop), these are the photographs.
    """
    scene = Path(scene)
    views = open_transforms(scene if (scene / "transforms_train.json").is_file() else _posed(scene))
    photographs = []
    for view in views.test:
        true = scene / "truth" / "test" / f"{Path(view.name).name}.png"
        if true.is_file():
            view = replace(view, image=true, mask=None, pixels=None)
        photographs.append(view.read_image())
    return views.test, photographs, views.training


def _posed(scene: Path) -> Path:
    return scene / "truth" if (scene / "truth" / "transforms_test.json").is_file() else scene


def score_scene(path: str | Path, scene: str | Path, *, background: str = "white", **more) -> dict:
    """`score` of a file against the test views and, where there is one, the truth of a scene's folder."""
    scene = Path(scene)
    cameras, photographs, training = scored_views(scene)
    truth, parts = scene / "truth" / "mesh.glb", None
    if (scene / "truth" / "subject.json").is_file():
        parts = 1 if json.loads((scene / "truth" / "subject.json").read_text())["parts"] > 1 else None
    return score(
        path,
        cameras,
        photographs,
        truth if truth.is_file() else None,
        background=background,
        seen_by=training,
        truth_parts=parts,
        **more,
    )


def aligned(found: dict[str, np.ndarray], true: dict[str, np.ndarray]) -> np.ndarray:
    """The similarity `[4, 4]` that takes the positions `[3]` of cameras to the true ones of the same names.

    Umeyama 1991. Raises ValueError with fewer than three names in common.
    """
    names = sorted(set(found) & set(true))
    if len(names) < 3:
        raise ValueError(f"{len(names)} cameras have names in common; three are needed")
    a, b = np.stack([found[name] for name in names]), np.stack([true[name] for name in names])
    mean_a, mean_b = a.mean(axis=0), b.mean(axis=0)
    u, s, v = np.linalg.svd((b - mean_b).T @ (a - mean_a))
    sign = np.array([1.0, 1.0, np.sign(np.linalg.det(u @ v))])
    rotation = (u * sign) @ v
    scale = (s * sign).sum() / np.square(a - mean_a).sum()
    matrix = np.eye(4)
    matrix[:3, :3] = scale * rotation
    matrix[:3, 3] = mean_b - scale * rotation @ mean_a
    return matrix


__all__ = ["aligned", "moved", "score", "score_scene", "scored_views", "surface_scores", "views_scores", "visible"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("scene", type=Path)
    parser.add_argument("--background", choices=tuple(BACKGROUNDS), default="white")
    parser.add_argument("--picture", type=Path, help="write photographs, drawn views and their differences there")
    options = parser.parse_args()
    found = score_scene(options.file, options.scene, background=options.background, picture=options.picture)
    print(json.dumps({name: round(value, 6) for name, value in found.items()}))


if __name__ == "__main__":
    main()
