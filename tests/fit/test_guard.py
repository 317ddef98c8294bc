"""A fit that runs away goes back and goes on at half the rates."""

import pytest
import torch

from fields.fit.fit import finish, prepare
from scenes.errors import BadInput
from scenes.image import Image

SMALL = {"width": 32, "hidden_layers": 2, "batch": 1024}


@pytest.fixture(scope="module")
def image(astronaut):
    return Image.from_array(astronaut[60:124, 180:276])


def test_wire_learns_undisturbed_at_its_own_rate(image):
    trainer, _ = prepare(image, "wire", steps=192, options=SMALL)
    result = finish(trainer, None)
    assert trainer._guard.rate == 1.0
    assert result.metrics["psnr"] > 15


def test_a_loss_that_is_not_finite_goes_back_to_the_best_weights(image):
    trainer, _ = prepare(image, "wire", steps=64, options=SMALL)
    for _ in range(32):
        trainer.step()
    best = {name: tensor.clone() for name, tensor in trainer.field.state_dict().items()}
    with torch.no_grad():
        trainer.field.network.output_real.bias.fill_(float("nan"))
    for _ in range(32):
        trainer.step()
    assert trainer._guard.rate == 0.5
    assert all(torch.equal(best[name], tensor) for name, tensor in trainer.field.state_dict().items())


def test_a_fit_that_always_runs_away_is_refused(image):
    trainer, _ = prepare(image, "wire", steps=320, options=SMALL)
    with pytest.raises(BadInput, match="diverged at step 288 although its rates were halved 8 times"):
        for _ in range(320):
            with torch.no_grad():
                trainer.field.network.output_real.bias.fill_(float("nan"))
            trainer.step()
