"""Points between the samples in training batches."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from PIL import Image as Pillow

from fields.fit.fit import finish, fit_field, prepare, resume
from fields.fit.metrics.samples import psnr
from fields.fit.request import FitRequest
from fields.methods.hashgrid import HashGrid
from fields.models.field import PointField
from fields.options import ON_FRACTION
from fields.render.raster import evaluate_image
from fields.runs.run import Run
from scenes.audio.signal import Audio
from scenes.errors import BadInput
from scenes.image.signal import Image
from scenes.procedural import Waves
from scenes.video.signal import Video
from scenes.volume.signal import Volume

SMALL = {"levels": 6, "table_size": 512, "growth": 1.5, "width": 16, "batch": 512}


@pytest.fixture(scope="module")
def original(astronaut) -> np.ndarray:
    return astronaut[40:168, 160:288].astype(np.float32) / 255


@pytest.fixture(scope="module")
def halved(original) -> Image:
    half = original.reshape(64, 2, 64, 2, 3).mean((1, 3))
    return Image.from_array(np.round(half * 255).astype(np.uint8))


def test_that_fraction_of_a_batch_lies_between_samples(halved):
    trainer, _ = prepare(halved, "hashgrid", steps=3, settings=SMALL, between=0.25)
    coords, values = (part.numpy() for part in trainer.objective.batch(5, 512, 0, torch.device("cpu")))
    from_centre = coords * 64 - 0.5
    on_sample = (np.abs(from_centre - np.round(from_centre)) < 1e-3).all(axis=1)
    assert abs((~on_sample).mean() - 0.25) < 0.03
    x, y = np.round(from_centre[on_sample]).astype(int).T
    np.testing.assert_allclose(values[on_sample], halved.values()[y, x], atol=1e-6)


RANDOM = np.random.default_rng(0)
SIGNALS = {
    "hdr": Image.from_array(RANDOM.random((24, 32, 3), np.float32) * 9, "linear"),
    "audio": Audio.from_array(RANDOM.normal(size=2000), rate=1000.0),
    "video": Video.from_array(RANDOM.integers(0, 255, (3, 16, 24, 3), np.uint8)),
    "volume": Volume.from_array(RANDOM.random((9, 10, 12))),
    "masked": Image.from_array(RANDOM.integers(0, 255, (32, 32, 3), np.uint8), mask=RANDOM.random((32, 32)) > 0.3),
}


@pytest.mark.parametrize("kind", SIGNALS)
def test_every_kind_with_a_lattice_trains_on_full_batches(kind):
    signal = SIGNALS[kind]
    trainer, _ = prepare(signal, "hashgrid", steps=2, settings=SMALL | {"batch": 256}, between="on")
    trainer.run()
    assert np.isfinite(trainer.loss)
    trainer.objective.before_step(trainer.field, 0, 10)
    coords = trainer.objective.batch(0, 256, 0, torch.device("cpu"))[0].numpy()
    assert 180 <= len(coords) <= 256
    # (the samples of a clip's frames lie between none along time)
    from_centre = coords[:, 0] * signal.domain.grid_shape[0] - 0.5
    between = np.abs(from_centre - np.round(from_centre)) > 1e-2
    # Almost everything between pixels is made of a masked one, and samples take its place.
    assert between.mean() < 0.2 if kind == "masked" else 0.6 < between.mean() < 0.9


def test_enlarged_field_is_much_nearer_to_what_was_halved(halved, original):
    # Levels much finer than the samples, as users may ask for.
    fine = {"levels": 12, "table_size": 512, "growth": 1.25, "width": 32, "batch": 1024}

    def fitted(between: str) -> PointField:
        field = fit_field(halved, "hashgrid", steps=600, between=between, settings=fine).field
        assert isinstance(field, PointField)
        return field

    enlarged = {between: psnr(evaluate_image(fitted(between), 128, 128), original) for between in ("off", "on")}
    bicubic = Pillow.fromarray(halved.pixels).resize((128, 128), Pillow.Resampling.BICUBIC)
    assert enlarged["on"] > enlarged["off"] + 1.5
    assert enlarged["on"] > psnr(np.asarray(bicubic, np.float32) / 255, original) - 2.5


def test_stopped_and_resumed_fit_has_the_bits_of_one_in_one_go(halved, tmp_path):
    options = {"steps": 12, "settings": SMALL, "between": 0.5}
    whole = fit_field(halved, "hashgrid", **options)
    trainer, run = prepare(halved, "hashgrid", out=tmp_path / "run", **options)
    finish(trainer, run, [lambda trainer: trainer.stop() if trainer.index == 5 else None])
    run = Run.open(tmp_path / "run")
    assert run.header["between"] == 0.5
    continued = finish(resume(halved, run), run)
    for name, tensor in whole.field.state_dict().items():
        assert torch.equal(tensor, continued.field.state_dict()[name])


def test_header_keeps_the_fraction_and_an_older_one_means_none(halved, tmp_path, monkeypatch):
    monkeypatch.setattr(HashGrid, "between_samples", lambda self, signal: 0.2)
    fit = fit_field(halved, "hashgrid", steps=1, settings=SMALL, out=tmp_path / "run")
    assert fit.run is not None
    header = json.loads((fit.run.path / "run.json").read_text(encoding="utf-8"))
    assert header["between"] == 0.2 and FitRequest.from_header(header).between == 0.2
    del header["between"]
    assert FitRequest.from_header(header).between == 0
    assert FitRequest.from_header(header, between="on").between == ON_FRACTION


def test_default_is_that_of_method_and_kind(halved, monkeypatch):
    monkeypatch.setattr(HashGrid, "between_samples", lambda self, signal: 0.2)
    assert prepare(halved, "hashgrid", steps=1, settings=SMALL)[0].objective.between == 0.2
    assert prepare(halved, "hashgrid", steps=1, settings=SMALL, between="off")[0].objective.between == 0
    assert prepare(halved, "siren", steps=1, settings={"width": 16})[0].objective.between == 0


@pytest.mark.parametrize("wrong", ["1", "-0.1", "yes", "nan"])
def test_refuses_other_fractions(wrong):
    with pytest.raises(BadInput, match="`between`: .* should be on, off or a fraction below 1"):
        FitRequest(between=wrong)


def test_refuses_signals_without_a_lattice_and_methods_of_whole_frames(halved):
    held_out = Image.from_array(halved.pixels, held_out=0.1)
    with pytest.raises(BadInput, match="leave out `held_out`"):
        prepare(held_out, "hashgrid", steps=1, settings=SMALL, between="on")
    with pytest.raises(BadInput, match="no regular lattice of samples"):
        prepare(Waves((8, 8)), "hashgrid", steps=1, settings=SMALL, between="on")
    video = Video.from_array(np.random.default_rng(0).integers(0, 255, (4, 32, 32, 3), np.uint8))
    with pytest.raises(BadInput, match="method nerv is fitted to whole frames"):
        prepare(video, "nerv", steps=1, between="on")
