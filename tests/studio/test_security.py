"""Attacks on a studio that is served; `python -m benchmarks.trust.security` tries more of them."""

import shutil
import sys
from pathlib import Path

import pytest

pytest.importorskip("gradio")
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from benchmarks.trust import attacks  # noqa: E402
from benchmarks.trust.security import put_targets  # noqa: E402


@pytest.fixture
def attacker(served):
    made, address = served
    runs, secret = put_targets(made.folders.runs.parent)
    yield attacks.Attacker(address, secret, runs)
    shutil.rmtree(runs / "photo", ignore_errors=True)
    secret.unlink()


@pytest.mark.slow
@pytest.mark.parametrize(
    "attack", [attacks.traversal, attacks.forged_uploads, attacks.other_sites, attacks.bodies, attacks.headers]
)
def test_attacks_get_nothing(attacker, attack):
    assert list(attack(attacker)) == []


@pytest.mark.slow
def test_attacks_that_succeed_are_noticed(attacker):
    """With a studio that hands out everything."""

    class Answer:
        status_code, text, headers = 200, attacks.SECRET, {}

    found = list(attacker.judge("everything", Answer()))
    assert found == ["everything: the answer holds the secret", "everything: answered with 200"]
