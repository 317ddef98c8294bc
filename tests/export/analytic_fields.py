"""Fields given by formulas, for tests of exports, and a plain renderer of 3DGS files."""

import numpy as np
import torch

from fields.models.field import PointField, RadianceField
from scenes.domain import Axis, Channels, Domain


class Blob(PointField):
    """A volume of 4 x 4 x 2 mm around (12, 12, 11) whose values fall from 900 in a ball of radius 0.8 to 100."""

    def __init__(self) -> None:
        axes = tuple(
            Axis(name, 10.0, 10.0 + extent, "mm", round(extent * 8)) for name, extent in zip("xyz", (4.0, 4.0, 2.0))
        )
        super().__init__(Domain(axes), Channels(("value",), "scalar", lower=100.0, upper=900.0))
        self.anchor = torch.nn.Parameter(torch.zeros(1))

    def forward(self, coords):
        away = ((coords - 0.5) * torch.tensor([4.0, 4.0, 2.0])).norm(dim=-1, keepdim=True)
        return torch.sigmoid(20 * (0.8 - away)) + 0 * self.anchor


class Beads(RadianceField):
    """Two colored balls with a highlight that moves with the camera, in a box of side 2 around the origin."""

    def __init__(self) -> None:
        super().__init__(
            Domain(tuple(Axis(name, -1.0, 1.0, "") for name in "xyz")), Channels(("red", "green", "blue"), "srgb")
        )
        self.anchor = torch.nn.Parameter(torch.zeros(1))
        self.measure_occupancy()

    def distance(self, coords):
        """Signed distance to the balls at coords in [0, 1]^3."""
        first = (coords - torch.tensor([0.4, 0.5, 0.5])).norm(dim=-1) - 0.25
        second = (coords - torch.tensor([0.83, 0.55, 0.45])).norm(dim=-1) - 0.13
        return torch.minimum(first, second)

    def density(self, coords, time=None, directions=None):
        return 600 * torch.sigmoid(-300 * self.distance(coords)) + 0 * self.anchor, coords

    def color(self, feature, directions):
        base = 0.5 + 0.3 * torch.sin(feature * torch.tensor([9.0, 14.0, 11.0]))
        first = torch.nn.functional.normalize(feature - torch.tensor([0.4, 0.5, 0.5]), dim=-1)
        shine = (-(first * directions).sum(-1, keepdim=True)).clamp(min=0) ** 3
        return (base + 0.2 * shine).clamp(0, 1)


class SolidBeads(Beads):
    """The balls with the density that fits find: it begins at the surface, and half of the light is lost behind it."""

    def density(self, coords, time=None, directions=None):
        return 400 * torch.sigmoid(-2000 * self.distance(coords)) + 0 * self.anchor, coords


