"""Features at points from the nearest radial basis functions (Chen et al. 2023, "NeuRBF", equations 3 to 6)."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

import cuda_ext
from fields.ops import backends, rbf_cuda

Kernel = Literal["inverse_quadratic", "inverse_multiquadric", "gaussian", "hat", "markov"]
Normalise = Literal["none", "detached", "full"]
# Their numbers in csrc/common/rbf_gather.h are their positions here.
KERNELS = ("inverse_quadratic", "inverse_multiquadric", "gaussian", "hat", "markov")
NORMALISE = ("none", "detached", "full")

# Limits of the native kernels.
MAX_NEIGHBOURS = 32
MAX_FEATURES = 128
# Added to the sum of a point's kernel values before they are divided by it.
SUM_FLOOR = 1e-8
# Smallest q of which the markov kernel takes the square root, whose derivative is infinite at 0.
MIN_SQUARE = 1e-30
# Points whose second derivatives are computed together: the reference builds tensors [points, neighbours, features].
SECOND_ORDER_POINTS = 8192


def rbf_gather(
    coords: Tensor,
    neighbours: Tensor,
    *,
    centres: Tensor,
    shapes: Tensor,
    features: Tensor,
    frequencies: Tensor | None = None,
    phases: Tensor | None = None,
    kernel: Kernel = "inverse_quadratic",
    normalise: Normalise = "detached",
    backend: backends.Backend = "auto",
) -> Tensor:
    """`sum_i sin(frequencies * v_i + phases) * features[i]` over the neighbours i of each point: `[..., F]`.

    coords: `[..., D]`, D = 2 or 3.
    neighbours: `[..., k]` int32, 1 to 32 rows of centres, shapes and features per point.
    centres: `[N, D]`.
    shapes: symmetric matrix K of each kernel, packed by `pack_shapes`, `[N, D (D + 1) / 2]`; or its diagonal, `[N, D]`;
        or one value for the whole diagonal, `[N, 1]`.
    features: `[N, F]`, F at most 128.
    frequencies, phases: `[F]`. Without frequencies `v_i` itself multiplies the features, and there are no phases.
    kernel: radial function of the offset o from the centre, with q = <o, K o>: `1 / (1 + q)`, `1 / sqrt(1 + q)`,
        `exp(-q / 2)`, `exp(-sqrt q)` (markov), or the product over the axes of `max(0, 1 - |K o|)` (hat, where K is not
        squared).
    normalise: `v_i` is the kernel's value ("none"), or that value divided by the sum over the neighbours plus 1e-8.
        "full" also differentiates the sum. "detached" treats it as a constant, as the authors' code does; then the
        gradients of coords, centres and shapes are not those of the function.
    backend: as in `hash_grid`.

    All tensors are float32 or all float64, on one device. Differentiable twice, in everything but neighbours and
    frequencies; the second time through the reference, 8,192 points at a time. A third derivative raises RuntimeError.

    The argument of a sine is accurate to float32: at frequencies in the thousands the sines of two backends differ by
    1e-3. Results are the same from run to run for one number of threads; on CUDA, those of gradients only under
    `torch.use_deterministic_algorithms(True)`.

    Raises ValueError for wrong shapes, dtypes, devices or names, and for neighbours out of range. On CUDA, where a
    check would have to wait for the device, such a neighbour gives NaN instead.
    """
    _check(
        coords,
        neighbours,
        centres=centres,
        shapes=shapes,
        features=features,
        frequencies=frequencies,
        phases=phases,
        kernel=kernel,
        normalise=normalise,
    )
    shapes = full_shapes(shapes, coords.shape[-1])
    if backends.choose(backend, backends.device_type(coords)) == "torch":
        return rbf_gather_reference(
            coords,
            neighbours,
            centres=centres,
            shapes=shapes,
            features=features,
            frequencies=frequencies,
            phases=phases,
            kernel=kernel,
            normalise=normalise,
        )
    flat = coords.reshape(-1, coords.shape[-1])
    neighbours = neighbours.reshape(-1, neighbours.shape[-1]).contiguous()
    gather = _Gather(kernel, normalise)
    output = _Forward.apply(flat, centres, shapes, features, phases, neighbours, frequencies, gather)
    return output.reshape(*coords.shape[:-1], features.shape[1])


def rbf_gather_reference(
    coords: Tensor,
    neighbours: Tensor,
    *,
    centres: Tensor,
    shapes: Tensor,
    features: Tensor,
    frequencies: Tensor | None = None,
    phases: Tensor | None = None,
    kernel: Kernel = "inverse_quadratic",
    normalise: Normalise = "detached",
) -> Tensor:
    """`rbf_gather` in plain torch for packed shapes, differentiable any number of times.

    The kernels are tested against it.
    """
    neighbours = neighbours.long()
    offsets = coords.unsqueeze(-2) - centres[neighbours]
    matrices = unpack_shapes(shapes)[neighbours]
    product = (matrices @ offsets.unsqueeze(-1)).squeeze(-1)
    values = _kernel_values(offsets, product, kernel)
    if normalise != "none":
        total = values.sum(-1, keepdim=True) + SUM_FLOOR
        values = values / (total.detach() if normalise == "detached" else total)
    values = values.unsqueeze(-1)
    if frequencies is not None:
        angles = values * frequencies
        values = torch.sin(angles if phases is None else angles + phases)
    return (values * features[neighbours]).sum(-2)


def _kernel_values(offsets: Tensor, product: Tensor, kernel: Kernel) -> Tensor:
    """Values of the kernels at offsets o from their centres, `[..., k]`; product: K o."""
    if kernel == "hat":
        return (1.0 - product.abs()).clamp_min(0.0).prod(-1)
    q = (offsets * product).sum(-1).clamp_min(0.0)
    if kernel == "inverse_quadratic":
        return 1.0 / (1.0 + q)
    if kernel == "inverse_multiquadric":
        return torch.rsqrt(1.0 + q)
    if kernel == "gaussian":
        return torch.exp(-0.5 * q)
    return torch.exp(-torch.sqrt(q.clamp_min(MIN_SQUARE)))


def pack_shapes(matrices: Tensor) -> Tensor:
    """Upper triangles of symmetric matrices `[N, D, D]`, row by row: `[N, D (D + 1) / 2]`."""
    rows, columns = _triangle(matrices.shape[-1])
    return matrices[:, rows, columns]


def unpack_shapes(packed: Tensor) -> Tensor:
    """Symmetric matrices `[N, D, D]` of packed shapes."""
    dimensions = {3: 2, 6: 3}[packed.shape[1]]
    rows, columns = _triangle(dimensions)
    order = torch.empty(dimensions, dimensions, dtype=torch.long)
    order[rows, columns] = order[columns, rows] = torch.arange(len(rows))
    return packed[:, order]


def full_shapes(shapes: Tensor, dimensions: int) -> Tensor:
    """Packed shapes of shapes in any of the three forms: `[N, 1]`, `[N, D]` or packed."""
    rows, columns = _triangle(dimensions)
    if shapes.shape[1] == len(rows):
        return shapes
    packed = shapes.new_zeros(shapes.shape[0], len(rows))
    return packed.index_copy(1, (rows == columns).nonzero().flatten().to(shapes.device), shapes.expand(-1, dimensions))


def _triangle(dimensions: int) -> tuple[Tensor, Tensor]:
    """Rows and columns of the upper triangle of a matrix, row by row."""
    rows, columns = torch.triu_indices(dimensions, dimensions)
    return rows, columns


def _check(
    coords: Tensor,
    neighbours: Tensor,
    *,
    centres: Tensor,
    shapes: Tensor,
    features: Tensor,
    frequencies: Tensor | None,
    phases: Tensor | None,
    kernel: str,
    normalise: str,
) -> None:
    if kernel not in KERNELS:
        raise ValueError(f"the kernel is one of {', '.join(KERNELS)}, not {kernel!r}")
    if normalise not in NORMALISE:
        raise ValueError(f"normalise is one of {', '.join(NORMALISE)}, not {normalise!r}")
    dimensions = coords.shape[-1] if coords.ndim else 0
    if dimensions not in (2, 3):
        raise ValueError(f"coords must be [..., 2] or [..., 3], not {list(coords.shape)}")
    if centres.ndim != 2 or centres.shape[1] != dimensions or not len(centres):
        raise ValueError(f"centres must be [N, {dimensions}], not {list(centres.shape)}")
    count = len(centres)
    widths = (1, dimensions, dimensions * (dimensions + 1) // 2)
    if shapes.ndim != 2 or shapes.shape[0] != count or shapes.shape[1] not in widths:
        raise ValueError(f"shapes must be [{count}, {' or '.join(map(str, widths))}], not {list(shapes.shape)}")
    if features.ndim != 2 or features.shape[0] != count or not 1 <= features.shape[1] <= MAX_FEATURES:
        raise ValueError(f"features must be [{count}, 1 to {MAX_FEATURES}], not {list(features.shape)}")
    for name, tensor in (("frequencies", frequencies), ("phases", phases)):
        if tensor is not None and tensor.shape != features.shape[1:]:
            raise ValueError(f"{name} must be [{features.shape[1]}], not {list(tensor.shape)}")
    if frequencies is not None and frequencies.requires_grad:
        raise ValueError("frequencies are fixed: they cannot require gradients")
    if phases is not None and frequencies is None:
        raise ValueError("phases need frequencies")
    tensors = [t for t in (coords, centres, shapes, features, frequencies, phases) if t is not None]
    _check_neighbours(neighbours, coords, count)
    if coords.dtype not in (torch.float32, torch.float64) or len({t.dtype for t in tensors}) > 1:
        raise ValueError(f"all tensors must be float32 or all float64, not {', '.join(str(t.dtype) for t in tensors)}")
    if len({t.device for t in (*tensors, neighbours)}) > 1:
        raise ValueError("all tensors must be on one device")


def _check_neighbours(neighbours: Tensor, coords: Tensor, count: int) -> None:
    if neighbours.dtype != torch.int32:
        raise ValueError(f"neighbours must be int32, not {neighbours.dtype}")
    if neighbours.shape[:-1] != coords.shape[:-1] or not 1 <= neighbours.shape[-1] <= MAX_NEIGHBOURS:
        raise ValueError(
            f"neighbours must be [..., 1 to {MAX_NEIGHBOURS}] at coords {list(coords.shape)}, "
            f"not {list(neighbours.shape)}"
        )
    if backends.device_type(neighbours) == "cpu" and neighbours.numel() and not backends.tracing():
        lowest, highest = torch.aminmax(neighbours)
        if lowest < 0 or highest >= count:
            raise ValueError(f"neighbours must be 0 to {count - 1}; there are {int(lowest)} to {int(highest)}")


class RbfCall(ctypes.Structure):
    """`RbfCall` in csrc/common/rbf_gather.h."""

    _fields_ = [
        *(
            (name, ctypes.c_int32)
            for name in ("dimensions", "neighbours", "features", "kernel", "normalise", "is_double", "num_threads")
        ),
        ("points", ctypes.c_int64),
        ("kernels", ctypes.c_int64),
        *(
            (name, ctypes.c_void_p)
            for name in (
                "nearest",
                "coords",
                "centres",
                "shapes",
                "weights",
                "frequencies",
                "phases",
                "grad",
                "output",
                "grad_coords",
                "grad_centres",
                "grad_shapes",
                "grad_weights",
                "grad_phases",
            )
        ),
    ]


class _Inputs(NamedTuple):
    """Inputs with gradients: coords `[B, D]`, centres, packed shapes, features, and phases or None."""

    coords: Tensor
    centres: Tensor
    shapes: Tensor
    features: Tensor
    phases: Tensor | None


@dataclass(frozen=True)
class _Gather:
    """Compiled kernels of one radial function and normalisation, and second derivatives by the reference."""

    kernel: Kernel
    normalise: Normalise

    def forward(self, inputs: _Inputs, neighbours: Tensor, frequencies: Tensor | None) -> Tensor:
        """Features `[B, F]`."""
        output = inputs.coords.new_empty(len(inputs.coords), inputs.features.shape[1])
        self._call("forward", inputs, neighbours, frequencies, output=output)
        return output

    def backward(
        self,
        inputs: _Inputs,
        neighbours: Tensor,
        frequencies: Tensor | None,
        *,
        grad: Tensor,
        needs: Sequence[bool],
    ) -> list[Tensor | None]:
        """Gradients of `<grad, forward(inputs)>` with respect to the inputs; None where `needs` is false."""
        names = ("grad_coords", "grad_centres", "grad_shapes", "grad_weights", "grad_phases")
        gradients = [
            torch.empty_like(t, memory_format=torch.contiguous_format) if need and t is not None else None
            for t, need in zip(inputs, needs)
        ]
        self._call("backward", inputs, neighbours, frequencies, grad=grad, **dict(zip(names, gradients)))
        return gradients

    def second(
        self,
        inputs: _Inputs,
        neighbours: Tensor,
        frequencies: Tensor | None,
        *,
        grad: Tensor,
        along: Sequence[Tensor | None],
        needs: Sequence[bool],
    ) -> list[Tensor | None]:
        """Gradients of `sum <along, backward(...)>` with respect to the inputs and `grad`, by the reference.

        along: one tensor per input, or None where its gradient is not used.
        """
        last = len(inputs)
        totals: list[Tensor | None] = [None] * len(needs)
        # The gradients of coords and grad are per point, those of the other inputs sums over points.
        per_point: dict[int, list[Tensor]] = {i: [] for i in (0, last) if needs[i]}
        for first in range(0, len(grad), SECOND_ORDER_POINTS):
            part = slice(first, first + SECOND_ORDER_POINTS)
            some = inputs._replace(coords=inputs.coords[part])
            directions = [along[0][part] if along[0] is not None else None, *along[1:]]
            gradients = self._second_part(
                some, neighbours[part], frequencies, grad=grad[part], along=directions, needs=needs
            )
            for i, gradient in gradients.items():
                if i in per_point:
                    per_point[i].append(gradient)
                else:
                    total = totals[i]
                    totals[i] = gradient if total is None else total + gradient
        for i, parts in per_point.items():
            totals[i] = torch.cat(parts) if parts else torch.zeros_like(grad if i == last else inputs.coords)
        return totals

    def _second_part(
        self,
        inputs: _Inputs,
        neighbours: Tensor,
        frequencies: Tensor | None,
        *,
        grad: Tensor,
        along: Sequence[Tensor | None],
        needs: Sequence[bool],
    ) -> dict[int, Tensor]:
        """`second` for a few points: gradients by the position of the input, with `grad` as the last one."""
        leaves = [None if t is None else t.detach().requires_grad_() for t in (*inputs, grad)]
        coords, centres, shapes, features, phases, upstream = leaves
        assert coords is not None and centres is not None and shapes is not None and features is not None
        used = [
            (leaf, direction) for leaf, direction in zip(leaves, along) if leaf is not None and direction is not None
        ]
        with torch.enable_grad():
            output = rbf_gather_reference(
                coords,
                neighbours,
                centres=centres,
                shapes=shapes,
                features=features,
                frequencies=frequencies,
                phases=phases,
                kernel=self.kernel,
                normalise=self.normalise,
            )
            firsts = torch.autograd.grad(output, [leaf for leaf, _ in used], upstream, create_graph=True)
            functional = reduce(torch.add, ((first * way).sum() for first, (_, way) in zip(firsts, used)))
        needed = {i: leaf for i, (leaf, need) in enumerate(zip(leaves, needs)) if need and leaf is not None}
        seconds = torch.autograd.grad(functional, list(needed.values()), allow_unused=True)
        return {
            i: torch.zeros_like(leaf) if second is None else second
            for (i, leaf), second in zip(needed.items(), seconds)
        }

    def _call(
        self,
        name: str,
        inputs: _Inputs,
        neighbours: Tensor,
        frequencies: Tensor | None,
        **tensors: Tensor | None,
    ) -> None:
        named = dict(zip(("coords", "centres", "shapes", "weights", "phases"), inputs))
        named |= {"frequencies": frequencies, "nearest": neighbours, **tensors}
        # The copies must outlive the call, so the dictionary holds them. Results are contiguous already.
        held = {key: t.contiguous() for key, t in named.items() if t is not None}
        call = RbfCall(
            dimensions=inputs.coords.shape[1],
            neighbours=neighbours.shape[1],
            features=inputs.features.shape[1],
            kernel=KERNELS.index(self.kernel),
            normalise=NORMALISE.index(self.normalise),
            is_double=inputs.coords.dtype == torch.float64,
            num_threads=torch.get_num_threads(),
            points=len(inputs.coords),
            kernels=len(inputs.features),
            **{key: t.data_ptr() for key, t in held.items()},
        )
        _run(name, call, inputs.coords.device)


def _run(name: str, call: RbfCall, device: torch.device) -> None:
    if backends.device_type(device) == "cuda":
        rbf_cuda.rbf_gather(name, call, device)
    else:
        getattr(cuda_ext.load(backends.device_type(device)), f"fs_rbf_gather_{name}")(ctypes.byref(call))


class _Forward(Function):
    @staticmethod
    def forward(
        ctx,
        coords: Tensor,
        centres: Tensor,
        shapes: Tensor,
        features: Tensor,
        phases: Tensor | None,
        neighbours: Tensor,
        frequencies: Tensor | None,
        gather: _Gather,
    ) -> Tensor:
        ctx.save_for_backward(coords, centres, shapes, features, phases, neighbours, frequencies)
        ctx.gather = gather
        return gather.forward(_Inputs(coords, centres, shapes, features, phases), neighbours, frequencies)

    @staticmethod
    def backward(ctx, grad: Tensor):  # pyright: ignore[reportIncompatibleMethodOverride]
        gradients = _Backward.apply(*ctx.saved_tensors, grad, ctx.gather, ctx.needs_input_grad[:5])
        return *gradients, None, None, None


class _Backward(Function):
    """Gradients as a function of the inputs and the output's gradient, so that they can be differentiated again."""

    @staticmethod
    def forward(
        ctx,
        coords: Tensor,
        centres: Tensor,
        shapes: Tensor,
        features: Tensor,
        phases: Tensor | None,
        neighbours: Tensor,
        frequencies: Tensor | None,
        grad: Tensor,
        gather: _Gather,
        needs: tuple[bool, ...],
    ):
        ctx.save_for_backward(coords, centres, shapes, features, phases, neighbours, frequencies, grad)
        ctx.gather = gather
        ctx.set_materialize_grads(False)
        inputs = _Inputs(coords, centres, shapes, features, phases)
        return tuple(gather.backward(inputs, neighbours, frequencies, grad=grad, needs=needs))

    @staticmethod
    @once_differentiable
    def backward(ctx, *along: Tensor | None):  # pyright: ignore[reportIncompatibleMethodOverride]
        if all(t is None for t in along):
            return (None,) * 10
        *inputs, neighbours, frequencies, grad = ctx.saved_tensors
        needs = (*ctx.needs_input_grad[:5], ctx.needs_input_grad[7])
        seconds = ctx.gather.second(_Inputs(*inputs), neighbours, frequencies, grad=grad, along=along, needs=needs)
        return *seconds[:5], None, None, seconds[5], None, None
