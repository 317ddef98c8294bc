"""Batches on Ray: the hint where it is missing, and a local cluster one of whose workers is killed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fields.batch.batch import Batch
from fields.batch.ray_engine import fit_sources
from fields.batch.request import BatchRequest
from fields.batch.sources import Source
from fields.weights.dataset import FieldDataset
from scenes.errors import BadInput
from scenes.procedural.part_shapes import part_shape

SMALL = {
    "steps": 3,
    "stack": 2,
    "points": 64,
    "samples": 512,
    "settings": {"resolution": 8, "features": 4, "width": 16},
}


def request_for(out: Path, **options) -> BatchRequest:
    return BatchRequest(source="procedural:parts", items=4, out=out, **SMALL, **options)


def test_says_which_extra_is_missing(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    batch = Batch.create(request_for(tmp_path / "out", engine="ray"))
    with pytest.raises(BadInput, match=r"field-studio\[ray\]"):
        batch.run()


@pytest.mark.parametrize("options", [{"workers": 2}, {"engine": "ray", "shared_decoder": True}])
def test_refuses_options_that_do_not_go_together(tmp_path, options):
    with pytest.raises(BadInput, match="engine=ray"):
        request_for(tmp_path / "out", **options)


def test_a_worker_gives_the_fields_of_a_local_batch(tmp_path):
    batch = Batch.create(request_for(tmp_path / "out"))
    assert batch.run()
    assert batch.dataset is not None
    fitted = fit_sources(batch.sources[2:], batch.request, batch.dataset.method, batch.dataset.channels)
    assert [item.name for item in fitted.items] == [item.name for item in batch.dataset.items[2:]]
    for name, tensor in batch.dataset.state(3).items():
        assert (fitted.state[name][1] == tensor).all()


@pytest.mark.slow
def test_a_killed_worker_costs_its_work_alone(tmp_path):
    ray = pytest.importorskip("ray", reason="the extra ray is not installed")
    assert ray
    mark = tmp_path / "killed"

    def open_or_die():
        if not mark.exists():
            mark.touch()
            os._exit(1)
        return part_shape(1)

    batch = Batch.create(request_for(tmp_path / "out", engine="ray", workers=2))
    batch.sources = [
        source if i != 1 else Source(source.name, source.label, open_or_die) for i, source in enumerate(batch.sources)
    ]
    assert batch.run()
    assert mark.exists()
    assert batch.summary()["fitted"] == 4
    assert len(FieldDataset.open(tmp_path / "out")) == 4
