"""What the benchmark of distillation makes of its measurements."""

import pytest

from benchmarks.pvd import Ledger, draw, sooner, ways_of


def test_how_much_sooner():
    curve = [(60.0, 20.0), (120.0, 24.0), (240.0, 26.0)]
    assert sooner(curve, 19.0) == 1.0 and sooner(curve, 24.0) == 2.0 and sooner(curve, 27.0) is None
    assert sooner(curve, 25.0) == pytest.approx(2 * 2**0.5, abs=0.01)


def test_what_is_known_is_not_measured_again(tmp_path):
    assert Ledger(tmp_path).row("a", lambda: {"value": 1}) == {"value": 1}
    assert Ledger(tmp_path).row("a", lambda: pytest.fail("measured again")) == {"value": 1}


def test_ways_and_their_plot(tmp_path):
    assert set(ways_of("scene", "hashgrid", "nerf")) == {"", ":shared", ":one-shot"} and set(ways_of("scene", "nerf", "hashgrid")) == {""}
    assert set(ways_of("image", "siren", "hashgrid")) == {"", ":one-shot"}
    draw([{"id": "image:scratch:siren", "unit": "dB", "at_seconds": [3, 6], "values": [20.0, 22.0]},
          {"id": "image:hashgrid>siren", "seconds": 3.0, "value": 23.0}], tmp_path / "plot.png")
    assert (tmp_path / "plot.png").stat().st_size > 1000
