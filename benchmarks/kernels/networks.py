"""`network-ACTIVATION-LAYERSxWIDTH-PASS`: networks on 2-D coordinates with 3 outputs, 16,384 points.

PASS is `forward`, `backward` (values, and gradients of all weights and biases) or `step` (loss l2, gradients, Adam).
Gabor's networks have 181 or 45 complex units instead of 256 or 64 real ones: as many parameters (`wire`'s default).
`torch` computes the complex layers as pairs of real products, which are faster there than complex ones.

With `-bf16`, matrix products are in bfloat16: ours in the kernel, torch's by autocast.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from benchmarks.kernels.case import Case
from benchmarks.kernels.timing import median_seconds

if TYPE_CHECKING:
    from torch import Tensor

    from fields.networks.native import Step
    from fields.networks.wire import Wire
    from fields.ops.mlp import ActivationShape, MatmulDtype

POINTS, OUTPUTS = 16_384, 3
ACTIVATIONS = ("relu", "sine", "finer", "softplus", "gaussian", "gabor")
PASSES = ("forward", "backward", "step")
# Hidden layers, and their real and complex units.
SHAPES = {"5x256": (5, 256, 181), "4x64": (4, 64, 45)}
BFLOAT16 = "-bf16"


@dataclass(frozen=True)
class Network:
    """One network: its parameters, its values in plain torch, and what the native operations take."""

    parameters: list[Tensor]
    shape: ActivationShape
    plain: Callable[[Tensor], Tensor]
    matrices: Callable[[], tuple[Sequence[Tensor], Sequence[Tensor] | None]]
    step: Callable[[MatmulDtype], Step]


def prepare(contender: str, case: str, device: str = "cpu") -> Callable[[], object]:
    """The contender's pass."""
    _, activation, size, passes, *_ = case.split("-")
    bfloat16 = case.endswith(BFLOAT16)
    network = _network(activation, *SHAPES[size], device)
    if contender == "native":
        return _native(network, passes, "bfloat16" if bfloat16 else "float32", device)
    return _torch(network, passes, compiled=contender == "torch-compiled", bfloat16=bfloat16, device=device)


def _native(network: Network, passes: str, matmul_dtype: MatmulDtype, device: str) -> Callable[[], object]:
    import torch

    from fields.ops.adam import Adam
    from fields.ops.mlp import mlp

    coords, targets, grad = _batch(device)

    def forward() -> Tensor:
        weights, biases = network.matrices()
        shape = network.shape
        return mlp(
            coords * 2.0 - 1.0,
            weights,
            shape.name,
            omega=shape.omega,
            first_omega=shape.first_omega,
            scale=shape.scale,
            biases=biases,
            matmul_dtype=matmul_dtype,
            backend="native",
        )

    if passes != "step":
        return torch.no_grad()(forward) if passes == "forward" else _gradients(forward, network, grad)
    optimizer = Adam([{"params": network.parameters, "lr": 1e-4}])
    fused = network.step(matmul_dtype) if device == "cpu" else None

    def whole() -> None:
        if fused is not None:
            fused(coords, targets)
        else:
            # On a GPU one kernel takes the network, and autograd the loss.
            optimizer.zero_grad()
            ((forward() - targets) ** 2).mean().backward()
        optimizer.step()

    return whole


def _torch(network: Network, passes: str, *, compiled: bool, bfloat16: bool, device: str) -> Callable[[], object]:
    import torch

    coords, targets, grad = _batch(device)
    function = torch.compile(network.plain) if compiled else network.plain

    def forward() -> Tensor:
        with torch.autocast(device, torch.bfloat16) if bfloat16 else nullcontext():
            values = function(coords * 2.0 - 1.0)
        return values.float()

    if passes == "forward":
        return torch.no_grad()(forward)
    if passes == "backward":
        return _gradients(forward, network, grad)
    optimizer = torch.optim.Adam(network.parameters, lr=1e-4)

    def whole() -> None:
        optimizer.zero_grad()
        ((forward() - targets) ** 2).mean().backward()
        optimizer.step()

    return whole


def _gradients(forward: Callable[[], Tensor], network: Network, grad: Tensor) -> Callable[[], object]:
    import torch

    return lambda: torch.autograd.grad(forward(), network.parameters, grad)


def _batch(device: str) -> tuple[Tensor, Tensor, Tensor]:
    """Coords in [0, 1], targets, and a gradient of the values."""
    import torch

    random = torch.Generator().manual_seed(0)
    coords, targets = (torch.rand(POINTS, n, generator=random).to(device) for n in (2, OUTPUTS))
    return coords, targets, torch.randn(POINTS, OUTPUTS, generator=random).to(device)


