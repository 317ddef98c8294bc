"""Sizes of fields: counted before they are built, and solved for."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fields.methods.registry import make_method, method_class, method_names
from scenes.domain import Axis, Channels, Domain
from scenes.errors import BadInput

# Methods that take videos only are tested beside their networks.
NAMES = [name for name in method_names() if method_class(name).kinds is None]
RGB = Channels(("red", "green", "blue"), "srgb")


class Measured:
    """A signal without samples: what `prepare` needs of one."""

    kind = "test"
    preferred_loss = "l2"
    channels = RGB

    def on_grid(self, side):
        raise BadInput("nothing is measured")

    def __init__(self, *shape):
        self.domain = Domain(tuple(Axis(name, 0, n, "px", n) for name, n in zip("xyzt", shape)))


def prepared(name, shape=(768, 512), **options):
    return make_method(name, options).prepare(Measured(*shape))


def usual_shape(name):
    """The shape of an image, or of a volume for methods that take no images."""
    return (768, 512) if 2 in method_class(name).dimensions else (96, 64, 80)


@pytest.mark.parametrize(("name", "dimensions"), [(name, d) for name in NAMES for d in method_class(name).dimensions])
def test_parameters_equal_those_of_the_built_field(name, dimensions):
    method = prepared(name, (40, 30, 20, 10)[:dimensions])
    field = method.build(Measured(*(40, 30, 20, 10)[:dimensions]).domain, RGB, seed=0)
    assert method.parameters(dimensions, 3) == field.num_parameters


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=25, deadline=None)
@given(parameters=st.integers(2_000, 5_000_000))
def test_a_requested_size_is_met_to_three_percent(name, parameters):
    shape = usual_shape(name)
    method = prepared(name, shape).sized(len(shape), 3, parameters)
    assert abs(method.parameters(len(shape), 3) - parameters) <= 0.03 * parameters + 1e-6


@pytest.mark.parametrize("name", NAMES)
def test_refuses_an_impossible_size_and_names_the_nearest(name):
    with pytest.raises(BadInput, match="`params=3`"):
        prepared(name, usual_shape(name)).sized(len(usual_shape(name)), 3, 3)


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_gives_the_same_weights(name):
    shape = usual_shape(name)
    method = prepared(name, shape)
    domain = Measured(*shape).domain
    a, b, c = (method.build(domain, RGB, seed).state_dict() for seed in (0, 0, 1))
    assert all((a[key] == b[key]).all() for key in a)
    assert any((a[key] != c[key]).any() for key in a)


@pytest.mark.parametrize("head", ["linear", "kan-spline", "kan-gaussian", "hourglass", "quadratic"])
@pytest.mark.parametrize("name", ["hashgrid", "densegrid", "tensorf", "kplanes"])
def test_parameters_equal_those_of_the_built_field_with_every_head(name, head):
    method = prepared(name, (20, 30, 24), head=head)
    field = method.build(Measured(20, 30, 24).domain, RGB, seed=0)
    assert method.parameters(3, 3) == field.num_parameters


@pytest.mark.parametrize("head", ["mlp", "kan-spline", "hourglass", "quadratic"])
def test_a_large_head_is_made_narrower_before_grids_are_made_coarse(head):
    method = prepared("densegrid", (256, 256), head=head).sized(2, 3, 20_000)
    assert abs(method.parameters(2, 3) - 20_000) <= 600
    assert method.resolution >= 32 and method.network_parameters(3) <= 12_000


def test_a_head_without_kernels_is_not_fused():
    assert not prepared("hashgrid", (40, 30), head="hourglass").build(Measured(40, 30).domain, RGB, seed=0).fused
