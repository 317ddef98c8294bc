"""The duck in a room whose walls have a pattern, so that photographs show more than the duck."""

from dataclasses import replace

import numpy as np
import torch
from PIL import Image

from fields.models.field import RadianceField
from fields.sampling.contraction import uncontract
from scenes.domain import Channels
from scenes.posed.view import PosedViews
from scenes.procedural.photographs import procedural_views
from scenes.procedural.still_life import DUCK

# Half the side of the room, and the phases of its pattern's waves.
HALF = 5.0
WAVES = np.array([[1.7, 0.6, 0.9], [0.5, 1.9, 1.1], [1.2, 1.0, 2.1]])


def duck_in_a_room(every=3, side=80):
    """Every so many-th view of the duck, `[side, side, 3]`, in front of the walls."""
    views = []
    for view in procedural_views("duck").views[::every]:
        small = view.resized(side, side)
        pixels = np.asarray(Image.fromarray(view.pixels).convert("RGBa").resize((side, side), Image.Resampling.BOX))
        origins, directions = small.rays()
        # The nearest wall in the direction of view.
        reach = np.where(directions > 0, HALF - origins, -HALF - origins) / np.where(directions == 0, 1e-9, directions)
        hits = origins + reach.min(axis=1)[:, None] * directions
        wall = 0.5 + 0.35 * np.sin(hits @ WAVES.T + np.array([0.0, 1.0, 2.0]))
        alpha = pixels[..., 3:] / 255
        image = pixels[..., :3] + (1 - alpha) * 255 * wall.reshape(side, side, 3)
        views.append(replace(small, pixels=np.rint(image).astype(np.uint8)))
    return PosedViews(tuple(views))


def alphas(every=3, side=80):
    """The opacities `[side, side]` of the duck in these views."""
    return [
        np.asarray(Image.fromarray(view.pixels[..., 3]).resize((side, side), Image.Resampling.BOX)) / 255
        for view in procedural_views("duck").views[::every]
    ]


class DuckInARoom(RadianceField):
    """What a perfect fit of these photographs holds but for colors: a dense duck in a dense room."""

    def __init__(self, domain):
        super().__init__(domain, Channels(("red", "green", "blue"), "radiance"), cells=64, cascades=4, step=1 / 128)
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.lower = torch.tensor([axis.lower for axis in domain.axes])
        self.measure_occupancy(2)

    def density(self, coords, time=None, directions=None):
        points = self.lower + self.side * uncontract(coords)
        duck = torch.from_numpy(DUCK.distance(points.numpy().reshape(-1, 3))).reshape(points.shape[:-1]) < 0
        return 1e4 * (duck | (points.abs().amax(dim=-1) > HALF)).float(), points

    def color(self, feature, directions):
        return torch.zeros_like(feature)
