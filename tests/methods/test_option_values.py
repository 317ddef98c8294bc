"""Options of methods: names and values that are refused."""

import pytest

from fields.methods.registry import make_method
from scenes.errors import BadInput


def test_refuses_unknown_names_and_suggests_similar_ones():
    with pytest.raises(BadInput, match="did you mean hashgrid"):
        make_method("hashgird")
    with pytest.raises(BadInput, match="did you mean levels"):
        make_method("hashgrid", {"level": "3"})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("levels", "0"),
        ("levels", "many"),
        ("features", "3"),
        ("table_size", "1000"),
        ("learning_rate", "-1"),
        ("learning_rate", "nan"),
        ("width", "24"),
        ("loss", "l3"),
    ],
)
def test_refuses_values_out_of_range(key, value):
    with pytest.raises(BadInput, match=f"^{key}={value}"):
        make_method("hashgrid", {key: value})


def test_refuses_reduced_precision_for_heads_without_kernels():
    with pytest.raises(BadInput, match="trains through autograd"):
        make_method("hashgrid", {"head": "quadratic", "matmul_dtype": "bfloat16"})
