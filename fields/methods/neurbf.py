"""`neurbf`: kernels where the signal has detail, beside a small hash grid, then a small MLP."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field as Option
from pydantic import PrivateAttr, model_validator

from fields.methods.base import Method
from fields.methods.hashgrid import PARAMS_PER_SAMPLE, SMALLEST
from fields.networks.sizes import mlp_parameters
from fields.ops.grid_layout import GridLayout
from scenes.domain import Channels, Domain

if TYPE_CHECKING:
    import torch

    from fields.encoders.rbf import GridAndKernels
    from fields.init.placement import Candidates
    from fields.models.field import Field
    from scenes.signal import Signal

# How large a field is made where no size is asked for, as for `hashgrid`; more kernels than this make steps slow.
LARGEST = 3_000_000
FOR_SHAPES = 400_000
# Where nothing is said, by the kind of signal (the paper's for pictures and shapes).
PICTURE = {
    "kernel": "inverse_quadratic",
    "shape": "full",
    "kernel_features": 32,
    "neighbours": 4,
    "lowest": 2.0**-3,
    "highest": 2.0**12,
}
SPACE = {
    "kernel": "inverse_quadratic",
    "shape": "full",
    "kernel_features": 16,
    "neighbours": 8,
    "lowest": 1.0,
    "highest": 8.0,
}
# Of scenes with bounds, and of all scenes (the paper's for NeRF-Synthetic, and for it and LLFF).
BOUNDED = SPACE | {"kernel_features": 32, "neighbours": 5}
SCENE_SINES = {"kernel_sines": False}
DISTANCE = SPACE | {"kernel": "hat", "shape": "isotropic", "grid_share": 0.75}
# The authors train shapes at 1e-4 for 20,000 steps; these suit a thousand.
DISTANCE_RATES = {"learning_rate": 5e-3, "table_rate": 2e-2}
# Levels, channels an entry, and the share of the numbers that the grid may have.
GRIDS = {2: (2, 2, 0.5), 3: (16, 1, 0.5)}
FINEST = {2: 1 << 20, 3: 2048}
MAX_TABLE = 1 << 24


class NeuRbf(Method):
    name = "neurbf"
    summary = "adaptive radial basis functions, placed by the signal, beside a small hash grid; for sparse detail"
    paper = "Chen et al. 2023, NeuRBF: A Neural Fields Representation with Adaptive Radial Basis Functions"
    dimensions = (2, 3)
    why_dimensions = "its kernels are placed in a plane or in space"

    learning_rate: float = Option(1e-2, gt=0, le=1, description="Adam's step size for the MLP")
    table_rate: float = Option(
        5e-3, gt=0, le=1, description="Adam's step size for the kernels' features, the grid and their bias"
    )
    batch: int = Option(16384, ge=1, le=1 << 24, description="points a training step")
    kernels: int | None = Option(None, ge=1, le=1 << 20, description="how many; none: what a size has room for")
    kernel: Literal["inverse_quadratic", "inverse_multiquadric", "gaussian", "hat", "markov"] | None = Option(
        None, description="their form; none: hat for distances, else inverse_quadratic"
    )
    shape: Literal["full", "diagonal", "isotropic"] | None = Option(
        None,
        description="covariances: whole matrices, a width an axis, or one width; none: isotropic for distances, else full",
    )
    kernel_features: int | None = Option(
        None,
        ge=1,
        le=128,
        description="numbers learned a kernel; none: 32 for pictures and scenes with bounds, else 16",
    )
    neighbours: int | None = Option(
        None,
        ge=1,
        le=32,
        description="kernels that a point sees; none: 4 for pictures, 5 for scenes with bounds, else 8",
    )
    normalise: Literal["off", "detached", "full"] = Option(
        "detached",
        description="divide by the sum over the neighbours; detached: which is held constant in gradients, as the authors do; off for scenes with bounds unless asked for",
    )
    kernel_sines: bool = Option(
        True, description="sines of the kernels' values, one frequency a feature; not for scenes unless asked for"
    )
    kernel_phases: bool = Option(
        False, description="learn the phases of these sines, as the paper says and its code does not"
    )
    lowest: float | None = Option(
        None, gt=0, le=1e6, description="lowest of these frequencies; none: 1/8 for pictures, else 1"
    )
    highest: float | None = Option(
        None, gt=0, le=1e6, description="highest of these frequencies; none: 4096 for pictures, else 8"
    )
    layer_sines: bool = Option(
        False, description="add sines of the MLP's first layer to it, for long fits (several thousand steps)"
    )
    layer_lowest: float = Option(10.0, gt=0, le=1e6, description="lowest frequency of these")
    layer_highest: float = Option(100.0, gt=0, le=1e6, description="highest frequency of these")
    placement: Literal["kmeans", "weighted", "random", "lattice"] = Option(
        "kmeans",
        description="where kernels are: weighted k-means, drawn by weight, drawn evenly, or a lattice; the last three to compare with",
    )
    place_after: float = Option(
        0.0,
        ge=0,
        lt=1,
        description="radiance: share of the steps in which the grid learns alone, before kernels are placed by what "
        "it found, as the authors do; 0: at once, by silhouettes",
    )
    grid: bool = Option(True, description="false: kernels alone")
    levels: int | None = Option(None, ge=1, le=32, description="of the hash grid; none: 2 in the plane, 16 in space")
    features: Literal[1, 2, 4, 8] | None = Option(
        None, description="channels an entry of the hash grid; none: 2 in the plane, 1 in space"
    )
    grid_share: float | None = Option(
        None, gt=0, lt=1, description="of all numbers, how many the grid may have; none: 0.75 for distances, else 0.5"
    )
    base_resolution: int = Option(16, ge=2, le=65536, description="cells along an axis at its coarsest level")
    growth: float | None = Option(
        None, gt=1, le=4096, description="resolution ratio of its levels; none: to half the samples, as its room allows"
    )
    table_size: int | None = Option(
        None, ge=16, le=MAX_TABLE, description="entries a level at most, a power of two; none: by its room"
    )
    width: int = Option(64, ge=1, le=256, description="units a hidden layer of the MLP")
    hidden_layers: int = Option(2, ge=1, le=8, description="hidden layers of the MLP")
    backend: Literal["auto", "native", "torch"] = Option(
        "auto", description="who computes the grid, the neighbours and the kernels"
    )

    # What `build` places kernels by. It is no option: a loaded field has its kernels already.
    _signal: object = PrivateAttr(None)
    _candidates: object = PrivateAttr(None)

    @model_validator(mode="after")
    def _rising(self) -> Self:
        for low, high in (("lowest", "highest"), ("layer_lowest", "layer_highest")):
            if (
                getattr(self, low) is not None
                and getattr(self, high) is not None
                and getattr(self, low) > getattr(self, high)
            ):
                raise ValueError(f"{low} is above {high}")
        if self.table_size is not None and self.table_size & (self.table_size - 1):
            raise ValueError("table_size should be a power of two")
        return self

    def activations(self) -> int:
        return self.width * (self.hidden_layers + 2)

    def prepare(self, signal: Signal) -> Self:
        from scenes.signal import Signal as Sampled

        method = super().prepare(signal)
        dimensions, channels = self.axes_of(signal), len(signal.channels)
        distance = signal.channels.space.endswith("_distance")
        levels, features, share = GRIDS[dimensions]
        scene = signal.kind == "radiance"
        bounded = scene and not signal.unbounded
        suits = PICTURE if dimensions == 2 else DISTANCE if distance else BOUNDED if bounded else SPACE
        given = {"levels": levels, "features": features, "grid_share": share} | suits
        update = {name: value for name, value in given.items() if getattr(method, name) is None}
        others = (
            DISTANCE_RATES if distance else SCENE_SINES | ({"normalise": "off"} if bounded else {}) if scene else {}
        )
        update |= {name: value for name, value in others.items() if name not in self.model_fields_set}
        method = method.model_copy(update=update)
        if isinstance(signal, Sampled) and self._signal is not signal:
            method._signal = signal
            method._candidates = None
        if None in (method.kernels, method.growth, method.table_size):
            samples = math.prod(n or 64 for n in signal.domain.shape)
            wanted = FOR_SHAPES if None in signal.domain.shape else samples * PARAMS_PER_SAMPLE.get(signal.kind, 1.25)
            wanted = int(max(SMALLEST, min(LARGEST, wanted)))
            finest = max(n or 1024 for n in signal.domain.shape) / 2
            sized = method._filled(dimensions, channels, wanted, finest)
            update = {
                name: getattr(sized, name)
                for name in ("growth", "table_size", "kernels")
                if getattr(method, name) is None
            }
            method = method.model_copy(update=update)
        return method

    def layout(self, dimensions: int) -> GridLayout:
        return GridLayout(
            dimensions,
            levels=self.levels,
            features=self.features,
            base_resolution=self.base_resolution,
            growth=self.growth,
            table_size=self.table_size,
        )

    def params_per_kernel(self, dimensions: int) -> int:
        """Centre and shape, which are frozen, and features."""
        shape = {"full": dimensions * (dimensions + 1) // 2, "diagonal": dimensions, "isotropic": 1}[self.shape]
        return dimensions + shape + self.kernel_features

    def encoder_outputs(self) -> int:
        return self.kernel_features + (self.levels * self.features if self.grid else 0)

    def encoder_parameters(self, dimensions: int) -> int:
        grid = self.layout(dimensions).num_parameters if self.grid else 0
        phases = self.kernel_features if self.kernel_phases and self.kernel_sines else 0
        return grid + self.encoder_outputs() + phases + self.kernels * self.params_per_kernel(dimensions)

    def parameters(self, dimensions: int, channels: int) -> int:
        return self.encoder_parameters(dimensions) + mlp_parameters(
            self.encoder_outputs(), self.width, self.hidden_layers, channels, bias=True
        )

    def sizes(self, dimensions: int, channels: int, parameters: int) -> Iterator[Self]:
        finest = self.base_resolution * self.growth ** (self.levels - 1)
        for width in dict.fromkeys(min(self.width, w) for w in (self.width, 48, 32, 16, 8)):
            copy = self.model_copy(update={"width": width})
            if copy.kernels_for(dimensions, channels, parameters) >= copy.neighbours:
                yield copy.model_copy(update={"kernels": copy.kernels_for(dimensions, channels, parameters)})
            yield copy.model_copy(update={"growth": None, "table_size": None})._filled(
                dimensions, channels, parameters, finest
            )

    def kernels_for(self, dimensions: int, channels: int, parameters: int) -> int:
        """How many kernels the rest of `parameters` has room for; negative where there is none."""
        others = self.model_copy(update={"kernels": 0}).parameters(dimensions, channels)
        if self.grid and self.layout(dimensions).num_parameters > max(self.grid_share * parameters, 1):
            return -1
        return min(1 << 20, (parameters - others) // self.params_per_kernel(dimensions))

    def _filled(self, dimensions: int, channels: int, parameters: int, finest: float) -> Self:
        """A copy with a grid of its share, up to `finest` cells an axis, and kernels for the rest."""
        copy = self.model_copy(update={"kernels": 0})
        room = self.grid_share * parameters
        finest = max(min(finest, FINEST[dimensions]), 1.05 * self.base_resolution)
        cells = finest
        if dimensions == 2 and self.table_size is None:
            # Nothing collides in the plane: the grid is made coarser until it has room.
            cells = max(
                1.05 * self.base_resolution,
                min(finest, (max(room / self.features - self.base_resolution**2, 1.0)) ** 0.5),
            )
        growth = self.growth or max(1.05, (cells / self.base_resolution) ** (1 / max(1, self.levels - 1)))
        copy = copy.model_copy(update={"growth": min(growth, 4096.0)})
        for k in range(24, 3, -1) if self.table_size is None else ():
            copy = copy.model_copy(update={"table_size": 1 << k})
            if copy.layout(dimensions).num_parameters <= room:
                break
        if not self.grid:
            room = 0
        others = copy.parameters(dimensions, channels)
        kernels = max(self.neighbours, round((parameters - others) / self.params_per_kernel(dimensions)))
        return copy.model_copy(update={"kernels": min(1 << 20, kernels)})

    def encoder(self, domain: Domain, generator: torch.Generator, hidden: bool = False) -> GridAndKernels:
        """The untrained encoder of a prepared config, for this method's MLP or other heads: coords `[..., D]` → `[..., encoder_outputs()]`."""
        from fields.encoders.hash_grid import HashGrid
        from fields.encoders.rbf import GridAndKernels, RbfKernels
        from fields.init.placement import kernel_candidates
        from fields.models.neurbf import HIDDEN

        if self._candidates is None and self._signal is not None and not hidden:
            self._candidates = kernel_candidates(self._signal)
        extents, centres, shapes = self._placed(None if hidden else self._candidates, domain, generator)
        if hidden:
            shapes = shapes * HIDDEN
        band = (self.lowest, self.highest) if self.kernel_sines else None
        kernels = RbfKernels(
            centres,
            shapes,
            features=self.kernel_features,
            neighbours=min(self.neighbours, self.kernels),
            extents=extents,
            kernel=self.kernel,
            normalise="none" if self.normalise == "off" else self.normalise,
            band=band,
            backend=self.backend,
            generator=generator,
            phases=self.kernel_phases,
        )
        grid = HashGrid(self.layout(domain.dimensions), "linear", self.backend, generator) if self.grid else None
        return GridAndKernels(grid, kernels, generator)

    def _placed(
        self, found: Candidates | None, domain: Domain, generator: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Extents of the domain, and centres and shapes by the points `found`."""
        import torch

        from fields.init.placement import SCATTERED_SIDE, place_kernels

        samples = torch.tensor([n or SCATTERED_SIDE for n in domain.shape], dtype=torch.float32)
        extents = samples / samples.max()
        return extents, *place_kernels(
            found,
            self.kernels,
            extents=extents,
            spacing=extents / samples,
            kernel=self.kernel,
            shape=self.shape,
            placement=self.placement,
            generator=generator,
        )

    def build(self, domain: Domain, channels: Channels, seed: int) -> Field:
        import torch

        from fields.init.placement import SCENE_CELLS, fitted_candidates
        from fields.models.neurbf import NeuRbfField
        from fields.networks.mlp import MLP
        from fields.networks.sine_residual import SineResidual

        def place(field: NeuRbfField) -> tuple[torch.Tensor, torch.Tensor]:
            known = self._signal is not None and self.hull and self.cubes == 1
            found = fitted_candidates(
                field,
                self.initial_density,
                self._signal.empty_cells(SCENE_CELLS) if known else None,
                field.encoder.bias.device,
            )
            return self._placed(found, domain, torch.Generator().manual_seed(seed))[1:]

        # The trunk of a scene, which must be fitted to be looked at.
        later = channels.space == "feature" and self.grid and self.placement != "lattice" and self.place_after > 0
        generator = torch.Generator().manual_seed(seed)
        encoder = self.encoder(domain, generator, hidden=later)
        sizes = (encoder.outputs, self.width, self.hidden_layers, len(channels))
        if self.layer_sines:
            network = SineResidual(*sizes, band=(self.layer_lowest, self.layer_highest), generator=generator)
        else:
            network = MLP(*sizes, bias=True, generator=generator)
        return NeuRbfField(
            domain, channels, encoder, network, place_after=self.place_after, place=place if later else None
        )

    def encoder_groups(self, encoder: GridAndKernels) -> list[dict]:
        """Groups of the encoder's numbers; kernels and entries that a batch did not see keep their moments."""
        tables = [encoder.kernels.features, *(encoder.grid.parameters() if encoder.grid is not None else ())]
        return [
            {"params": tables, "lr": self.table_rate, "sparse": True},
            {
                "params": [encoder.bias, *([] if encoder.kernels.phases is None else [encoder.kernels.phases])],
                "lr": self.table_rate,
                "sparse": False,
            },
        ]

    def parameter_groups(self, field: Field) -> list[dict]:
        return [
            {"params": list(field.network.parameters()), "lr": self.learning_rate, "sparse": False},
            *self.encoder_groups(field.encoder),
        ]
