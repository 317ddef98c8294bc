"""Small fields of every method, for tests of pages."""

from __future__ import annotations

import numpy as np
import torch

from fields.methods.registry import make_method
from fields.models.field import PointField
from fields.models.neurbf import NeuRbfField
from scenes.audio.signal import Audio
from scenes.image.signal import Image
from scenes.signal import Signal
from scenes.volume.signal import Volume

# Standard deviation of the values of a field, at least: enough for a picture.
SPREAD = 0.3
SMALL = {"width": 24, "hidden_layers": 2}
GRID = {"levels": 3, "base_resolution": 4, "table_size": 64, "width": 16}
# Method, options, and number of axes of the field.
FIELDS = {
    "hashgrid": ("hashgrid", GRID, 2),
    "hashgrid-3d": ("hashgrid", {**GRID, "interpolation": "smoothstep", "features": 4}, 3),
    "linear": ("hashgrid", {**GRID, "head": "linear"}, 2),
    "kan-spline": ("hashgrid", {**GRID, "head": "kan-spline"}, 2),
    "kan-gaussian": ("hashgrid", {**GRID, "head": "kan-gaussian"}, 2),
    "hourglass": ("hashgrid", {**GRID, "head": "hourglass"}, 2),
    "quadratic": ("hashgrid", {**GRID, "head": "quadratic"}, 2),
    "frequency": ("frequency", {**SMALL, "octaves": 4}, 2),
    "fourier": ("fourier", {**SMALL, "sigma": 3.0}, 2),
    "nerf": ("nerf", {"width": 16, "hidden_layers": 4}, 2),
    "siren": ("siren", SMALL, 2),
    "siren-1d": ("siren", SMALL, 1),
    "finer": ("finer", SMALL, 2),
    "wire": ("wire", SMALL, 2),
    "cam": ("cam", SMALL, 2),
    "densegrid": ("densegrid", {}, 2),
    "triplane": ("triplane", {}, 3),
    "tensorf": ("tensorf", {}, 3),
    "kplanes": ("kplanes", {}, 3),
    "rbf": ("rbf", {}, 2),
    "neurbf": ("neurbf", {}, 2),
    "nstr": ("nstr", {}, 2),
    "nstr-jet": ("nstr", {"transport": "jet", "interpolation": "smoothstep", "phases": True}, 2),
}


def make_signal(dimensions: int) -> Signal:
    """A small signal with so many axes."""
    x, y, z = np.meshgrid(*[np.linspace(0, 1, 24, dtype=np.float32)] * 3, indexing="ij")
    if dimensions == 1:
        return Audio.from_array(np.sin(np.arange(600, dtype=np.float32) / 7)[:, None], 8000)
    if dimensions == 2:
        return Image.from_array(np.stack([x[..., 0], y[..., 0] ** 2, np.sin(9 * x * y)[..., 5]], -1), "srgb")
    return Volume.from_array(np.sin(5 * x * y) + z)


def make_field(name: str) -> PointField:
    """A small field that was not fitted, whose parameters are large enough for each to matter."""
    method_name, options, dimensions = FIELDS[name]
    signal = make_signal(dimensions)
    method = make_method(method_name, options).prepare(signal)
    field = method.build_field(signal.domain, signal.channels, seed=1)
    assert isinstance(field, PointField)
    generator = torch.Generator().manual_seed(2)
    for parameter in field.parameters():
        parameter.requires_grad_(False)
        if parameter.abs().max() < 1e-3:
            parameter.uniform_(-0.4, 0.4, generator=generator)
    if isinstance(field, NeuRbfField):
        # Kernels on a lattice would be equally near to some pixels.
        centres = field.encoder.kernels.centres
        centres += 0.02 * torch.rand(centres.shape, generator=generator)
    values = field(torch.rand(500, dimensions, generator=generator))
    if values.std() < SPREAD:
        for parameter in field.parameters():
            if len(parameter) == len(signal.channels):
                parameter *= values.mean().sign() * SPREAD / values.std()
    return field.eval()
