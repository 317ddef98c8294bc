"""tiny-cuda-nn as an optional accelerator of a hash grid and its MLP, and conversion to and from its parameters.

Its `NetworkWithInputEncoding` keeps all parameters in one flat vector: first the matrices, `[out, in]` in row-major
order from the features on, then the table, level by level like ours. Features and outputs are padded to multiples of 16
with zeros, which we add and remove. There are no biases. This layout was read from its sources, version 2.0:
network_with_input_encoding.h, fully_fused_mlp.cu and encodings/grid.h.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import torch
from torch import Tensor

from fields.ops.grid_layout import GridLayout
from fields.ops.hash_grid import Interpolation

# Numbers of features and outputs are padded to multiples of this.
ALIGNMENT = 16
# Widths of hidden layers that its fused MLP supports.
WIDTHS = (16, 32, 64, 128)


@cache
def why_absent() -> str | None:
    """Reason why tiny-cuda-nn cannot be imported, in one line, or None if it can."""
    try:
        import tinycudann  # noqa: F401  # pyright: ignore[reportMissingImports]
    except Exception as error:  # noqa: BLE001  a GPU package may fail in any way, and then counts as absent
        reason = str(error).strip().splitlines()
        return f"tiny-cuda-nn (the package tinycudann) does not import: {reason[0] if reason else type(error).__name__}"
    return None


def why_not(layout: GridLayout, weights: Sequence[Tensor], device: str) -> str | None:
    """Reason why tiny-cuda-nn cannot serve this grid and MLP, in one line, or None if it can."""
    if reason := why_absent():
        return reason
    if device != "cuda":
        return f"tiny-cuda-nn computes on a GPU, and this fit is on the {device}"
    widths = {w.shape[0] for w in weights[:-1]}
    if len(widths) != 1 or not widths <= set(WIDTHS):
        supported = ", ".join(map(str, WIDTHS))
        return f"tiny-cuda-nn's fused MLP has hidden layers of one width of {supported}, not {sorted(widths)}"
    return None


def _padded(count: int) -> int:
    return -(-count // ALIGNMENT) * ALIGNMENT


def to_params(table: Tensor, weights: Sequence[Tensor]) -> Tensor:
    """tiny-cuda-nn's flat vector of a table `[entries, features]` and matrices `[out, in]`.

    Differentiable; of the dtype and on the device of the tensors.
    """
    padded = []
    for index, weight in enumerate(weights):
        rows, columns = weight.shape
        more_rows = _padded(rows) - rows if index == len(weights) - 1 else 0
        more_columns = _padded(columns) - columns if index == 0 else 0
        padded.append(torch.nn.functional.pad(weight, (0, more_columns, 0, more_rows)))
    return torch.cat([t.reshape(-1) for t in (*padded, table)])


def from_params(params: Tensor, layout: GridLayout, sizes: Sequence[int]) -> tuple[Tensor, list[Tensor]]:
    """Table and matrices of tiny-cuda-nn's flat vector. They share no memory with it.

    sizes: features, hidden layers and outputs of the MLP.

    Raises ValueError if the vector has another length than such a field's. The weights of padded features are dropped:
    those features are zero, so their weights have no effect.
    """
    inputs = [_padded(sizes[0]), *sizes[1:-1]]
    outputs = [*sizes[1:-1], _padded(sizes[-1])]
    counts = [a * b for a, b in zip(inputs, outputs)]
    expected = sum(counts) + layout.num_parameters
    if params.ndim != 1 or len(params) != expected:
        raise ValueError(f"such a field has {expected} parameters in tiny-cuda-nn, not {list(params.shape)}")
    *matrices, table = params.detach().split([*counts, layout.num_parameters])
    weights = [
        matrix.reshape(rows, columns)[:used_rows, :used_columns].clone()
        for matrix, columns, rows, used_columns, used_rows in zip(matrices, inputs, outputs, sizes, sizes[1:])
    ]
    return table.reshape(layout.entries, layout.features).clone(), weights


def grid_config(layout: GridLayout, interpolation: Interpolation) -> dict[str, object]:
    """tiny-cuda-nn's `encoding_config` of a grid."""
    return {
        "otype": "Grid",
        "type": layout.kind.capitalize(),
        "n_levels": layout.levels,
        "n_features_per_level": layout.features,
        "log2_hashmap_size": layout.table_size.bit_length() - 1,
        "base_resolution": layout.base_resolution,
        "per_level_scale": layout.growth,
        "interpolation": interpolation.capitalize(),
    }


def mlp_config(width: int, hidden_layers: int) -> dict[str, object]:
    """tiny-cuda-nn's `network_config` of its fused MLP with ReLU."""
    return {
        "otype": "FullyFusedMLP",
        "activation": "ReLU",
        "output_activation": "None",
        "n_neurons": width,
        "n_hidden_layers": hidden_layers,
    }


class TcnnModel:
    """tiny-cuda-nn's model of a grid and a ReLU MLP, evaluated with the caller's table and weights.

    Gradients flow back to the caller's tensors. Raises RuntimeError if this version of tiny-cuda-nn has another number
    of parameters than its documented layout.
    """

    def __init__(
        self,
        layout: GridLayout,
        *,
        interpolation: Interpolation,
        width: int,
        hidden_layers: int,
        outputs: int,
    ) -> None:
        import tinycudann  # pyright: ignore[reportMissingImports]

        self.module = tinycudann.NetworkWithInputEncoding(
            layout.dimensions, outputs, grid_config(layout, interpolation), mlp_config(width, hidden_layers)
        )
        expected = (
            _padded(layout.outputs) * width
            + width * width * (hidden_layers - 1)
            + _padded(outputs) * width
            + layout.num_parameters
        )
        if self.module.params.numel() != expected:
            raise RuntimeError(
                f"this tiny-cuda-nn keeps {self.module.params.numel()} parameters for a field that has {expected}"
            )

    def __call__(self, coords: Tensor, table: Tensor, weights: Sequence[Tensor]) -> Tensor:
        """Values `[N, outputs]` float32 at coords `[N, D]`, computed in tiny-cuda-nn's own, mostly half, precision.

        Coordinates outside [0, 1] are clamped as in `hash_grid`; tiny-cuda-nn itself would wrap them.
        """
        flat = {"params": to_params(table, weights)}
        return torch.func.functional_call(self.module, flat, (coords.clamp(0.0, 1.0),)).float()
