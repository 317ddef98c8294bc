"""Datasets of fields: what is stored, what is read, and what is refused."""

from __future__ import annotations

import shutil
from pathlib import Path

import psutil
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save

from fields.methods.registry import make_method
from fields.models.factor_grid import FactorField
from fields.weights.dataset import PARTS, POINTS, FieldDataset, Item, copied, field_of
from fields.weights.planes import (
    TABLE,
    PlaneImages,
    check_planes,
    cube_rotations,
    feature_maps,
    normalized,
    planes_of,
    random_crop,
    turned,
    upright_rotations,
)
from scenes.domain import Channels, Domain
from scenes.errors import BadInput
from scenes.procedural.part_shapes import part_shape


def test_fields_are_those_that_were_stored(parts_dataset):
    dataset = FieldDataset.open(parts_dataset)
    assert len(dataset) == 32 and len(dataset.labels) == 8
    shard = load_file(parts_dataset / "shard-00000.safetensors")
    field = dataset.field(5)
    assert isinstance(field, FactorField)
    assert torch.equal(field.grid.table, shard[TABLE][5])
    assert field.domain == part_shape(5).domain
    assert dataset.find(dataset.items[5].name) == 5
    assert dataset.tensor(5, POINTS).shape == (2048, 3) and int(dataset.tensor(5, PARTS).max()) == 1
    assert set(dataset.items[5].quality) == {"iou", "error"}


def test_only_what_is_asked_for_is_read(parts_dataset):
    """A dataset of 10,000 items opens, and gives any of them, without reading the others."""
    dataset = FieldDataset.open(parts_dataset)
    # 10,000 items of 12 kB in shards of 1,000: links to one file, as only names and rows matter here.
    many = parts_dataset.parent / "many"
    many.mkdir()
    shutil.copy(parts_dataset / "dataset.json", many)
    method = dataset.method
    items = [Item(f"{i}", "a", {}, dataset.items[0].domain) for i in range(1000)]
    state = {name: tensor.expand(1000, *tensor.shape).contiguous() for name, tensor in dataset.state(0).items()}
    first = FieldDataset.create(many, method, dataset.channels)
    first.add(items, state)
    for number in range(1, 10):
        (many / f"shard-{number:05d}.safetensors").hardlink_to(many / "shard-00000.safetensors")
    before = psutil.Process().memory_info().rss
    opened = FieldDataset.open(many)
    assert len(opened) == 10_000
    assert torch.equal(opened.tensor(9_999, TABLE), state[TABLE][0])
    # All of it would be 130 MB.
    assert psutil.Process().memory_info().rss - before < 50e6
    shutil.rmtree(many)


def test_copies_some_items(parts_dataset, tmp_path):
    dataset = FieldDataset.open(parts_dataset)
    copied(dataset, tmp_path / "copy", [3, 30, 7], per_shard=2)
    copy = FieldDataset.open(tmp_path / "copy")
    assert [item.name for item in copy.items] == [dataset.items[i].name for i in (3, 30, 7)]
    assert all(torch.equal(copy.state(1)[name], dataset.state(30)[name]) for name in copy.state(1))
    assert torch.equal(copy.tensor(2, PARTS), dataset.tensor(7, PARTS))


def test_refuses_mixed_layouts(parts_dataset, tmp_path):
    mixed = tmp_path / "mixed"
    shutil.copytree(parts_dataset, mixed)
    other = make_method("triplane", {"resolution": 6, "features": 4, "width": 16}).prepare(part_shape(0))
    field = other.build_field(part_shape(0).domain, part_shape(0).channels, 0)
    with safe_open(str(mixed / "shard-00000.safetensors"), "pt") as opened:
        metadata, extra = opened.metadata(), {n: opened.get_tensor(n)[:1] for n in (POINTS, PARTS)}
    state = {name: tensor[None].contiguous() for name, tensor in field.state_dict().items()}
    (mixed / "shard-00001.safetensors").write_bytes(save({**state, **extra}, metadata))
    with pytest.raises(
        BadInput, match=r"shard-00001.*another layout.*encoder.grid.table is \[108, 4\], not \[192, 4\]"
    ):
        FieldDataset.open(mixed)


@pytest.mark.parametrize("content", [b"", b"not a file of tensors" * 9])
def test_refuses_damaged_shards(parts_dataset, tmp_path, content):
    damaged = tmp_path / "damaged"
    shutil.copytree(parts_dataset, damaged)
    (damaged / "shard-00001.safetensors").write_bytes(content)
    with pytest.raises(BadInput, match="shard-00001.safetensors: cannot be read"):
        FieldDataset.open(damaged)


