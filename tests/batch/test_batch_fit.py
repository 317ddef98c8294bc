"""Batches: many shapes fitted together, what is recorded of bad files, and continuing what was cut off."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
from PIL import Image as Pillow

from fields.batch.batch import Batch
from fields.batch.request import BatchRequest
from fields.batch.sources import sources_of
from fields.fit.fit import prepare
from fields.weights.dataset import FieldDataset
from scenes.errors import BadInput
from scenes.shape.signal import open_shape

SMALL = {"stack": 3, "points": 128, "samples": 2048, "settings": {"resolution": 8, "features": 4, "width": 16}}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Boxes and balls, two of each, and a file that no reader takes."""
    path = tmp_path / "shapes"
    for label, make in (("ball", trimesh.creation.icosphere), ("box", trimesh.creation.box)):
        (path / label).mkdir(parents=True)
        for i in range(2):
            mesh = make()
            mesh.apply_scale([1, 1 + i / 4, 1])
            mesh.export(path / label / f"{i}.ply")
    (path / "box" / "broken.ply").write_bytes(b"ply\nnot a mesh")
    (path / ".hidden").write_text("x")
    return path


def batch_of(source: Path | str, out: Path, **options) -> Batch:
    return Batch.create(BatchRequest(source=source, out=out, **{"steps": 12, **SMALL, **options}))


def test_fits_a_folder_and_records_the_bad_file(folder, tmp_path):
    batch = batch_of(folder, tmp_path / "out")
    told = []
    assert batch.run(told.append)
    summary = batch.summary()
    assert summary["items"] == 5 and summary["fitted"] == 4
    assert [failed["name"] for failed in summary["not_fitted"]] == ["box/broken.ply"]
    assert set(summary["scores"]) == {"iou", "error"}
    assert told[-1].total == 5 and told[-1].seconds_left is not None
    dataset = FieldDataset.open(tmp_path / "out")
    assert [(item.name, item.label) for item in dataset.items] == [
        ("ball/0.ply", "ball"),
        ("ball/1.ply", "ball"),
        ("box/0.ply", "box"),
        ("box/1.ply", "box"),
    ]
    assert not (tmp_path / "out" / "stack.safetensors").exists()
    # A finished batch has nothing left to do.
    rows = (tmp_path / "out" / "results.jsonl").read_text()
    assert batch_of(folder, tmp_path / "out").run()
    assert (tmp_path / "out" / "results.jsonl").read_text() == rows


def test_same_fields_as_a_batch_that_was_not_cut_off(folder, tmp_path):
    whole = batch_of(folder, tmp_path / "whole")
    assert whole.run()
    cut = batch_of(folder, tmp_path / "cut")

    def stop(progress):
        if "step 5/12" in progress.doing:
            cut.stop()

    assert not cut.run(stop)
    assert (tmp_path / "cut" / "stack.safetensors").is_file()
    assert batch_of(folder, tmp_path / "cut").run()
    for a, b in zip(
        FieldDataset.open(tmp_path / "whole").items, FieldDataset.open(tmp_path / "cut").items, strict=True
    ):
        assert a == b
    states = [FieldDataset.open(tmp_path / name).state(1) for name in ("whole", "cut")]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_rows_of_a_killed_batch_are_completed(folder, tmp_path):
    batch = batch_of(folder, tmp_path / "out")
    assert batch.run()
    results = tmp_path / "out" / "results.jsonl"
    lines = results.read_text().splitlines()
    # Killed after the shard and in the middle of a row.
    results.write_text(lines[0] + "\n" + lines[1][:20])
    again = batch_of(folder, tmp_path / "out")
    assert again.run()
    names = [json.loads(line)["name"] for line in results.read_text().splitlines()]
    assert sorted(names) == sorted(source.name for source in again.sources)
    assert len(FieldDataset.open(tmp_path / "out")) == 4


def test_order_and_neighbours_do_not_change_a_field(folder, tmp_path):
    assert batch_of(folder, tmp_path / "together").run()
    assert batch_of(folder, tmp_path / "alone", stack=1).run()
    one, other = (FieldDataset.open(tmp_path / name) for name in ("together", "alone"))
    for index in range(4):
        a, b = one.state(index), other.state(index)
        assert all(torch.equal(a[name], b[name]) for name in a)


def test_learns_shapes(folder, tmp_path):
    batch = batch_of(folder, tmp_path / "out", steps=150, points=512, samples=8192)
    assert batch.run()
    assert batch.summary()["scores"]["iou"]["min"] > 0.55


def test_siren_fields_are_stacked_like_single_fits(tmp_path):
    settings = {"width": 16, "hidden_layers": 2}
    batch = batch_of("procedural:parts", tmp_path / "out", items=2, method="siren", settings=settings)
    assert batch.run()
    field = batch.dataset.field(0)
    assert field.network.first_omega == 30
    # The values are those of the network times 0.5, plus 0.5, as in a single fit.
    assert (field.scale, field.offset) == (0.5, 0.5)


