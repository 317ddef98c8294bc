"""Methods that build a point field, for signals of all kinds; for scenes it becomes the trunk of a radiance field."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, cast

from pydantic import Field as Option

from fields.encoders.sizes import frequency_outputs
from fields.methods.base import Method, OptionGroup
from fields.methods.radiance import RadianceOptions, SceneMethod, own_parameters
from fields.networks.sizes import mlp_parameters
from scenes.domain import Channels, Domain
from scenes.errors import BadInput

if TYPE_CHECKING:
    from fields.models.field import Field, PointField
    from fields.models.radiance import EncodedRadiance
    from fields.networks.deformation import Deformation
    from fields.networks.mlp import MLP
    from scenes.posed.signal import RadianceScene
    from scenes.signal import Signal

# Channels of the feature at a point where harmonics do not say how many there are.
FEATURES = 16
# Size of the network that deforms the points of a moving scene. Few octaves: what moves does so smoothly.
DEFORMATION_POSITION_OCTAVES = 4
DEFORMATION_TIME_OCTAVES = 3
DEFORMATION_WIDTH = 64
DEFORMATION_LAYERS = 3
# Adam's step size for it.
DEFORMATION_RATE = 1e-3
# The field that proposes samples: a coarse hash grid, because its knowledge is spread over intervals anyway.
PROPOSAL_METHOD = "hashgrid"
PROPOSAL_OPTIONS = {
    "levels": 6,
    "table_size": 1 << 15,
    "growth": 1.7,
    "width": 16,
    "hidden_layers": 1,
    "table_rate": 1e-2,
}
# Density before the first step, per side of the cube. With proposals, the last intervals of a ray are so long that
# little density hides all behind it. A dense start takes shape soon, but only where rays do not end in front of it:
# where views with alpha show what is empty.
INITIAL_DENSITY = 3.0
INITIAL_DENSITY_HULL = 50.0
INITIAL_DENSITY_PROPOSALS = 0.2


class ShapeOptions(OptionGroup):
    """Options of methods that fit shapes."""

    section: ClassVar[str] = "shape options"
    signal_kinds: ClassVar[tuple[str, ...]] = ("shape",)

    eikonal: float = Option(
        0.0, ge=0, le=1e4, description="Weight of (|gradient| - 1)^2, which makes the values a distance."
    )
    normals: float = Option(
        0.0, ge=0, le=1e4, description="Weight of 1 - cos between the gradient and the surface normal, on the surface."
    )


class PointMethod(ShapeOptions, RadianceOptions, SceneMethod):
    """A method whose `build` makes a `fields.models.field.PointField`.

    motion_by_default: what `motion=auto` means.
    """

    motion_by_default: ClassVar[Literal["axis", "deform"]] = "deform"

    @property
    def gradient_terms(self) -> dict[str, float]:
        return {name: weight for name, weight in (("eikonal", self.eikonal), ("normals", self.normals)) if weight}

    def decide(self, signal: Signal) -> dict[str, Any]:
        features = self._feature_count()
        if not signal.channels.is_radiance:
            defaults = self._scene_defaults(signal)
            return self._open(defaults | {"ray_features": features, "initial_density": INITIAL_DENSITY})
        scene = cast("RadianceScene", signal)
        sampling = self.sampling
        if sampling == "auto":
            sampling = "proposal" if scene.unbounded else "cells"
        proposals = sampling == "proposal"
        dense = self.hull and scene.has_alpha and not scene.moving
        density = INITIAL_DENSITY_HULL if dense else INITIAL_DENSITY
        defaults = self._scene_defaults(signal, proposals) | {
            "ray_features": features,
            "initial_density": INITIAL_DENSITY_PROPOSALS if proposals else density,
        }
        fixed = {"sampling": sampling, "motion": self._motion()}
        return fixed | self._open(defaults) | self._decided_background(signal)

    def _feature_count(self) -> int:
        """Channels of the feature at a point where `ray_features` is open. BadInput if the color options contradict."""
        if self.color != "harmonics":
            return FEATURES
        if self.direction_degree == 0:
            raise BadInput(
                "color=harmonics: a color of no bands at all is none; "
                "direction_degree=1 is one that is the same from all sides"
            )
        features = 1 + 3 * self.direction_degree**2
        if self.ray_features not in (None, features):
            raise BadInput(
                f"ray_features={self.ray_features}: density and the coefficients of {self.direction_degree} bands of "
                f"harmonics are {features}; leave it out"
            )
        return features

    def _motion(self) -> str:
        return self.motion_by_default if self.motion == "auto" else self.motion

    def _deforms(self, domain: Domain) -> bool:
        """Whether points of a moving scene are deformed to a still one."""
        return domain.dimensions == 4 and self._motion() == "deform"

    def _trunk_domain(self, domain: Domain) -> Domain:
        """The axes of the trunk's coordinates."""
        return Domain(domain.axes[:3]) if self._deforms(domain) else domain

    def axes_of(self, signal: Signal) -> int:
        domain = self._trunk_domain(signal.domain) if signal.channels.is_radiance else signal.domain
        return domain.dimensions

    def _head_inputs(self) -> int:
        return self.direction_degree**2 + self.ray_features - 1

    def _proposal_method(self) -> Method | None:
        from fields.methods.registry import make_method

        return make_method(PROPOSAL_METHOD, dict(PROPOSAL_OPTIONS)) if self.sampling == "proposal" else None

    def _other_parameters(self, domain: Domain) -> int:
        """Parameters of the radiance field that are not the trunk's."""
        count = self._scene_parameters()
        if self.color != "harmonics":
            count += mlp_parameters(self._head_inputs(), self.color_width, self.color_layers, 3, bias=False)
        if self._deforms(domain):
            inputs = frequency_outputs(3, DEFORMATION_POSITION_OCTAVES) + frequency_outputs(1, DEFORMATION_TIME_OCTAVES)
            count += mlp_parameters(inputs, DEFORMATION_WIDTH, DEFORMATION_LAYERS, 3, bias=False)
        proposal = self._proposal_method()
        return count + (0 if proposal is None else proposal.parameters(3, 1))

    def count_parameters(self, domain: Domain, channels: Channels) -> int:
        if not channels.is_radiance:
            return super().count_parameters(domain, channels)
        trunk = self.parameters(self._trunk_domain(domain).dimensions, self.ray_features)
        return trunk + self._other_parameters(domain)

    def sized_field(self, domain: Domain, channels: Channels, parameters: int) -> Self:
        if not channels.is_radiance:
            return super().sized_field(domain, channels, parameters)
        own = own_parameters(parameters, self._other_parameters(domain))
        return self.sized(self._trunk_domain(domain).dimensions, self.ray_features, own)

    def build_field(self, domain: Domain, channels: Channels, seed: int) -> Field:
        if not channels.is_radiance:
            return super().build_field(domain, channels, seed)
        from fields.models.radiance import EncodedRadiance

        return EncodedRadiance(
            domain,
            channels,
            trunk=self._build_trunk(domain, seed),
            head=self._build_head(seed + 1),
            degree=self.direction_degree,
            cells=self.cells,
            cascades=self.cascades,
            learned_background=self.background == "learned",
            step=self.ray_step,
            initial_density=self.initial_density,
            proposal_field=self._build_proposal_field(domain, seed + 2),
            deformation=self._build_deformation(seed + 3) if self._deforms(domain) else None,
        )

    def _build_trunk(self, domain: Domain, seed: int) -> PointField:
        from fields.models.field import PointField

        names = ("log density", *(f"feature {i}" for i in range(1, self.ray_features)))
        trunk = self.build(self._trunk_domain(domain), Channels(names, "feature"), seed)
        if not isinstance(trunk, PointField):
            raise BadInput(
                f"method {self.name} builds a {type(trunk).__name__}, and radiance needs values at points in space"
            )
        return trunk

    def _build_head(self, seed: int) -> MLP | None:
        import torch

        from fields.networks.mlp import MLP

        if self.color == "harmonics":
            return None
        generator = torch.Generator().manual_seed(seed)
        return MLP(self._head_inputs(), self.color_width, self.color_layers, 3, bias=False, generator=generator)

    def _build_proposal_field(self, domain: Domain, seed: int) -> PointField | None:
        proposal = self._proposal_method()
        if proposal is None:
            return None
        field = proposal.build(Domain(domain.axes[:3]), Channels(("log density",), "feature"), seed)
        return cast("PointField", field)

    def _build_deformation(self, seed: int) -> Deformation:
        import torch

        from fields.networks.deformation import Deformation

        return Deformation(
            position_octaves=DEFORMATION_POSITION_OCTAVES,
            time_octaves=DEFORMATION_TIME_OCTAVES,
            width=DEFORMATION_WIDTH,
            hidden_layers=DEFORMATION_LAYERS,
            generator=torch.Generator().manual_seed(seed),
        )

    def field_groups(self, field: Any) -> list[dict]:
        from fields.models.radiance import EncodedRadiance

        return self._radiance_groups(field) if isinstance(field, EncodedRadiance) else self.parameter_groups(field)

    def _radiance_groups(self, field: EncodedRadiance) -> list[dict]:
        groups = self.parameter_groups(field.trunk)
        proposal = self._proposal_method()
        if proposal is not None:
            groups = [*groups, *proposal.parameter_groups(field.proposal_field)]
        if field.deformation is not None:
            deformation = {"params": list(field.deformation.parameters()), "lr": DEFORMATION_RATE, "sparse": False}
            groups = [*groups, deformation]
        others = [] if field.head is None else list(field.head.parameters())
        if field.background is not None:
            others.append(field.background)
        return [*groups, {"params": others, "lr": self.learning_rate, "sparse": False}] if others else groups
