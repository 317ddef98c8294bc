"""How any method becomes a radiance field: its field of points gives density and a feature, a small network or that itself the colour.

Options that all methods have for posed views, and the functions that count, build and group such a field. No torch where that is
not needed: the command line asks for options.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel
from pydantic import Field as Option

from fields.encoders.sizes import frequency_outputs
from fields.networks.sizes import mlp_parameters
from scenes.domain import Channels, Domain
from scenes.errors import BadInput

if TYPE_CHECKING:
    from fields.methods.base import Method
    from fields.models.field import Field

SPACE = "radiance"
# The network of `motion=deform`: what moves does so smoothly; and Adam's step size for it.
DEFORMATION = {"position_octaves": 4, "time_octaves": 3, "width": 64, "hidden_layers": 3}
DEFORMATION_RATE = 1e-3


class RadianceOptions(BaseModel):
    """Options for posed views; `Method` has them all."""

    color: Literal["network", "harmonics"] = Option(
        "network",
        description="radiance: what the colour is made by: a network of the feature and the direction, or "
        "spherical harmonics of which the feature is the coefficients",
    )
    ray_features: int | None = Option(
        None,
        ge=2,
        le=256,
        description="radiance: channels of the feature at a place, density among them; none: 16, or as many "
        "as harmonics have coefficients",
    )
    direction_degree: int = Option(
        4,
        ge=0,
        le=4,
        description="radiance: bands of spherical harmonics of the direction; 0: colour from all sides alike",
    )
    color_width: int = Option(64, ge=16, le=256, description="radiance: units a hidden layer of the colour network")
    color_layers: int = Option(2, ge=1, le=8, description="radiance: hidden layers of the colour network")
    ray_step: float | None = Option(
        None,
        gt=1e-5,
        le=0.1,
        description="radiance: length between samples, in sides of the scene's cube; none: "
        "as large as a pixel in its middle",
    )
    cells: int | None = Option(
        None,
        ge=16,
        le=512,
        multiple_of=4,
        description="radiance: cells along an axis of the occupancy grid; none: 128, or 64 for a moving scene",
    )
    cubes: int | None = Option(
        None,
        ge=1,
        le=8,
        description="radiance: how many cubes, each twice as large, the scene fills; none: as the scene says",
    )
    background: Literal["auto", "random", "white", "black", "learned"] = Option(
        "auto",
        description="radiance: what is behind the scene in training; auto: random where views have alpha, else as it is scored",
    )
    initial_density: float | None = Option(
        None,
        gt=0,
        le=1e4,
        description="radiance: density a side of the cube before the first step; none: 50 where "
        "views with alpha show what is empty, else 3",
    )
    distortion: float | None = Option(
        None,
        ge=0,
        le=10,
        description="radiance: weight of the distortion loss, against fog and floaters; none: 0.01 where "
        "proposals say where samples go, else 0",
    )
    exposure: bool = Option(False, description="radiance: learn a brightness a channel for each view for training")
    sampling: Literal["auto", "cells", "proposal"] = Option(
        "auto",
        description="radiance: where samples go: where cells are occupied, or where a small "
        "field of density proposes; auto: the latter for scenes without bounds",
    )
    motion: Literal["auto", "axis", "deform"] = Option(
        "auto",
        description="radiance: how a scene moves: time as a fourth axis, or one still scene that a network "
        "leads every moment's places into",
    )
    hull: bool = Option(True, description="radiance: leave out from the start what views with alpha show to be empty")


def is_radiance(channels: Channels) -> bool:
    return channels.space == SPACE


def feature_channels(method: Method) -> Channels:
    """What the trunk gives."""
    return Channels(("log density", *(f"feature {i}" for i in range(1, method.ray_features))), "feature")


def decided(method: Method, signal) -> dict[str, object]:
    """The options above that were left open, decided from a scene; other signals make no use of them."""
    if method.color == "harmonics" and method.direction_degree == 0:
        raise BadInput(
            "color=harmonics: a colour from no bands at all is none; direction_degree=1 is one that is alike from all sides"
        )
    features = 1 + 3 * method.direction_degree**2 if method.color == "harmonics" else 16
    if method.color == "harmonics" and method.ray_features not in (None, features):
        raise BadInput(
            f"ray_features={method.ray_features}: density and the coefficients of {method.direction_degree} bands of harmonics are {features}; leave it out"
        )
    if signal.kind != SPACE:
        return _open(
            method,
            {
                "ray_features": features,
                "cells": 128,
                "cubes": 1,
                "ray_step": 1 / 256,
                "initial_density": 3.0,
                "distortion": 0.0,
            },
        )
    sampling = method.sampling
    if sampling == "auto":
        sampling = "proposal" if signal.unbounded else "cells"
    choice = {
        "ray_features": features,
        "cells": 64 if signal.moving or sampling == "proposal" else 128,
        "ray_step": min(1 / 128, max(1 / 1024, signal.pixel_size)),
        "cubes": signal.cascades,
        # What is dense from the start takes shape soon, but only where rays do not end in front of it; and where proposals reach far,
        # the last intervals are so long that little density hides all behind it.
        "initial_density": 0.2
        if sampling == "proposal"
        else 50.0
        if method.hull and signal.has_alpha and not signal.moving
        else 3.0,
    }
    # (as in mip-NeRF 360; among cells, where samples are many and even, it keeps matter from forming)
    choice["distortion"] = 0.01 if sampling == "proposal" else 0.0
    update = {"sampling": sampling, "motion": motion_of(method)} | _open(method, choice)
    if method.background == "auto":
        update["background"] = "random" if signal.has_alpha else signal.background
    return update


def finest_cells(signal) -> int:
    """Cells along an axis where they are as large as a pixel in the middle of the scene; between 512 and 4096. Where the scene has no bounds cameras
    stand amid it, so they are half as large, and its cube has half of each axis."""
    return round(min(4096.0, max(512.0, (4 if signal.unbounded else 1) / signal.pixel_size)))


def motion_of(method: Method) -> str:
    """What `motion` stands for."""
    return method.moves if method.motion == "auto" else method.motion


def is_bent(method: Method, domain: Domain) -> bool:
    """Whether places of a moving scene are led into a still one."""
    return domain.dimensions == 4 and motion_of(method) == "deform"


def trunk_domain(method: Method, domain: Domain) -> Domain:
    """The axes of the trunk's coordinates."""
    return Domain(domain.axes[:3]) if is_bent(method, domain) else domain


