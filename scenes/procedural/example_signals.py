"""Small example signals made from formulas, one for each kind that has no example file, written as ordinary files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from scenes.audio.write import write_audio
from scenes.io.atomic import atomic_write
from scenes.video.write import write_video

# Samples per second of the audio, frames per second of the video.
AUDIO_RATE = 16000
VIDEO_RATE = 16


def write_bells(path: Path) -> None:
    """Write three seconds of audio: four struck bells, each a sum of decaying partials."""
    t = np.arange(3 * AUDIO_RATE) / AUDIO_RATE
    audio = np.zeros_like(t)
    for start, pitch in ((0.0, 523.25), (0.6, 659.26), (1.2, 783.99), (1.8, 1046.5)):
        since = np.clip(t - start, 0, None)
        for ratio, level in ((1, 1), (2.0, 0.6), (2.76, 0.4), (5.4, 0.2)):
            audio += (t >= start) * level * np.sin(2 * np.pi * pitch * ratio * since) * np.exp(-since * (1.5 + ratio))
    write_audio(path, (0.3 * audio / np.abs(audio).max() * 2)[:, None].astype(np.float32), AUDIO_RATE)


def write_ripples(path: Path) -> None:
    """Write two seconds of video: coloured ripples that cross each other."""
    y, x = np.mgrid[0:96, 0:128] / 96

    def frames() -> Iterator[np.ndarray]:
        for index in range(2 * VIDEO_RATE):
            turn = np.pi * index / VIDEO_RATE
            first = np.hypot(x - 0.67 - 0.3 * np.cos(turn), y - 0.5 - 0.2 * np.sin(turn))
            second = np.hypot(x - 0.3, y - 0.7)
            waves = np.stack(
                [np.sin(28 * first - 2 * turn), np.sin(22 * second + turn), np.sin(18 * (first + second))], axis=-1
            )
            yield ((0.5 + 0.5 * waves) * 255).astype(np.uint8)

    write_video(path, frames(), VIDEO_RATE)


def write_gyroid(path: Path) -> None:
    """Write a volume of 64 voxels along each side: a gyroid in a ball, with a soft surface."""
    z, y, x = np.mgrid[0:64, 0:64, 0:64] / 63 * 2 - 1
    turn = 3 * np.pi
    gyroid = np.abs(
        np.sin(turn * x) * np.cos(turn * y) + np.sin(turn * y) * np.cos(turn * z) + np.sin(turn * z) * np.cos(turn * x)
    )
    ball = 1 / (1 + np.exp(40 * (np.sqrt(x**2 + y**2 + z**2) - 0.9)))
    with atomic_write(path) as temporary, open(temporary, "wb") as file:
        np.save(file, (ball / (1 + np.exp(12 * (gyroid - 0.5)))).astype(np.float32))


def write_knot(path: Path) -> None:
    """Write a shape: a trefoil knot as a closed tube."""
    import trimesh

    turns, sides, thickness = 240, 24, 0.42
    t = np.linspace(0, 2 * np.pi, turns, endpoint=False)
    line = np.stack([np.sin(t) + 2 * np.sin(2 * t), np.cos(t) - 2 * np.cos(2 * t), -np.sin(3 * t)], axis=1)
    along = np.roll(line, -1, 0) - np.roll(line, 1, 0)
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    out = line - (line * along).sum(1, keepdims=True) * along
    out /= np.linalg.norm(out, axis=1, keepdims=True)
    beside = np.cross(along, out)
    a = np.linspace(0, 2 * np.pi, sides, endpoint=False)[None, :, None]
    vertices = (line[:, None] + thickness * (np.cos(a) * out[:, None] + np.sin(a) * beside[:, None])).reshape(-1, 3)
    i, j = np.meshgrid(np.arange(turns), np.arange(sides), indexing="ij")
    corner = [((i + di) % turns * sides + (j + dj) % sides).ravel() for di, dj in ((0, 0), (1, 0), (1, 1), (0, 1))]
    faces = np.concatenate(
        [np.stack([corner[0], corner[1], corner[2]], 1), np.stack([corner[0], corner[2], corner[3]], 1)]
    )
    mesh = trimesh.Trimesh(vertices, faces, process=False)
    mesh.fix_normals()
    with atomic_write(path) as temporary:
        mesh.export(temporary)
