"""Every option of learning from fields, each described once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Literal

from fields.options import Count, Natural, PathText, Positive, Request, option

# What a network can be given of a field. histogram has no network: the nearest shape distribution decides.
INPUTS = ("planes", "maps", "weights", "points", "histogram")


class LearnRequest(Request):
    """Options of training a network on a dataset of fields."""

    sections: ClassVar[Mapping[str, str]] = {
        "source": "source",
        "network": "network",
        "budget": "budget",
        "result": "output",
    }

    source: PathText = option(
        ...,
        section="source",
        metavar="DIR",
        positional=True,
        recipe=False,
        help="The folder that `fit-a-scene batch` made: a dataset of fields.",
    )
    on: Literal["planes", "maps", "weights", "points", "histogram"] = option(
        "planes",
        section="network",
        label="Input",
        help="What the network sees: the channels of the tri-planes; maps of what in them does not depend on the "
        "decoder, which need less data; or, to compare, the flattened weights of the decoders, points on the surfaces "
        "(PointNet), or shape distributions with the nearest neighbour.",
    )
    width: Count = option(64, section="network", metavar="N", help="Width of the transformer; the paper has 512.")
    layers: Count = option(2, section="network", metavar="N", help="Layers of the transformer; the paper has 8.")
    epochs: Count = option(
        80, section="budget", metavar="N", help="Times that each item is trained on. More help small datasets."
    )
    batch: Count = option(32, section="budget", metavar="N", help="Items of a training step.")
    learning_rate: Positive = option(
        1e-3, section="budget", metavar="R", help="Largest learning rate. Lower it if the loss does not fall."
    )
    turned: bool = option(
        True,
        section="budget",
        label="Objects in any direction",
        switches={"any-direction": True, "upright": False},
        help="Whether objects may lie in any direction: training turns them. upright is for data that all stand alike.",
    )
    seed: Natural = option(0, section="budget", metavar="N", help="Seed of the split and of the training.")
    out: Path | None = option(
        None,
        section="result",
        metavar="DIR",
        recipe=False,
        help="Folder of the model. By default models/NAME. The same command continues a training that was cut off.",
    )
