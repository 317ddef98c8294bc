"""Write a posed scene of photographs that were drawn of a known mesh, and that mesh beside them.

    python -m benchmarks.reconstruct.scenes NAME OUT [--size 400] [--views N]

OUT gets `transforms_train.json` and `transforms_test.json` (or, where cameras are to be found, `photographs/` alone),
the images, and `truth/`: `mesh.glb` (with the light that is baked into matt colors), `subject.json` (what the scorer
needs) and, where the photographs have no alpha or differ in exposure, the test views `test/*.png` as they should be.

Everything is drawn by `benchmarks.reconstruct.raycast` with its own rays, at least 3 x 3 samples a pixel; the duck is
photographed by `scenes.procedural`. Cameras are all around and below, at jittered places of a sphere.
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np

from benchmarks.reconstruct.gloss import mirror, shine
from benchmarks.reconstruct.raycast import Drawing, Model, Shader
from benchmarks.reconstruct.subjects import CENTRE, FILES, LONGEST, darkened, ground, lit, on_sphere, subject
from benchmarks.reconstruct.write_truth import write_truth
from scenes.posed.camera import Camera, Intrinsics
from scenes.posed.pose import look_at
from scenes.procedural.tracing import Distance

SIZE, VIEWS, TEST_VIEWS = 400, 60, 20
FIELD_OF_VIEW = 38.0
# Distance of the cameras from the middle of the subject, in its longest sides, and the jitter of it.
DISTANCE, DISTANCE_JITTER = 2.05, 0.12
# Jitter of the directions of cameras and of the points that they look at, in radians and in longest sides.
DIRECTION_JITTER, TARGET_JITTER = 0.12, 0.03
# k1 and k2 of `_lens`: barrel distortion of a cheap wide lens, 6 % at the corners.
LENS = (-0.22, 0.06, 0.0, 0.0)
# Range of the factors of exposure of `_gains`.
GAINS = (0.8, 1.25)
GREY = 0.72
# Cells along the longest side of the duck's box from which its truth is made.
DUCK_CELLS = 320


@dataclass(frozen=True, kw_only=True)
class Setting:
    """How a subject is photographed.

    Attributes:
        glossy: whether it reflects lights, which a texture cannot show.
        mirror: whether it shows nothing but reflections.
        backdrop: "alpha"; or what opaque photographs show behind it: "grey", "room" (a colored pattern far away) or
            "black".
        gains: whether each photograph has an exposure of its own.
        lens: whether the lens distorts.
        darkness: factor on its light.
        ground: whether it stands on a textured square, seen from above only.
        posed: whether the cameras are told.
        views: number of photographs, or None for the default.
        one_side: whether all cameras are on one side, within 35 degrees.
    """

    glossy: bool = False
    mirror: bool = False
    backdrop: str = "alpha"
    gains: bool = False
    lens: bool = False
    darkness: float = 1.0
    ground: bool = False
    posed: bool = True
    views: int | None = None
    one_side: bool = False


# What follows the name of a subject.
SETTINGS = {
    "": Setting(),
    "_glossy": Setting(glossy=True),
    "_mirror": Setting(mirror=True),
    "_12": Setting(views=12),
    "_3": Setting(views=3),
    "_one_side": Setting(views=20, one_side=True),
    "_masked": Setting(backdrop="room"),
    "_grey": Setting(backdrop="grey"),
    "_gains": Setting(gains=True),
    "_lens": Setting(lens=True),
    "_posed_by_colmap": Setting(ground=True, posed=False, backdrop="grey"),
    "_dark": Setting(darkness=0.03),
    "_dark_on_black": Setting(darkness=0.03, backdrop="black"),
}
SUBJECTS = (*FILES, "duck", "blob")
# Names that stand for others.
ALIASES = {"dark_on_black": "spot_dark_on_black"}


def setting_of(name: str) -> tuple[str, Setting]:
    """The subject and the setting of the scene `name`. Raises ValueError where there is no such scene."""
    name = ALIASES.get(name, name)
    for known in sorted(SUBJECTS, key=len, reverse=True):
        rest = name.removeprefix(known)
        if name.startswith(known) and rest in SETTINGS:
            if known == "duck" and rest:
                break
            return known, SETTINGS[rest]
    raise ValueError(
        f"there is no scene {name}: a subject ({', '.join(SUBJECTS)}) and, but for the duck, one of "
        f"{', '.join(filter(None, SETTINGS))}"
    )


def write_scene(name: str, out: Path, size: int = SIZE, views: int | None = None, tests: int = TEST_VIEWS) -> None:
    """Write the scene `name` to the folder `out`, which is made anew. The same arguments give the same files."""
    who, setting = setting_of(name)
    views = views or setting.views or VIEWS
    if out.exists():
        shutil.rmtree(out)
    (out / "truth").mkdir(parents=True)
    cameras = {
        split: _cameras(count, size, setting, seed) for split, count, seed in (("train", views, 1), ("test", tests, 2))
    }
    if who == "duck":
        images, models = _duck(cameras)
    else:
        models, shader = _lit(who, setting)
        drawing = Drawing(models)
        images = {split: [drawing.draw(camera, shader=shader) for camera in cameras[split]] for split in cameras}
    write_truth(out / "truth" / "mesh.glb", models)
    _write_images(out, images, cameras, setting)


def _lit(who: str, setting: Setting) -> tuple[list[Model], Shader | None]:
    model = _lit_subject(who)
    if setting.darkness != 1:
        model = darkened(model, setting.darkness)
    models = [model, ground(model)] if setting.ground else [model]
    return models, (mirror if setting.mirror else shine if setting.glossy else None)


@cache
def _lit_subject(who: str) -> Model:
    return lit(subject(who))


def _cameras(count: int, size: int, setting: Setting, seed: int) -> list[Camera]:
    """Cameras around the subject; those for training and for testing have other seeds, and so other places."""
    random = np.random.default_rng(seed)
    focal = 0.5 * size / np.tan(np.radians(FIELD_OF_VIEW) / 2)
    lens = Intrinsics.pinhole(size, size, focal)
    if setting.lens:
        lens = replace(lens, model="opencv", distortion=LENS)
    if setting.one_side:
        places = on_sphere(400 * count)
        places = places[places @ np.array([0.0, -0.9, 0.4]) / np.hypot(0.9, 0.4) > np.cos(np.radians(35))]
        places = places[random.permutation(len(places))[:count]]
    elif setting.ground:
        above = on_sphere(4 * count)
        places = above[(above[:, 2] > 0.2) & (above[:, 2] < 0.75)]
        places = places[np.linspace(0, len(places) - 1, count).astype(int)]
    else:
        # A turn of the whole spiral keeps test cameras between those for training.
        places = on_sphere(count) @ _turned(random.uniform(0, 2 * np.pi)).T
    far = 1.25 if setting.ground else 1.0
    found = []
    for place in places:
        towards = place + random.normal(size=3) * DIRECTION_JITTER / 3**0.5
        towards /= np.linalg.norm(towards)
        target = CENTRE + LONGEST * TARGET_JITTER * random.normal(size=3)
        distance = far * LONGEST * (DISTANCE + DISTANCE_JITTER * random.uniform(-1, 1))
        found.append(Camera(look_at(target + distance * towards, target), lens))
    return found


def _turned(angle: float) -> np.ndarray:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])


def _duck(cameras: dict[str, list[Camera]]) -> tuple[dict[str, list[np.ndarray]], list[Model]]:
    """The photographs of the project's own still life, and the mesh of its signed distance."""
    from scenes.procedural.photographs import photographs
    from scenes.procedural.still_life import DUCK

    middle = (np.array(DUCK.lower) + DUCK.upper) / 2
    # The cameras of the other subjects, around the duck's middle and at its size.
    scale = float((np.array(DUCK.upper) - DUCK.lower).max()) / LONGEST
    for split, some in cameras.items():
        cameras[split] = [
            replace(camera, pose=np.column_stack([camera.pose[:, :3], (camera.position - CENTRE) * scale + middle]))
            for camera in some
        ]
    images = {}
    for split, some in cameras.items():
        images[split] = []
        for picture in photographs(DUCK, some):
            image = picture.astype(np.float32) / 255
            image[..., :3] *= image[..., 3:]
            images[split].append(image)
    return images, [zero_set(DUCK.distance, np.array(DUCK.lower), np.array(DUCK.upper))]


