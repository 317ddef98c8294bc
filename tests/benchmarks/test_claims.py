"""What the pages say of papers follows from the rows, whichever way they fall."""

from importlib import import_module

import pytest

from benchmarks.papers.__main__ import NAMES
from benchmarks.papers.claims import Claim, statements

ROWS = [
    {"id": "a", "value": 33.0, "unit": "dB", "spread": 0.0},
    {"id": "b", "value": 31.0, "unit": "dB", "spread": 0.0},
    {"id": "noisy", "value": 32.9, "unit": "dB", "spread": 1.0},
    {"id": "small", "value": 0.02, "unit": "cubes", "share": 0.8},
]


@pytest.mark.parametrize(
    ("claim", "verdict"),
    [
        (Claim("", "a", "b", least=1.0), "confirmed"),
        (Claim("", "a", "b", least=3.0), "the same direction, but less"),
        (Claim("", "b", "a", least=1.0), "**the opposite was measured**"),
        (Claim("", "b", "a", least=-1.0), "**not confirmed**"),
        (Claim("", "b", "a", least=-2.5), "confirmed"),
        (Claim("", "noisy", "a", least=0.5), "**not confirmed** (within the spread of the seeds)"),
        (Claim("", "a", bound=32.5), "confirmed"),
        (Claim("", "small", bound=0.1, better="lower"), "confirmed"),
        (Claim("", "small", bound=0.0, field="share", least=0.9), "the same direction, but less"),
        (Claim("", "b", "a", better="lower", factor=True, least=1.05), "confirmed"),
        (Claim("", "a", "b", better="lower", factor=True, least=1.05), "**the opposite was measured**"),
    ],
)
def test_verdicts(claim, verdict):
    assert claim.judged(ROWS)[1] == verdict


def test_what_was_not_measured_is_said():
    text = statements(
        (
            Claim("first", "a", "b"),
            Claim("second", "nowhere"),
            Claim("third", "a", "nowhere"),
            Claim("mine", "a", ours=True),
        ),
        ROWS,
    )
    assert "| first | 33 dB against 31 | confirmed |" in text and "(our own) mine" in text
    assert text.endswith("Not among the stored rows yet: second; third.\n")


@pytest.mark.parametrize("name", NAMES)
def test_every_system_has_claims_and_a_page(name):
    from benchmarks.pages import METHODS, system

    module = import_module(f"benchmarks.papers.{name}")
    assert module.CLAIMS and all(claim.says and claim.field for claim in module.CLAIMS)
    assert len({(claim.says, claim.of, claim.over) for claim in module.CLAIMS}) == len(module.CLAIMS)
    page = system(
        {
            "benchmark": f"papers-{name}",
            "size": "quick",
            "machine": {"cpu": "any", "threads": 2, "gpu": None},
            "versions": {},
            "rows": ROWS,
        }
    )
    assert f"](../methods/{METHODS.get(name, name)}.md)" in page and "--quick" in page
