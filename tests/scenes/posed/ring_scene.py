"""A scene for tests of files: eight small photographs of noise around the origin, in any dialect, with any changes."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.spatial.transform import Rotation

from scenes.posed.pose import look_at

SIZE = 12, 8
FOCAL = 20.0
ORIENTATION = 0x0112


def ring(count: int = 8) -> np.ndarray:
    """Poses `[count, 3, 4]` on a circle, looking at the origin from a little above."""
    angles = 2 * np.pi * np.arange(count) / count
    return np.stack([look_at((4 * np.cos(a), 4 * np.sin(a), 1.5), (0, 0, 0)) for a in angles])


def noise(index: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    """The photograph of a view: `[H, W, 3]` uint8."""
    return np.random.default_rng(index).integers(0, 256, (size[1], size[0], 3)).astype(np.uint8)


def save(path: Path, pixels: np.ndarray, orientation: int = 1) -> None:
    """Save a photograph, with an EXIF orientation where that is not 1."""
    path.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    if orientation != 1:
        exif[ORIENTATION] = orientation
    Image.fromarray(pixels).save(path, **({"exif": exif} if orientation != 1 else {}))


def write_transforms(
    folder: Path,
    *,
    poses: Sequence[np.ndarray] | None = None,
    size: tuple[int, int] = SIZE,
    frame: Callable[[int], dict] = lambda index: {},
    orientations: Sequence[int] = (1,) * 8,
    content: dict | None = None,
    file: str = "transforms.json",
    encoding: str = "utf-8",
) -> Path:
    """A folder with `transforms.json`; `frame` and `content` add to a frame and to the file."""
    poses = list(ring()) if poses is None else list(poses)
    frames = []
    for index, pose in enumerate(poses):
        save(folder / "images" / f"{index:03}.png", noise(index, size), orientations[index])
        matrix = np.concatenate([pose, [[0, 0, 0, 1]]]) if np.shape(pose) == (3, 4) else np.asarray(pose)
        frames.append({"file_path": f"images/{index:03}.png", "transform_matrix": matrix.tolist()} | frame(index))
    lens = {"fl_x": FOCAL, "fl_y": FOCAL} if content is None else content
    (folder / file).write_text(json.dumps(lens | {"frames": frames}), encoding=encoding)
    return folder


def write_colmap(
    folder: Path,
    *,
    place: str = "sparse/0",
    count: int = 8,
    size: tuple[int, int] = SIZE,
    lens: str = "",
    orientations: Sequence[int] = (1,) * 8,
    name: Callable[[int], str] = lambda index: f"{index:03}.png",
    encoding: str = "utf-8",
    features: bool = True,
) -> Path:
    """A folder with a COLMAP model as text."""
    lines = ["# images"]
    for index, pose in enumerate(ring(count)):
        save(folder / "images" / f"{index:03}.png", noise(index, size), orientations[index])
        turn = (pose[:, :3] * [1, -1, -1]).T
        x, y, z, w = Rotation.from_matrix(turn).as_quat().tolist()
        position = (-turn @ pose[:, 3]).tolist()
        lines.append(" ".join(map(str, [index + 1, w, x, y, z, *position, 1, name(index)])))
        lines += [""] if features else []
    model = folder / place
    model.mkdir(parents=True, exist_ok=True)
    lens = lens or f"PINHOLE {size[0]} {size[1]} {FOCAL} {FOCAL} {size[0] / 2} {size[1] / 2}"
    (model / "cameras.txt").write_text(f"# cameras\n1 {lens}\n", encoding=encoding)
    (model / "images.txt").write_text("\n".join(lines) + "\n", encoding=encoding)
    return folder


def write_llff(folder: Path, *, size: tuple[int, int] = SIZE, orientations: Sequence[int] = (1,) * 8) -> Path:
    """An LLFF folder: rows of the camera's down, right and backward axes, its position, and height, width and focal."""
    rows = []
    for index, pose in enumerate(ring()):
        save(folder / "images" / f"{index:03}.png", noise(index, size), orientations[index])
        lens = np.array([size[1], size[0], FOCAL])
        matrix = np.column_stack([-pose[:, 1], pose[:, 0], pose[:, 2], pose[:, 3], lens])
        rows.append([*matrix.reshape(-1), 1.0, 9.0])
    np.save(folder / "poses_bounds.npy", np.array(rows))
    return folder
