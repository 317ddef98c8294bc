"""A small MLP in one pass: features → values, and gradients whose activations are recomputed instead of stored.

Tile after tile of points goes through all layers and back; nothing of a layer's width is ever stored for the whole batch.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.autograd import Function

import cuda_ext
from fields.ops import backends, cuda_calls, mlp_cuda

Activation = Literal["none", "relu", "sine"]
Products = Literal["float32", "bfloat16", "float16"]
# Their numbers in csrc/common/mlp.h.
ACTIVATIONS = ("none", "relu", "sine")
PRODUCTS = ("float32", "bfloat16", "float16")

MAX_MATRICES = 9
MAX_WIDTH = 128
MAX_INPUTS = 512


def mlp(
    features: Tensor,
    weights: Sequence[Tensor],
    activation: Activation = "relu",
    omega: float = 30.0,
    biases: Sequence[Tensor] | None = None,
    products: Products = "float32",
    backend: backends.Backend = "auto",
) -> Tensor:
    """Values `[..., outputs]` of features `[..., inputs]`.

    `weights` are matrices `[out, in]`, features' side first; `biases`, if any, one `[out]` for each. Hidden layers are `relu`, `none`
    (linear), or `sine`: sin(omega x); the last is linear. All float32, or all float64, on one device.

    Natively at most 9 matrices, 512 inputs and 128 of anything else (`why_not_native_mlp`); "auto" takes the formula for others, "native"
    raises ValueError. `products="bfloat16"` rounds the factors of every product, forward and back, to bfloat16 and adds in float32: faster
    on processors with AVX512-BF16; `"float16"` is the same for the tensor cores of a GPU, whose range gradients must fit.
    `why_not_products` says where they cannot be had; asking for them there is a ValueError.

    Differentiable any number of times, in features, weights and biases. The native kernel gives values and first derivatives; where
    those are to be differentiated again (`create_graph=True`) they are computed by the formula, whose intermediate results torch stores.
    """
    biases = list(biases) if biases is not None else None
    check_mlp(features, weights, biases, activation, products)
    device = features.device.type
    if (why := why_not_products(products, device)) and not backends.tracing():
        raise ValueError(why)
    chosen = backends.choose(backend, device)
    kernel = MlpKernel(activation, float(omega), products, len(weights))
    why = why_not_native_mlp(weights)
    if not why and device == "cuda" and chosen == "native":
        why = mlp_cuda.why_too_large(MlpCall(mlp=kernel.record([*weights, *(biases or ())])))
    if why and backend == "native":
        raise ValueError(why)
    if chosen == "torch" or why:
        if products != "float32" and not backends.tracing():
            raise ValueError(
                f"products of {products} numbers need the native kernel: {why or 'backend=torch was asked for'}"
            )
        return mlp_reference(features, weights, activation, omega, biases)
    flat = features.reshape(-1, weights[0].shape[1])
    values = _Forward.apply(kernel, flat, *weights, *(biases or ()))
    return values.reshape(*features.shape[:-1], values.shape[-1])


def mlp_reference(
    features: Tensor,
    weights: Sequence[Tensor],
    activation: Activation = "relu",
    omega: float = 30.0,
    biases: Sequence[Tensor] | None = None,
) -> Tensor:
    """The same in plain torch; it judges the kernels."""
    for index, weight in enumerate(weights):
        features = torch.nn.functional.linear(features, weight, biases[index] if biases is not None else None)
        if index + 1 < len(weights):
            if activation == "relu":
                features = torch.relu(features)
            elif activation == "sine":
                features = torch.sin(omega * features)
    return features


def check_mlp(
    features: Tensor, weights: Sequence[Tensor], biases: Sequence[Tensor] | None, activation: str, products: str
) -> None:
    """ValueError for wrong names, shapes, dtypes and devices."""
    check_names(activation, products)
    check_weights(features.shape[-1] if features.ndim else None, weights, biases)
    tensors = [features, *weights, *(biases or ())]
    if features.dtype not in (torch.float32, torch.float64) or any(t.dtype != features.dtype for t in tensors):
        raise ValueError(
            f"features, weights and biases must all be float32 or all float64, not {_list(t.dtype for t in tensors)}"
        )
    if any(t.device != features.device for t in tensors):
        raise ValueError(f"features, weights and biases must be on one device, not {_list(t.device for t in tensors)}")
    if products != "float32" and features.dtype != torch.float32:
        raise ValueError(f"products of {products} numbers are for float32 features, not {features.dtype}")


def check_names(activation: str, products: str) -> None:
    if activation not in ACTIVATIONS:
        raise ValueError(f"the activation is none, relu or sine, not {activation!r}")
    if products not in PRODUCTS:
        raise ValueError(f"products are float32, bfloat16 or float16, not {products!r}")


def check_weights(inputs: int | None, weights: Sequence[Tensor], biases: Sequence[Tensor] | None = None) -> None:
    if not weights:
        raise ValueError("an MLP needs at least one matrix")
    if biases is not None and len(biases) != len(weights):
        raise ValueError(f"there must be a bias for each of the {len(weights)} matrices, not {len(biases)}")
    for index, weight in enumerate(weights):
        if weight.ndim != 2 or weight.shape[1] != inputs or not weight.shape[0]:
            raise ValueError(f"matrix {index} must be [out, {inputs}], not {list(weight.shape)}")
        inputs = weight.shape[0]
        if biases is not None and biases[index].shape != (inputs,):
            raise ValueError(f"bias {index} must be [{inputs}], not {list(biases[index].shape)}")


def why_not_native_mlp(weights: Sequence[Tensor]) -> str | None:
    """One line saying why the kernels cannot serve such matrices, or None if they can."""
    if len(weights) > MAX_MATRICES:
        return f"the native MLP has at most {MAX_MATRICES} matrices, not {len(weights)}"
    if weights[0].shape[1] > MAX_INPUTS:
        return f"the native MLP takes at most {MAX_INPUTS} features, not {weights[0].shape[1]}"
    if (widest := max(w.shape[0] for w in weights)) > MAX_WIDTH:
        return f"the native MLP is at most {MAX_WIDTH} wide, not {widest}"
    return None


def why_not_products(products: Products, device: str = "cpu") -> str | None:
    """One line saying why products of such numbers cannot be had on `device`, or None if they can."""
    if products == "float32":
        return None
    if reason := backends.why_not_native(device):
        return f"products of {products} numbers need the native library: {reason}"
    if device == "cpu":
        if products == "float16":
            return "the CPU's kernels multiply float32 or bfloat16 numbers, not float16"
        if not cuda_ext.load("cpu").fs_has_bfloat16():
            return f"this processor has no AVX512-BF16, or not in use (it is {backends.instruction_set()}); products stay float32"
    elif products == "bfloat16":
        return "the GPU's kernels multiply float32 or float16 numbers, not bfloat16"
    return None


class MlpRecord(ctypes.Structure):
    """`MlpRecord` in csrc/common/mlp.h."""

    _fields_ = [
        *((name, ctypes.c_int32) for name in ("matrices", "activation", "products", "is_double")),
        ("omega", ctypes.c_double),
        ("sizes", ctypes.c_int32 * (MAX_MATRICES + 1)),
        *((name, ctypes.c_void_p * MAX_MATRICES) for name in ("weight", "bias", "grad_weight", "grad_bias")),
    ]


class MlpCall(ctypes.Structure):
    """`MlpCall` in csrc/common/mlp.h."""

    _fields_ = [
        ("mlp", MlpRecord),
        ("points", ctypes.c_int64),
        ("workers", ctypes.c_int32),
        *((name, ctypes.c_void_p) for name in ("features", "grad", "values", "grad_features")),
    ]


@dataclass(frozen=True)
class MlpKernel:
    """The compiled kernels for one kind of MLP; `parameters` are the matrices, then the biases if there are any."""

    activation: Activation
    omega: float
    products: Products
    matrices: int

    def record(self, parameters: Sequence[Tensor], grads: Sequence[Tensor] | None = None) -> MlpRecord:
        """What the library is told; the tensors, contiguous, must live until the call has returned."""
        n = self.matrices
        record = MlpRecord(
            matrices=n,
            activation=ACTIVATIONS.index(self.activation),
            products=PRODUCTS.index(self.products),
            is_double=parameters[0].dtype == torch.float64,
            omega=self.omega,
        )
        record.sizes[: n + 1] = [parameters[0].shape[1], *(w.shape[0] for w in parameters[:n])]
        for names, tensors in ((("weight", "bias"), parameters), (("grad_weight", "grad_bias"), grads or ())):
            for name, part in zip(names, (tensors[:n], tensors[n:])):
                getattr(record, name)[: len(part)] = [t.data_ptr() for t in part]
        return record

    def forward(self, features: Tensor, parameters: Sequence[Tensor]) -> Tensor:
        """Values `[N, outputs]` of features `[N, inputs]`."""
        values = features.new_empty(len(features), parameters[self.matrices - 1].shape[0])
        features, *parameters = ready((features, *parameters))
        call = self._call(self.record(parameters), features, values=values)
        _run("forward", call, features.device)
        return values

    def backward(
        self, features: Tensor, parameters: Sequence[Tensor], grad: Tensor, inwards: bool
    ) -> list[Tensor | None]:
        """Gradients of `<grad, forward(features, parameters)>`: of the features if `inwards`, then of every parameter."""
        features, grad, *parameters = ready((features, grad, *parameters))
        grads = [torch.empty_like(p) for p in parameters]
        grad_features = torch.empty_like(features) if inwards else None
        if self.products == "float16":
            factor = mlp_cuda.half_range(grad)
            grad = grad * factor
        call = self._call(self.record(parameters, grads), features, grad=grad, grad_features=grad_features)
        _run("backward", call, features.device)
        found = [grad_features, *grads]
        return [None if t is None else t / factor for t in found] if self.products == "float16" else found

    def reference(self, features: Tensor, *parameters: Tensor) -> Tensor:
        n = self.matrices
        return mlp_reference(features, parameters[:n], self.activation, self.omega, parameters[n:] or None)

    @staticmethod
    def _call(record: MlpRecord, features: Tensor, **tensors: Tensor | None) -> MlpCall:
        pointers = {name: t.data_ptr() for name, t in {"features": features, **tensors}.items() if t is not None}
        return MlpCall(mlp=record, points=len(features), workers=torch.get_num_threads(), **pointers)


def ready(tensors: Sequence[Tensor]) -> list[Tensor]:
    """The tensors, or copies, as the kernels want them."""
    return [cuda_calls.ready(t) if t.is_cuda else t.contiguous() for t in tensors]


def differentiable_gradients(
    function: Callable[..., Tensor], inputs: Sequence[Tensor], grad: Tensor
) -> list[Tensor | None]:
    """Gradients of `<grad, function(*inputs)>` that can be differentiated again; None where an input needs none."""
    # Of aliases: an input that another was made from must not count what it does through that one.
    aliases = [t.view_as(t) if t.requires_grad else t for t in inputs]
    wanted = [alias for alias in aliases if alias.requires_grad]
    found = iter(torch.autograd.grad(function(*aliases), wanted, grad, create_graph=True) if wanted else ())
    return [next(found) if alias.requires_grad else None for alias in aliases]


def _run(name: str, call: MlpCall, device: torch.device) -> None:
    if device.type == "cuda":
        mlp_cuda.run(f"fs_mlp_{name}", call, device)
    else:
        getattr(cuda_ext.load(device.type), f"fs_mlp_{name}")(ctypes.byref(call))


class _Forward(Function):
    @staticmethod
    def forward(ctx, kernel: MlpKernel, features: Tensor, *parameters: Tensor) -> Tensor:
        ctx.save_for_backward(features, *parameters)
        ctx.kernel = kernel
        return kernel.forward(features, parameters)

    @staticmethod
    def backward(ctx, grad: Tensor):
        features, *parameters = ctx.saved_tensors
        if torch.is_grad_enabled():
            # These gradients are to be differentiated: the formula, with all that torch keeps for that.
            return None, *differentiable_gradients(ctx.kernel.reference, (features, *parameters), grad)
        return None, *ctx.kernel.backward(features, parameters, grad, ctx.needs_input_grad[1])


def _list(things) -> str:
    return ", ".join(str(thing) for thing in dict.fromkeys(things))
