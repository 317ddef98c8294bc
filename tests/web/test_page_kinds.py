"""Pages of every kind draw what `render` draws, with both back ends."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from fields.export.base import Source
from fields.export.outputs.radiance import RadianceOutput
from fields.export.outputs.shape import view_camera
from fields.export.page.write import page_of
from fields.render.raster import evaluate_lattice, sample_centers
from fields.render.sphere_trace import render_shape
from fields.render.surface_field import surface_field
from fields.runs.run import Run
from scenes.errors import BadInput
from scenes.volume.signal import to_rgb8

RUNS = Path(__file__).resolve().parents[1] / "fixtures" / "runs"
WIDTH, HEIGHT = 32, 24
# Of a view that is neither the first nor symmetric.
VIEW = 1
POSITION = 0.4


def solid(run: Run) -> np.ndarray:
    surface = surface_field(run.load_field())
    seen = render_shape(surface.traceable(), view_camera(VIEW, WIDTH, HEIGHT), albedo=surface.colors)
    return seen.color.numpy() * 255


def scene(run: Run) -> np.ndarray:
    output = RadianceOutput(run.load_field(), run.path)
    camera = output.cameras()[VIEW].resized(WIDTH, HEIGHT)
    return np.clip(output.render_camera(camera)[0].color.numpy(), 0, 1) * 255


def slice_of(run: Run) -> np.ndarray:
    coords = [sample_centers(WIDTH), sample_centers(HEIGHT), sample_centers(1) * 0 + POSITION]
    return to_rgb8(evaluate_lattice(run.load_field(), *coords).reshape(HEIGHT, WIDTH, -1))


PICTURES = {
    "shape-hashgrid": solid,
    "radiance-hashgrid": scene,
    "radiance-deform": scene,
    "radiance-proposal.fsq": scene,
    "volume-densegrid": slice_of,
    "video-kplanes": slice_of,
}


# Without a GPU, the shader of its two networks takes ten seconds.
SLOW_SHADERS = ("radiance-deform",)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "backend"),
    [*((name, "wasm") for name in PICTURES), *((name, "webgl2") for name in PICTURES if name not in SLOW_SHADERS)],
)
def test_page_draws_what_render_draws(name, backend, open_page, tmp_path):
    run = Run.open(RUNS / name)
    path = tmp_path / "page.html"
    path.write_text(page_of(Source(run, run.load_field(), run.header["kind"]), 32))
    page = open_page(path, f"size={WIDTH}x{HEIGHT}&view={VIEW}&position={POSITION}&axis=z&backend={backend}")
    expected = PICTURES[name](run)
    assert expected.std() > 2
    difference = np.abs(page.picture()[..., :3] - np.rint(expected))
    assert difference.mean() < 0.1
    # Rays that graze a surface decide in their last digit.
    assert np.quantile(difference, 0.99) <= 2


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["wasm", "webgl2"])
def test_audio_draws_and_plays_the_field(backend, open_page, tmp_path):
    run = Run.open(RUNS / "audio-hashgrid")
    field = run.load_field()
    path = tmp_path / "page.html"
    path.write_text(page_of(Source(run, field, "audio"), 32))
    page = open_page(path, f"size=200x80&backend={backend}")
    assert page.picture()[:40, :, 3].any(axis=0).all()
    values = page.page.evaluate("[0.1, 0.5, 0.9].map((t) => fieldStudio.value(t))")
    torch.testing.assert_close(torch.tensor(values), field(torch.tensor([[0.1], [0.5], [0.9]])), atol=1e-5, rtol=1e-4)


def test_refuses_frames_with_a_reason():
    run = Run.open(RUNS / "video-nerv")
    with pytest.raises(BadInput, match="whole frames"):
        page_of(Source(run, run.load_field(), "video"), 16)