def _network(activation: str, layers: int, units: int, complex_units: int, device: str) -> Network:
    import torch

    from fields.networks.native import StepOptions
    from fields.networks.wire import Wire
    from fields.ops.mlp import ActivationShape
    from fields.ops.network_step import InputEncoding, NetworkStep

    random = torch.Generator().manual_seed(0)
    if activation == "gabor":
        wire = Wire(2, complex_units, layers, OUTPUTS, omega=20.0, scale=10.0, generator=random).to(device)
        options = partial(StepOptions, InputEncoding(), 2, "l2")

        def wire_step(matmul_dtype: MatmulDtype) -> Step:
            step = wire.training_step(options(matmul_dtype=matmul_dtype))
            assert step is not None
            return step

        parameters: list[Tensor] = list(wire.parameters())
        return Network(
            parameters, wire.activation, partial(_plain_wire, wire), lambda: (wire.weights, wire.biases), wire_step
        )
    shapes = {
        "sine": ActivationShape("sine"),
        "finer": ActivationShape("finer"),
        "softplus": ActivationShape("softplus", scale=5.0),
        "gaussian": ActivationShape("gaussian", scale=3.0),
        "relu": ActivationShape("relu"),
    }
    shape, sizes = shapes[activation], [2, *[units] * layers, OUTPUTS]
    gain = (6.0**0.5) / (30.0 if activation in ("sine", "finer") else 1.0)
    weights = [
        ((torch.rand(b, a, generator=random) * 2 - 1) * gain / a**0.5).to(device).requires_grad_()
        for a, b in zip(sizes, sizes[1:])
    ]
    biases = [torch.zeros(b, device=device, requires_grad=True) for b in sizes[1:]]

    def step(matmul_dtype: MatmulDtype) -> Step:
        return NetworkStep(
            weights,
            biases,
            encoding=InputEncoding(),
            dimensions=2,
            activation=shape,
            matmul_dtype=matmul_dtype,
        )

    return Network(
        [*weights, *biases], shape, lambda x: shape.reference(x, weights, biases), lambda: (weights, biases), step
    )


def _plain_wire(wire: Wire, features: Tensor) -> Tensor:
    """WIRE as pairs of real products."""
    import torch
    from torch.nn.functional import linear

    zx = wire.first(features)
    amplitude = torch.exp(-((wire.scale * zx) ** 2))
    x, y = amplitude * torch.cos(wire.omega * zx), amplitude * torch.sin(wire.omega * zx)
    for real, imaginary in zip(wire.real, wire.imaginary):
        zx = real(x) - linear(y, imaginary.weight)
        zy = imaginary(x) + linear(y, real.weight)
        amplitude = torch.exp(-wire.omega * zy - wire.scale**2 * (zx**2 + zy**2))
        x, y = amplitude * torch.cos(wire.omega * zx), amplitude * torch.sin(wire.omega * zx)
    return wire.output_real(x) - wire.output_imaginary(y)


def operations(activation: str, size: str) -> int:
    """Multiplications and additions of a step's matrix products. The coordinates get no gradient."""
    layers, units, complex_units = SHAPES[size]
    if activation == "gabor":
        first, hidden, last = 2 * complex_units, 4 * complex_units**2, 2 * complex_units * OUTPUTS
    else:
        first, hidden, last = 2 * units, units**2, units * OUTPUTS
    return 2 * POINTS * (2 * first + 3 * (hidden * (layers - 1) + last))


def rates(size: str, suffix: str) -> list[dict]:
    """Arithmetic rate of each activation's whole step, against this machine's matrix product of that shape."""
    import torch

    width = SHAPES[size][1]
    a, b = torch.randn(POINTS, width), torch.randn(width, width)
    if suffix:
        a, b = a.bfloat16(), b.bfloat16()
    product = 2e-9 * POINTS * width**2 / median_seconds(lambda: a @ b)
    label = f"matmul-{POINTS}x{width}x{width}{suffix}"
    rows = [{"id": label, "value": round(product, 1), "unit": "GFLOP/s"}]
    for activation in ACTIVATIONS:
        case = f"network-{activation}-{size}-step{suffix}"
        rate = 1e-9 * operations(activation, size) / median_seconds(prepare("native", case))
        rows.append(
            {
                "id": f"{case}-rate",
                "value": round(rate, 1),
                "unit": "GFLOP/s",
                "against": label,
                "against_value": round(product, 1),
                "ratio": round(rate / product, 2),
                "note": "the operations of the matrix products over the time of the whole step, Adam included",
            }
        )
    return rows


# Groups of rows for `benchmarks.kernels.ceilings`.
RATES = {f"network-rates-{size}{suffix}": partial(rates, size, suffix) for size in SHAPES for suffix in ("", BFLOAT16)}
CASES = [
    Case(
        f"network-{activation}-{size}-{passes}{suffix}",
        ("native", "torch", "torch-compiled"),
        prepare,
        quick=activation == "sine" and not suffix,
        gpu=None if suffix else (),
        memory=passes == "step" and size == "5x256" and not suffix,
    )
    for activation in ACTIVATIONS
    for size in SHAPES
    for passes in PASSES
    for suffix in ("", BFLOAT16)
]
