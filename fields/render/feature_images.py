"""Images of the parts of a field: features as colors, maps around a value, and kernels as ellipses."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from fields.models.field import PointField
from fields.ops.rbf_gather import full_shapes, unpack_shapes
from fields.render.raster import sample_centers

# Side of the plane on which features are evaluated, in pixels.
SIDE = 160
# Longest side of an image; larger grids are resampled.
MAX_SIDE = 256
# Colors of maps: less than the middle, the middle, more.
LOW_COLOR = np.array([47, 134, 173])
MIDDLE_COLOR = np.array([246, 244, 240])
HIGH_COLOR = np.array([196, 84, 40])
# Standard deviations of the features between grey and full color.
CONTRAST = 2.5


@torch.no_grad()
def evaluate_on_plane(field: PointField, function: Callable[[Tensor], Tensor], side: int = SIDE) -> np.ndarray:
    """Values `[side, side, F]` of `function` on the plane of the first two axes, in the middle of the other axes.

    `function`: coords `[N, D]` of the field → values `[N, F]`. A signal with one axis gives equal rows.
    """
    dimensions = field.domain.dimensions
    positions = sample_centers(side)
    coords = torch.full((side, side, dimensions), 0.5)
    coords[..., 0] = positions[None, :]
    if dimensions > 1:
        coords[..., 1] = positions[:, None]
    values = function(coords.reshape(-1, dimensions).to(field.device))
    return values.reshape(side, side, -1).cpu().numpy()


def feature_image(features: np.ndarray) -> np.ndarray:
    """Features `[h, w, F]` as colors, uint8; the mean is grey.

    Up to three features are shown as red, green and blue; of more features, the three strongest principal components.
    """
    values = features.reshape(-1, features.shape[-1]).astype(np.float64)
    values = values - values.mean(0)
    if values.shape[1] > 3:
        _, directions = np.linalg.eigh(values.T @ values)
        values = values @ directions[:, :-4:-1]
    values = values / (CONTRAST * values.std() + 1e-12)
    colors = np.full((len(values), 3), 0.5)
    colors[:, : values.shape[1]] += 0.5 * values
    if values.shape[1] == 1:
        colors[:] = colors[:, :1]
    image = (colors.clip(0, 1) * 255).astype(np.uint8).reshape(*features.shape[:2], 3)
    return _scaled(image)


def diverging_image(values: np.ndarray, middle: float) -> np.ndarray:
    """Values `[h, w]` as colors, uint8: blue below `middle`, orange above it."""
    fraction = (values - middle) / max(float(np.abs(values - middle).max()), 1e-9)
    fraction = fraction[..., None]
    end = np.where(fraction > 0, HIGH_COLOR, LOW_COLOR)
    return _scaled((MIDDLE_COLOR + (end - MIDDLE_COLOR) * np.abs(fraction)).astype(np.uint8))


def kernel_ellipses(shapes: Tensor, kernel: str) -> tuple[np.ndarray, np.ndarray]:
    """Half axes `[N, 2]` and angles `[N]` in degrees of the ellipses on which kernels have about half their maximum.

    `shapes`: shapes of kernels in two dimensions, as `fields.encoders.rbf.RbfKernels` has them. An ellipse has
    `<o, K o> = 1`, or `|K o| = 1` for the kernel "hat", whose K is not squared.
    """
    matrices = unpack_shapes(full_shapes(shapes.detach().cpu().double(), 2)).numpy()
    values, vectors = np.linalg.eigh(matrices)
    strength = np.abs(values) if kernel == "hat" else np.sqrt(np.abs(values))
    return 1 / np.maximum(strength, 1e-6), np.degrees(np.arctan2(vectors[:, 1, 0], vectors[:, 0, 0]))


def _scaled(image: np.ndarray) -> np.ndarray:
    """Enlarge a small grid, each cell to a square of pixels; shrink a large one to `MAX_SIDE`."""
    height, width = image.shape[:2]
    longest = max(height, width)
    if longest > MAX_SIDE:
        size = max(1, round(width * MAX_SIDE / longest)), max(1, round(height * MAX_SIDE / longest))
        return np.asarray(Image.fromarray(image).resize(size))
    times = max(1, SIDE // longest)
    return np.repeat(np.repeat(image, times, 0), times, 1)
