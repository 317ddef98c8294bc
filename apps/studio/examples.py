"""Signals to begin with: scikit-image's photographs, and a sound, a clip, a volume and a shape made here from formulas.

`python -m apps.studio.examples` draws the small pictures by which the page shows them.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from apps.studio.folders import Folders
from scenes.io.atomic import atomic_write

READY = {
    "Astronaut, a photograph": "skimage:astronaut",
    "Coffee, a photograph": "skimage:coffee",
    "Chelsea, a cat": "skimage:chelsea",
    "Hubble's deep field": "skimage:hubble_deep_field",
    "Duck, a posed scene": "procedural:duck",
}
RATE = 16000
PICTURES = Path(__file__).parent / "static" / "examples"
PICTURE_SIDE = 240


def names() -> list[str]:
    return [*READY, *MADE]


def source(name: str, folders: Folders) -> str:
    """Where the example's signal is; those that are made are made when first asked for."""
    if name in READY:
        return READY[name]
    make, ending = MADE[name]
    folder = folders.uploads / "examples"
    folder.mkdir(exist_ok=True)
    path = folder / (name.partition(",")[0].lower().replace(" ", "-") + ending)
    if not path.is_file():
        make(path)
    return str(path)


def _bells(path: Path) -> None:
    """Four struck bells, each a sum of decaying partials."""
    from scenes.audio.write import write_audio

    t = np.arange(3 * RATE) / RATE
    sound = np.zeros_like(t)
    for start, pitch in ((0.0, 523.25), (0.6, 659.26), (1.2, 783.99), (1.8, 1046.5)):
        since = np.clip(t - start, 0, None)
        for ratio, level in ((1, 1), (2.0, 0.6), (2.76, 0.4), (5.4, 0.2)):
            sound += (t >= start) * level * np.sin(2 * np.pi * pitch * ratio * since) * np.exp(-since * (1.5 + ratio))
    write_audio(path, (0.3 * sound / np.abs(sound).max() * 2)[:, None].astype(np.float32), RATE)


def _ripples(path: Path) -> None:
    """Two seconds of coloured ripples crossing."""
    from scenes.video.write import write_video

    y, x = np.mgrid[0:96, 0:128] / 96

    def frames():
        for index in range(32):
            turn = 2 * np.pi * index / 32
            first = np.hypot(x - 0.67 - 0.3 * np.cos(turn), y - 0.5 - 0.2 * np.sin(turn))
            second = np.hypot(x - 0.3, y - 0.7)
            waves = np.stack(
                [np.sin(28 * first - 2 * turn), np.sin(22 * second + turn), np.sin(18 * (first + second))], axis=-1
            )
            yield ((0.5 + 0.5 * waves) * 255).astype(np.uint8)

    write_video(path, frames(), 16)


def _gyroid(path: Path) -> None:
    """A gyroid in a ball, soft at its surface, 64 voxels along each side."""
    z, y, x = np.mgrid[0:64, 0:64, 0:64] / 63 * 2 - 1
    turn = 3 * np.pi
    sheet = np.abs(
        np.sin(turn * x) * np.cos(turn * y) + np.sin(turn * y) * np.cos(turn * z) + np.sin(turn * z) * np.cos(turn * x)
    )
    ball = 1 / (1 + np.exp(40 * (np.sqrt(x**2 + y**2 + z**2) - 0.9)))
    with atomic_write(path) as temporary, open(temporary, "wb") as file:
        np.save(file, (ball / (1 + np.exp(12 * (sheet - 0.5)))).astype(np.float32))


def _knot(path: Path) -> None:
    """A trefoil knot as a closed tube."""
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


MADE: dict[str, tuple[Callable[[Path], None], str]] = {
    "Bells, a sound": (_bells, ".wav"),
    "Ripples, a clip": (_ripples, ".mp4"),
    "Gyroid, a volume": (_gyroid, ".npy"),
    "Knot, a shape": (_knot, ".ply"),
}


def draw(folder: Path = PICTURES) -> None:
    """A small square picture of each example."""
    import tempfile

    from PIL import Image, ImageOps

    import scenes

    folder.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as place:
        for index, name in enumerate(names()):
            picture = Image.fromarray(scenes.load(source(name, Folders.at(Path(place)))).preview(2 * PICTURE_SIDE))
            ImageOps.fit(picture.convert("RGB"), (PICTURE_SIDE, PICTURE_SIDE)).save(
                folder / f"{index}.webp", quality=80
            )


if __name__ == "__main__":
    draw()
