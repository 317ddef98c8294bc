"""Networks that read fields, and those that they are compared with."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional


class PlaneTransformer(nn.Module):
    """Channels of a tri-plane as a set of tokens: a transformer without positional encoding, and the largest value.

    `TransformerEncoder` of Cardace et al. 2024. The result does not depend on the order of the channels. Channels
    `[B, K, side, side]` → logits `[B, classes]`; `tokens` is the encoding `[B, K, width]`.
    """

    def __init__(
        self, side: int, classes: int, *, width: int = 512, layers: int = 8, heads: int = 4, dropout: float = 0.1
    ) -> None:
        super().__init__()
        self.embed = nn.Linear(side * side, width)
        layer = nn.TransformerEncoderLayer(width, heads, 4 * width, dropout, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.head = nn.Linear(width, classes)
        # Pixels across all channels have unit length, so values are small.
        self.gain = math.sqrt(side)

    def tokens(self, channels: Tensor) -> Tensor:
        return self.encoder(self.embed(channels.flatten(2) * self.gain))

    def embedding(self, channels: Tensor) -> Tensor:
        """What the last layer sees, `[B, width]`."""
        return self.tokens(channels).amax(dim=1)

    def forward(self, channels: Tensor) -> Tensor:
        return self.head(self.embedding(channels))


class MapNet(nn.Module):
    """A small convolutional network on the feature maps of each plane, and the largest and mean values over the planes.

    Maps `[B, 3, 4, R, R]` (`fields.weights.planes.feature_maps`) → logits `[B, classes]`. It neither depends on the
    decoder's channels nor on the order of the planes.
    """

    def __init__(self, classes: int, width: int = 64) -> None:
        super().__init__()
        self.each = nn.Sequential(_convolution(4, 16), _convolution(16, 32), _convolution(32, width))
        self.head = nn.Sequential(nn.Linear(4 * width, 128), nn.ReLU(), nn.Dropout(0.3), nn.Linear(128, classes))

    def embedding(self, maps: Tensor) -> Tensor:
        found = self.each(maps.flatten(0, 1))
        found = torch.cat([found.amax(dim=(2, 3)), found.mean(dim=(2, 3))], dim=1).unflatten(0, maps.shape[:2])
        return torch.cat([found.amax(dim=1), found.mean(dim=1)], dim=1)

    def forward(self, maps: Tensor) -> Tensor:
        return self.head(self.embedding(maps))


def _convolution(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, 2, 1), nn.BatchNorm2d(outputs), nn.ReLU())


class PartDecoder(nn.Module):
    """Part of each point of a tri-plane's object: points ask the encoded channels (Cardace et al. 2024, section 5).

    Channels `[B, K, side, side]`, points `[B, N, 3]` in [0, 1] and classes `[B]` → logits `[B, N, parts]`. The points
    do not see each other, so the part of a point does not depend on which others are asked.
    """

    OCTAVES = 6

    def __init__(self, encoder: PlaneTransformer, classes: int, parts: int, *, layers: int = 2, heads: int = 4) -> None:
        super().__init__()
        self.encoder, self.classes = encoder, classes
        width = encoder.embed.out_features
        self.ask = nn.Sequential(nn.Linear(3 * (2 * self.OCTAVES + 1) + classes, width), nn.ReLU())
        self.cross = nn.ModuleList(CrossLayer(width, heads) for _ in range(layers))
        self.head = nn.Linear(width, parts)

    def forward(self, channels: Tensor, points: Tensor, labels: Tensor) -> Tensor:
        tokens = self.encoder.tokens(channels)
        x = points * 2 - 1
        phase = (x.unsqueeze(-1) * 2.0 ** torch.arange(self.OCTAVES, device=x.device)).flatten(-2)
        kind = functional.one_hot(labels, self.classes).float()[:, None].expand(-1, points.shape[1], -1)
        h = self.ask(torch.cat([x, phase.sin(), phase.cos(), kind], dim=-1))
        for layer in self.cross:
            h = layer(h, tokens)
        return self.head(h)


class CrossLayer(nn.Module):
    """Attention of queries to tokens, then a layer of each query alone."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)
        self.first, self.second = nn.LayerNorm(width), nn.LayerNorm(width)
        self.feed = nn.Sequential(nn.Linear(width, 2 * width), nn.ReLU(), nn.Linear(2 * width, width))

    def forward(self, queries: Tensor, tokens: Tensor) -> Tensor:
        h = self.first(queries + self.attention(queries, tokens, tokens, need_weights=False)[0])
        return self.second(h + self.feed(h))


def _points_layers(*widths: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for a, b in zip(widths, widths[1:]):
        layers += [nn.Linear(a, b), _PointNorm(b), nn.ReLU()]
    return nn.Sequential(*layers)


class _PointNorm(nn.BatchNorm1d):
    """Batch norm over all points of all clouds: `[B, N, C]`."""

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input.flatten(0, -2)).view_as(input)


class PointNet(nn.Module):
    """PointNet without its small transformers, at a quarter of its width (Qi et al. 2017).

    Points `[B, N, 3]` → logits `[B, classes]`.
    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.each = _points_layers(3, 32, 64, 256)
        self.head = nn.Sequential(nn.Linear(256, 128), nn.ReLU(), nn.Dropout(0.3), nn.Linear(128, classes))

    def embedding(self, points: Tensor) -> Tensor:
        return self.each(points).amax(dim=1)

    def forward(self, points: Tensor) -> Tensor:
        return self.head(self.embedding(points))


class PointNetParts(nn.Module):
    """PointNet's segmentation: points `[B, N, 3]`, classes `[B]` → logits `[B, N, parts]`."""

    def __init__(self, classes: int, parts: int) -> None:
        super().__init__()
        self.classes = classes
        self.near, self.far = _points_layers(3, 32, 64), _points_layers(64, 64, 256)
        self.head = nn.Sequential(_points_layers(64 + 256 + classes, 128, 64), nn.Linear(64, parts))

    def forward(self, points: Tensor, labels: Tensor) -> Tensor:
        near = self.near(points)
        whole = self.far(near).amax(dim=1)
        kind = functional.one_hot(labels, self.classes).float()
        around = torch.cat([whole, kind], dim=-1)[:, None].expand(-1, points.shape[1], -1)
        return self.head(torch.cat([near, around], dim=-1))


class FlatMlp(nn.Module):
    """An MLP on flattened weights: `[B, numbers]` → logits `[B, classes]`, as the paper's comparison."""

    def __init__(self, numbers: int, classes: int, width: int = 512) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(numbers, width),
            nn.BatchNorm1d(width),
            nn.ReLU(),
            nn.Dropout(0.5),
            nn.Linear(width, width),
            nn.BatchNorm1d(width),
            nn.ReLU(),
            nn.Dropout(0.5),
        )
        self.head = nn.Linear(width, classes)

    def embedding(self, weights: Tensor) -> Tensor:
        return self.layers(weights)

    def forward(self, weights: Tensor) -> Tensor:
        return self.head(self.layers(weights))
