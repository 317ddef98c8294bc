"""A tiny posed scene for tests: a ball with coloured octants, seen from all around, on a transparent or grey ground."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

from scenes.posed.camera import Camera, Intrinsics

RADIUS, DISTANCE = 1.0, 4.0
# Focal length of the cameras, in sides of their images.
FOCAL_PER_SIDE = 1.1


def pose(azimuth: float, elevation: float) -> np.ndarray:
    """Looking at the origin, z up; degrees."""
    a, e = np.radians([azimuth, elevation])
    backward = np.array([np.cos(a) * np.cos(e), np.sin(a) * np.cos(e), np.sin(e)])
    right = np.cross([0.0, 0.0, 1.0], backward)
    right /= np.linalg.norm(right)
    return np.stack([right, np.cross(backward, right), backward, DISTANCE * backward], axis=1)


def image(seen_from: np.ndarray, side: int, time: float = 0.0) -> np.ndarray:
    """`[side, side, 4]` uint8: the ball at x = 0.4 (time - 0.5), alpha 0 where it is not."""
    origins, directions = Camera(seen_from, Intrinsics.pinhole(side, side, FOCAL_PER_SIDE * side)).rays()
    origins = origins - [0.4 * (time - 0.5) if time else 0.0, 0.0, 0.0]
    b = (origins * directions).sum(1)
    inside = b * b - (origins * origins).sum(1) + RADIUS**2
    hit = inside > 0
    points = origins + (-b - np.sqrt(np.maximum(inside, 0)))[:, None] * directions
    color = np.where(points > 0, 0.9, 0.2)
    pixels = np.concatenate([color, hit[:, None]], axis=1) * hit[:, None]
    return (pixels.reshape(side, side, 4) * 255 + 0.5).astype(np.uint8)


def write_scene(folder: Path, side: int = 24, train: int = 12, test: int = 3) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    for split, count in (("train", train), ("test", test)):
        frames = []
        (folder / split).mkdir(exist_ok=True)
        for index in range(count):
            seen_from = pose(360 * index / count + (15 if split == "test" else 0), float(rng.uniform(-30, 60)))
            Image.fromarray(image(seen_from, side)).save(folder / split / f"{index}.png")
            frames.append({"file_path": f"./{split}/{index}", "transform_matrix": [*seen_from.tolist(), [0, 0, 0, 1]]})
        angle = 2 * np.arctan(0.5 / FOCAL_PER_SIDE)
        (folder / f"transforms_{split}.json").write_text(json.dumps({"camera_angle_x": angle, "frames": frames}))
    return folder


def write_moving(path: Path, side: int = 20, views: int = 17) -> Path:
    """An `.npz` of the ball going to the right, on black."""
    poses = np.stack([np.concatenate([pose(47 * i, 20 + (i * 13) % 30), [[0, 0, 0, 1]]]) for i in range(views)])
    times = np.linspace(0.01, 1, views)
    images = np.stack([image(p[:3], side, t)[..., :3] for p, t in zip(poses, times)])
    np.savez(path, images=images, poses=poses, times=times, focal=np.array(FOCAL_PER_SIDE * side))
    return path


# Options that make a fit of it take a second or two.
SMALL = {"cells": 32, "ray_step": 1 / 64, "batch": 4096}
SMALL_GRID = {
    **SMALL,
    "levels": 4,
    "table_size": 4096,
    "base_resolution": 8,
    "growth": 1.6,
    "width": 16,
    "color_width": 16,
    "color_layers": 1,
    "learning_rate": 3e-2,
    "table_rate": 3e-2,
}


def resumed(scene, method: str, steps: int, options: dict, folder: Path, cut: int):
    """The trainer, at its end, of a fit that was cut off at step `cut` and taken up from its checkpoint."""
    from fields.fit.fit import prepare, resume
    from fields.runs.run import Run

    trainer, run = prepare(scene, method, steps=steps, settings=options, out=folder)
    while trainer.index < cut:
        trainer.step()
    run.save_checkpoint(trainer)
    again = resume(scene, Run.open(folder))
    assert again.index == cut
    again.run()
    return again
