"""Tests of the divergence guard: a fit that diverges or stands still goes back and continues with smaller rates."""

import numpy as np
import pytest
import torch

from fields.fit.fit import finish, prepare
from scenes.errors import BadInput
from scenes.image.signal import Image

SMALL = {"width": 32, "hidden_layers": 2, "batch": 1024}


@pytest.fixture(scope="module")
def image(astronaut):
    return Image.from_array(astronaut[60:124, 180:276])


def test_wire_learns_without_restarts_at_its_default_rate(image):
    trainer, _ = prepare(image, "wire", steps=192, settings=SMALL)
    result = finish(trainer, None)
    assert trainer._guard.rate == 1.0
    assert result.metrics["psnr"] > 15


def test_infinite_loss_returns_to_the_best_weights_and_halves_the_rates(image):
    trainer, _ = prepare(image, "wire", steps=64, settings=SMALL)
    for _ in range(32):
        trainer.step()
    best = {name: tensor.clone() for name, tensor in trainer.field.state_dict().items()}
    with torch.no_grad():
        trainer.field.network.output_real.bias.fill_(float("nan"))
    for _ in range(32):
        trainer.step()
    assert trainer._guard.rate == 0.5
    assert all(torch.equal(best[name], tensor) for name, tensor in trainer.field.state_dict().items())


def test_refuses_a_fit_that_diverges_at_every_rate(image):
    trainer, _ = prepare(image, "wire", steps=320, settings=SMALL)
    trainer.step()
    with pytest.raises(BadInput, match="diverged at step 288 although its rates were halved 8 times"):
        for _ in range(320):
            with torch.no_grad():
                trainer.field.network.output_real.bias.fill_(float("nan"))
            trainer.step()


@pytest.mark.slow
def test_fit_that_stands_still_restarts_with_smaller_rates(image):
    options = SMALL | {"learning_rate": 0.1}
    trainer, _ = prepare(image, "wire", steps=800, settings=options)
    result = finish(trainer, None)
    assert trainer._guard.restarts and trainer._guard.improved
    assert result.metrics["psnr"] > 15


def test_noise_is_left_alone_after_three_restarts():
    noise = Image.from_array(np.random.default_rng(0).integers(0, 2, (64, 64), np.uint8) * np.uint8(255))
    trainer, _ = prepare(
        noise, "wire", steps=2000, settings={"width": 2, "hidden_layers": 1, "batch": 64, "omega": 1.0, "scale": 1.0}
    )
    finish(trainer, None)
    assert trainer._guard.rate == 1.0 and trainer._guard.restarts == 4
