"""Programs of pages give the values of the fields that they describe."""

from __future__ import annotations

import pytest
import torch

from fields.export.page.describe import describe
from fields.export.page.program import Program, Tensors
from tests.export.page_fields import FIELDS, make_field
from tests.export.page_reference import run


@pytest.mark.parametrize("name", FIELDS)
def test_program_gives_the_fields_values(name):
    field = make_field(name)
    coords = torch.rand(200, field.domain.dimensions, generator=torch.Generator().manual_seed(3))
    program = Program(Tensors(), field.domain.dimensions)
    found = run(program.to_json(describe(field, program, program.inputs[0])), program.tensors, coords)
    expected = field(coords)
    assert expected.std() > 1e-3
    torch.testing.assert_close(found, expected, atol=2e-4, rtol=2e-4)
