"""What modules of a field compute, as steps of a program. A new module is a function here."""

from __future__ import annotations

import math
from functools import reduce, singledispatch

import torch
from torch import Tensor, nn

from fields.encoders.factor_grid import FactorGrid
from fields.encoders.frequency import Fourier, Frequency, Identity
from fields.encoders.hash_grid import HashGrid
from fields.encoders.rbf import GridAndKernels, RbfKernels
from fields.encoders.tri_plane import TriPlane
from fields.export.page.program import Program, Vector
from fields.models.cam import CamField
from fields.models.field import CoordinateField, PointField
from fields.models.hash_grid import GridField
from fields.models.spectral import SpectralField
from fields.networks.cam import ModulatedMLP, Modulation
from fields.networks.deformation import Deformation
from fields.networks.gaussian_rbf import GaussianRbf
from fields.networks.hourglass import Hourglass
from fields.networks.kan import FUNCTIONS, Kan, KanLayer
from fields.networks.native import NativeNetwork
from fields.networks.sine_residual import SineResidual
from fields.networks.spectral import SpectralNetwork, SpectralState
from fields.networks.transport import node_positions
from fields.ops.factor_layout import FactorLayout
from fields.ops.mlp import QUADRATIC_PARTS, ActivationShape
from scenes.errors import BadInput


@singledispatch
def describe(module: nn.Module, program: Program, *inputs: Vector) -> Vector:
    """Append the steps of a module, and return their result. BadInput for a module that the viewer does not know."""
    raise BadInput(f"a page cannot compute a {type(module).__name__}; export .onnx or render images instead")


def known(module: nn.Module, base: type[nn.Module], *parts: str) -> None:
    """BadInput where a subclass of `base` computes one of its `parts` in its own way."""
    if any(getattr(type(module), part) is not getattr(base, part) for part in parts):
        raise BadInput(f"a page cannot compute a {type(module).__name__}; export .onnx or render images instead")


# Encoders


@describe.register
def _identity(module: Identity, program: Program, x: Vector) -> Vector:
    return program.affine(x, 2.0, -1.0)


@describe.register
def _frequency(module: Frequency, program: Program, x: Vector) -> Vector:
    points = program.affine(x, 2.0, -1.0)
    bands = 2.0 ** torch.arange(module.octaves, dtype=torch.float32) * module.base
    phase = program.linear(points, torch.kron(bands[:, None], torch.eye(module.dimensions)), exact=True)
    return program.concat(points, program.map(phase, "sine"), program.map(phase, "cosine"))


@describe.register
def _fourier(module: Fourier, program: Program, x: Vector) -> Vector:
    phase = program.linear(x, 2.0 * math.pi * module.matrix, exact=True)
    return program.concat(program.map(phase, "cosine"), program.map(phase, "sine"))


@describe.register
def _hash_grid(module: HashGrid, program: Program, x: Vector) -> Vector:
    layout = module.layout
    levels = [
        [level.offset, level.scale, level.resolution, level.size, int(level.hashed)] for level in layout.per_level
    ]
    features = program.step(
        "hash_grid",
        x,
        size=layout.outputs,
        table=program.tensors.add(module.table, "table"),
        levels=levels,
        features=layout.features,
        smooth=module.interpolation == "smoothstep",
    )
    return _gated(program, features, module.gates)


@describe.register
def _factor_grid(module: FactorGrid, program: Program, x: Vector) -> Vector:
    return _gated(program, _factors(program, x, module.table, module.layout), module.gates)


def _factors(program: Program, x: Vector, table: Tensor, layout: FactorLayout) -> Vector:
    offsets = iter(layout.offsets)
    slots = [
        [[[next(offsets), list(factor.axes), list(factor.nodes)] for factor in product] for product in slot]
        for slot in layout.slots
    ]
    return program.step(
        "factor_grid",
        x,
        size=layout.outputs,
        table=program.tensors.add(table, "rows"),
        slots=slots,
        features=layout.features,
        ends=layout.nodes_at_ends,
    )