def zero_set(distance: Distance, lower: np.ndarray, upper: np.ndarray, cells: int = DUCK_CELLS) -> Model:
    """The mesh of a signed distance in a box: marching cubes, then vertices moved onto the zero set by Newton's method.

    cells: along the longest side of the box.
    """
    from skimage.measure import marching_cubes

    lower, upper = lower - 0.02, upper + 0.02
    cell = float((upper - lower).max()) / cells
    shape = np.ceil((upper - lower) / cell).astype(int) + 1
    axes = [lower[k] + cell * np.arange(shape[k]) for k in range(3)]
    values = np.empty(shape, np.float32)
    for i, x in enumerate(axes[0]):
        y, z = np.meshgrid(axes[1], axes[2], indexing="ij")
        points = np.stack([np.full(y.size, x), y.ravel(), z.ravel()], axis=1).astype(np.float32)
        values[i] = distance(points).reshape(y.shape)
    vertices, faces, _, _ = marching_cubes(values, 0.0)
    points = vertices.astype(np.float64) * cell + lower
    a, b, c = (points[faces[:, k]] for k in range(3))
    if np.einsum("nc,nc->", a, np.cross(b, c)) < 0:
        faces = faces[:, ::-1]
    step = np.float32(1e-3)
    for _ in range(3):
        at = points.astype(np.float32)
        value = distance(at)
        slope = np.stack(
            [(distance(at + step * e) - distance(at - step * e)) / (2 * step) for e in np.eye(3, dtype="f4")]
        )
        square = np.maximum((slope * slope).sum(axis=0), 0.25)
        points -= np.clip(value / square, -0.5 * cell, 0.5 * cell)[:, None] * slope.T
    return Model(vertices=points, faces=faces.astype(np.int64))


