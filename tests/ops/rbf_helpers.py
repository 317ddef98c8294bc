"""Random inputs and results of `rbf_gather` and `gaussian_layer` for their tests."""

import torch

from fields.ops.gaussian_layer import gaussian_layer
from fields.ops.rbf_gather import rbf_gather

INPUTS = ("coords", "centres", "shapes", "features", "phases")


def random_inputs(
    points, kernels, features, neighbours, dimensions, kernel="inverse_quadratic", sines=True, highest=3.0, seed=0
):
    """Inputs of `rbf_gather` by name, float64. Kernels are wide enough for most hats to reach their points.

    highest: base-2 logarithm of the highest frequency.
    """
    random = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, dtype=torch.float64, generator=random)

    def uniform(*shape):
        return torch.rand(*shape, dtype=torch.float64, generator=random)

    roots = normal(kernels, dimensions, dimensions)
    matrices = roots @ roots.transpose(1, 2) + 0.2 * torch.eye(dimensions, dtype=torch.float64)
    rows, columns = torch.triu_indices(dimensions, dimensions)
    shapes = matrices[:, rows, columns] * (0.25 if kernel == "hat" else 1.0)
    return {
        "coords": uniform(points, dimensions),
        "centres": uniform(kernels, dimensions),
        "shapes": shapes,
        "features": normal(kernels, features),
        "phases": normal(features) if sines else None,
        "frequencies": 2 ** torch.linspace(-3, highest, features, dtype=torch.float64) if sines else None,
        "neighbours": torch.randint(0, kernels, (points, neighbours), dtype=torch.int32, generator=random),
    }


def moved(inputs, dtype, device="cpu"):
    """The inputs with floating tensors of `dtype`, on `device`."""
    return {
        name: None if t is None else t.to(device) if t.dtype == torch.int32 else t.to(device, dtype)
        for name, t in inputs.items()
    }


def gather_results(inputs, kernel, normalise, backend, dtype, device="cpu"):
    """Output and gradients with respect to every input, by name."""
    own = moved(inputs, dtype, device)
    leaves = {name: own[name].requires_grad_() for name in INPUTS if own[name] is not None}
    output = rbf_gather(
        own["coords"],
        own["neighbours"],
        centres=own["centres"],
        shapes=own["shapes"],
        features=own["features"],
        frequencies=own["frequencies"],
        phases=own["phases"],
        kernel=kernel,
        normalise=normalise,
        backend=backend,
    )
    random = torch.Generator().manual_seed(1)
    upstream = torch.randn(output.shape, dtype=torch.float64, generator=random).to(device, dtype)
    gradients = torch.autograd.grad(output, list(leaves.values()), upstream)
    return {"output": output.detach(), **{f"grad {name}": g for name, g in zip(leaves, gradients)}}


def random_layer(points, inputs, units, seed=0):
    """Features, centres and log_widths of `gaussian_layer`, float64."""
    random = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, dtype=torch.float64, generator=random)

    return normal(points, inputs), normal(units, inputs), 0.5 * normal(units, inputs) - torch.tensor(inputs).log()


def layer_results(tensors, backend, dtype, device="cpu"):
    """Output and gradients with respect to every input, by name."""
    leaves = [t.to(device, dtype).requires_grad_() for t in tensors]
    output = gaussian_layer(*leaves, backend)
    upstream = torch.randn(output.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1)).to(
        device, dtype
    )
    gradients = torch.autograd.grad(output, leaves, upstream)
    return dict(zip(("output", "grad features", "grad centres", "grad log_widths"), (output.detach(), *gradients)))
