"""Every option of a batch, each described once. See `fields.fit.request`, which holds the shared ones."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Literal, Self

from pydantic import model_validator

import scenes
from fields.fit.request import TrainingRequest
from fields.options import Count, Natural, PathText, Positive, Settings, option


class BatchRequest(TrainingRequest):
    """Every option of a batch. `seconds` are those of the whole batch, `steps` those of each field."""

    sections: ClassVar[Mapping[str, str]] = {
        "source": "source",
        "method": "method",
        "budget": "budget",
        "engine": "where the work is done",
        "result": "output",
    }
    first: ClassVar[tuple[str, ...]] = ("source", "method", "out")

    source: PathText = option(
        ...,
        section="source",
        metavar="FOLDER",
        positional=True,
        recipe=False,
        help="The folder whose files are fitted; folders inside of it are classes, and their names labels. "
        "procedural:parts makes shapes with labelled parts.",
    )
    kind: str = option(
        "auto",
        section="source",
        choices=("auto", *scenes.LOADERS),
        help="What the files are; auto tells from the content of each.",
    )
    items: Count | None = option(
        None,
        section="source",
        metavar="N",
        help="Fit only this many, from each class in turn. Use it to try options on a part of a large folder.",
    )
    quantity: Literal["signed", "unsigned", "occupancy"] | None = option(
        None,
        section="source",
        kinds=("shape",),
        help="What is fitted of a shape. By default the signed distance, and the unsigned one where the shape has no "
        "inside.",
    )
    method: str = option(
        "triplane",
        section="method",
        metavar="NAME",
        help="How each is fitted. triplane and siren fit shapes together, which is several times faster; other methods "
        "and kinds one after the other.",
    )
    settings: Settings = option(
        {},
        section="method",
        flag="--set",
        metavar="KEY=VALUE",
        repeated=True,
        header="options",
        help="Set options of the method; may be repeated, or take several.",
    )
    shared_decoder: bool = option(
        False,
        section="method",
        help="One network for all fields, whose planes alone differ. It is trained on the first stack and kept for the "
        "others. Files are smaller and fields can be interpolated; each is a little less exact.",
    )
    init_from: Path | None = option(
        None,
        section="method",
        metavar="RUN",
        help="Begin every field with the weights of this run, of the same method and size.",
    )
    init: Literal["random", "shared"] = option(
        "random",
        section="method",
        label="Initialization",
        help="random begins each field with weights of its own; shared begins all with the same, which makes flattened "
        "weights comparable.",
    )
    steps: Count | None = option(
        None,
        section="budget",
        metavar="N",
        help="Train each field for this many steps (by default 300 where fields are fitted together, else for 30 "
        "seconds). Give more for more detail.",
    )
    seconds: Positive | None = option(
        None,
        section="budget",
        metavar="S",
        help="Be done with all items in about this many seconds, reading and scoring included.",
    )
    stack: Count = option(
        32, section="budget", metavar="N", help="Fields fitted together. More use a GPU better and need more memory."
    )
    points: Count = option(
        1024, section="budget", metavar="N", help="Points of each shape in a step where fields are fitted together."
    )
    samples: Count = option(
        1 << 16,
        section="budget",
        metavar="N",
        help="Training samples of each shape where fields are fitted together. More help shapes with much detail.",
    )
    seed: Natural = option(
        0, section="budget", metavar="N", help="Seed of all random numbers. The same seed gives the same result."
    )
    engine: Literal["local", "ray"] = option(
        "local",
        section="engine",
        recipe=False,
        help="local uses this machine; ray hands stacks to the workers of a Ray cluster (the extra `ray`).",
    )
    address: str | None = option(
        None,
        section="engine",
        metavar="HOST:PORT",
        recipe=False,
        help="Address of the Ray cluster. By default one is started on this machine.",
    )
    workers: Count | None = option(
        None, section="engine", metavar="N", recipe=False, help="Stacks that are fitted at once by Ray. Default: 2."
    )

    @model_validator(mode="after")
    def _goes_together(self) -> Self:
        if self.engine == "local" and (self.address or self.workers):
            raise ValueError("`address` and `workers` are for `engine=ray`")
        if self.engine == "ray" and self.shared_decoder:
            raise ValueError("`shared_decoder` trains one stack after the other; leave out `engine=ray`")
        if self.engine == "ray" and self.seconds:
            raise ValueError("`seconds` is shared out on one machine; give `steps` with `engine=ray`")
        return self