def _open(method: Method, choice: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in choice.items() if getattr(method, name) is None}


def beside_trunk(method: Method, domain: Domain) -> int:
    """Stored numbers of a radiance field that are not the trunk's."""
    head = (
        0
        if method.color == "harmonics"
        else mlp_parameters(
            method.direction_degree**2 + method.ray_features - 1, method.color_width, method.color_layers, 3, bias=False
        )
    )
    if is_bent(method, domain):
        inputs = frequency_outputs(3, DEFORMATION["position_octaves"]) + frequency_outputs(
            1, DEFORMATION["time_octaves"]
        )
        head += mlp_parameters(inputs, DEFORMATION["width"], DEFORMATION["hidden_layers"], 3, bias=False)
    return (
        head
        + method.cubes * (method.cells // 4) ** 3
        + (3 if method.background == "learned" else 0)
        + (_guide_method(method).parameters(3, 1) if method.sampling == "proposal" else 0)
    )


def _guide_method(method: Method) -> Method:
    """Of the field that proposes samples: coarse, as what it knows is spread over intervals anyway."""
    from fields.methods.registry import make_method

    return make_method(
        "hashgrid",
        {"levels": 6, "table_size": 1 << 15, "growth": 1.7, "width": 16, "hidden_layers": 1, "table_rate": 1e-2},
    )


def count_parameters(method: Method, domain: Domain, channels: Channels) -> int:
    """Stored numbers of the field that `build_field` would make (of a prepared config)."""
    if is_radiance(channels):
        return method.parameters(trunk_domain(method, domain).dimensions, method.ray_features) + beside_trunk(
            method, domain
        )
    return method.parameters(domain.dimensions, len(channels))


def sized_field(method: Method, domain: Domain, channels: Channels, count: int) -> Method:
    """A copy that holds `count` numbers to within 3 %."""
    if is_radiance(channels):
        beside = beside_trunk(method, domain)
        left = count - beside
        if left < count * 0.05:
            raise BadInput(
                f"--params {count:,}: the colour network and the occupancy grid hold {beside:,} already; "
                "ask for more, or make them smaller: --set cells=64 color_width=32"
            )
        return method.sized(trunk_domain(method, domain).dimensions, method.ray_features, left)
    return method.sized(domain.dimensions, len(channels), count)


def build_field(method: Method, domain: Domain, channels: Channels, seed: int) -> Field:
    """The untrained field of a prepared config, for signals of any kind."""
    if not is_radiance(channels):
        return method.build(domain, channels, seed)
    import torch

    from fields.models.field import PointField
    from fields.models.radiance import EncodedRadiance
    from fields.networks.mlp import MLP

    trunk = method.build(trunk_domain(method, domain), feature_channels(method), seed)
    if not isinstance(trunk, PointField):
        raise BadInput(
            f"method {method.name} builds a {type(trunk).__name__}, and radiance needs values at points in space"
        )
    generator = torch.Generator().manual_seed(seed + 1)
    head = (
        None
        if method.color == "harmonics"
        else MLP(
            method.direction_degree**2 + method.ray_features - 1,
            method.color_width,
            method.color_layers,
            3,
            bias=False,
            generator=generator,
        )
    )
    guide = None
    if method.sampling == "proposal":
        guide = _guide_method(method).build(Domain(domain.axes[:3]), Channels(("log density",), "feature"), seed + 2)
    deformation = None
    if is_bent(method, domain):
        from fields.networks.deformation import Deformation

        deformation = Deformation(**DEFORMATION, generator=torch.Generator().manual_seed(seed + 3))
    return EncodedRadiance(
        domain,
        channels,
        trunk,
        head,
        method.direction_degree,
        method.cells,
        method.cubes,
        method.background == "learned",
        method.ray_step,
        method.initial_density,
        guide,
        deformation,
    )


def field_groups(method: Method, field: Field) -> list[dict]:
    """Groups for `fields.ops.adam.Adam`, for fields of any kind."""
    trunk = getattr(field, "trunk", None)
    if trunk is None:
        return method.parameter_groups(field)
    others = [
        *(field.head.parameters() if field.head else ()),
        *([] if field.background is None else [field.background]),
    ]
    guide = [] if field.guide is None else _guide_method(method).parameter_groups(field.guide)
    bent = (
        []
        if field.deformation is None
        else [{"params": list(field.deformation.parameters()), "lr": DEFORMATION_RATE, "sparse": False}]
    )
    own = [{"params": others, "lr": method.learning_rate, "sparse": False}] if others else []
    return [*method.parameter_groups(trunk), *guide, *bent, *own]
