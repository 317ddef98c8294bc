"""Works that are killed go on and end with the same bits; `python -m benchmarks.trust.kills` kills 200 of all kinds."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
pytest.importorskip("matplotlib")
if not hasattr(os, "fork"):
    pytest.skip("kills need forks", allow_module_level=True)


@pytest.mark.slow
def test_ten_kills_lose_nothing():
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.trust.kills", "--quick", "--json"],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=420,
    )
    report = json.loads(done.stdout.strip().splitlines()[-1])
    assert report["faults"] == [] and report["kills"] == 10 and done.returncode == 0
