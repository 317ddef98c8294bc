"""Generators of whole frames: NeRV (Chen et al. 2021) and NeRV++ (Ghorbel et al. 2024).

A frame grows from a small grid of features through blocks. Each block enlarges the grid by its stride, with a
convolution and a pixel shuffle.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fields.networks.cam import TimeModulation

# NeRV, and the two published descriptions of NeRV++: the figure of the paper, and the released code.
Preset = Literal["nerv", "paper", "release"]


class TimeCode(nn.Module):
    """Positional encoding of a time (NeRV, equation 2): `[T]` → `[T, 2 frequencies]`.

    sin(base^k pi t), cos(base^k pi t),      k = 0 .. frequencies - 1
    """

    def __init__(self, base: float, frequencies: int) -> None:
        super().__init__()
        self.base, self.frequencies = base, frequencies

    def forward(self, times: Tensor) -> Tensor:
        powers = self.base ** torch.arange(self.frequencies, dtype=times.dtype, device=times.device)
        phase = times[:, None] * powers * math.pi
        return torch.stack([torch.sin(phase), torch.cos(phase)], dim=-1).flatten(1)


class Stem(nn.Module):
    """Two linear layers from a time code `[T, inputs]` to the first grid `[T, channels, height, width]`.

    `grid` is (channels, height, width). With `gated` the hidden units are gated, as in NeRV++'s released code.
    """

    def __init__(self, inputs: int, hidden: int, grid: tuple[int, int, int], gated: bool) -> None:
        super().__init__()
        self.shape = grid
        self.gated = gated
        self.first = nn.Linear(inputs, 2 * hidden if gated else hidden)
        self.second = nn.Linear(hidden, math.prod(grid))

    def forward(self, code: Tensor) -> Tensor:
        features = self.first(code)
        if self.gated:
            gate, rest = features.chunk(2, dim=1)
            grid = self.second(gate * F.gelu(rest, approximate="tanh"))
        else:
            grid = F.silu(self.second(F.silu(features)))
        return grid.reshape(-1, *self.shape)


class Upsampling(nn.Module):
    """NeRV's block: `SiLU(PixelShuffle_s(Conv3x3(x)))`, `[T, inputs, h, w]` → `[T, outputs, s h, s w]`.

    With `time_nodes` features are standardized and modulated by the time before the SiLU, as in CAM.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, time_nodes: int) -> None:
        super().__init__()
        self.stride = stride
        self.convolution = nn.Conv2d(inputs, outputs * stride**2, 3, padding=1)
        self.modulation = TimeModulation(outputs, time_nodes) if time_nodes else None

    def forward(self, features: Tensor, times: Tensor) -> Tensor:
        features = F.pixel_shuffle(self.convolution(features), self.stride)
        return F.silu(features if self.modulation is None else self.modulation(features, times))


class Separable(nn.Module):
    """NeRV++'s residual block of separable convolutions: `z + W2 GELU(W1 D z)`, D a 3 x 3 depthwise convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
        self.first = nn.Conv2d(channels, channels, 1)
        self.second = nn.Conv2d(channels, channels, 1)

    def forward(self, features: Tensor) -> Tensor:
        return features + self.second(F.gelu(self.first(self.depthwise(features))))


class Gated(nn.Module):
    """Gated convolution in front of the upsampling in NeRV++'s released code; 5 x 5, over a part of the channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.hidden = 8 * channels // 3
        self.split = (self.hidden, self.hidden - channels, channels)
        self.first = nn.Conv2d(channels, 2 * self.hidden, 1)
        self.depthwise = nn.Conv2d(channels, channels, 5, padding=2, groups=channels)
        self.second = nn.Conv2d(self.hidden, channels, 1)

    def forward(self, features: Tensor) -> Tensor:
        gate, passed, convolved = self.first(features).split(self.split, dim=1)
        return features + self.second(F.gelu(gate) * torch.cat([passed, self.depthwise(convolved)], dim=1))


class PlusBlock(nn.Module):
    """NeRV++'s block: project, refine, enlarge, refine, and add the projection.

    The projection is enlarged bilinearly, with half-pixel centres.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, *, time_nodes: int, gated: bool) -> None:
        super().__init__()
        self.stride = stride
        self.project = nn.Conv2d(inputs, outputs, 1)
        self.before = Gated(outputs) if gated else Separable(outputs)
        self.enlarge = Upsampling(outputs, outputs, stride, time_nodes)
        self.after = Separable(outputs)

    def forward(self, features: Tensor, times: Tensor) -> Tensor:
        projected = self.project(features)
        enlarged = self.after(self.enlarge(self.before(projected), times))
        return enlarged + F.interpolate(projected, scale_factor=self.stride, mode="bilinear", align_corners=False)


class Generator(nn.Module):
    """Times `[T]` → frames `[T, channels, height, width]` in [0, 1].

    `code` is (base, frequencies) of the time code, `hidden` the units of the stem, `grid` (channels, height, width)
    of the first grid. Block `i` enlarges by `strides[i]` and gives `widths[i]` channels. Rows and columns that the
    strides make beyond `height` and `width` are cut off.
    """

    def __init__(
        self,
        *,
        preset: Preset,
        code: tuple[float, int],
        hidden: int,
        grid: tuple[int, int, int],
        widths: list[int],
        strides: list[int],
        height: int,
        width: int,
        channels: int,
        time_nodes: int = 0,
    ) -> None:
        super().__init__()
        self.size = (height, width)
        self.code = TimeCode(*code)
        gated = preset == "release"
        self.stem = Stem(2 * code[1], hidden, grid, gated)
        shapes = zip([grid[0], *widths[:-1]], widths, strides)
        if preset == "nerv":
            blocks = [Upsampling(*shape, time_nodes) for shape in shapes]
        else:
            blocks = [PlusBlock(*shape, time_nodes=time_nodes, gated=gated) for shape in shapes]
        self.blocks = nn.ModuleList(blocks)
        size = 3 if preset == "paper" else 1
        self.head = nn.Conv2d(widths[-1], channels, size, padding=size // 2)
        if preset != "nerv":
            self.apply(_initialize_plus)

    def forward(self, times: Tensor) -> Tensor:
        # Channels last: a step of either method takes a quarter to a third less time on a CPU.
        features = self.stem(self.code(times)).contiguous(memory_format=torch.channels_last)
        for block in self.blocks:
            features = block(features, times)
        height, width = self.size
        return (torch.tanh(self.head(features[..., :height, :width])) + 1) / 2


def _initialize_plus(module: nn.Module) -> None:
    """Initialize one layer as NeRV++'s code does: Xavier-uniform convolutions, N(0, 0.02) linear layers, biases 0."""
    if isinstance(module, nn.Conv2d):
        nn.init.xavier_uniform_(module.weight)
    elif isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
    else:
        return
    if module.bias is not None:
        nn.init.zeros_(module.bias)
