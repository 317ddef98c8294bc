"""Stacks of tri-planes: the batched reference against single fields, and the native pass against the reference."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from fields.methods.registry import make_method
from fields.ops.mlp import ActivationShape
from fields.ops.plane_stack import PlaneStackLayout, PlaneStackStep, plane_stack_values, why_not_native
from scenes.procedural.part_shapes import part_shape

SINE = ActivationShape("sine")
Stack = tuple[PlaneStackLayout, Tensor, list[Tensor], list[Tensor]]


def make_stack(objects: int, features: int = 5, octaves: int = 3, *, networks: int | None = None) -> Stack:
    layout = PlaneStackLayout((7, 5, 6), features, octaves)
    generator = torch.Generator().manual_seed(1)
    table = torch.randn(objects, layout.entries, features, generator=generator) * 0.3
    sizes = [layout.inputs, 16, 16, 2]
    weights, biases = [], []
    for inputs, outputs in zip(sizes, sizes[1:]):
        bound = math.sqrt(6 / inputs) / 30
        shape = networks or objects, outputs, inputs
        weights.append(torch.empty(shape).uniform_(-bound, bound, generator=generator))
        biases.append(torch.empty(shape[:2]).uniform_(-0.1, 0.1, generator=generator))
    return layout, table, weights, biases


def make_batch(objects: int, points: int = 150) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(2)
    # Some points are outside of the cube.
    coords = torch.rand(objects, points, 3, generator=generator) * 1.2 - 0.1
    return coords, torch.rand(objects, points, 2, generator=generator), torch.rand(objects, points, generator=generator)


def native_or_skip(stack: Stack) -> None:
    layout, table, weights, _ = stack
    if reason := why_not_native(table, weights, layout, SINE):
        pytest.skip(reason)


def gradients(step: PlaneStackStep, backend: str, batch: tuple[Tensor, ...]) -> tuple[Tensor, list[Tensor]]:
    losses = getattr(step, f"_{backend}")(*batch)
    return losses, [parameter.grad.clone() for parameter in step.parameters if parameter.grad is not None]


def test_values_are_those_of_single_fields():
    shapes = [part_shape(i) for i in range(2)]
    method = make_method("triplane", {"resolution": 9, "features": 4, "octaves": 3, "width": 16}).prepare(shapes[0])
    fields = [method.build_field(shape.domain, shape.channels, seed) for seed, shape in enumerate(shapes)]
    coords = make_batch(2)[0]
    network = fields[0].network.biases
    layers = len(network)
    state = [[field.encoder.grid.table, *field.network.weights, *field.network.biases] for field in fields]
    table, *networks = (torch.stack(tensors).detach() for tensors in zip(*state))
    values = plane_stack_values(
        coords, table * 100, networks[:layers], networks[layers:], PlaneStackLayout((9, 9, 9), 4, 3), SINE
    )
    for field, at, found in zip(fields, coords, values):
        with torch.no_grad():
            field.encoder.grid.table *= 100
            torch.testing.assert_close(found, field(at), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("loss", ["l1", "l2", "relative_l2"])
@pytest.mark.parametrize("features", [5, 16])
def test_native_gradients_match_reference(loss, features):
    stack = make_stack(3, features)
    native_or_skip(stack)
    layout, table, weights, biases = stack
    step = PlaneStackStep(table, weights, biases, layout, activation=SINE, loss=loss)
    losses, found = gradients(step, "native", make_batch(3))
    expected_losses, expected = gradients(step, "torch", make_batch(3))
    torch.testing.assert_close(losses, expected_losses, rtol=1e-5, atol=1e-7)
    for own, other in zip(found, expected, strict=True):
        assert (own - other).norm() <= 1e-5 * other.norm()


@pytest.mark.parametrize("backend", ["native", "torch"])
def test_objects_train_as_if_they_were_alone(backend):
    stack = make_stack(3)
    if backend == "native":
        native_or_skip(stack)
    layout, table, weights, biases = stack
    batch = make_batch(3)
    _, together = gradients(PlaneStackStep(table, weights, biases, layout, activation=SINE), backend, batch)
    alone = PlaneStackStep(
        table[1:2].clone(), [w[1:2].clone() for w in weights], [b[1:2].clone() for b in biases], layout, activation=SINE
    )
    _, single = gradients(alone, backend, tuple(part[1:2] for part in batch))
    for own, other in zip(together, single, strict=True):
        torch.testing.assert_close(own[1:2], other, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("backend", ["native", "torch"])
def test_shared_network_gets_mean_gradient(backend):
    separate = make_stack(3)
    if backend == "native":
        native_or_skip(separate)
    layout, table, weights, biases = make_stack(3, networks=1)
    batch = make_batch(3)
    step = PlaneStackStep(table, weights, biases, layout, activation=SINE)
    _, found = gradients(step, backend, batch)
    copies = [[t.expand(3, *t.shape[1:]).contiguous() for t in tensors] for tensors in (weights, biases)]
    _, expected = gradients(PlaneStackStep(table, *copies, layout, activation=SINE), "torch", batch)
    torch.testing.assert_close(found[0], expected[0], rtol=1e-4, atol=1e-7)
    for own, other in zip(found[1:], expected[1:], strict=True):
        torch.testing.assert_close(own, other.mean(0, keepdim=True), rtol=1e-4, atol=1e-6)


def test_without_planes_is_a_network_of_coordinates():
    stack = make_stack(2, features=0, octaves=0)
    native_or_skip(stack)
    layout, table, weights, biases = stack
    assert layout.inputs == 3
    step = PlaneStackStep(table, weights, biases, layout, activation=SINE)
    _, found = gradients(step, "native", make_batch(2))
    _, expected = gradients(step, "torch", make_batch(2))
    for own, other in zip(found[1:], expected[1:], strict=True):
        assert (own - other).norm() <= 1e-5 * other.norm()


def test_same_bits_for_any_number_of_threads():
    stack = make_stack(5)
    native_or_skip(stack)
    layout, table, weights, biases = stack
    step = PlaneStackStep(table, weights, biases, layout, activation=SINE)
    threads = torch.get_num_threads()
    results = []
    for count in (1, 3):
        torch.set_num_threads(count)
        results.append(gradients(step, "native", make_batch(5))[1])
    torch.set_num_threads(threads)
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


@pytest.mark.parametrize(
    "wrong",
    [
        lambda layout, t, w, b: PlaneStackStep(t[:, 1:], w, b, layout, activation=SINE),
        lambda layout, t, w, b: PlaneStackStep(t, [w[0][:, :, 1:].contiguous(), *w[1:]], b, layout, activation=SINE),
        lambda layout, t, w, b: PlaneStackStep(t, w, b, layout, activation=SINE, loss="l3"),  # pyright: ignore
        lambda layout, t, w, b: PlaneStackStep(t, w, b, layout, activation=SINE)(*make_batch(2)),
    ],
)
def test_refuses_other_shapes(wrong):
    with pytest.raises(ValueError, match="must be|a matrix is|loss is|are not"):
        wrong(*make_stack(3))
