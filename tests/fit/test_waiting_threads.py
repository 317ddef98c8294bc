"""How long a thread that waits keeps its core from others."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest


def spin_count(**variables: str) -> str:
    """GNU OpenMP's variable after the library has been imported with these environment variables."""
    kept = {name: value for name, value in os.environ.items() if name not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    code = "import os, sys, fields; assert 'torch' not in sys.modules; print(os.environ.get('GOMP_SPINCOUNT'))"
    return subprocess.run(
        [sys.executable, "-c", code], env=kept | variables, check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.mark.parametrize(
    "variables, expected",
    [({}, "1000"), ({"GOMP_SPINCOUNT": "5"}, "5"), ({"OMP_WAIT_POLICY": "active"}, "None")],
    ids=["by default", "own number", "own policy"],
)
def test_waiting_threads_sleep_soon_unless_the_user_decides(variables: dict, expected: str) -> None:
    assert spin_count(**variables) == expected