def test_shared_decoder_is_kept_for_later_stacks(folder, tmp_path):
    batch = batch_of(folder, tmp_path / "out", shared_decoder=True, stack=2)
    assert batch.run()
    dataset = FieldDataset.open(tmp_path / "out")
    assert (tmp_path / "out" / "decoder.safetensors").is_file()
    weights = [dataset.state(i)["network.output.weight"] for i in range(4)]
    assert all(torch.equal(weights[0], other) for other in weights)
    assert not torch.equal(dataset.state(0)["encoder.grid.table"], dataset.state(3)["encoder.grid.table"])
    assert torch.isfinite(dataset.field(3)(torch.rand(5, 3))).all()


def test_begins_with_the_weights_of_a_run(folder, tmp_path):
    settings = {**SMALL["settings"], "octaves": 2}
    shape = open_shape(folder / "ball" / "0.ply")
    trainer, run = prepare(shape, "triplane", steps=2, settings=settings, out=tmp_path / "run")
    assert run is not None
    run.save_field(trainer.field, trainer.method)
    batch = batch_of(folder, tmp_path / "out", init_from=tmp_path / "run", steps=1, settings={})
    assert batch.run()
    start = FieldDataset.open(tmp_path / "out").state(0)["network.output.weight"]
    other = FieldDataset.open(tmp_path / "out").state(2)["network.output.weight"]
    # One step of Adam moves a weight by its rate at most.
    assert (start - other).abs().max() < 0.01


def test_other_kinds_are_fitted_alone(tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for i in range(2):
        pixels = np.random.default_rng(i).integers(0, 255, (8, 8, 3)).astype(np.uint8)
        Pillow.fromarray(pixels).save(folder / f"{i}.png")
    batch = batch_of(folder, tmp_path / "out", method="siren", settings={"width": 8})
    assert batch.run()
    assert [row["run"] for row in batch.rows] == ["runs/0.png", "runs/1.png"]
    assert all("psnr" in row for row in batch.rows)
    assert (tmp_path / "out" / "runs" / "0.png" / "run.json").is_file()


def test_open_shapes_among_closed_ones_are_recorded(folder, tmp_path):
    mesh = trimesh.creation.icosphere()
    trimesh.Trimesh(mesh.vertices, mesh.faces[:200], process=False).export(folder / "ball" / "9.ply")
    batch = batch_of(folder, tmp_path / "out")
    assert batch.run()
    failed = {row["name"]: row["error"] for row in batch.summary()["not_fitted"]}
    assert "unsigned distance" in failed["ball/9.ply"] and "`quantity`" in failed["ball/9.ply"]
    assert batch.summary()["fitted"] == 4
    unsigned = batch_of(folder, tmp_path / "unsigned", quantity="unsigned")
    assert unsigned.run()
    assert unsigned.summary()["fitted"] == 5 and set(unsigned.summary()["scores"]) == {"error"}


def test_refuses_what_cannot_be_a_batch(folder, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadInput, match="the folder is empty"):
        batch_of(tmp_path / "empty", tmp_path / "out")
    with pytest.raises(BadInput, match="there is no such folder"):
        batch_of(tmp_path / "missing", tmp_path / "out")
    with pytest.raises(BadInput, match="did you mean triplane"):
        batch_of(folder, tmp_path / "out", method="triplan")
    assert not (tmp_path / "out").exists()
    assert batch_of(folder, tmp_path / "out").run()
    with pytest.raises(BadInput, match="holds a batch with other seed"):
        batch_of(folder, tmp_path / "out", seed=1)
    with pytest.raises(BadInput, match="is not an empty folder"):
        batch_of(folder, folder)


def test_a_bad_first_file_has_one_row(folder, tmp_path):
    (folder / "a.ply").write_bytes(b"ply\nnot a mesh")
    batch = batch_of(folder, tmp_path / "out")
    assert batch.run()
    assert [row["name"] for row in batch.rows if row["status"] == "failed"] == ["a.ply", "box/broken.ply"]
    assert batch.summary()["fitted"] == 4


def test_all_files_bad(tmp_path):
    folder = tmp_path / "bad"
    folder.mkdir()
    for i in range(3):
        (folder / f"{i}.ply").write_bytes(b"")
    batch = batch_of(folder, tmp_path / "out")
    assert batch.run()
    assert batch.summary()["fitted"] == 0 and len(batch.summary()["not_fitted"]) == 3


def test_a_damaged_checkpoint_is_begun_again(folder, tmp_path):
    assert batch_of(folder, tmp_path / "whole").run()
    batch = batch_of(folder, tmp_path / "out")
    (tmp_path / "out" / "stack.safetensors").write_bytes(b"half a file")
    assert batch.run()
    assert torch.equal(
        batch.dataset.state(0)["encoder.grid.table"],
        FieldDataset.open(tmp_path / "whole").state(0)["encoder.grid.table"],
    )


def test_items_are_taken_from_each_class_in_turn(folder):
    names = [source.name for source in sources_of(str(folder), items=3)]
    assert names == ["ball/0.ply", "box/0.ply", "ball/1.ply"]
    shutil.rmtree(folder / "ball")
    assert {source.label for source in sources_of(str(folder))} == {"box"}
