"""Images by formula, on which the experiments are told apart: each has one property that a method claims to use."""

from __future__ import annotations

import numpy as np

from benchmarks.papers.fits import photograph
from scenes.image.signal import Image


def _centres(side: int) -> tuple[np.ndarray, np.ndarray]:
    """u to the right, v down, in (0, 1)."""
    axis = (np.arange(side) + 0.5) / side
    return np.meshgrid(axis, axis)


def _image(values: np.ndarray) -> Image:
    return Image.from_array(np.clip(values, 0, 1).astype(np.float32), "srgb")


def _background(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return np.stack(
        [0.5 + 0.2 * np.sin(3 * u + 2 * v), 0.5 + 0.2 * np.cos(2 * u - 3 * v), 0.45 + 0.15 * np.sin(4 * u * v)], axis=-1
    )


def dense_detail(side: int) -> Image:
    """A smooth background with a disc, rings, a checker and a line: detail in much of the image."""
    u, v = _centres(side)
    values = _background(u, v)
    values[..., 0] += 0.3 * ((u - 0.35) ** 2 + (v - 0.4) ** 2 < 0.18**2)
    radius = np.hypot(u - 0.7, v - 0.65)
    values[..., 1] += 0.25 * np.sin(2 * np.pi * radius / 0.05) * (radius < 0.22)
    checker = ((np.floor(u / 0.03) + np.floor(v / 0.03)) % 2) * 2 - 1
    values[..., 2] += 0.25 * checker * ((u > 0.05) & (u < 0.3) & (v > 0.7) & (v < 0.95))
    values[np.abs(v - 0.15 - 0.3 * u) < 0.006] = 0.95
    return _image(values)


def sparse_detail(side: int) -> Image:
    """The same background with four thin strokes, a fine checker and a line: detail in few places."""
    u, v = _centres(side)
    values = _background(u, v)
    for slope, height, level in ((0.3, 0.2, 0.05), (-0.2, 0.55, 0.9), (0.5, 0.4, 0.1), (-0.4, 0.95, 0.85)):
        values[np.abs(v - height - slope * u - 0.04 * np.sin(9 * u)) < 0.008] = level
    checker = ((np.floor(u / 0.02) + np.floor(v / 0.02)) % 2)[..., None]
    inside = (np.abs(u - 0.75) < 0.12) & (np.abs(v - 0.25) < 0.12)
    values[inside] = (0.2 + 0.6 * np.broadcast_to(checker, values.shape))[inside]
    values[np.abs(v - 0.15 - 0.3 * u) < 0.006] = 0.95
    return _image(values)


def split(side: int) -> Image:
    """Half a blurred photograph, half a texture: an image whose spectrum differs from place to place."""
    import skimage.data
    from scipy.ndimage import uniform_filter
    from skimage.transform import resize

    halves = uniform_filter(skimage.data.camera().astype(float), 17), skimage.data.gravel().astype(float)
    left, right = (np.asarray(resize(half / 255, (side, side), anti_aliasing=True)) for half in halves)
    return _image(np.concatenate([left[:, : side // 2], right[:, side // 2 :]], axis=1))


def chirp(side: int) -> Image:
    """Waves of 2 to 50 cycles from left to right."""
    u, v = _centres(side)
    values = np.sin(2 * np.pi * (2 * u + 24 * u * u)) * (0.3 + 0.7 * v) + 0.3 * np.sin(
        2 * np.pi * (3 * v + 10 * v * v * u)
    )
    return _image(0.5 + 0.5 * values / np.abs(values).max())


def named(name: str, side: int, grey: bool = False) -> Image:
    """One of the above, or a photograph of scikit-image's."""
    made = {"dense": dense_detail, "sparse": sparse_detail, "split": split, "chirp": chirp}
    return made[name](side) if name in made else photograph(name, side, grey=grey)
