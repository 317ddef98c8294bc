"""Parameters and graphs of fields, read by numpy, onnxruntime and torch.export and compared with the field."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.ndimage import map_coordinates

import scenes
from fields.export.base import Source
from fields.export.formats import export
from fields.export.request import ExportRequest
from fields.fit.fit import fit_field
from fields.methods.registry import make_method
from fields.models.field import RadianceField
from scenes.domain import Axis, Channels, Domain
from scenes.errors import BadInput

sys.path.insert(0, str(Path(__file__).parents[1] / "fit"))
from posed_scene import SMALL, SMALL_GRID, write_moving, write_scene  # noqa: E402

GRID = {"levels": 3, "table_size": 256, "batch": 1024}
METHODS = {
    "hashgrid": (2, GRID | {"width": 16}),
    "rbf": (3, GRID | {"units": 16}),
    "siren": (1, {"first_omega": 30.0}),
    "fourier": (2, {}),
    "wire": (2, {}),
    "finer": (2, {"first_omega": 30.0}),
    "frequency": (3, {}),
    "cam": (2, {}),
    "kplanes": (3, {}),
    "triplane": (3, {}),
    "tensorf": (3, {}),
    "densegrid": (2, {}),
    "nerv": (3, {}),
    "nervpp": (3, {}),
}


def signal_of(dimensions: int, kind: str):
    names = ("red", "green", "blue") if kind == "video" else ("grey",)
    sizes = (64, 36, 6)[:dimensions]
    domain = Domain(
        tuple(
            Axis(name, 0.0, float(size), "px", size) for name, size in zip("xyt" if kind == "video" else "xyz", sizes)
        )
    )
    return SimpleNamespace(kind=kind, domain=domain, channels=Channels(names, "srgb"), preferred_loss="l2", rate=24.0)


def source_of(name: str) -> Source:
    """A field with random weights, whose values vary."""
    dimensions, options = METHODS[name]
    kind = "video" if name in ("nerv", "nervpp") else "image"
    signal = signal_of(dimensions, kind)
    method = make_method(name, options).prepare(signal)
    field = method.build(signal.domain, signal.channels, seed=0)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for key, tensor in field.named_parameters():
            if "table" in key:
                tensor.uniform_(-0.5, 0.5, generator=generator)
    return Source(SimpleNamespace(header={"method": name, "options": method.model_dump()}), field, kind)


def random_inputs(source: Source, count: int) -> torch.Tensor:
    shape = (count,) if source.kind == "video" else (count, source.field.domain.dimensions)
    return torch.rand(*shape, generator=torch.Generator().manual_seed(3))


def evaluated(source: Source, inputs: torch.Tensor) -> np.ndarray:
    with torch.no_grad():
        return (source.field.frames(inputs) if source.kind == "video" else source.field(inputs)).numpy()


@pytest.mark.parametrize("name", METHODS)
def test_onnx_files_agree_with_the_field(tmp_path, name):
    import onnx
    import onnxruntime

    source = source_of(name)
    report = export(source, tmp_path / "a.onnx", ExportRequest())
    model = onnx.load(tmp_path / "a.onnx")
    onnx.checker.check_model(model, full_check=True)
    assert {node.domain for node in model.graph.node} == {""} and report["difference"] < 1e-4
    session = onnxruntime.InferenceSession(str(tmp_path / "a.onnx"), providers=["CPUExecutionProvider"])
    for count in (1, 5 if source.kind == "video" else 1000):
        inputs = random_inputs(source, count)
        found = session.run(None, {report["inputs"][0]: inputs.numpy()})[0]
        expected = evaluated(source, inputs)
        assert count == 1 or found.std() > 1e-4
        np.testing.assert_allclose(found, expected, atol=1e-4 * max(1.0, np.abs(expected).max()))
    about = {entry.key: entry.value for entry in model.metadata_props}
    assert about["method"] == name and Domain.from_json(json.loads(about["domain"])) == source.field.domain


@pytest.mark.parametrize(
    "name", ["siren", "nervpp", *(pytest.param(name, marks=pytest.mark.slow) for name in ("hashgrid", "triplane"))]
)
def test_programs_agree_with_the_field(tmp_path, name):
    source = source_of(name)
    export(source, tmp_path / "a.pt2", ExportRequest())
    extra = {"field_studio.json": ""}
    program = torch.export.load(tmp_path / "a.pt2", extra_files=extra).module()
    inputs = random_inputs(source, 3)
    np.testing.assert_allclose(program(inputs).detach().numpy(), evaluated(source, inputs), atol=1e-4)
    assert json.loads(extra["field_studio.json"])["method"] == name


class Fog(RadianceField):
    """A radiance field of two small networks."""

    def __init__(self) -> None:
        super().__init__(
            Domain(tuple(Axis(name, 0.0, 1.0, "", None) for name in "xyz")), Channels(("red", "green", "blue"), "srgb")
        )
        self.first, self.second = torch.nn.Linear(3, 9), torch.nn.Linear(11, 3)

    def density(self, coords, time=None, directions=None):
        out = self.first(coords)
        return out[..., 0].exp(), out[..., 1:]

    def color(self, feature, directions):
        return torch.sigmoid(self.second(torch.cat([feature, directions], dim=-1)))


@pytest.mark.parametrize("ending", ["onnx", "pt2"])
def test_graphs_of_radiance_fields_give_density_and_color(tmp_path, ending):
    import onnxruntime

    torch.manual_seed(0)
    source = Source(SimpleNamespace(header={"method": "fog", "options": {}}), Fog(), "radiance")
    report = export(source, tmp_path / f"a.{ending}", ExportRequest())
    assert report["inputs"] == ["coords", "directions"] and report["outputs"] == ["density", "color"]
    if ending == "onnx":
        coords, directions = torch.rand(7, 3), torch.nn.functional.normalize(torch.randn(7, 3), dim=-1)
        found = onnxruntime.InferenceSession(str(tmp_path / "a.onnx")).run(
            None, {"coords": coords.numpy(), "directions": directions.numpy()}
        )
        density, feature = source.field.density(coords)
        np.testing.assert_allclose(found[0], density.detach().numpy(), rtol=1e-4)
        np.testing.assert_allclose(found[1], source.field.color(feature, directions).detach().numpy(), atol=1e-5)


@pytest.mark.parametrize(
    ("method", "moving"), [("hashgrid", True), ("cam", True), ("cam", False), ("densegrid", False), ("rbf", False)]
)
def test_onnx_files_of_radiance_methods_agree_with_the_field(tmp_path, method, moving):
    import onnxruntime

    scene = scenes.load(
        write_moving(tmp_path / "moving.npz") if moving else write_scene(tmp_path / "scene"), "radiance"
    )
    options = {
        "hashgrid": SMALL_GRID,
        "cam": SMALL | {"width": 16, "hidden_layers": 2, "color_width": 16, "color_layers": 1},
        "densegrid": SMALL
        | {
            "levels": 1,
            "features": 28,
            "resolution": 12,
            "head": "linear",
            "color": "harmonics",
            "direction_degree": 3,
        },
        "rbf": SMALL | GRID | {"units": 16, "color": "harmonics"},
    }[method]
    fit = fit_field(scene, method, steps=3, settings=options, out=tmp_path / "run")
    report = export(Source(fit.run, fit.field, "radiance"), tmp_path / "a.onnx", ExportRequest())
    assert report["inputs"] == ["coords", "directions", *(["time"] if moving else [])]
    coords, directions = torch.rand(50, 3), torch.nn.functional.normalize(torch.randn(50, 3), dim=-1)
    inputs = {"coords": coords, "directions": directions} | ({"time": torch.rand(50)} if moving else {})
    density, color = onnxruntime.InferenceSession(str(tmp_path / "a.onnx")).run(
        None, {name: value.numpy() for name, value in inputs.items()}
    )
    with torch.no_grad():
        exact, feature = fit.field.density(coords, inputs.get("time"), directions)
        np.testing.assert_allclose(density, exact.numpy(), rtol=2e-4)
        np.testing.assert_allclose(color, fit.field.color(feature, directions).numpy(), atol=1e-5)


def read_weights(path) -> tuple[dict, dict]:
    """The description and the arrays of a file."""
    with np.load(path, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    return json.loads(str(arrays.pop("description"))), arrays


def test_the_description_suffices_to_evaluate_a_tri_plane_field(tmp_path):
    """Features from the file alone, each plane interpolated by scipy."""
    source = source_of("triplane")
    export(source, tmp_path / "a.npz", ExportRequest())
    about, arrays = read_weights(tmp_path / "a.npz")
    (table,) = about["tables"].values()
    coords = random_inputs(source, 200).numpy()
    slots: dict[int, np.ndarray] = {}
    for grid in table["grids"]:
        plane = arrays[grid["array"]]
        at = [coords[:, axis] * (nodes - 1) for axis, nodes in zip(grid["axes"], grid["nodes"])][::-1]
        values = np.stack(
            [map_coordinates(plane[..., channel], at, order=1) for channel in range(plane.shape[-1])], axis=-1
        )
        key = (grid["slot"], grid["product"])
        slots[key] = slots.get(key, 1.0) * values
    sums = [
        sum(values for (slot, _), values in slots.items() if slot == number)
        for number in sorted({slot for slot, _ in slots})
    ]
    with torch.no_grad():
        expected = source.field.features(torch.from_numpy(coords)).numpy()
    planes = np.concatenate(sums, axis=-1)
    # The features of the planes are followed by frequencies of the coordinates.
    np.testing.assert_allclose(planes, expected[:, : planes.shape[1]], atol=1e-5)
    assert Domain.from_json(about["domain"]) == source.field.domain and about["method"] == "triplane"


def test_the_description_suffices_to_evaluate_a_hash_grid(tmp_path):
    source = source_of("hashgrid")
    export(source, tmp_path / "a.npz", ExportRequest())
    about, arrays = read_weights(tmp_path / "a.npz")
    table = about["tables"]["encoder.table"]
    coords = random_inputs(source, 100).numpy()
    features = []
    for grid in table["grids"]:
        rows = arrays[grid["array"]]
        position = coords * np.float32(grid["cells_an_axis"]) + np.float32(0.5)
        cell, fraction = np.floor(position).astype(np.uint64), position - np.floor(position)
        total = 0.0
        for corner in range(4):
            x, y = cell[:, 0] + np.uint64(corner & 1), cell[:, 1] + np.uint64(corner >> 1)
            index = (
                x ^ (y * np.uint64(table["primes"][1]))
                if grid["hashed"]
                else x + y * np.uint64(grid["grid_points_an_axis"])
            )
            index = (index & np.uint64(0xFFFFFFFF)) % np.uint64(len(rows))
            weight = np.where(corner & 1, fraction[:, 0], 1 - fraction[:, 0]) * np.where(
                corner >> 1, fraction[:, 1], 1 - fraction[:, 1]
            )
            total = total + weight[:, None] * rows[index]
        features.append(total)
    with torch.no_grad():
        expected = source.field.features(torch.from_numpy(coords)).numpy()
    np.testing.assert_allclose(np.concatenate(features, axis=-1), expected, atol=1e-5)


@pytest.mark.parametrize("name", ["a.npz", "a.onnx", "a.pt2"])
def test_refuses_files_in_a_missing_folder(tmp_path, name):
    with pytest.raises(BadInput, match="does not exist"):
        export(source_of("siren"), tmp_path / "missing" / name, ExportRequest())


def test_refuses_a_field_that_cannot_be_traced_in_one_line(tmp_path):
    class Odd(torch.nn.Module):
        def forward(self, coords):
            return (
                torch.from_numpy(coords.detach().numpy().copy())
                if float(coords.sum()) > 0
                else coords[:0].repeat(int(coords[0, 0]), 1)
            )

    source = source_of("siren")
    source.field.network = Odd()
    for ending in ("onnx", "pt2"):
        with pytest.raises(BadInput) as error:
            export(source, tmp_path / f"a.{ending}", ExportRequest())
        assert "\n" not in str(error.value) and not list(tmp_path.iterdir())
