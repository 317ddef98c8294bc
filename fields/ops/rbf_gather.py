"""Features of a point from the radial basis functions nearest to it (Chen et al. 2023, "NeuRBF", equations 3 to 6)."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.autograd import Function

import cuda_ext
from fields.ops import backends, rbf_cuda

Kernel = Literal["inverse_quadratic", "inverse_multiquadric", "gaussian", "hat", "markov"]
Normalise = Literal["none", "detached", "full"]
# Their numbers in csrc/common/rbf.h.
KERNELS = ("inverse_quadratic", "inverse_multiquadric", "gaussian", "hat", "markov")
NORMALISE = ("none", "detached", "full")

MAX_NEIGHBOURS = 32
MAX_FEATURES = 128
SUM_FLOOR = 1e-8
MIN_SQUARE = 1e-30
# Points whose second derivatives are computed together: the plain formula builds [points, neighbours, features].
SECOND_ORDER_POINTS = 8192


def rbf_gather(
    coords: Tensor,
    neighbours: Tensor,
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

    coords `[..., D]` (D = 2 or 3); neighbours `[..., k]` int32, rows of the other tensors, 1 to 32 a point; centres `[N, D]`;
    shapes: the symmetric matrix K of each kernel, packed as `pack_shapes` has it, `[N, D (D + 1) / 2]`, or its diagonal
    `[N, D]`, or one number for that, `[N, 1]`; features `[N, F]`, F at most 128; frequencies and phases `[F]`. All are
    float32 or all float64, on one device. Without frequencies `v_i` itself multiplies the features (and there are no phases).

    With the offset o from the centre and q = <o, K o>, a kernel's value is `1 / (1 + q)`, `1 / sqrt(1 + q)`, `exp(-q / 2)`,
    `exp(-sqrt q)` (markov), or the product over the axes of `max(0, 1 - |K o|)` (hat: there K is not squared). `v_i` is that
    value (normalise "none"), or divided by the sum over the neighbours plus 1e-8: "full" differentiates the sum too,
    "detached" takes it for a constant, as the authors' code does, so that its gradients by coords, centres and shapes are
    not those of the function.

    Differentiable in everything but the neighbours and frequencies, twice; the second time through the plain formula, in
    pieces of 8,192 points (a third derivative raises). An argument of a sine is good to float32: at frequencies in the thousands
    the sines of two backends differ by 1e-3. The result is the same from run to run for one number of threads; on CUDA,
    for gradients, under `torch.use_deterministic_algorithms(True)`.

    backend as in `hash_grid`. ValueError for wrong shapes, dtypes, devices, names, and neighbours out of range; on CUDA,
    whose results are not waited for, such a neighbour gives NaN.
    """
    _check(coords, neighbours, centres, shapes, features, frequencies, phases, kernel, normalise)
    shapes = full_shapes(shapes, coords.shape[-1])
    if backends.choose(backend, coords.device.type) == "torch":
        return rbf_gather_reference(
            coords, neighbours, centres, shapes, features, frequencies, phases, kernel, normalise
        )
    options = _Gather(kernel, normalise)
    flat = coords.reshape(-1, coords.shape[-1])
    neighbours = neighbours.reshape(-1, neighbours.shape[-1]).contiguous()
    output = _Forward.apply(flat, centres, shapes, features, phases, neighbours, frequencies, options)
    return output.reshape(*coords.shape[:-1], features.shape[1])


def rbf_gather_reference(
    coords: Tensor,
    neighbours: Tensor,
    centres: Tensor,
    shapes: Tensor,
    features: Tensor,
    frequencies: Tensor | None = None,
    phases: Tensor | None = None,
    kernel: Kernel = "inverse_quadratic",
    normalise: Normalise = "detached",
) -> Tensor:
    """The same in plain torch, shapes full; it judges the kernels, and autograd differentiates it any number of times."""
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
    """Symmetric `[N, D, D]` → their upper triangles row by row, `[N, D (D + 1) / 2]`."""
    rows, columns = _triangle(matrices.shape[-1])
    return matrices[:, rows, columns]


def unpack_shapes(packed: Tensor) -> Tensor:
    """And back: `[N, D, D]`."""
    dimensions = {3: 2, 6: 3}[packed.shape[1]]
    rows, columns = _triangle(dimensions)
    order = torch.empty(dimensions, dimensions, dtype=torch.long)
    order[rows, columns] = order[columns, rows] = torch.arange(len(rows))
    return packed[:, order]


