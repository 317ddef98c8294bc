"""`neurbf`: kernels where the signal has detail, beside a small hash grid, then a small MLP."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal, Self, cast

from pydantic import Field as Option
from pydantic import PrivateAttr, model_validator

from fields.methods.hashgrid import params_per_sample
from fields.methods.options import Undecided, undecided
from fields.methods.points import PointMethod
from fields.networks.sizes import mlp_parameters
from fields.ops.grid_layout import GridLayout
from scenes.domain import Channels, Domain

if TYPE_CHECKING:
    import torch

    from fields.encoders.rbf import GridAndKernels
    from fields.init.placement import Candidates
    from fields.models.field import Field
    from fields.models.neurbf import NeuRbfField
    from scenes.posed.signal import RadianceScene
    from scenes.signal import Signal

# Parameters of a field for which no size is asked for, as for `hashgrid`. More kernels than the upper bound has room
# for make steps slow.
MIN_PARAMETERS = 20_000
MAX_PARAMETERS = 3_000_000
# Parameters of a field whose signal has scattered samples, or is a scene.
SCATTERED_PARAMETERS = 400_000
MAX_KERNELS = 1 << 20
MAX_TABLE_LOG2 = 24
MAX_GROWTH = 4096.0
# Samples that an axis with scattered samples counts as: for the size, and for the finest resolution of the grid.
SCATTERED_SAMPLES = 64
SCATTERED_FINEST = 1024

# Default options by the kind of signal. Those of images and of shapes are the paper's.
PLANE_OPTIONS: dict[str, object] = {
    "kernel": "inverse_quadratic",
    "shape": "full",
    "kernel_features": 32,
    "neighbours": 4,
    "min_frequency": 2.0**-3,
    "max_frequency": 2.0**12,
}
SPACE_OPTIONS: dict[str, object] = {
    "kernel": "inverse_quadratic",
    "shape": "full",
    "kernel_features": 16,
    "neighbours": 8,
    "min_frequency": 1.0,
    "max_frequency": 8.0,
}
DISTANCE_OPTIONS = SPACE_OPTIONS | {"kernel": "hat", "shape": "isotropic", "grid_fraction": 0.75}
# Bounded scenes; the paper's for NeRF-Synthetic.
BOUNDED_OPTIONS = SPACE_OPTIONS | {"kernel_features": 32, "neighbours": 5}
# Options that are set unless the user has set them, though they have a default. For distances: the authors train at
# 1e-4 for 20,000 steps; these rates suit a thousand. For scenes: the paper's, for NeRF-Synthetic and LLFF, and for
# the former alone.
DISTANCE_OVERRIDES: dict[str, object] = {"learning_rate": 5e-3, "table_rate": 2e-2}
SCENE_OVERRIDES: dict[str, object] = {"kernel_sines": False}
BOUNDED_OVERRIDES = SCENE_OVERRIDES | {"normalise": "off"}
# Levels of the grid, channels of its entries, and the fraction of the parameters that it may have, by the number of
# axes.
GRID_OPTIONS: dict[int, dict[str, object]] = {
    2: {"levels": 2, "features": 2, "grid_fraction": 0.5},
    3: {"levels": 16, "features": 1, "grid_fraction": 0.5},
}
# Finest resolution of the grid, by the number of axes.
MAX_RESOLUTION = {2: 1 << 20, 3: 2048}


class NeuRbf(PointMethod):
    name = "neurbf"
    summary = "adaptive radial basis functions, placed by the signal, beside a small hash grid; for sparse detail"
    paper = "Chen et al. 2023, NeuRBF: A Neural Fields Representation with Adaptive Radial Basis Functions"
    dimensions = (2, 3)
    why_dimensions = "its kernels are placed in a plane or in space"
    size_options = ("kernels", "kernel_features", "table_size", "levels", "width", "hidden_layers")
    has_tables = True

    learning_rate: float = Option(
        1e-2, gt=0, le=1, description="Adam's learning rate for the MLP. Lower it if the loss jumps."
    )
    table_rate: float = Option(
        5e-3, gt=0, le=1, description="Adam's learning rate for the kernels' features, the grid and their bias."
    )
    batch: int = Option(16384, ge=1, le=1 << 24, description="Batch size: points per training step.")
    kernels: Undecided[int] = undecided(
        "Number of kernels. Raise it for more detail. Default: as many as the size has room for.", ge=1, le=MAX_KERNELS
    )
    kernel: Undecided[Literal["inverse_quadratic", "inverse_multiquadric", "gaussian", "hat", "markov"]] = undecided(
        "Radial function of the kernels. Default: hat for distances, else inverse_quadratic."
    )
    shape: Undecided[Literal["full", "diagonal", "isotropic"]] = undecided(
        "Covariances of the kernels: full matrices, one width per axis, or one width. Default: isotropic for "
        "distances, else full."
    )
    kernel_features: Undecided[int] = undecided(
        "Feature channels per kernel. Default: 32 for images and bounded scenes, else 16.", ge=1, le=128
    )
    neighbours: Undecided[int] = undecided(
        "Kernels that a point gets features from. More are slower. Default: 4 for images, 5 for bounded scenes, else "
        "8.",
        ge=1,
        le=32,
    )
    normalise: Literal["off", "detached", "full"] = Option(
        "detached",
        description="Divide by the sum over the neighbours. detached: the sum is constant in gradients, as in the "
        "authors' code. Default for bounded scenes: off.",
    )
    kernel_sines: bool = Option(
        True, description="Sines of the kernels' values, one frequency per channel. Default for scenes: false."
    )
    kernel_phases: bool = Option(
        False, description="Learn the phases of these sines, as in the paper. The authors' code does not."
    )
    min_frequency: Undecided[float] = undecided(
        "Lowest frequency of these sines. Default: 1/8 for images, else 1.", gt=0, le=1e6
    )
    max_frequency: Undecided[float] = undecided(
        "Highest frequency of these sines. Lower it, to 64, if the field is rough between samples. Default: 4096 for "
        "images, else 8.",
        gt=0,
        le=1e6,
    )
    layer_sines: bool = Option(
        False, description="Add sines of the MLP's first layer to it. For long fits of several thousand steps."
    )
    layer_min_frequency: float = Option(10.0, gt=0, le=1e6, description="Lowest frequency of the layer's sines.")
    layer_max_frequency: float = Option(100.0, gt=0, le=1e6, description="Highest frequency of the layer's sines.")
    placement: Literal["kmeans", "weighted", "random", "lattice"] = Option(
        "kmeans",
        description="Where kernels are: weighted k-means, drawn by weight, drawn evenly, or a lattice. The last three "
        "are there to compare with.",
    )
    place_after: float = Option(
        0.0,
        ge=0,
        lt=1,
        description="Fraction of the steps in which the grid of a scene learns alone, before kernels are placed by "
        "what it found, as the authors do. 0: at once, by silhouettes.",
    )
    grid: bool = Option(True, description="false: kernels alone, without the hash grid.")
    levels: Undecided[int] = undecided(
        "Number of levels of the hash grid. Default: 2 in the plane, 16 in space.", ge=1, le=32
    )
    features: Undecided[Literal[1, 2, 4, 8]] = undecided(
        "Feature channels per entry of the hash grid. Default: 2 in the plane, 1 in space."
    )
    grid_fraction: Undecided[float] = undecided(
        "Fraction of all parameters that the hash grid may have. Default: 0.75 for distances, else 0.5.", gt=0, lt=1
    )
    base_resolution: int = Option(
        16, ge=2, le=65536, description="Cells along an axis at the coarsest level of the hash grid."
    )
    growth: Undecided[float] = undecided(
        "Ratio of the resolutions of neighbouring levels. Default: up to half the samples, as its fraction allows.",
        gt=1,
        le=MAX_GROWTH,
    )
    table_size: Undecided[int] = undecided(
        "Entries per level of the hash grid at most, a power of two. Default: as its fraction allows.",
        ge=16,
        le=1 << MAX_TABLE_LOG2,
    )
    width: int = Option(64, ge=1, le=256, description="Units per hidden layer of the MLP.")
    hidden_layers: int = Option(2, ge=1, le=8, description="Number of hidden layers of the MLP.")
    backend: Literal["auto", "native", "torch"] = Option(
        "auto", description="What evaluates grid, neighbours and kernels: native code where there is some, or torch."
    )

    # The signal by which `build` places kernels, and the candidates found in it. They are no options: a field that is
    # loaded has its kernels already.
    _signal: Any = PrivateAttr(None)
    _candidates: Any = PrivateAttr(None)

    @model_validator(mode="after")
    def _bands_rise(self) -> Self:
        bands = (("min_frequency", "max_frequency"), ("layer_min_frequency", "layer_max_frequency"))
        for low, high in bands:
            lower, upper = getattr(self, low), getattr(self, high)
            if lower is not None and upper is not None and lower > upper:
                raise ValueError(f"{low} is above {high}")
        if self.table_size is not None and self.table_size & (self.table_size - 1):
            raise ValueError("table_size should be a power of two")
        return self

    def activations(self) -> int:
        return self.width * (self.hidden_layers + 2)

    # Deciding what is open

    def prepare(self, signal: Signal) -> Self:
        from scenes.signal import Signal as Sampled

        method = super().prepare(signal)
        dimensions = self.axes_of(signal)
        defaults, overrides = _options_for(signal, dimensions)
        update = {name: value for name, value in defaults.items() if getattr(self, name) is None}
        update |= {name: value for name, value in overrides.items() if name not in self.model_fields_set}
        method = method.model_copy(update=update)
        if isinstance(signal, Sampled) and self._signal is not signal:
            method._signal = signal
            method._candidates = None
        solved = [name for name in ("growth", "table_size", "kernels") if getattr(method, name) is None]
        if solved:
            sized = method._default_size(signal, dimensions)
            method = method.model_copy(update={name: getattr(sized, name) for name in solved})
        return method

    def _default_size(self, signal: Signal, dimensions: int) -> Self:
        """A copy with the grid and the number of kernels that suit the samples of the signal."""
        shape = signal.domain.shape
        wanted = SCATTERED_PARAMETERS
        if None not in shape:
            wanted = math.prod(n or SCATTERED_SAMPLES for n in shape) * params_per_sample(signal.domain)
        wanted = int(max(MIN_PARAMETERS, min(MAX_PARAMETERS, wanted)))
        finest = max(n or SCATTERED_FINEST for n in shape) / 2
        return self._with_grid_and_kernels(dimensions, len(signal.channels), wanted, finest=finest)

    # Size

    def layout(self, dimensions: int) -> GridLayout:
        """Layout of the hash grid. Of a prepared method."""
        return GridLayout(
            dimensions,
            levels=self.levels,
            features=self.features,
            base_resolution=self.base_resolution,
            growth=self.growth,
            table_size=self.table_size,
        )

    def params_per_kernel(self, dimensions: int) -> int:
        """Number of parameters of a kernel: centre and shape, which are not trained, and features."""
        shape = {"full": dimensions * (dimensions + 1) // 2, "diagonal": dimensions, "isotropic": 1}[self.shape]
        return dimensions + shape + self.kernel_features

    def encoder_outputs(self) -> int:
        """Number of features that the network gets."""
        return self.kernel_features + (self.levels * self.features if self.grid else 0)

    def encoder_parameters(self, dimensions: int) -> int:
        """Number of parameters of grid and kernels."""
        grid = self.layout(dimensions).num_parameters if self.grid else 0
        phases = self.kernel_features if self.kernel_phases and self.kernel_sines else 0
        return grid + self.encoder_outputs() + phases + self.kernels * self.params_per_kernel(dimensions)

    def parameters(self, dimensions: int, channels: int) -> int:
        return self.encoder_parameters(dimensions) + mlp_parameters(
            self.encoder_outputs(), self.width, self.hidden_layers, channels, bias=True
        )

    def sizes(self, dimensions: int, channels: int, parameters: int) -> Iterable[Self]:
        finest = self.base_resolution * self.growth ** (self.levels - 1)
        for width in dict.fromkeys(min(self.width, w) for w in (self.width, 48, 32, 16, 8)):
            copy = self.model_copy(update={"width": width})
            kernels = copy.kernels_for(dimensions, channels, parameters)
            if kernels >= copy.neighbours:
                yield copy.model_copy(update={"kernels": kernels})
            # Then with another grid too.
            copy = copy.model_copy(update={"growth": None, "table_size": None})
            yield copy._with_grid_and_kernels(dimensions, channels, parameters, finest=finest)

    def kernels_for(self, dimensions: int, channels: int, parameters: int) -> int:
        """Number of kernels that the rest of `parameters` has room for; negative where there is none."""
        others = self.model_copy(update={"kernels": 0}).parameters(dimensions, channels)
        if self.grid and self.layout(dimensions).num_parameters > max(self.grid_fraction * parameters, 1):
            return -1
        return min(MAX_KERNELS, (parameters - others) // self.params_per_kernel(dimensions))

    def _with_grid_and_kernels(self, dimensions: int, channels: int, parameters: int, *, finest: float) -> Self:
        """A copy of that size: a grid with its fraction, up to `finest` cells along an axis, and kernels for the rest.

        A growth or a table size that is not open stays.
        """
        copy = self.model_copy(update={"kernels": 0})
        room = self.grid_fraction * parameters
        coarsest = 1.05 * self.base_resolution
        finest = max(min(finest, MAX_RESOLUTION[dimensions]), coarsest)
        cells = finest
        if dimensions == 2 and self.table_size is None:
            # Nothing collides in the plane: the grid is made coarser until it has room.
            side = (max(room / self.features - self.base_resolution**2, 1.0)) ** 0.5
            cells = max(coarsest, min(finest, side))
        growth = self.growth or max(1.05, (cells / self.base_resolution) ** (1 / max(1, self.levels - 1)))
        copy = copy.model_copy(update={"growth": min(growth, MAX_GROWTH)})
        for k in range(MAX_TABLE_LOG2, 3, -1) if self.table_size is None else ():
            copy = copy.model_copy(update={"table_size": 1 << k})
            if copy.layout(dimensions).num_parameters <= room:
                break
        others = copy.parameters(dimensions, channels)
        kernels = max(self.neighbours, round((parameters - others) / self.params_per_kernel(dimensions)))
        return copy.model_copy(update={"kernels": min(MAX_KERNELS, kernels)})

    # Field

    def encoder(self, domain: Domain, generator: torch.Generator, *, hidden: bool = False) -> GridAndKernels:
        """The untrained grid and kernels, for this method's MLP or for other networks: coords `[..., D]` → features.

        `hidden`: kernels are placed later, and contribute nothing before.
        """
        from fields.encoders.hash_grid import HashGrid
        from fields.encoders.rbf import GridAndKernels, RbfKernels
        from fields.init.placement import kernel_candidates
        from fields.models.neurbf import HIDDEN

        if self._candidates is None and self._signal is not None and not hidden:
            self._candidates = kernel_candidates(self._signal)
        centres, shapes = self._place(None if hidden else self._candidates, domain, generator)
        if hidden:
            shapes = shapes * HIDDEN
        kernels = RbfKernels(
            centres,
            shapes,
            features=self.kernel_features,
            neighbours=min(self.neighbours, self.kernels),
            extents=_extents(domain)[0],
            kernel=self.kernel,
            normalise="none" if self.normalise == "off" else self.normalise,
            band=(self.min_frequency, self.max_frequency) if self.kernel_sines else None,
            backend=self.backend,
            generator=generator,
            phases=self.kernel_phases,
        )
        grid = HashGrid(self.layout(domain.dimensions), "linear", self.backend, generator) if self.grid else None
        return GridAndKernels(grid, kernels, generator)

    def _place(
        self, candidates: Candidates | None, domain: Domain, generator: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Centres and shapes of the kernels."""
        from fields.init.placement import place_kernels

        extents, spacing = _extents(domain)
        return place_kernels(
            candidates,
            self.kernels,
            extents=extents,
            spacing=spacing,
            kernel=self.kernel,
            shape=self.shape,
            placement=self.placement,
            generator=generator,
        )

    def build(self, domain: Domain, channels: Channels, seed: int) -> Field:
        import torch

        from fields.models.neurbf import NeuRbfField
        from fields.networks.mlp import MLP
        from fields.networks.sine_residual import SineResidual

        # Only the trunk of a scene has to be fitted before it shows where kernels are wanted.
        later = channels.space == "feature" and self.grid and self.placement != "lattice" and self.place_after > 0
        generator = torch.Generator().manual_seed(seed)
        encoder = self.encoder(domain, generator, hidden=later)
        sizes = (encoder.outputs, self.width, self.hidden_layers, len(channels))
        if self.layer_sines:
            band = (self.layer_min_frequency, self.layer_max_frequency)
            network = SineResidual(*sizes, band=band, generator=generator)
        else:
            network = MLP(*sizes, bias=True, generator=generator)

        def place(field: NeuRbfField) -> tuple[torch.Tensor, torch.Tensor]:
            return self._place(self._fitted_candidates(field), domain, torch.Generator().manual_seed(seed))

        return NeuRbfField(
            domain, channels, encoder, network, place_after=self.place_after, place=place if later else None
        )

    def _fitted_candidates(self, trunk: NeuRbfField) -> Candidates:
        """Candidates of a scene, from what the grid of its trunk has learned alone."""
        from fields.init.placement import SCENE_CELLS, fitted_candidates

        empty = None
        if self._signal is not None and self.hull and self.cascades == 1:
            empty = self._signal.empty_cells(SCENE_CELLS)
        density = cast(float, self.initial_density)
        return fitted_candidates(trunk, density, empty, trunk.encoder.bias.device)

    def encoder_groups(self, encoder: GridAndKernels) -> list[dict[str, Any]]:
        """Groups for Adam of the encoder. Kernels and entries that a batch has not touched keep their moments."""
        tables = [encoder.kernels.features, *(encoder.grid.parameters() if encoder.grid is not None else ())]
        others = [encoder.bias, *([] if encoder.kernels.phases is None else [encoder.kernels.phases])]
        return [
            {"params": tables, "lr": self.table_rate, "sparse": True},
            {"params": others, "lr": self.table_rate, "sparse": False},
        ]

    def parameter_groups(self, field: NeuRbfField) -> list[dict[str, Any]]:
        return [
            {"params": list(field.network.parameters()), "lr": self.learning_rate, "sparse": False},
            *self.encoder_groups(field.encoder),
        ]


def _options_for(signal: Signal, dimensions: int) -> tuple[dict[str, object], dict[str, object]]:
    """Defaults of open options, and overrides of options that the user has not set."""
    grid, channels = GRID_OPTIONS[dimensions], signal.channels
    distance, scene = channels.is_distance, channels.is_radiance
    bounded = scene and not cast("RadianceScene", signal).unbounded
    if dimensions == 2:
        defaults = PLANE_OPTIONS
    else:
        defaults = DISTANCE_OPTIONS if distance else BOUNDED_OPTIONS if bounded else SPACE_OPTIONS
    overrides: dict[str, object] = {}
    if distance:
        overrides = DISTANCE_OVERRIDES
    elif scene:
        overrides = BOUNDED_OVERRIDES if bounded else SCENE_OVERRIDES
    return grid | defaults, overrides


def _extents(domain: Domain) -> tuple[torch.Tensor, torch.Tensor]:
    """Size of the domain along each axis, in units of the longest, and the distance between samples."""
    import torch

    from fields.init.placement import SCATTERED_SIDE

    samples = torch.tensor([n or SCATTERED_SIDE for n in domain.shape], dtype=torch.float32)
    extents = samples / samples.max()
    return extents, extents / samples
