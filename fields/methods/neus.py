"""`neus`: a radiance field whose density comes from a signed distance, so that it has a surface."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Self, cast

from pydantic import Field as Option
from pydantic import field_validator

from fields.methods.base import Method
from fields.methods.options import Undecided, undecided
from fields.methods.radiance import MAX_STEP, RadianceMethod
from fields.networks.sizes import mlp_parameters
from fields.ops.grid_layout import GridLayout
from scenes.domain import Channels, Domain

if TYPE_CHECKING:
    from fields.models.field import PointField
    from fields.models.surface_radiance import SurfaceRadiance
    from scenes.posed.signal import RadianceScene
    from scenes.signal import Signal

# Cells along an axis of the finest level. Geometry needs no finer ones: the texture carries detail.
FINEST_CELLS = 512
# s of the first step, per side of the cube, where a visual hull gives the first shape and where a sphere does.
SHARPNESS_HULL = 150.0
SHARPNESS_SPHERE = 80.0
# s of the last step, and in an unbounded scene, whose surfaces fill the cube and are seen from nearby.
SHARPNESS_END = 2400.0
SHARPNESS_END_UNBOUNDED = 600.0
# Step of rays in pixels, and cells of the occupancy grid, in an unbounded scene: a ray crosses much of the cube in
# cells near a surface.
UNBOUNDED_PIXELS = 3.0
UNBOUNDED_CELLS = 64
# The hash grid of what surrounds the cube of an unbounded scene, in contracted space.
OUTER_OPTIONS = {
    "levels": 10,
    "table_size": 1 << 17,
    "growth": 1.6,
    "width": 64,
    "hidden_layers": 1,
    "table_rate": 1e-2,
    "learning_rate": 3e-3,
}


class Neus(RadianceMethod):
    name = "neus"
    summary = "signed distance on a hash grid as density; a scene with a clean surface"
    paper = "Wang et al. 2021, NeuS; hash grid and schedules after Li et al. 2023, Neuralangelo"
    size_options = ("table_size", "levels", "width", "hidden_layers")
    has_tables = True

    learning_rate: float = Option(3e-3, gt=0, le=1, description="Adam's learning rate for the networks.")
    table_rate: float = Option(1e-2, gt=0, le=1, description="Adam's learning rate for the table.")
    final_rate: float = Option(
        0.05, ge=0, le=1, description="Fraction of the learning rates that is left at the last step (cosine schedule)."
    )
    batch: int = Option(1 << 14, ge=1, le=1 << 24, description="Samples per training step that light reaches.")
    levels: int = Option(12, ge=1, le=32, description="Number of grids, coarse to fine.")
    table_size: int = Option(
        1 << 17, ge=16, le=1 << 26, description="Entries per level at most, a power of two. Raise it for more detail."
    )
    base_resolution: int = Option(16, ge=2, le=65536, description="Cells along an axis at the coarsest level.")
    growth: Undecided[float] = undecided(
        "Ratio of the resolutions of neighbouring levels. Default: such that the finest has 512 cells along an axis.",
        gt=1,
        le=8,
    )
    width: int = Option(64, ge=16, le=128, multiple_of=16, description="Units per hidden layer of the MLP.")
    hidden_layers: int = Option(1, ge=1, le=4, description="Number of hidden layers of the MLP.")
    features: int = Option(15, ge=1, le=127, description="Channels beside the distance, from which the color is made.")
    color_width: int = Option(64, ge=16, le=128, multiple_of=16, description="Units per hidden layer of the color MLP.")
    color_layers: int = Option(2, ge=1, le=8, description="Hidden layers of the color MLP.")
    direction_degree: int = Option(
        4, ge=0, le=4, description="Bands of spherical harmonics of the direction of view that the color depends on."
    )
    reflection: bool = Option(
        False,
        description="Let color depend on the normal and the reflected direction of view too, for glossy surfaces.",
    )
    start_sharpness: Undecided[float] = undecided(
        "Sharpness of the surface in the first step, per side of the cube: the larger, the thinner. Default: 150 if "
        "views show a silhouette, else 80.",
        gt=0,
        le=1e5,
    )
    end_sharpness: Undecided[float] = undecided(
        "Sharpness of the surface in the last step. Default: 2400; 600 in unbounded scenes.", gt=0, le=1e5
    )
    sharpening: float = Option(
        0.8, gt=0.1, le=1, description="Fraction of the steps over which the sharpness grows, geometrically."
    )
    first_levels: int = Option(5, ge=1, le=32, description="Grid levels that are in use in the first step.")
    coarse_to_fine: float = Option(
        0.4, ge=0, le=1, description="Fraction of the steps at which all grid levels are in use; 0: from the start."
    )
    first_eikonal: float = Option(
        0.003,
        ge=0,
        le=1e4,
        description="Weight of (|gradient| - 1)^2 in the first step: low, so that shapes may change.",
    )
    eikonal: float = Option(
        0.02, ge=0, le=1e4, description="Weight of (|gradient| - 1)^2 in the last step: higher for smoother surfaces."
    )

    mask: float = Option(
        0.1,
        ge=0,
        le=10,
        description="Weight of the cross-entropy between opacity and alpha, where views have alpha.",
    )

    @field_validator("table_size")
    @classmethod
    def _power_of_two(cls, value: int) -> int:
        if value & (value - 1):
            raise ValueError("should be a power of two")
        return value

    def decide(self, signal: Signal) -> dict[str, Any]:
        decided = super().decide(signal) | self._plain_background(signal)
        growth = (max(FINEST_CELLS, 2 * self.base_resolution) / self.base_resolution) ** (1 / max(1, self.levels - 1))
        defaults: dict[str, Any] = {
            "growth": growth,
            "start_sharpness": SHARPNESS_SPHERE,
            "end_sharpness": SHARPNESS_END,
        }
        if signal.channels.is_radiance:
            scene = cast("RadianceScene", signal)
            if scene.unbounded:
                step = min(MAX_STEP, UNBOUNDED_PIXELS * scene.pixel_size)
                unbounded = {"end_sharpness": SHARPNESS_END_UNBOUNDED, "cells": UNBOUNDED_CELLS, "ray_step": step}
                defaults |= unbounded
            elif scene.has_silhouettes:
                defaults["start_sharpness"] = SHARPNESS_HULL
        return decided | self._open(defaults)

    def _plain_background(self, signal: Signal) -> dict[str, Any]:
        """A plain background of any color is learned: with another color behind it, the field would have to show it."""
        if self.background != "auto" or not signal.channels.is_radiance:
            return {}
        return {} if cast("RadianceScene", signal).plain_color is None else {"background": "learned"}

    def activations(self) -> int:
        return self.width * (self.hidden_layers + 2)

    # Size

    def layout(self) -> GridLayout:
        """Layout of the grid. Of a prepared method."""
        return GridLayout(
            3,
            levels=self.levels,
            features=2,
            base_resolution=self.base_resolution,
            growth=self.growth,
            table_size=self.table_size,
        )

    def parameters(self, dimensions: int, channels: int) -> int:
        network = mlp_parameters(2 * self.levels, self.width, self.hidden_layers, 1 + self.features, bias=True)
        head = mlp_parameters(self._head_inputs(), self.color_width, self.color_layers, 3, bias=True)
        outer = self._outer_method()
        surroundings = 0 if outer is None else outer.parameters(3, 1 + self.features)
        # The weights of the levels, the sharpness, and whether the fit has begun.
        return self.layout().num_parameters + network + head + surroundings + self.levels + 2

    def _outer_method(self) -> Method | None:
        """The method of what surrounds the cube of an unbounded scene. Of a prepared method."""
        from fields.methods.registry import make_method

        return make_method("hashgrid", dict(OUTER_OPTIONS)) if self.cascades > 1 else None

    def _head_inputs(self) -> int:
        harmonics = self.direction_degree**2
        return self.features + (2 * harmonics + 1 if self.reflection else harmonics)

    def sizes(self, dimensions: int, channels: int, parameters: int) -> Iterable[Self]:
        """Copies of about that size, by the table and the growth; those most like this method first."""
        found = []
        for exponent in range(8, 25):
            for finest in range(64, 2049, 16):
                growth = (finest / self.base_resolution) ** (1 / max(1, self.levels - 1))
                if growth <= 1.0:
                    continue
                copy = self.model_copy(update={"table_size": 2**exponent, "growth": growth})
                if abs(copy.parameters(dimensions, channels) / parameters - 1) < 0.03:
                    found.append(copy)
        return sorted(found, key=lambda copy: abs(math.log(copy.growth / self.growth)))

    # Field

    def build(self, domain: Domain, channels: Channels, seed: int) -> SurfaceRadiance:
        import torch

        from fields.encoders.hash_grid import HashGrid
        from fields.models.surface_radiance import SurfaceRadiance
        from fields.networks.mlp import MLP

        generator = torch.Generator().manual_seed(seed)
        encoder = HashGrid(self.layout(), "linear", "auto", generator)
        network = MLP(
            2 * self.levels, self.width, self.hidden_layers, 1 + self.features, bias=True, generator=generator
        )
        head = MLP(self._head_inputs(), self.color_width, self.color_layers, 3, bias=True, generator=generator)
        return SurfaceRadiance(
            domain,
            channels,
            encoder=encoder,
            network=network,
            head=head,
            degree=self.direction_degree,
            sharpness=(self.start_sharpness, self.end_sharpness),
            sharpening=self.sharpening,
            first_levels=self.first_levels,
            coarse_to_fine=self.coarse_to_fine,
            eikonal=(self.first_eikonal, self.eikonal),
            outer=self._build_outer(domain, seed + 1),
            reflection=self.reflection,
        )

    def _build_outer(self, domain: Domain, seed: int) -> PointField | None:
        method = self._outer_method()
        if method is None:
            return None
        names = ("log density", *(f"feature {i}" for i in range(1, 1 + self.features)))
        return cast("PointField", method.build(domain, Channels(names, "feature"), seed))

    def parameter_groups(self, field: SurfaceRadiance) -> list[dict[str, Any]]:
        networks = [*field.network.parameters(), *field.head.parameters()]
        if field.background is not None:
            networks.append(field.background)
        outer = self._outer_method()
        surroundings = [] if outer is None else outer.parameter_groups(field.outer)
        return [
            *surroundings,
            {"params": networks, "lr": self.learning_rate, "sparse": False},
            {"params": list(field.encoder.parameters()), "lr": self.table_rate, "sparse": True},
        ]