def _write_images(
    out: Path, images: dict[str, list[np.ndarray]], cameras: dict[str, list[Camera]], setting: Setting
) -> None:
    """The photographs of both splits as the setting wants them, the files of their cameras, and the true test views."""
    random = np.random.default_rng(3)
    low, high = np.log(GAINS)
    gains = np.exp(random.uniform(low, high, len(images["train"]))) if setting.gains else None
    # Cameras that are to be found belong to the truth, and so do test views that no method gets.
    told = out if setting.posed else out / "truth"
    true_views = setting.posed and setting.backdrop != "alpha"
    for split, some in images.items():
        frames = []
        (told / split).mkdir(parents=True)
        for index, (image, camera) in enumerate(zip(some, cameras[split])):
            gain = gains[index] if gains is not None and split == "train" else 1.0
            # Test views of a scene whose cameras are found are scored without the sky.
            backdrop = setting.backdrop if setting.posed or split == "train" else "alpha"
            _save(told / split / f"{index:03}.png", _behind(image, camera, backdrop), gain)
            if true_views and split == "test":
                (out / "truth" / "test").mkdir(exist_ok=True)
                _save(out / "truth" / "test" / f"{index:03}.png", image)
            frames.append(_frame(f"./{split}/{index:03}", camera))
        (told / f"transforms_{split}.json").write_text(json.dumps({"frames": frames}, indent=1))
    if not setting.posed:
        shutil.copytree(out / "truth" / "train", out / "photographs")
    (out / "truth" / "subject.json").write_text(
        json.dumps(
            {
                "longest": LONGEST,
                "true_views": true_views,
                "posed": setting.posed,
                "parts": 2 if setting.ground else 1,
                "gains": None if gains is None else gains.tolist(),
            },
            indent=1,
        )
    )


