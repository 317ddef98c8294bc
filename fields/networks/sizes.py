"""How large pieces of a field are, before they are built. No torch: the command line asks this."""

from __future__ import annotations


def mlp_parameters(inputs: int, width: int, hidden_layers: int, outputs: int, bias: bool) -> int:
    """Numbers in an MLP (or SIREN) of `hidden_layers` layers of `width` units and a linear output."""
    weights = inputs * width + (hidden_layers - 1) * width * width + width * outputs
    return weights + (hidden_layers * width + outputs if bias else 0)


def frequency_outputs(dimensions: int, octaves: int) -> int:
    """Features of the frequency encoding, the coordinates themselves included."""
    return dimensions * (2 * octaves + 1)