def full_shapes(shapes: Tensor, dimensions: int) -> Tensor:
    """`[N, 1]`, `[N, D]` or packed → packed."""
    rows, columns = _triangle(dimensions)
    if shapes.shape[1] == len(rows):
        return shapes
    packed = shapes.new_zeros(shapes.shape[0], len(rows))
    return packed.index_copy(1, (rows == columns).nonzero().flatten().to(shapes.device), shapes.expand(-1, dimensions))


def _triangle(dimensions: int) -> tuple[Tensor, Tensor]:
    return tuple(torch.triu_indices(dimensions, dimensions))


def _check(
    coords: Tensor,
    neighbours: Tensor,
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
    if neighbours.dtype != torch.int32:
        raise ValueError(f"neighbours must be int32, not {neighbours.dtype}")
    if neighbours.shape[:-1] != coords.shape[:-1] or not 1 <= neighbours.shape[-1] <= MAX_NEIGHBOURS:
        raise ValueError(
            f"neighbours must be [..., 1 to {MAX_NEIGHBOURS}] at coords {list(coords.shape)}, "
            f"not {list(neighbours.shape)}"
        )
    tensors = [t for t in (coords, centres, shapes, features, frequencies, phases) if t is not None]
    if coords.dtype not in (torch.float32, torch.float64) or len({t.dtype for t in tensors}) > 1:
        raise ValueError(f"all tensors must be float32 or all float64, not {', '.join(str(t.dtype) for t in tensors)}")
    if len({t.device for t in (*tensors, neighbours)}) > 1:
        raise ValueError("all tensors must be on one device")
    if neighbours.device.type == "cpu" and neighbours.numel() and not backends.tracing():
        least, most = torch.aminmax(neighbours)
        if least < 0 or most >= count:
            raise ValueError(f"neighbours must be 0 to {count - 1}; there are {int(least)} to {int(most)}")


class RbfCall(ctypes.Structure):
    """`RbfCall` in csrc/common/rbf.h."""

    _fields_ = [
        *(
            (name, ctypes.c_int32)
            for name in ("dimensions", "neighbours", "features", "kernel", "normalise", "is_double", "workers")
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


@dataclass(frozen=True)
class _Gather:
    """The compiled kernels; `inputs` are coords `[B, D]`, centres, packed shapes, features and phases or None."""

    kernel: Kernel
    normalise: Normalise

    def forward(self, inputs: tuple[Tensor | None, ...], neighbours: Tensor, frequencies: Tensor | None) -> Tensor:
        output = inputs[0].new_empty(len(inputs[0]), inputs[3].shape[1])
        self._call("forward", inputs, neighbours, frequencies, output=output)
        return output

    def backward(
        self,
        inputs: tuple[Tensor | None, ...],
        neighbours: Tensor,
        frequencies: Tensor | None,
        grad: Tensor,
        needs: tuple[bool, ...],
    ) -> list[Tensor | None]:
        """Gradients by the inputs of `<grad, forward(inputs)>`, where `needs` says so."""
        names = ("grad_coords", "grad_centres", "grad_shapes", "grad_weights", "grad_phases")
        gradients = [
            torch.empty_like(t, memory_format=torch.contiguous_format) if need else None
            for t, need in zip(inputs, needs)
        ]
        self._call("backward", inputs, neighbours, frequencies, grad=grad, **dict(zip(names, gradients)))
        return gradients

    def second(
        self,
        inputs: tuple[Tensor | None, ...],
        neighbours: Tensor,
        frequencies: Tensor | None,
        grad: Tensor,
        along: tuple[Tensor | None, ...],
        needs: tuple[bool, ...],
    ) -> list[Tensor | None]:
        """Gradients by the inputs and by `grad` of `sum <along, backward(...)>`, by the plain formula."""
        totals: list = [None] * len(needs)
        per_point: dict[int, list[Tensor]] = {i: [] for i in (0, len(needs) - 1) if needs[i]}
        for first in range(0, len(grad), SECOND_ORDER_POINTS):
            part = slice(first, first + SECOND_ORDER_POINTS)
            gradients = self._second_part(inputs, neighbours[part], frequencies, grad[part], along, needs, part)
            for i, gradient in enumerate(gradients):
                if i in per_point:
                    per_point[i].append(gradient)
                elif gradient is not None:
                    totals[i] = gradient if totals[i] is None else totals[i] + gradient
        for i, parts in per_point.items():
            totals[i] = torch.cat(parts) if parts else torch.zeros_like(grad if i else inputs[0])
        return totals

    def _second_part(self, inputs, neighbours, frequencies, grad, along, needs, part: slice) -> list[Tensor | None]:
        leaves = [
            None if t is None else t.detach()[part if i == 0 else slice(None)].requires_grad_()
            for i, t in enumerate(inputs)
        ] + [grad.detach().requires_grad_()]
        along = [None if t is None else t[part] if i == 0 else t for i, t in enumerate(along)]
        with torch.enable_grad():
            output = rbf_gather_reference(
                leaves[0], neighbours, *leaves[1:4], frequencies, leaves[4], self.kernel, self.normalise
            )
            wanted = [i for i, t in enumerate(along) if t is not None]
            firsts = torch.autograd.grad(output, [leaves[i] for i in wanted], leaves[-1], create_graph=True)
            functional = sum((first * along[i]).sum() for i, first in zip(wanted, firsts))
        needed = [i for i, need in enumerate(needs) if need]
        seconds = torch.autograd.grad(functional, [leaves[i] for i in needed], allow_unused=True)
        found: list = [None] * len(needs)
        for i, second in zip(needed, seconds):
            found[i] = torch.zeros_like(leaves[i]) if second is None else second
        return found

    def _call(
        self,
        name: str,
        inputs: tuple[Tensor | None, ...],
        neighbours: Tensor,
        frequencies: Tensor | None,
        **tensors: Tensor | None,
    ) -> None:
        coords, features = inputs[0], inputs[3]
        named = dict(zip(("coords", "centres", "shapes", "weights", "phases"), inputs))
        # The copies must outlive the call, hence the dictionary. Results are contiguous already.
        tensors = {
            key: t.contiguous()
            for key, t in {**named, "frequencies": frequencies, "nearest": neighbours, **tensors}.items()
            if t is not None
        }
        call = RbfCall(
            dimensions=coords.shape[1],
            neighbours=neighbours.shape[1],
            features=features.shape[1],
            kernel=KERNELS.index(self.kernel),
            normalise=NORMALISE.index(self.normalise),
            is_double=coords.dtype == torch.float64,
            workers=torch.get_num_threads(),
            points=len(coords),
            kernels=len(features),
            **{key: t.data_ptr() for key, t in tensors.items()},
        )
        _run(name, call, coords.device)


def _run(name: str, call: RbfCall, device: torch.device) -> None:
    if device.type == "cuda":
        rbf_cuda.rbf_gather(name, call, device)
    else:
        getattr(cuda_ext.load(device.type), f"fs_rbf_gather_{name}")(ctypes.byref(call))


class _Forward(Function):
    @staticmethod
    def forward(ctx, coords, centres, shapes, features, phases, neighbours, frequencies, options: _Gather) -> Tensor:
        ctx.save_for_backward(coords, centres, shapes, features, phases, neighbours, frequencies)
        ctx.options = options
        return options.forward((coords, centres, shapes, features, phases), neighbours, frequencies)

    @staticmethod
    def backward(ctx, grad: Tensor):
        gradients = _Backward.apply(*ctx.saved_tensors, grad, ctx.options, ctx.needs_input_grad[:5])
        return *gradients, None, None, None


class _Backward(Function):
    """The gradients as a function of the inputs and the output's gradient, so that it has gradients too."""

    @staticmethod
    def forward(
        ctx,
        coords,
        centres,
        shapes,
        features,
        phases,
        neighbours,
        frequencies,
        grad,
        options: _Gather,
        needs: tuple[bool, ...],
    ):
        ctx.save_for_backward(coords, centres, shapes, features, phases, neighbours, frequencies, grad)
        ctx.options = options
        ctx.set_materialize_grads(False)
        return tuple(
            options.backward((coords, centres, shapes, features, phases), neighbours, frequencies, grad, needs)
        )

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, *along: Tensor | None):
        if all(t is None for t in along):
            return (None,) * 10
        *inputs, neighbours, frequencies, grad = ctx.saved_tensors
        needs = (*ctx.needs_input_grad[:5], ctx.needs_input_grad[7])
        seconds = ctx.options.second(tuple(inputs), neighbours, frequencies, grad, along, needs)
        return *seconds[:5], None, None, seconds[5], None, None
