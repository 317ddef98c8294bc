"""tiny-cuda-nn as an accelerator of a hash grid with an MLP, where it is installed, and its layout of the numbers.

Its `NetworkWithInputEncoding` keeps all of them in one flat vector: first the matrices, `[out, in]` row by row from the features' side on,
then the table, level by level as ours. The features and the outputs are padded to multiples of 16: with zeros, which we put in and take
out. There are no biases. (Read from its sources, version 2.0: network_with_input_encoding.h, fully_fused_mlp.cu, encodings/grid.h.)
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import torch
from torch import Tensor

from fields.ops.grid_layout import GridLayout

ALIGNMENT = 16
WIDTHS = (16, 32, 64, 128)


@cache
def why_absent() -> str | None:
    """One line saying why tiny-cuda-nn cannot be used here, or None if it can."""
    try:
        import tinycudann  # noqa: F401
    except Exception as error:  # noqa: BLE001  (a GPU package may fail in any way; that means absent, and this is why)
        reason = str(error).strip().splitlines()
        return f"tiny-cuda-nn (the package tinycudann) does not import: {reason[0] if reason else type(error).__name__}"
    return None


def why_not(layout: GridLayout, weights: Sequence[Tensor], device: str) -> str | None:
    """One line saying why it cannot serve such a field, or None if it can."""
    if reason := why_absent():
        return reason
    if device != "cuda":
        return f"tiny-cuda-nn computes on a GPU, and this fit is on the {device}"
    widths = {w.shape[0] for w in weights[:-1]}
    if len(widths) != 1 or not widths <= set(WIDTHS):
        return f"tiny-cuda-nn's fused MLP has hidden layers of one width of {', '.join(map(str, WIDTHS))}, not {sorted(widths)}"
    return None


def _padded(count: int) -> int:
    return -(-count // ALIGNMENT) * ALIGNMENT


def to_params(table: Tensor, weights: Sequence[Tensor]) -> Tensor:
    """Table `[entries, features]` and matrices `[out, in]` → its vector, differentiably; of the tensors' dtype and device."""
    first, last = weights[0], weights[-1]
    padded = [
        torch.nn.functional.pad(
            w,
            (
                0,
                _padded(w.shape[1]) - w.shape[1] if w is first else 0,
                0,
                _padded(w.shape[0]) - w.shape[0] if w is last else 0,
            ),
        )
        for w in weights
    ]
    return torch.cat([t.reshape(-1) for t in (*padded, table)])


def from_params(params: Tensor, layout: GridLayout, sizes: Sequence[int]) -> tuple[Tensor, list[Tensor]]:
    """And back: the table and the matrices of an MLP of `sizes` (features, hidden layers, outputs), which share no memory with it.

    ValueError if the vector is not as long as such a field's. The padded features are zero, so what their weights are does not count.
    """
    inputs = [_padded(sizes[0]), *sizes[1:-1]]
    outputs = [*sizes[1:-1], _padded(sizes[-1])]
    counts = [a * b for a, b in zip(inputs, outputs)]
    if params.ndim != 1 or len(params) != sum(counts) + layout.parameters:
        raise ValueError(
            f"such a field has {sum(counts) + layout.parameters} parameters in tiny-cuda-nn, not {list(params.shape)}"
        )
    *matrices, table = params.detach().split([*counts, layout.parameters])
    weights = [
        m.reshape(b, a)[:kept_b, :kept_a].clone()
        for m, a, b, kept_a, kept_b in zip(matrices, inputs, outputs, sizes, sizes[1:])
    ]
    return table.reshape(layout.entries, layout.features).clone(), weights


class TcnnModel:
    """Its model of a grid and a ReLU MLP, fed with numbers that live elsewhere; gradients come back to these."""

    def __init__(self, layout: GridLayout, interpolation: str, width: int, hidden_layers: int, outputs: int) -> None:
        import tinycudann

        encoding = {
            "otype": "Grid",
            "type": layout.kind.capitalize(),
            "n_levels": layout.levels,
            "n_features_per_level": layout.features,
            "log2_hashmap_size": layout.table_size.bit_length() - 1,
            "base_resolution": layout.base_resolution,
            "per_level_scale": layout.growth,
            "interpolation": interpolation.capitalize(),
        }
        network = {
            "otype": "FullyFusedMLP",
            "activation": "ReLU",
            "output_activation": "None",
            "n_neurons": width,
            "n_hidden_layers": hidden_layers,
        }
        self.module = tinycudann.NetworkWithInputEncoding(layout.dimensions, outputs, encoding, network)
        expected = (
            _padded(layout.outputs) * width
            + width * width * (hidden_layers - 1)
            + _padded(outputs) * width
            + layout.parameters
        )
        if self.module.params.numel() != expected:
            raise RuntimeError(
                f"this tiny-cuda-nn keeps {self.module.params.numel()} parameters for a field that has {expected}"
            )

    def __call__(self, coords: Tensor, table: Tensor, weights: Sequence[Tensor]) -> Tensor:
        """Values `[N, outputs]` float32 at coords `[N, D]` in [0, 1]; products and features in its own (mostly half) precision."""
        # It wraps coordinates beyond the unit cube, we clamp them.
        flat = {"params": to_params(table, weights)}
        return torch.func.functional_call(self.module, flat, (coords.clamp(0.0, 1.0),)).float()
