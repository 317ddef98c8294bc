"""Number of parameters of networks, before they are built. Imports no torch: the command line asks this."""

from __future__ import annotations


def mlp_parameters(inputs: int, width: int, hidden_layers: int, outputs: int, *, bias: bool) -> int:
    """Number of parameters of an MLP or SIREN: `hidden_layers` layers of `width` units and a linear output layer."""
    weights = inputs * width + (hidden_layers - 1) * width * width + width * outputs
    return weights + (hidden_layers * width + outputs if bias else 0)