def render_splats(columns: dict[str, np.ndarray], camera, background: float = 1.0) -> np.ndarray:
    """Render the Gaussians of a 3DGS file as that method does (Kerbl et al. 2023; Zwicker et al. 2001), `[H, W, 3]`.

    columns: columns of the file. camera: a pinhole `Camera` whose axis meets the middle of its image.
    """
    positions = np.stack([columns[name] for name in "xyz"], axis=1).astype(np.float64)
    pose = np.asarray(camera.pose, np.float64)
    # x right, y down, z forwards, as in the format.
    rotation, eye = pose[:, :3] * [1, -1, -1], pose[:, 3]
    width, height, f = camera.intrinsics.width, camera.intrinsics.height, camera.intrinsics.fl_x
    # Gaussians behind the camera or far off to a side are not drawn, as the projection is not valid there.
    seen = (positions - eye) @ rotation
    near = np.flatnonzero(
        (seen[:, 2] > 0.01)
        & (np.abs(seen[:, :2]) < 1.3 * seen[:, 2:] * np.array([width, height]) / (2 * f) + 1e-9).all(axis=1)
    )
    order = near[np.argsort(seen[near, 2], kind="stable")]
    columns, positions, seen = (
        {name: np.asarray(column)[order] for name, column in columns.items()},
        positions[order],
        seen[order],
    )
    scales = np.exp(np.stack([columns[f"scale_{k}"] for k in range(3)], axis=1).astype(np.float64))
    w, x, y, z = (np.stack([columns[f"rot_{k}"] for k in range(4)], axis=1).astype(np.float64)).T
    turn = np.stack(
        [
            1 - 2 * (y * y + z * z),
            2 * (x * y - w * z),
            2 * (x * z + w * y),
            2 * (x * y + w * z),
            1 - 2 * (x * x + z * z),
            2 * (y * z - w * x),
            2 * (x * z - w * y),
            2 * (y * z + w * x),
            1 - 2 * (x * x + y * y),
        ],
        axis=1,
    ).reshape(-1, 3, 3)
    covariance = (turn * scales[:, None, :] ** 2) @ turn.transpose(0, 2, 1)
    opacity = 1 / (1 + np.exp(-columns["opacity"].astype(np.float64)))
    colors = np.clip(
        _harmonic_colors(columns, (positions - eye) / np.linalg.norm(positions - eye, axis=1, keepdims=True)), 0, None
    )
    depth = seen[:, 2]
    jacobian = np.zeros((len(positions), 2, 3))
    jacobian[:, 0, 0] = jacobian[:, 1, 1] = f / depth
    jacobian[:, 0, 2], jacobian[:, 1, 2] = -f * seen[:, 0] / depth**2, -f * seen[:, 1] / depth**2
    project = jacobian @ rotation.T
    flat = project @ covariance @ project.transpose(0, 2, 1) + 0.3 * np.eye(2)
    middle = np.stack([f * seen[:, 0] / depth + width / 2, f * seen[:, 1] / depth + height / 2], axis=1)
    inverse = np.linalg.inv(flat)
    reach = np.ceil(3 * np.sqrt(np.linalg.eigvalsh(flat)[:, 1])).astype(np.int64)
    first = np.clip(np.floor(middle).astype(np.int64) - reach[:, None], 0, (width, height))
    last = np.clip(np.floor(middle).astype(np.int64) + reach[:, None] + 1, 0, (width, height))
    spans = last - first
    image, transmittance = np.zeros((height * width, 3)), np.ones(height * width)
    # 8192 Gaussians at once, front to back: all pixels that each may touch, sorted by pixel. In one they stay in order.
    for start in range(0, len(positions), 1 << 13):
        some = slice(start, start + (1 << 13))
        counts = spans[some].prod(axis=1)
        n = np.repeat(np.arange(start, start + len(counts)), counts)
        within = np.arange(len(n)) - np.repeat(np.cumsum(counts) - counts, counts)
        px, py = first[n, 0] + within % spans[n, 0], first[n, 1] + within // spans[n, 0]
        dx, dy = px + 0.5 - middle[n, 0], py + 0.5 - middle[n, 1]
        power = -0.5 * (inverse[n, 0, 0] * dx * dx + 2 * inverse[n, 0, 1] * dx * dy + inverse[n, 1, 1] * dy * dy)
        alpha = np.minimum(opacity[n] * np.exp(power), 0.99)
        kept = np.flatnonzero(alpha >= 1 / 255)
        pixel = (py * width + px)[kept]
        sort = np.argsort(pixel, kind="stable")
        pixel, alpha, n = pixel[sort], alpha[kept][sort], n[kept][sort]
        lost = np.log1p(-alpha)
        before = np.cumsum(lost) - lost
        begins = np.flatnonzero(np.diff(pixel, prepend=-1))
        before -= np.repeat(before[begins], np.diff(begins, append=len(pixel)))
        weight = transmittance[pixel] * np.exp(before) * alpha
        for channel in range(3):
            image[:, channel] += np.bincount(pixel, weight * colors[n, channel], height * width)
        transmittance *= np.exp(np.bincount(pixel, lost, height * width))
    return (image + transmittance[:, None] * background).reshape(height, width, 3)


def _harmonic_colors(columns, towards) -> np.ndarray:
    """Colors `[n, 3]`: 0.5 plus the sum of the real spherical harmonics, from scipy's associated Legendre functions."""
    from scipy.special import sph_harm_y

    x, y, z = towards.T
    polar, azimuth = np.arccos(np.clip(z, -1, 1)), np.arctan2(y, x)
    rest = np.stack([columns[f"f_rest_{k}"] for k in range(45)], axis=1).reshape(-1, 3, 15).astype(np.float64)
    result = 0.5 + 0.28209479177387814 * np.stack([columns[f"f_dc_{k}"] for k in range(3)], axis=1)
    index = 0
    for degree in (1, 2, 3):
        for order in range(-degree, degree + 1):
            value = sph_harm_y(degree, abs(order), polar, azimuth)
            # scipy and the format both have the Condon-Shortley phase.
            real = value.real if order == 0 else 2**0.5 * (value.real if order > 0 else value.imag)
            result = result + real[:, None] * rest[:, :, index]
            index += 1
    return result
