"""A small dataset of fields, which tests of datasets and of learning share."""

from __future__ import annotations

from pathlib import Path

import pytest

from fields.batch.batch import Batch
from fields.batch.request import BatchRequest

SETTINGS = {"resolution": 8, "features": 4, "width": 16}


@pytest.fixture(scope="session")
def parts_dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """32 shapes of 8 classes, barely fitted."""
    out = tmp_path_factory.mktemp("fields") / "parts"
    request = BatchRequest(
        source="procedural:parts", items=32, out=out, steps=2, stack=32, points=64, samples=512, settings=SETTINGS
    )
    assert Batch.create(request).run()
    return out