def _behind(image: np.ndarray, camera: Camera, backdrop: str) -> np.ndarray:
    """An image `[H, W, 4]`, premultiplied, before a backdrop."""
    if backdrop == "alpha":
        return image
    behind: np.ndarray | float = {"grey": GREY, "black": 0.0}.get(backdrop, 0.0)
    if backdrop == "room":
        behind = _room(camera)
    color = image[..., :3] + (1 - image[..., 3:]) * behind
    return np.concatenate([color, np.ones_like(image[..., 3:])], axis=-1)


def _room(camera: Camera) -> np.ndarray:
    """What is seen far behind the subject, `[H, W, 3]`: a pattern of colors that depends on the direction alone."""
    from benchmarks.reconstruct.raycast import directions

    height, width = camera.intrinsics.height, camera.intrinsics.width
    rows, columns = np.mgrid[0:height, 0:width]
    towards = directions(camera, columns.reshape(-1) + 0.5, rows.reshape(-1) + 0.5).reshape(height, width, 3)
    random = np.random.default_rng(11)
    value = np.zeros_like(towards)
    for length in (1.2, 0.7, 0.4, 0.25, 0.15, 0.1):
        for _ in range(3):
            direction = random.normal(size=3)
            wave = np.sin(
                towards @ (direction / np.linalg.norm(direction)) * 2 * np.pi / length + random.uniform(0, 6.3)
            )
            value += wave[..., None] * random.normal(size=3) * length**0.5
    return np.clip(0.5 + 0.09 * value, 0, 1)


def _save(path: Path, image: np.ndarray, gain: float = 1.0) -> None:
    """A premultiplied image `[H, W, 4]` as PNG with straight alpha; without alpha where it is opaque.

    gain: factor on linear light, as a longer exposure has.
    """
    from PIL import Image

    alpha = image[..., 3:]
    color = np.clip(image[..., :3] / np.maximum(alpha, 1e-6), 0, 1)
    if gain != 1.0:
        linear = np.where(color <= 0.04045, color / 12.92, ((color + 0.055) / 1.055) ** 2.4) * gain
        color = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * np.clip(linear, 0, 1) ** (1 / 2.4) - 0.055)
    straight = color if (alpha == 1).all() else np.concatenate([color, alpha], axis=-1)
    Image.fromarray(np.rint(255 * np.clip(straight, 0, 1)).astype(np.uint8)).save(path, compress_level=1)


def _frame(file_path: str, camera: Camera) -> dict:
    lens = camera.intrinsics
    distortion = dict(zip(("k1", "k2", "p1", "p2"), lens.distortion)) if lens.model == "opencv" else {}
    return {
        "file_path": file_path,
        "w": lens.width,
        "h": lens.height,
        "fl_x": lens.fl_x,
        "fl_y": lens.fl_y,
        "cx": lens.cx,
        "cy": lens.cy,
        **distortion,
        "transform_matrix": [*camera.pose.tolist(), [0.0, 0.0, 0.0, 1.0]],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", help="a subject, with _glossy, _12, _masked and so on")
    parser.add_argument("out", type=Path)
    parser.add_argument("--size", type=int, default=SIZE, help="side of the photographs in pixels")
    parser.add_argument("--views", type=int, help="number of photographs")
    options = parser.parse_args()
    begun = time.perf_counter()
    try:
        write_scene(options.name, options.out, options.size, options.views)
    except (ValueError, FileNotFoundError) as error:
        raise SystemExit(str(error)) from None
    print(f"{options.out}: {time.perf_counter() - begun:.1f} s")


if __name__ == "__main__":
    main()