def _gated(program: Program, features: Vector, gates: Tensor | None) -> Vector:
    """Features times the weights of their levels."""
    if gates is None or bool((gates == 1).all()):
        return features
    return program.vector(features, mul=gates.repeat_interleave(features.size // len(gates)))


@describe.register
def _tri_plane(module: TriPlane, program: Program, x: Vector) -> Vector:
    return program.concat(describe(module.grid, program, x), describe(module.position, program, x))


@describe.register
def _kernels(module: RbfKernels, program: Program, x: Vector) -> Vector:
    points = program.vector(x, mul=module.extents)
    add = program.tensors.add
    sines = {} if module.frequencies is None else {"frequencies": add(module.frequencies, "vector")}
    phases = {} if module.phases is None else {"phases": add(module.phases, "vector")}
    dimensions, packed = module.centres.shape[1], module.shapes
    if packed.shape[1] in (1, dimensions):
        # The diagonal alone: as a whole matrix.
        diagonal = torch.diag_embed(packed.expand(-1, dimensions))
        rows, columns = torch.triu_indices(dimensions, dimensions)
        packed = diagonal[:, rows, columns]
    return program.step(
        "kernels",
        points,
        size=module.outputs,
        centres=add(module.centres, "rows", exact=True),
        shapes=add(packed, "rows", exact=True),
        features=add(module.features, "rows"),
        extents=module.extents.tolist(),
        neighbours=min(module.neighbours, len(module.centres)),
        kernel=module.kernel,
        normalise=module.normalise != "none",
        **sines,
        **phases,
    )


@describe.register
def _grid_and_kernels(module: GridAndKernels, program: Program, x: Vector) -> Vector:
    features = describe(module.kernels, program, x)
    if module.grid is not None:
        features = program.concat(describe(module.grid, program, x), features)
    return program.vector(features, add=module.bias)


# Networks


@describe.register
def _native(module: NativeNetwork, program: Program, x: Vector) -> Vector:
    known(module, NativeNetwork, "forward")
    return _layers(program, x, module.weights, module.biases, module.activation)


def _layers(program: Program, x: Vector, weights, biases, shape: ActivationShape, modulation=None) -> Vector:
    """The steps of `fields.ops.mlp.mlp_reference`. `modulation(x, layer)` scales and shifts the sums of a layer."""
    values, last = x, len(weights) - 1
    for index, weight in enumerate(weights):
        bias = biases[index] if biases is not None else None
        if shape.skip and index == shape.skip:
            values = program.concat(x, values)
        if shape.name == "quadratic" and index < last:
            values = _quadratic(program, values, weight, bias)
            continue
        values = program.linear(values, weight, bias)
        if index == last:
            break
        if shape.standardize:
            values = program.step("standardize", values, size=values.size)
        if modulation is not None:
            values = modulation(values, index)
        omega = shape.first_omega if index == 0 else shape.omega
        if shape.name == "gabor":
            values = program.step("gabor", values, size=values.size, omega=omega, scale=shape.scale)
        else:
            name = "finer" if shape.name == "finer_through" else shape.name
            values = program.map(values, name, omega, shape.scale)
    return values


def _quadratic(program: Program, x: Vector, weight: Tensor, bias: Tensor | None) -> Vector:
    a, b, c = weight.chunk(QUADRATIC_PARTS)
    first, second = (None, None) if bias is None else bias.chunk(QUADRATIC_PARTS)[:2]
    products = program.multiply(program.linear(x, a, first), program.linear(x, b, second))
    return program.map(program.add(products, program.linear(program.map(x, "square"), c)), "relu")


@describe.register
def _unchanged(module: nn.Identity, program: Program, x: Vector) -> Vector:
    return x


@describe.register
def _linear(module: nn.Linear, program: Program, x: Vector) -> Vector:
    return program.linear(x, module.weight, module.bias)


@describe.register
def _sequential(module: nn.Sequential, program: Program, x: Vector) -> Vector:
    return reduce(lambda values, part: describe(part, program, values), module, x)


@describe.register
def _sine_residual(module: SineResidual, program: Program, x: Vector) -> Vector:
    first = describe(module.hidden.first, program, x)
    waves = program.map(program.vector(first, mul=module.frequencies), "sine")
    biases = [*module.hidden.biases, module.output.bias]
    return _layers(program, program.add(first, waves), module.weights[1:], biases[1:], ActivationShape("relu"))


@describe.register
def _hourglass(module: Hourglass, program: Program, x: Vector) -> Vector:
    stream = describe(module.enter, program, x)
    for narrow, widen in zip(module.narrow, module.widen):
        stream = program.add(stream, describe(widen, program, program.map(describe(narrow, program, stream), "relu")))
    return describe(module.output, program, stream)


@describe.register
def _kan(module: Kan, program: Program, x: Vector) -> Vector:
    return describe(module.layers, program, x)


@describe.register
def _kan_layer(module: KanLayer, program: Program, x: Vector) -> Vector:
    base = program.linear(program.map(x, "silu"), module.base)
    functions = program.step("kan_basis", x, size=x.size * FUNCTIONS, basis=module.basis)
    return program.add(base, program.linear(functions, module.coefficients))


@describe.register
def _gaussian_rbf(module: GaussianRbf, program: Program, x: Vector) -> Vector:
    beta, centres = module.log_widths.clamp(-10.0, 10.0).exp().double(), module.centres.double()
    quadratic = program.linear(program.map(x, "square"), beta, exact=True)
    rest = program.linear(x, -2.0 * beta * centres, (beta * centres**2).sum(-1), exact=True)
    squares = program.map(program.add(quadratic, rest), "nonnegative")
    profile = "exp_half" if module.profile == "gaussian" else module.profile
    values = describe(module.output, program, program.map(squares, profile))
    return values if module.linear is None else program.add(values, describe(module.linear, program, x))


@describe.register
def _modulated(module: ModulatedMLP, program: Program, features: Vector, coords: Vector) -> Vector:
    if module.normalise > 1:
        raise BadInput("a page cannot compute CAM that is standardized over a whole ray; export .onnx or render images")
    modulation = module.modulation

    def modulate(values: Vector, layer: int) -> Vector:
        assert columns is not None and modulation is not None
        scaled = program.step("scale_by", values, columns, size=values.size, index=layer)
        return program.step("shift_by", scaled, columns, size=values.size, index=modulation.layers + layer)

    columns = None if modulation is None else describe(modulation, program, coords)
    network = module.network
    steps = None if columns is None else modulate
    values = _layers(program, features, network.weights, network.biases, module.activation, steps)
    return program.map(values, "sigmoid") if module.sigmoid else values


@describe.register
def _modulation(module: Modulation, program: Program, coords: Vector) -> Vector:
    return describe(module.grid, program, coords)


@describe.register
def _deformation(module: Deformation, program: Program, coords: Vector, time: Vector) -> Vector:
    features = program.concat(
        describe(module.position_encoding, program, coords), describe(module.time_encoding, program, time)
    )
    return program.map(program.add(coords, describe(module.network, program, features)), "unit")


@describe.register
def _spectral(module: SpectralNetwork, program: Program, coords: Vector) -> Vector:
    angles = program.linear(program.affine(coords, 2.0, -1.0), module.waves.omega, module.waves.phase, exact=True)
    values = None
    if module.state is not None:
        state = _state(module.state, program, coords)
        if module.state.phases is not None:
            angles = program.add(angles, describe(module.state.phases, program, state))
        amplitudes = describe(module.state.amplitudes, program, state)
        waves = program.map(angles, "sine")
        values = program.multiply(amplitudes, waves)
        if module.mode == "literal":
            values = program.linear(values, torch.ones(1, values.size))
        else:
            values = program.add(waves, values)
    else:
        values = program.map(angles, "sine")
    for layer in module.hidden:
        values = program.map(describe(layer, program, values), "sine", module.hidden_omega)
    return describe(module.output, program, values)


def _state(module: SpectralState, program: Program, coords: Vector) -> Vector:
    """`SpectralState.at`."""
    cells = [n - 1 for n in reversed(module.nodes.shape[:-1])]
    points = program.step("smooth_cells", coords, size=coords.size, cells=cells) if module.smooth else coords
    if module.jet is None:
        return describe(module.grid, program, points)
    corners = node_positions(module.nodes)
    slopes = module.jet(corners, module.nodes)
    scale = module.nodes.new_tensor([float(n) for n in cells])
    starts = module.nodes - (slopes * ((corners + 1.0) / 2.0 * scale)[..., None]).sum(-2)
    layout = module.grid.layout
    state = _factors(program, points, starts.flatten(0, -2), layout)
    position = program.vector(program.map(coords, "unit"), mul=scale)
    for axis in range(len(cells)):
        slope = _factors(program, points, slopes[..., axis, :].flatten(0, -2), layout)
        state = program.add(state, program.step("scale_by", slope, position, size=state.size, index=axis))
    return state


# Fields


@describe.register
def _coordinate_field(module: CoordinateField, program: Program, coords: Vector) -> Vector:
    known(module, CoordinateField, "features", "decode")
    return program.affine(
        describe(module.network, program, describe(module.encoder, program, coords)), module.scale, module.offset
    )


@describe.register
def _grid_field(module: GridField, program: Program, coords: Vector) -> Vector:
    values = describe(module.network, program, describe(module.encoder, program, coords))
    units = module.channels.error_units
    return values if set(units) == {1.0} else program.vector(values, mul=torch.tensor(units))


@describe.register
def _cam_field(module: CamField, program: Program, coords: Vector) -> Vector:
    extra = 2 * module.takes_directions + module.takes_time
    size = coords.size
    indexing = program.slice(coords, size - extra, extra) if extra else coords
    features = describe(module.encoder, program, program.slice(coords, 0, size - extra))
    return program.affine(describe(module.network, program, features, indexing), 1.0, module.offset)


@describe.register
def _spectral_field(module: SpectralField, program: Program, coords: Vector) -> Vector:
    return program.affine(describe(module.network, program, coords), module.scale, module.offset)


def values_program(field: PointField, program: Program) -> dict:
    """The program of a point field: coords to values."""
    return program.to_json(describe(field, program, program.inputs[0]))
