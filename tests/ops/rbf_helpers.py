"""Kernels, points and layers for the tests of radial basis functions."""

import torch

from fields.ops.gaussian_layer import gaussian_layer
from fields.ops.rbf_gather import rbf_gather

INPUTS = ("coords", "centres", "shapes", "features", "phases")


def scene(
    points, kernels, features, neighbours, dimensions, kernel="inverse_quadratic", sines=True, highest=3.0, seed=0
):
    """What `rbf_gather` takes, float64, by name. Kernels are wide enough for hats to meet their points, mostly."""
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


def moved(scene, dtype, device="cpu"):
    return {
        name: None if t is None else t.to(device) if t.dtype == torch.int32 else t.to(device, dtype)
        for name, t in scene.items()
    }


def gather_results(scene, kernel, normalise, backend, dtype, device="cpu"):
    """Output and gradients by every input, by name."""
    own = moved(scene, dtype, device)
    leaves = {name: own[name].requires_grad_() for name in INPUTS if own[name] is not None}
    output = rbf_gather(
        own["coords"],
        own["neighbours"],
        own["centres"],
        own["shapes"],
        own["features"],
        own["frequencies"],
        own["phases"],
        kernel,
        normalise,
        backend,
    )
    random = torch.Generator().manual_seed(1)
    upstream = torch.randn(output.shape, dtype=torch.float64, generator=random).to(device, dtype)
    gradients = torch.autograd.grad(output, list(leaves.values()), upstream)
    return {"output": output.detach(), **{f"grad {name}": g for name, g in zip(leaves, gradients)}}


def layer(points, inputs, units, seed=0):
    random = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, dtype=torch.float64, generator=random)

    return normal(points, inputs), normal(units, inputs), 0.5 * normal(units, inputs) - torch.tensor(inputs).log()


def layer_results(tensors, backend, dtype, device="cpu"):
    leaves = [t.to(device, dtype).requires_grad_() for t in tensors]
    output = gaussian_layer(*leaves, backend)
    upstream = torch.randn(output.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1)).to(
        device, dtype
    )
    gradients = torch.autograd.grad(output, leaves, upstream)
    return dict(zip(("output", "grad features", "grad centres", "grad log_widths"), (output.detach(), *gradients)))
