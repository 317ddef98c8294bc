"""Networks that read fields: invariances, training that continues, splits, and what is refused."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
import trimesh

from fields.batch.batch import Batch
from fields.batch.request import BatchRequest
from fields.fit.fit import prepare
from fields.learn.inputs import FlatWeights, LabelledPoints, PointClouds, part_names, shape_distribution
from fields.learn.models import Memory, Model
from fields.learn.networks import PartDecoder, PlaneTransformer
from fields.learn.pictures import between
from fields.learn.reading import embeddings, flat_map, nearest, predict
from fields.learn.request import LearnRequest
from fields.learn.splits import stratified_split
from fields.learn.tasks import classify, part_scores, segment
from fields.learn.training import one_cycle
from fields.weights.dataset import FieldDataset, Item
from fields.weights.planes import PlaneImages
from scenes.errors import BadInput
from scenes.procedural.part_shapes import part_shape

TINY = {"epochs": 2, "width": 8, "layers": 1, "batch": 8}


def item(name: str, label: str | None, content: str = "") -> Item:
    return Item(name, label, {"sha256": content or name}, {})


def test_class_does_not_depend_on_the_order_of_channels():
    torch.manual_seed(0)
    network = PlaneTransformer(6, 5, width=16, layers=2, heads=4).eval()
    channels = torch.randn(3, 12, 6, 6)
    order = torch.randperm(12)
    torch.testing.assert_close(network(channels), network(channels[:, order]), rtol=1e-4, atol=1e-5)
    assert (network(channels) - network(channels.flip(-1))).abs().max() > 1e-3


def test_part_of_a_point_does_not_depend_on_the_others():
    torch.manual_seed(0)
    network = PartDecoder(PlaneTransformer(6, 2, width=16, layers=1), 2, 4).eval()
    channels, points, labels = torch.randn(1, 12, 6, 6), torch.rand(1, 9, 3), torch.tensor([1])
    whole = network(channels, points, labels)
    torch.testing.assert_close(whole[:, 4:6], network(channels, points[:, 4:6], labels), rtol=1e-4, atol=1e-5)


def test_split_is_stratified_and_keeps_copies_together():
    items = [item(f"{label}{i}", label, f"{label}{i // 2}") for label in "abc" for i in range(20)]
    split = stratified_split(items, 3)
    assert sorted(split.train + split.validation + split.test) == list(range(60))
    for part, count in ((split.test, 4), (split.validation, 4), (split.train, 12)):
        assert [sum(items[i].label == label for i in part) for label in "abc"] == [count] * 3
    contents = [{items[i].source["sha256"] for i in part} for part in (split.train, split.validation, split.test)]
    assert not contents[0] & contents[2] and not contents[0] & contents[1] and not contents[1] & contents[2]
    assert stratified_split(items, 3) == split != stratified_split(items, 4)


def test_classes_with_one_item_train_only():
    items = [item("a", "single"), *(item(f"{i}", "many") for i in range(8))]
    split = stratified_split(items)
    assert 0 in split.train
    assert all(items[i].label == "many" for i in split.test + split.validation)


@pytest.mark.parametrize("items", [[], [item("a", None)], [item("a", "x"), item("b", "x")]])
def test_refuses_fewer_than_two_classes(items):
    with pytest.raises(BadInput, match="at least two are needed"):
        stratified_split(items)


@pytest.mark.parametrize("on", ["planes", "maps", "points", "weights"])
def test_classifier_trains_and_is_read_again(parts_dataset, tmp_path, on):
    seen = []
    model = classify(LearnRequest(source=parts_dataset, on=on, **TINY), tmp_path / "model", seen.append)
    assert [learning.epoch for learning in seen] == [2, 2]  # (one object, which goes on)
    assert model.header["status"] == "finished" and 0 <= model.header["scores"]["accuracy"] <= 1
    assert len((tmp_path / "model" / "history.jsonl").read_text().splitlines()) == 2
    assert not (tmp_path / "model" / "learning.safetensors").exists()
    again = Model.load(tmp_path / "model")
    for name, tensor in model.network.state_dict().items():
        assert torch.equal(tensor, again.network.state_dict()[name])


def test_training_that_was_cut_off_ends_the_same(parts_dataset, tmp_path):
    request = LearnRequest(source=parts_dataset, **{**TINY, "epochs": 3})
    whole = classify(request, tmp_path / "whole")

    def stop(learning):
        learning.stop()

    cut = classify(request, tmp_path / "cut", stop)
    assert cut.header["status"] == "running" and "scores" not in cut.header
    continued = classify(request, tmp_path / "cut")
    assert continued.header["scores"] == whole.header["scores"]
    for name, tensor in whole.network.state_dict().items():
        assert torch.equal(tensor, continued.network.state_dict()[name])


def test_refuses_another_training_in_the_folder(parts_dataset, tmp_path):
    classify(LearnRequest(source=parts_dataset, **TINY), tmp_path / "model")
    with pytest.raises(BadInput, match="holds a model with other width"):
        classify(LearnRequest(source=parts_dataset, **{**TINY, "width": 16}), tmp_path / "model")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    with pytest.raises(BadInput, match="not an empty folder"):
        classify(LearnRequest(source=parts_dataset, **TINY), tmp_path / "full")


def test_nearest_shape_distribution(parts_dataset, tmp_path):
    model = classify(LearnRequest(source=parts_dataset, on="histogram"), tmp_path / "model")
    assert isinstance(model.network, Memory)
    # Eight classes: chance is an eighth.
    assert model.header["scores"]["accuracy"] > 0.5
    ball = np.random.default_rng(0).standard_normal((500, 3))
    ball /= np.linalg.norm(ball, axis=1, keepdims=True)
    histogram = shape_distribution(ball).reshape(3, -1)
    assert histogram.sum(axis=1) == pytest.approx([1, 1, 1], abs=1e-5)
    # All points are near the mean distance from the centre, which is at the border of two bins.
    assert histogram[0, 15:17].sum() > 0.7 and histogram[0, :10].sum() == 0
    assert shape_distribution(ball * 7) == pytest.approx(shape_distribution(ball), abs=1e-6)


@pytest.mark.parametrize("on", ["planes", "points"])
def test_segmentation_trains(parts_dataset, tmp_path, on):
    model = segment(LearnRequest(source=parts_dataset, on=on, **TINY), tmp_path / "model")
    assert 0 <= model.header["scores"]["miou"] <= 1
    assert model.parts == part_names(FieldDataset.open(parts_dataset))
    assert Model.load(tmp_path / "model").header["scores"] == model.header["scores"]


def test_part_scores_of_right_and_wrong_answers(parts_dataset):
    dataset = FieldDataset.open(parts_dataset)
    items = LabelledPoints(dataset, [0, 1, 2], None, count=64)
    # Twenty parts of eight classes.
    assert len(items.names) == 20

    def right(network, batch):
        return torch.nn.functional.one_hot(batch[3], 20).float()

    assert part_scores(torch.nn.Identity(), right, items) == {"miou": 1.0, "points_right": 1.0}

    def wrong(network, batch):
        return -right(network, batch)

    assert part_scores(torch.nn.Identity(), wrong, items)["points_right"] == 0.0


def test_parts_are_those_of_the_points(parts_dataset):
    dataset = FieldDataset.open(parts_dataset)
    items = LabelledPoints(dataset, [3], None, count=100)
    _, points, label, parts = items[0]
    assert dataset.labels[int(label)] == "key"
    expected = part_shape(3).solids.part_names(points.numpy())
    found = [items.names[i] for i in parts.tolist()]
    assert sum(a == ("key", b) for a, b in zip(found, expected)) > 95  # (points are rounded to float16)


def test_weights_have_the_statistics_of_the_training(parts_dataset):
    dataset = FieldDataset.open(parts_dataset)
    train = FlatWeights(dataset, list(range(16)))
    torch.testing.assert_close(train.numbers.mean(0), torch.zeros(train.numbers.shape[1]), atol=1e-4, rtol=0)
    test = FlatWeights(dataset, [0], train.statistics)
    torch.testing.assert_close(test.numbers[0], train.numbers[0])


def test_points_turn_as_planes_do(parts_dataset):
    dataset = FieldDataset.open(parts_dataset)
    clouds = PointClouds(dataset, [0, 1], augment=True)
    first = clouds[0][0]
    assert torch.equal(first, clouds[0][0])
    clouds.set_epoch(1)
    assert not torch.equal(first, clouds[0][0])
    assert PointClouds(dataset, [0])[0][0].abs().max() <= 1


def test_says_the_class_of_a_mesh_and_of_a_run(parts_dataset, tmp_path):
    model = classify(LearnRequest(source=parts_dataset, **TINY), tmp_path / "model")
    trimesh.creation.box().export(tmp_path / "box.ply")
    answer = predict(model, str(tmp_path / "box.ply"))
    assert sorted(answer.classes) == model.classes
    assert sum(answer.probabilities) == pytest.approx(1)
    assert answer.probabilities == sorted(answer.probabilities, reverse=True)
    assert answer.sure == (answer.probabilities[0] >= 0.5)
    assert "iou" in answer.quality
    options = model.header["fields"]["options"]
    shape = part_shape(0)
    trainer, run = prepare(shape, "triplane", steps=1, settings=options, out=tmp_path / "run")
    assert run is not None
    run.save_field(trainer.field, trainer.method)
    assert len(predict(model, str(tmp_path / "run")).classes) == 8


def test_refuses_other_kinds_of_fields(parts_dataset, tmp_path):
    model = classify(LearnRequest(source=parts_dataset, **TINY), tmp_path / "model")
    from PIL import Image

    Image.new("RGB", (8, 8)).save(tmp_path / "picture.png")
    with pytest.raises(BadInput, match="kind image, and the model reads fields of shapes"):
        predict(model, str(tmp_path / "picture.png"))
    sphere = trimesh.creation.icosphere()
    trimesh.Trimesh(sphere.vertices, sphere.faces[:100], process=False).export(tmp_path / "open.ply")
    with pytest.raises(BadInput, match="unsigned distance"):
        predict(model, str(tmp_path / "open.ply"))
    shape = part_shape(0)
    for name, method, settings in (("siren", "siren", {"width": 8}), ("coarse", "triplane", {"resolution": 4})):
        trainer, run = prepare(shape, method, steps=1, settings=settings, out=tmp_path / name)
        assert run is not None
        run.save_field(trainer.field, trainer.method)
    with pytest.raises(BadInput, match="field of siren .*reads triplane"):
        predict(model, str(tmp_path / "siren"))
    with pytest.raises(BadInput, match="4 nodes and 16 features, and the model reads 8 and 4"):
        predict(model, str(tmp_path / "coarse"))
    parts = segment(LearnRequest(source=parts_dataset, **TINY), tmp_path / "parts")
    with pytest.raises(BadInput, match="segments parts"):
        predict(parts, str(tmp_path / "open.ply"))


def test_refuses_damaged_models(parts_dataset, tmp_path):
    with pytest.raises(BadInput, match="not a model"):
        Model.load(tmp_path)
    classify(LearnRequest(source=parts_dataset, **TINY), tmp_path / "model")
    (tmp_path / "model" / "model.safetensors").write_bytes(b"half")
    with pytest.raises(BadInput, match="not a whole model"):
        Model.load(tmp_path / "model")
    header = json.loads((tmp_path / "model" / "model.json").read_text())
    (tmp_path / "model" / "model.json").write_text(json.dumps({**header, "format": 99}))
    with pytest.raises(BadInput, match="newer Field Studio"):
        Model.load(tmp_path / "model")


def test_most_like_an_item_is_its_copy(parts_dataset, tmp_path):
    dataset = FieldDataset.open(parts_dataset)
    model = classify(LearnRequest(source=parts_dataset, **TINY), tmp_path / "model")
    vectors = embeddings(model, dataset)
    np.testing.assert_array_equal(embeddings(Model.load(tmp_path / "model"), dataset), vectors)
    assert vectors.shape == (32, 8)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
    twin = np.concatenate([vectors, vectors[4:5]])
    assert nearest(twin, 4)[0][0] == 32
    assert len(nearest(vectors, 4, 3)) == 3 and 4 not in dict(nearest(vectors, 4))
    places = flat_map(vectors)
    assert places.shape == (32, 2) and places.min() == 0 and places.max() == 1


def test_embedding_refuses_another_dataset(parts_dataset, tmp_path):
    model = classify(LearnRequest(source=parts_dataset, **TINY), tmp_path / "model")
    other = tmp_path / "other"
    shutil.copytree(parts_dataset, other)
    dataset = FieldDataset.open(other)
    dataset.channels = replace(dataset.channels, space="unsigned_distance")
    with pytest.raises(BadInput, match="unsigned distance.*model reads triplane"):
        embeddings(model, dataset)
    weights = classify(LearnRequest(source=parts_dataset, on="weights", **TINY), tmp_path / "weights")
    with pytest.raises(BadInput, match="flattened weights"):
        embeddings(weights, FieldDataset.open(parts_dataset))


def test_planes_differ_between_classes_only_where_objects_do(parts_dataset):
    images = PlaneImages(FieldDataset.open(parts_dataset), list(range(32)))
    assert len({images[i][1] for i in range(32)}) == 8


def test_rate_rises_and_falls():
    rates = [one_cycle(i / 100) for i in range(101)]
    assert rates[0] == pytest.approx(1 / 25) and max(rates) == pytest.approx(1) and rates[-1] == pytest.approx(0)
    assert rates.index(max(rates)) == 30


def test_fields_between_two_of_one_decoder(parts_dataset, tmp_path):
    with pytest.raises(BadInput, match="a decoder of its own"):
        list(between(FieldDataset.open(parts_dataset), 0, 1, 3))
    settings = {"resolution": 8, "features": 4, "width": 16}
    request = BatchRequest(
        source="procedural:parts",
        items=2,
        out=tmp_path / "out",
        steps=2,
        points=64,
        samples=512,
        settings=settings,
        shared_decoder=True,
    )
    assert Batch.create(request).run()
    dataset = FieldDataset.open(tmp_path / "out")
    tables = [field.state_dict()["encoder.grid.table"] for field in between(dataset, 0, 1, 3)]
    ends = [dataset.tensor(i, "encoder.grid.table") for i in range(2)]
    assert torch.equal(tables[0], ends[0]) and torch.equal(tables[2], ends[1])
    torch.testing.assert_close(tables[1], (ends[0] + ends[1]) / 2)
