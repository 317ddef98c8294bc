"""Small MLP in one pass: features to values, with gradients that recompute activations instead of storing them.

One tile of points after another goes through all layers and back. Nothing of a layer's width is stored for the whole
batch.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal, cast

import torch
from torch import Tensor
from torch.autograd import Function

import cuda_ext
from fields.ops import backends, cuda_calls, mlp_cuda

Activation = Literal["none", "relu", "sine", "finer", "finer_through", "softplus", "gaussian", "gabor", "quadratic"]
MatmulDtype = Literal["float32", "bfloat16", "float16"]
# Their numbers in csrc/common/mlp.h are their positions here.
ACTIVATIONS = ("none", "relu", "sine", "finer", "finer_through", "softplus", "gaussian", "gabor", "quadratic")
MATMUL_DTYPES = ("float32", "bfloat16", "float16")

# Activations that the GPU kernels have.
CUDA_ACTIVATIONS = ("none", "relu", "sine", "finer", "finer_through", "softplus", "gaussian")
# Limits of the native kernels: matrices, outputs of a layer, and input features.
MAX_MATRICES = 9
MAX_WIDTH = 512
MAX_INPUTS = 512
# Units of gabor come in multiples of this, so that a row's halves begin at whole vectors.
GABOR_UNITS = 16
# Matrices of a quadratic layer, which follow one another in the rows of one.
QUADRATIC_PARTS = 3
# Added to variances before their inverse root is taken, as in torch's `layer_norm`.
EPSILON = 1e-5


def mlp(
    features: Tensor,
    weights: Sequence[Tensor],
    activation: Activation = "relu",
    *,
    omega: float = 30.0,
    first_omega: float | None = None,
    scale: float = 1.0,
    biases: Sequence[Tensor] | None = None,
    skip: int = 0,
    standardize: bool = False,
    modulation: Tensor | None = None,
    matmul_dtype: MatmulDtype = "float32",
    exact_first: bool = False,
    backend: backends.Backend = "auto",
) -> Tensor:
    """Values `[..., outputs]` of features `[..., inputs]`.

    weights: matrices `[out, in]`, beginning at the features.
    activation: of the hidden layers, by the name of `activate`. The last layer is linear.
    omega, first_omega, scale: of the activation; first_omega takes the place of omega in the first layer.
    biases: one `[out]` per matrix, or None. Features, weights, biases and modulation are all float32 or all float64, on
        one device.
    skip: index of a matrix that is multiplied by the features, followed by the values of the layer before; 0: none.
    standardize: whether the sums of each hidden layer are standardized over its units, for each point by itself.
    modulation: for each point the scales of all hidden layers, then their shifts, `[..., 2 * (len(weights) - 1)]`,
        which sums are multiplied by and added to before the activation (Lee et al. 2024); or None. This and
        `standardize` are for "relu" only.
    matmul_dtype: "bfloat16" rounds the factors of every matrix product, forward and backward, to bfloat16 and sums in
        float32, which is faster on processors with AVX512-BF16. "float16" does the same for the tensor cores of a GPU;
        gradients must fit its range. `why_not_matmul_dtype` says where they are not available.
    exact_first: with "bfloat16", leave the products of the first matrix in float32.
    backend: "native" is the compiled kernel for at most 9 matrices, 512 inputs and 512 outputs per layer
        (`why_not_native_mlp`), "torch" the reference in plain torch, "auto" the kernel where it can be used.

    Differentiable any number of times, in features, weights and biases. The native kernel gives values and first
    derivatives. Gradients that will be differentiated again (`create_graph=True`) come from the reference, whose
    intermediate results torch stores.

    Raises ValueError for arguments that do not fit together, and where the backend or matmul_dtype is not available.
    """
    biases = list(biases) if biases is not None else None
    shape = ActivationShape(
        activation,
        float(omega),
        float(omega if first_omega is None else first_omega),
        float(scale),
        skip=skip,
        standardize=standardize,
    )
    check_mlp(features, weights, biases, activation=shape, matmul_dtype=matmul_dtype, modulation=modulation)
    device = backends.device_type(features)
    if (why := why_not_matmul_dtype(matmul_dtype, device)) and not backends.tracing():
        raise ValueError(why)
    chosen = backends.choose(backend, device)
    kernel = MlpKernel(shape, matmul_dtype, len(weights), modulation is not None, exact_first)
    why = why_not_native_mlp(weights, shape, device, modulated=modulation is not None, matmul_dtype=matmul_dtype)
    if not why and device == "cuda" and chosen == "native":
        why = mlp_cuda.why_too_large(MlpCall(mlp=kernel.record([*weights, *(biases or ())])))
    if why and backend == "native":
        raise ValueError(why)
    if chosen == "torch" or why:
        if matmul_dtype != "float32" and not backends.tracing():
            raise ValueError(
                f"matmul_dtype={matmul_dtype} needs the native kernel: {why or 'backend=torch was chosen'}"
            )
        return shape.reference(features, weights, biases, modulation)
    flat = features.reshape(-1, weights[0].shape[1])
    columns = () if modulation is None else (modulation.reshape(-1, modulation.shape[-1]),)
    values = _Forward.apply(kernel, flat, *weights, *(biases or ()), *columns)
    return values.reshape(*features.shape[:-1], values.shape[-1])


def mlp_reference(
    features: Tensor,
    weights: Sequence[Tensor],
    activation: Activation = "relu",
    *,
    omega: float = 30.0,
    first_omega: float | None = None,
    scale: float = 1.0,
    biases: Sequence[Tensor] | None = None,
    skip: int = 0,
    standardize: bool = False,
    modulation: Tensor | None = None,
) -> Tensor:
    """`mlp` in plain torch. The kernels are tested against it."""
    values, last = features, len(weights) - 1
    for index, weight in enumerate(weights):
        bias = biases[index] if biases is not None else None
        if skip and index == skip:
            values = torch.cat([features, values], dim=-1)
        if activation == "quadratic" and index < last:
            values = _quadratic(values, weight, bias)
            continue
        values = torch.nn.functional.linear(values, weight, bias)
        if index == last:
            break
        if standardize:
            values = torch.nn.functional.layer_norm(values, (weight.shape[0],), eps=EPSILON)
        if modulation is not None:
            scales, shifts = modulation[..., index : index + 1], modulation[..., last + index : last + index + 1]
            values = torch.addcmul(shifts, values, scales)
        this_omega = first_omega if index == 0 and first_omega is not None else omega
        values = activate(values, activation, this_omega, scale)
    return values


def _quadratic(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """relu((A x + a) * (B x + b) + C x^2) for the stacked rows of A, B and C (Fan et al. 2020, equation 2)."""
    a, b, c = weight.chunk(QUADRATIC_PARTS)
    added = (None, None) if bias is None else bias.chunk(QUADRATIC_PARTS)[:2]
    linear = torch.nn.functional.linear
    return torch.relu(linear(x, a, added[0]) * linear(x, b, added[1]) + linear(x * x, c))


def activate(z: Tensor, activation: Activation, omega: float, scale: float) -> Tensor:
    """The activation of hidden units, in plain torch.

    "relu"; "none"; "sine": sin(omega z) (Sitzmann et al. 2020, section 3.2); "finer": sin(omega (|z| + 1) z), where
    |z| + 1 is held constant in the backward pass, and "finer_through", where it is not (Liu et al. 2024); "softplus":
    log(1 + exp(scale z)) / scale; "gaussian": exp(-(scale z)^2); "gabor": exp(j omega z - |scale z|^2) of complex z
    (Saragadam et al. 2023, equation 4), whose real parts are the first half of the units, and imaginary parts the
    second half.

    "quadratic" is no function of one sum: relu((A h + a) * (B h + b) + C h^2) for layers whose matrices have the rows
    of A, B and C (Fan et al. 2020, equation 2). The biases of C are not used.
    """
    if activation == "relu":
        return torch.relu(z)
    if activation == "sine":
        return torch.sin(omega * z)
    if activation in ("finer", "finer_through"):
        period = z.abs() + 1.0
        return torch.sin(omega * (period if activation == "finer_through" else period.detach()) * z)
    if activation == "softplus":
        return torch.nn.functional.softplus(scale * z, threshold=80.0) / scale
    if activation == "gaussian":
        return torch.exp(-((scale * z) ** 2))
    if activation == "gabor":
        real, imaginary = z.chunk(2, dim=-1)
        amplitude = torch.exp(-omega * imaginary - scale**2 * (real**2 + imaginary**2))
        return torch.cat([amplitude * torch.cos(omega * real), amplitude * torch.sin(omega * real)], dim=-1)
    return z


def check_mlp(
    features: Tensor,
    weights: Sequence[Tensor],
    biases: Sequence[Tensor] | None,
    *,
    activation: str | ActivationShape,
    matmul_dtype: str,
    modulation: Tensor | None = None,
) -> None:
    """Raise ValueError for wrong names, shapes, dtypes or devices."""
    shape = activation if isinstance(activation, ActivationShape) else ActivationShape(cast(Activation, activation))
    check_names(shape.name, matmul_dtype)
    check_weights(features.shape[-1] if features.ndim else None, weights, biases, shape)
    tensors = [features, *weights, *(biases or ())]
    if modulation is not None:
        check_modulation(modulation, features.shape[:-1], len(weights), shape)
        tensors.append(modulation)
    if features.dtype not in (torch.float32, torch.float64) or any(t.dtype != features.dtype for t in tensors):
        dtypes = _distinct(t.dtype for t in tensors)
        raise ValueError(f"features, weights and biases must all be float32 or all float64, not {dtypes}")
    if any(t.device != features.device for t in tensors):
        devices = _distinct(t.device for t in tensors)
        raise ValueError(f"features, weights and biases must be on one device, not {devices}")
    if matmul_dtype != "float32" and features.dtype != torch.float32:
        raise ValueError(f"matmul_dtype={matmul_dtype} is for float32 features, not {features.dtype}")


def check_names(activation: str, matmul_dtype: str) -> None:
    """Raise ValueError for an unknown activation or matmul_dtype."""
    if activation not in ACTIVATIONS:
        raise ValueError(f"the activation is {', '.join(ACTIVATIONS[:-1])} or {ACTIVATIONS[-1]}, not {activation!r}")
    if matmul_dtype not in MATMUL_DTYPES:
        raise ValueError(f"matmul_dtype is float32, bfloat16 or float16, not {matmul_dtype!r}")


def check_weights(
    inputs: int | None,
    weights: Sequence[Tensor],
    biases: Sequence[Tensor] | None = None,
    activation: ActivationShape | None = None,
) -> None:
    """Raise ValueError unless matrices and biases form an MLP of `inputs` features."""
    shape = ActivationShape() if activation is None else activation
    if not weights:
        raise ValueError("an MLP needs at least one matrix")
    if biases is not None and len(biases) != len(weights):
        raise ValueError(f"there must be a bias for each of the {len(weights)} matrices, not {len(biases)}")
    if not 0 <= shape.skip < len(weights):
        raise ValueError(f"skip is the index of one of the {len(weights)} matrices, or 0 for none, not {shape.skip}")
    if (shape.standardize or shape.skip) and shape.name == "quadratic":
        raise ValueError("networks of quadratic layers have no skip connection and are not standardized")
    if shape.standardize and shape.name != "relu":
        raise ValueError(f"only networks of ReLU units are standardized, not of {shape.name}")
    units = inputs
    for index, weight in enumerate(weights):
        columns = units + cast(int, inputs) if index and index == shape.skip and units is not None else units
        if weight.ndim != 2 or weight.shape[1] != columns or not weight.shape[0]:
            raise ValueError(f"matrix {index} must be [out, {columns}], not {list(weight.shape)}")
        parts = QUADRATIC_PARTS if shape.name == "quadratic" and index + 1 < len(weights) else 1
        if weight.shape[0] % parts:
            raise ValueError(f"matrix {index} must have the rows of three matrices, not {weight.shape[0]}")
        if biases is not None and biases[index].shape != weight.shape[:1]:
            raise ValueError(f"bias {index} must be [{weight.shape[0]}], not {list(biases[index].shape)}")
        units = weight.shape[0] // parts


def check_modulation(modulation: Tensor, points: Sequence[int], matrices: int, activation: ActivationShape) -> None:
    """Raise ValueError unless modulation has a scale and a shift of each hidden layer for each of the points."""
    if activation.name != "relu":
        raise ValueError(f"only networks of ReLU units are modulated, not of {activation.name}")
    wanted = (*points, 2 * (matrices - 1))
    if modulation.shape != wanted or matrices < 2:
        raise ValueError(f"the modulation must be {list(wanted)}, not {list(modulation.shape)}")


def why_not_native_mlp(
    weights: Sequence[Tensor],
    activation: Activation | ActivationShape = "relu",
    device: str = "cpu",
    *,
    modulated: bool = False,
    matmul_dtype: MatmulDtype = "float32",
) -> str | None:
    """Reason why a device's native kernels cannot take these matrices, in one line, or None if they can.

    modulated: whether the call has a `modulation`.
    """
    shape = activation if isinstance(activation, ActivationShape) else ActivationShape(activation)
    activation = shape.name
    if len(weights) > MAX_MATRICES:
        return f"the native MLP has at most {MAX_MATRICES} matrices, not {len(weights)}"
    if weights[0].shape[1] > MAX_INPUTS:
        return f"the native MLP takes at most {MAX_INPUTS} features, not {weights[0].shape[1]}"
    parts = QUADRATIC_PARTS if activation == "quadratic" else 1
    if (widest := max([*(w.shape[0] // parts for w in weights[:-1]), weights[-1].shape[0]])) > MAX_WIDTH:
        return f"the native MLP is at most {MAX_WIDTH} wide, not {widest}"
    if activation == "gabor" and any(w.shape[0] % (2 * GABOR_UNITS) for w in weights[:-1]):
        return f"complex layers have a multiple of {GABOR_UNITS} units in the native MLP"
    if device == "cuda" and activation not in CUDA_ACTIVATIONS:
        return f"the GPU kernels have activations of single units, not {activation}"
    if device == "cuda" and (modulated or shape.skip or shape.standardize):
        return "the GPU kernels have no skip connections and no modulation"
    if activation == "quadratic" and matmul_dtype != "float32":
        return "quadratic layers are computed in float32"
    return None


def why_not_matmul_dtype(matmul_dtype: MatmulDtype, device: str = "cpu") -> str | None:
    """Reason why `device` cannot multiply matrices in this dtype, in one line, or None if it can."""
    if matmul_dtype == "float32":
        return None
    if reason := backends.why_not_native(device):
        return f"matmul_dtype={matmul_dtype} needs the native library: {reason}"
    if device == "cpu":
        if matmul_dtype == "float16":
            return "the CPU kernels multiply in float32 or bfloat16, not float16"
        if not cuda_ext.load("cpu").fs_has_bfloat16():
            return (
                "bfloat16 needs a processor with AVX512-BF16, which this one lacks or does not use "
                f"(its instruction set is {backends.instruction_set()})"
            )
    elif matmul_dtype == "bfloat16":
        return "the GPU kernels multiply in float32 or float16, not bfloat16"
    return None


class MlpRecord(ctypes.Structure):
    """`MlpRecord` in csrc/common/mlp.h."""

    _fields_ = [
        *((name, ctypes.c_int32) for name in ("matrices", "activation", "matmul_dtype", "is_double")),
        *((name, ctypes.c_int32) for name in ("skip", "standardize", "exact_first")),
        *((name, ctypes.c_double) for name in ("first_omega", "omega", "scale", "epsilon")),
        ("sizes", ctypes.c_int32 * (MAX_MATRICES + 1)),
        *((name, ctypes.c_void_p) for name in ("modulation", "grad_modulation")),
        *((name, ctypes.c_void_p * MAX_MATRICES) for name in ("weight", "bias", "grad_weight", "grad_bias")),
    ]


class MlpCall(ctypes.Structure):
    """`MlpCall` in csrc/common/mlp.h."""

    _fields_ = [
        ("mlp", MlpRecord),
        ("points", ctypes.c_int64),
        ("num_threads", ctypes.c_int32),
        *((name, ctypes.c_void_p) for name in ("features", "grad", "values", "grad_features")),
    ]


@dataclass(frozen=True)
class ActivationShape:
    """An activation with its constants (see `activate`), and how layers are joined; see `mlp`."""

    name: Activation = "relu"
    omega: float = 30.0
    first_omega: float = 30.0
    scale: float = 1.0
    skip: int = 0
    standardize: bool = False

    def values(
        self,
        features: Tensor,
        weights: Sequence[Tensor],
        biases: Sequence[Tensor] | None,
        modulation: Tensor | None = None,
        *,
        rounded: bool = False,
    ) -> Tensor:
        """`mlp` with this activation. rounded: with products in bfloat16, but for the first matrix."""
        products = {"matmul_dtype": "bfloat16", "exact_first": True} if rounded else {}
        return self._evaluate(partial(mlp, **products), features, weights, biases, modulation)

    def reference(
        self,
        features: Tensor,
        weights: Sequence[Tensor],
        biases: Sequence[Tensor] | None,
        modulation: Tensor | None = None,
    ) -> Tensor:
        """`mlp_reference` with this activation."""
        return self._evaluate(mlp_reference, features, weights, biases, modulation)

    def _evaluate(
        self,
        function: Callable[..., Tensor],
        features: Tensor,
        weights: Sequence[Tensor],
        biases: Sequence[Tensor] | None,
        modulation: Tensor | None,
    ) -> Tensor:
        return function(
            features,
            weights,
            self.name,
            omega=self.omega,
            first_omega=self.first_omega,
            scale=self.scale,
            biases=biases,
            skip=self.skip,
            standardize=self.standardize,
            modulation=modulation,
        )


@dataclass(frozen=True)
class MlpKernel:
    """Compiled kernels of one kind of MLP.

    `parameters` are the matrices, then the biases if there are any, and the modulation `[N, columns]` if `modulated`.
    exact_first: whether products of the first matrix are in float32 where matmul_dtype is "bfloat16".
    """

    activation: ActivationShape
    matmul_dtype: MatmulDtype
    matrices: int
    modulated: bool = False
    exact_first: bool = False

    def record(self, parameters: Sequence[Tensor], grads: Sequence[Tensor] | None = None) -> MlpRecord:
        """Structure for the native library. The contiguous tensors must live until the call has returned."""
        n = self.matrices
        record = MlpRecord(
            matrices=n,
            activation=ACTIVATIONS.index(self.activation.name),
            matmul_dtype=MATMUL_DTYPES.index(self.matmul_dtype),
            is_double=parameters[0].dtype == torch.float64,
            skip=self.activation.skip,
            standardize=self.activation.standardize,
            exact_first=self.exact_first,
            first_omega=self.activation.first_omega,
            omega=self.activation.omega,
            scale=self.activation.scale,
            epsilon=EPSILON,
        )
        parts = QUADRATIC_PARTS if self.activation.name == "quadratic" else 1
        hidden = (w.shape[0] // parts for w in parameters[: n - 1])
        record.sizes[: n + 1] = [parameters[0].shape[1], *hidden, parameters[n - 1].shape[0]]
        for prefix, tensors in (("", parameters), ("grad_", grads or ())):
            if self.modulated and tensors:
                *tensors, modulation = tensors
                setattr(record, f"{prefix}modulation", modulation.data_ptr())
            for name, part in zip(("weight", "bias"), (tensors[:n], tensors[n:])):
                getattr(record, prefix + name)[: len(part)] = [t.data_ptr() for t in part]
        return record

    def forward(self, features: Tensor, parameters: Sequence[Tensor]) -> Tensor:
        """Values `[N, outputs]` of features `[N, inputs]`."""
        values = features.new_empty(len(features), parameters[self.matrices - 1].shape[0])
        features, *parameters = ready((features, *parameters))
        call = self._call(self.record(parameters), features, values=values)
        _run("forward", call, features.device)
        return values

    def backward(
        self, features: Tensor, parameters: Sequence[Tensor], grad: Tensor, needs_features: bool
    ) -> list[Tensor | None]:
        """Gradients of `<grad, forward(features, parameters)>`: of the features, then of every parameter.

        needs_features: whether the gradient of the features is wanted; otherwise it is None.
        """
        features, grad, *parameters = ready((features, grad, *parameters))
        grads = [torch.empty_like(p) for p in parameters]
        grad_features = torch.empty_like(features) if needs_features else None
        factor = mlp_cuda.float16_scale(grad) if self.matmul_dtype == "float16" else None
        scaled = grad if factor is None else grad * factor
        call = self._call(self.record(parameters, grads), features, grad=scaled, grad_features=grad_features)
        _run("backward", call, features.device)
        found = [grad_features, *grads]
        return found if factor is None else [None if t is None else t / factor for t in found]

    def reference(self, features: Tensor, *parameters: Tensor) -> Tensor:
        """`forward` by the reference, which can be differentiated any number of times."""
        modulation = parameters[-1] if self.modulated else None
        weights, biases = parameters[: self.matrices], parameters[self.matrices : len(parameters) - self.modulated]
        return self.activation.reference(features, weights, biases or None, modulation)

    @staticmethod
    def _call(record: MlpRecord, features: Tensor, **tensors: Tensor | None) -> MlpCall:
        pointers = {name: t.data_ptr() for name, t in {"features": features, **tensors}.items() if t is not None}
        return MlpCall(mlp=record, points=len(features), num_threads=torch.get_num_threads(), **pointers)


def ready(tensors: Sequence[Tensor]) -> list[Tensor]:
    """The tensors, or copies that are contiguous and aligned for the kernels."""
    return [cuda_calls.ready(t) if backends.device_type(t) == "cuda" else t.contiguous() for t in tensors]


def differentiable_gradients(
    function: Callable[..., Tensor], inputs: Sequence[Tensor], grad: Tensor
) -> list[Tensor | None]:
    """Gradients of `<grad, function(*inputs)>` that can be differentiated again; None where an input needs none."""
    # Differentiate with respect to aliases: if one input was computed from another, its effect must not be counted for
    # the other.
    aliases = [t.view_as(t) if t.requires_grad else t for t in inputs]
    wanted = [alias for alias in aliases if alias.requires_grad]
    found = iter(torch.autograd.grad(function(*aliases), wanted, grad, create_graph=True) if wanted else ())
    return [next(found) if alias.requires_grad else None for alias in aliases]


def _run(name: str, call: MlpCall, device: torch.device) -> None:
    if backends.device_type(device) == "cuda":
        mlp_cuda.run(f"fs_mlp_{name}", call, device)
    else:
        getattr(cuda_ext.load(backends.device_type(device)), f"fs_mlp_{name}")(ctypes.byref(call))


class _Forward(Function):
    @staticmethod
    def forward(ctx, kernel: MlpKernel, features: Tensor, *parameters: Tensor) -> Tensor:
        ctx.save_for_backward(features, *parameters)
        ctx.kernel = kernel
        return kernel.forward(features, parameters)

    @staticmethod
    def backward(ctx, grad: Tensor):  # pyright: ignore[reportIncompatibleMethodOverride]
        features, *parameters = ctx.saved_tensors
        if torch.is_grad_enabled():
            # These gradients will be differentiated again, which the kernels cannot do.
            return None, *differentiable_gradients(ctx.kernel.reference, (features, *parameters), grad)
        return None, *ctx.kernel.backward(features, parameters, grad, ctx.needs_input_grad[1])


def _distinct(things: Iterable[object]) -> str:
    return ", ".join(str(thing) for thing in dict.fromkeys(things))
