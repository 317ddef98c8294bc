"""What updates the matrices of networks of ReLU units."""

import numpy as np
import pytest

from fields.fit.fit import fit_field, prepare
from fields.methods.registry import make_method
from scenes.audio.signal import Audio
from scenes.image.signal import Image

SMALL = {"width": 32, "hidden_layers": 2, "batch": 512}


@pytest.fixture(scope="module")
def image(astronaut):
    return Image.from_array(astronaut[60:124, 180:276])


@pytest.mark.parametrize("name", ["frequency", "fourier", "cam", "nerf"])
def test_hidden_matrices_are_updated_by_muon_and_all_else_by_adam(image, name):
    trainer, _ = prepare(image, name, steps=1, settings=SMALL | {"optimizer": "muon"})
    groups = trainer.optimizer.param_groups
    matrices = [p for group in groups if group["orthogonal"] for p in group["params"]]
    others = [p for group in groups if not group["orthogonal"] for p in group["params"]]
    assert len(matrices) == 2 and all(p.shape[0] == 32 for p in matrices)
    trained = {id(p) for p in trainer.field.parameters()}
    assert {id(p) for p in (*matrices, *others)} == trained and len(matrices) + len(others) == len(trained)


def test_other_kinds_and_requests_get_adam(image):
    sound = Audio.from_array(np.sin(np.arange(4000) / 9).astype(np.float32), 8000)
    assert make_method("fourier").prepare(sound).model_dump()["optimizer"] == "adam"
    assert make_method("fourier", {"optimizer": "muon"}).prepare(sound).model_dump()["optimizer"] == "muon"
    for name in ("frequency", "fourier", "cam"):
        assert make_method(name).prepare(image).model_dump()["optimizer"] == "muon"
    trainer, _ = prepare(image, "frequency", steps=1, settings=SMALL | {"optimizer": "adam"})
    assert not any(group["orthogonal"] for group in trainer.optimizer.param_groups)


@pytest.mark.parametrize("name", ["frequency", "fourier"])
def test_detail_is_learned_sooner(image, name):
    psnr = {
        optimizer: fit_field(image, name, steps=60, settings=SMALL | {"optimizer": optimizer}).metrics["psnr"]
        for optimizer in ("adam", "muon")
    }
    assert psnr["muon"] > psnr["adam"] + 0.5
