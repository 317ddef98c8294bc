"""Fields as programs: steps on vectors that every back end of the viewer (`apps/web`) executes.

A step has an operation, the numbers of the vectors that it takes, and the size of the vector that it gives. Vectors
are numbered: first the inputs, then the results of the steps. Tensors that steps need are named.

    affine       a * mul + add
    concat       the vectors one after another
    slice        `size` values of a from `start`
    linear       weight a + bias
    vector       a * mul + add, with tensors [size]; either may be absent
    map          `function` of each value; see `FUNCTIONS`
    add, multiply    of two vectors
    scale_by, shift_by    a times, or plus, value `index` of b
    standardize  values of mean 0 and variance 1
    gabor        complex Gabor wavelets, real parts first
    kan_basis    the eight basis functions of each value
    hash_grid, factor_grid, kernels    features at a point, as in `fields.ops`
    smooth_cells     a, with smoothstep within each of `cells` cells an axis
    harmonics, angles    encodings of a direction, as in `fields.encoders.directions`
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

# Version of the description.
FORMAT = 1
# Functions of `map`. `omega` and `scale` are those of `fields.ops.mlp.activate`; the last five are the profiles of
# `fields.networks.gaussian_rbf`.
FUNCTIONS = (
    *("none", "relu", "sine", "finer", "softplus", "gaussian"),
    *("cosine", "sigmoid", "silu", "square", "unit", "nonnegative", "exp_half"),
    *("multiquadric", "inverse_multiquadric", "cubic", "thin_plate", "wendland"),
)
# How a tensor lies in the viewer's memory: [out, in] in blocks of four outputs; rows without and with padding to four
# values; and plain values.
Role = Literal["matrix", "table", "rows", "vector"]


@dataclass(frozen=True)
class Vector:
    """A vector of a program: its number and size."""

    index: int
    size: int


@dataclass
class Tensors:
    """The tensors of all programs of a page, by name, each with its role; `exact` ones are never rounded."""

    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    roles: dict[str, Role] = field(default_factory=dict)
    exact: set[str] = field(default_factory=set)

    def add_words(self, words: np.ndarray) -> str:
        """Name of uint16 values, which the viewer reads as numbers."""
        name = f"t{len(self.arrays)}"
        self.arrays[name], self.roles[name] = words, "vector"
        return name

    def add(self, tensor: Tensor, role: Role, exact: bool = False) -> str:
        """Name of a float32 tensor that is kept under it."""
        name = f"t{len(self.arrays)}"
        if exact:
            self.exact.add(name)
        self.arrays[name] = np.ascontiguousarray(tensor.detach().cpu().to(torch.float32).numpy())
        self.roles[name] = role
        return name


class Program:
    """A program in the making. `inputs` are the sizes of its input vectors."""

    def __init__(self, tensors: Tensors, *inputs: int) -> None:
        self.tensors = tensors
        self.input_sizes = inputs
        self.inputs = [Vector(index, size) for index, size in enumerate(inputs)]
        self.steps: list[dict[str, Any]] = []

    def step(self, operation: str, *vectors: Vector, size: int, **parameters: Any) -> Vector:
        """Append a step, and return its result."""
        self.steps.append({"op": operation, "in": [v.index for v in vectors], "size": size, **parameters})
        return Vector(len(self.inputs) + len(self.steps) - 1, size)

    def linear(self, x: Vector, weight: Tensor, bias: Tensor | None = None, *, exact: bool = False) -> Vector:
        """weight [out, in] times x, plus bias [out]. `exact` weights, such as frequencies, are never rounded."""
        names: dict[str, Any] = {"weight": self.tensors.add(weight, "matrix", exact)}
        if bias is not None:
            names["bias"] = self.tensors.add(bias, "vector")
        return self.step("linear", x, size=weight.shape[0], **names)

    def vector(self, x: Vector, *, mul: Tensor | None = None, add: Tensor | None = None) -> Vector:
        """x * mul + add, with tensors [size]."""
        given = {"mul": mul, "add": add}
        names = {key: self.tensors.add(tensor, "vector") for key, tensor in given.items() if tensor is not None}
        return self.step("vector", x, size=x.size, **names) if names else x

    def map(self, x: Vector, function: str, omega: float = 1.0, scale: float = 1.0) -> Vector:
        """A function of each value."""
        if function not in FUNCTIONS:
            raise ValueError(f"{function!r} is none of {FUNCTIONS}")
        if function == "none":
            return x
        return self.step("map", x, size=x.size, function=function, omega=omega, scale=scale)

    def affine(self, x: Vector, mul: float, add: float) -> Vector:
        """x * mul + add."""
        return x if (mul, add) == (1.0, 0.0) else self.step("affine", x, size=x.size, mul=mul, add=add)

    def concat(self, *vectors: Vector) -> Vector:
        """The vectors one after another."""
        kept = [v for v in vectors if v.size]
        return kept[0] if len(kept) == 1 else self.step("concat", *kept, size=sum(v.size for v in kept))

    def slice(self, x: Vector, start: int, size: int) -> Vector:
        """`size` values of x from `start`."""
        return x if size == x.size else self.step("slice", x, size=size, start=start)

    def add(self, a: Vector, b: Vector) -> Vector:
        """a + b."""
        return self.step("add", a, b, size=a.size)

    def multiply(self, a: Vector, b: Vector) -> Vector:
        """a * b, value by value."""
        return self.step("multiply", a, b, size=a.size)

    def to_json(self, output: Vector) -> dict[str, Any]:
        """The program with its result."""
        return {"inputs": list(self.input_sizes), "steps": self.steps, "output": output.index}