def test_refuses_what_is_no_dataset(tmp_path):
    with pytest.raises(BadInput, match="not a dataset of fields"):
        FieldDataset.open(tmp_path)


def test_refuses_planes_of_other_fields(tmp_path):
    shape = part_shape(0)
    method = make_method("siren", {"width": 8}).prepare(shape)
    dataset = FieldDataset.create(tmp_path / "sirens", method, shape.channels)
    field = method.build_field(shape.domain, shape.channels, 0)
    dataset.add([Item("a", None, {}, shape.domain.to_json())], {n: t[None] for n, t in field.state_dict().items()})
    with pytest.raises(BadInput, match="of the method siren; tri-planes are needed"):
        check_planes(FieldDataset.open(tmp_path / "sirens"))


def test_turned_planes_are_those_of_the_turned_object():
    """f'(A p) = f(p) for the features of the planes, and all rotations differ."""
    shape = part_shape(0)
    options = {"resolution": 9, "features": 3, "width": 8, "octaves": 0}
    method = make_method("triplane", options).prepare(shape)
    field = method.build_field(Domain(shape.domain.axes), Channels(("a",), "signed_distance"), 0)
    assert isinstance(field, FactorField)
    planes = torch.randn(3, 3, 9, 9, generator=torch.Generator().manual_seed(3))
    points = torch.rand(50, 3, generator=torch.Generator().manual_seed(4))

    def features(own: torch.Tensor, at: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            field.grid.table.copy_(own.permute(0, 2, 3, 1).reshape(-1, 3))
            return field.grid(at)

    expected = features(planes, points)
    seen = set()
    for turn in cube_rotations():
        axes, signs = turn
        moved = torch.empty_like(points)
        for a in range(3):
            moved[:, axes[a]] = points[:, a] if signs[a] > 0 else 1 - points[:, a]
        result = turned(planes, turn)
        torch.testing.assert_close(features(result, moved), expected, rtol=1e-4, atol=1e-5)
        seen.add(result.numpy().tobytes())
    assert len(seen) == 24


def test_items_as_images(parts_dataset):
    dataset = FieldDataset.open(parts_dataset)
    images = PlaneImages(dataset, [0, 5, 9])
    channels, label = images[1]
    assert channels.shape == (12, 6, 6) and dataset.labels[label] == dataset.items[5].label
    torch.testing.assert_close(normalized(planes_of(dataset, 5)).norm(dim=0), torch.ones(8, 8))
    augmented = PlaneImages(dataset, [0, 5, 9], augment=True, seed=1)
    first = augmented[1][0]
    assert torch.equal(first, augmented[1][0]) and first.shape == (12, 6, 6)
    augmented.set_epoch(1)
    assert not torch.equal(first, augmented[1][0])


def test_maps_do_not_depend_on_the_decoder():
    generator = torch.Generator().manual_seed(5)
    planes = torch.randn(3, 6, 8, 8, generator=generator)
    rotation = torch.linalg.qr(torch.randn(6, 6, generator=generator)).Q
    expected = feature_maps(planes)
    assert expected.shape == (3, 4, 8, 8)
    rotated = torch.einsum("dc,pcij->pdij", rotation, planes)
    torch.testing.assert_close(feature_maps(rotated), expected, rtol=1e-4, atol=1e-4)
    # Only the standardized length knows of the scale of features.
    torch.testing.assert_close(feature_maps(planes * 7)[:, 1:], expected[:, 1:], rtol=1e-4, atol=1e-4)
    assert len(upright_rotations()) == 4


def test_crop_is_the_same_of_all_channels():
    ramp = torch.linspace(0, 1, 12).expand(12, 12)
    channels = torch.stack([ramp, ramp, 1 - ramp])
    cropped = random_crop(channels, 8, torch.Generator().manual_seed(0))
    torch.testing.assert_close(cropped[0], cropped[1])
    torch.testing.assert_close(cropped[0] + cropped[2], torch.ones(8, 8))


def test_item_needs_every_tensor(parts_dataset):
    dataset = FieldDataset.open(parts_dataset)
    state = dataset.state(0)
    del state[TABLE]
    with pytest.raises(RuntimeError, match="Missing key"):
        field_of(dataset.method, dataset.items[0], dataset.channels, state)
    with pytest.raises(BadInput, match="its items have no other"):
        dataset.tensor(0, "other")
    assert isinstance(dataset.path, Path)
