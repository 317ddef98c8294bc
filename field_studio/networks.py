"""Networks: modules from features or coordinates `[..., F]` to values `[..., C]`."""

from __future__ import annotations

from fields.networks.cam import ModulatedMLP, Modulation
from fields.networks.finer import Finer
from fields.networks.gaussian_rbf import GaussianRbf
from fields.networks.hourglass import Hourglass
from fields.networks.kan import Kan
from fields.networks.mlp import MLP
from fields.networks.quadratic import Quadratic
from fields.networks.sine_residual import SineResidual
from fields.networks.siren import Siren
from fields.networks.skip_mlp import SkipMLP
from fields.networks.spectral import SpectralNetwork
from fields.networks.wire import Wire

__all__ = [
    "MLP",
    "Finer",
    "GaussianRbf",
    "Hourglass",
    "Kan",
    "ModulatedMLP",
    "Modulation",
    "Quadratic",
    "SineResidual",
    "Siren",
    "SkipMLP",
    "SpectralNetwork",
    "Wire",
]
