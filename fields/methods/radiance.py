"""Methods that fit scenes: their options, and methods that build a radiance field themselves.

The command line asks for the options, so torch is imported only where a field is built.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, cast

from pydantic import Field as Option

from fields.methods.base import Method, OptionGroup
from fields.methods.options import Undecided, undecided
from scenes.domain import Channels, Domain
from scenes.errors import BadInput

if TYPE_CHECKING:
    from fields.models.field import RadianceField
    from scenes.posed.signal import RadianceScene
    from scenes.signal import Signal

# Bounds of the default step, in sides of the cube.
MIN_STEP = 1 / 1024
MAX_STEP = 1 / 128
# Values that a learned background adds to a field.
BACKGROUND_PARAMETERS = 3
# Smallest fraction of a requested size that must be left for the method's own field.
MIN_OWN_FRACTION = 0.05


class SceneOptions(OptionGroup):
    """Options of every method that fits scenes, which are posed views."""

    section: ClassVar[str] = "scene options"
    signal_kinds: ClassVar[tuple[str, ...]] = ("radiance",)

    background: Literal["auto", "random", "white", "black", "learned"] = Option(
        "auto",
        description="What is behind the scene in training. auto: random if views have alpha, else as in scored images.",
    )
    distortion: Undecided[float] = undecided(
        "Weight of the distortion loss, against fog and floaters. Default: 0.01 with proposals, else 0.",
        ge=0,
        le=10,
    )
    mask: float = Option(
        0.0,
        ge=0,
        le=10,
        description="Weight of the cross-entropy between opacity and alpha, where views have alpha.",
    )
    entropy: float = Option(
        0.0,
        ge=0,
        le=1,
        description="Weight of the entropy of what each sample of a ray shows, which makes density opaque or empty. "
        "0.001 gives clean depths; ten times as much may freeze fog.",
    )
    sparsity: float = Option(
        0.0,
        ge=0,
        le=10,
        description="Weight of the mean opacity of random places, against what no view needs.",
    )
    orientation: float = Option(
        0.0,
        ge=0,
        le=10,
        description="Weight of the loss on surfaces that face away from where they are seen from, which smooths fog. "
        "Steps take half as long again.",
    )
    exposure: bool = Option(
        False, description="Learn a brightness per channel for each training view, for photographs of varying exposure."
    )
    hull: bool = Option(True, description="Exclude cells from the start that views with alpha show to be empty.")
    march: Literal["native", "nerfacc"] = Option(
        "native",
        description="What finds samples in occupied cells and composites them in training: the project's kernels, or "
        "nerfacc's on a GPU that has it. Images are rendered by the project's.",
    )
    ray_step: Undecided[float] = undecided(
        "Distance between the samples of a ray, in sides of the scene's cube. Default: the size of a pixel "
        "in its middle.",
        gt=1e-5,
        le=0.1,
    )
    cells: Undecided[int] = undecided(
        "Cells along an axis of the occupancy grid. Default: 128; 64 for moving scenes and with proposals.",
        ge=16,
        le=512,
        multiple_of=4,
    )
    cascades: Undecided[int] = undecided(
        "Nested cubes that the scene fills, each twice as large as the one before. Default: as the scene's files say.",
        ge=1,
        le=8,
    )


class RadianceOptions(SceneOptions):
    """Options of methods whose point field becomes the trunk of a radiance field."""

    color: Literal["network", "harmonics"] = Option(
        "network",
        description="What makes the color: a network of the feature and the direction of view, or spherical harmonics "
        "whose coefficients are the feature.",
    )
    ray_features: Undecided[int] = undecided(
        "Channels of the feature at a point, density among them. Default: 16, or as many as harmonics have "
        "coefficients.",
        ge=2,
        le=256,
    )
    direction_degree: int = Option(
        4,
        ge=0,
        le=4,
        description="Bands of spherical harmonics of the direction of view. 0: the color is the same from all sides.",
    )
    color_width: int = Option(64, ge=16, le=256, description="Units per hidden layer of the color network.")
    color_layers: int = Option(2, ge=1, le=8, description="Hidden layers of the color network.")
    initial_density: Undecided[float] = undecided(
        "Density before the first step, per side of the cube. Default: 50 if views with alpha show what is "
        "empty, else 3; 0.2 with proposals.",
        gt=0,
        le=1e4,
    )
    sampling: Literal["auto", "cells", "proposal"] = Option(
        "auto",
        description="Where samples go: to occupied cells, or where a small density field proposes them. "
        "auto: proposals for unbounded scenes.",
    )
    motion: Literal["auto", "axis", "deform"] = Option(
        "auto",
        description="How a scene moves: with time as a fourth axis, or as one still scene that a network deforms the "
        "points of each moment to.",
    )


class SceneMethod(SceneOptions, Method):
    """A method that fits scenes; see `RadianceMethod` and `fields.methods.points.PointMethod`."""

    def decide(self, signal: Signal) -> dict[str, Any]:
        return self._open(self._scene_defaults(signal)) | self._decided_background(signal)

    def _open(self, defaults: dict[str, Any]) -> dict[str, Any]:
        """Those of the defaults whose options are open."""
        return {name: value for name, value in defaults.items() if getattr(self, name) is None}

    def _scene_defaults(self, signal: Signal, proposals: bool = False) -> dict[str, Any]:
        """Defaults of the options that may be None. Signals other than scenes do not use them."""
        if not signal.channels.is_radiance:
            return {"cells": 128, "cascades": 1, "ray_step": 1 / 256, "distortion": 0.0}
        scene = cast("RadianceScene", signal)
        return {
            "cells": 64 if scene.moving or proposals else 128,
            "cascades": scene.cascades,
            "ray_step": min(MAX_STEP, max(MIN_STEP, scene.pixel_size)),
            # As in mip-NeRF 360. With occupied cells, where samples are many and even, the loss keeps matter from
            # forming.
            "distortion": 0.01 if proposals else 0.0,
        }

    def _decided_background(self, signal: Signal) -> dict[str, Any]:
        if self.background != "auto" or not signal.channels.is_radiance:
            return {}
        scene = cast("RadianceScene", signal)
        return {"background": "random" if scene.has_alpha else scene.background}

    def _scene_parameters(self) -> int:
        """Stored values of a prepared scene's occupancy grid and learned background."""
        return self.cascades * (self.cells // 4) ** 3 + (BACKGROUND_PARAMETERS if self.background == "learned" else 0)


class RadianceMethod(SceneMethod):
    """A method that builds a `fields.models.field.RadianceField` itself.

    A concrete method overrides `parameters` and `build`. The occupancy grid, the step of rays and a learned background
    are added to what `build` makes, by the scene's options. See docs/plugin.md for an example.
    """

    kinds = ("radiance",)
    dimensions = (3,)

    def count_parameters(self, domain: Domain, channels: Channels) -> int:
        return self.parameters(domain.dimensions, len(channels)) + self._scene_parameters()

    def sized_field(self, domain: Domain, channels: Channels, parameters: int) -> Self:
        own = own_parameters(parameters, self._scene_parameters())
        return self.sized(domain.dimensions, len(channels), own)

    def build_field(self, domain: Domain, channels: Channels, seed: int) -> RadianceField:
        import torch

        from fields.models.field import RadianceField

        field = self.build(domain, channels, seed)
        if not isinstance(field, RadianceField):
            raise BadInput(f"method {self.name} builds a {type(field).__name__}, not a radiance field")
        field.set_resolution(cells=self.cells, cascades=self.cascades, step=self.ray_step)
        if self.background == "learned":
            field.background = torch.nn.Parameter(torch.zeros(BACKGROUND_PARAMETERS))
        return field


def own_parameters(parameters: int, scene_parameters: int) -> int:
    """What is left of a requested size for a method's own field. BadInput if it is next to nothing."""
    own = parameters - scene_parameters
    if own < parameters * MIN_OWN_FRACTION:
        raise BadInput(
            f"`params={parameters}`: the color network and the occupancy grid hold {scene_parameters:,} already; "
            "ask for more, or make them smaller: cells=64, color_width=32"
        )
    return own


def finest_cells(scene: RadianceScene) -> int:
    """Cells along an axis that are as large as a pixel in the middle of the scene; from 512 to 4096.

    In an unbounded scene they are half as large, because cameras stand amid it, and its cube has half of each axis.
    """
    return round(min(4096.0, max(512.0, (4 if scene.unbounded else 1) / scene.pixel_size)))
