"""Threads of a block of the CUDA kernels access nothing at once that they should not, as ThreadSanitizer sees it.

`python tests/ops/sanitize/cuda_races.py` tries all kernels, and says what this finds and what it cannot.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent / "sanitize" / "cuda_races.py"


@pytest.fixture(scope="module")
def sanitizer():
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("needs g++")
    found = subprocess.run([compiler, "-print-file-name=libtsan.so"], capture_output=True, text=True).stdout.strip()
    if not Path(found).is_absolute():
        pytest.skip("needs the library of gcc's ThreadSanitizer")


@pytest.mark.slow
def test_threads_of_a_block_do_not_race(sanitizer):
    command = [sys.executable, SCRIPT, "grid_mlp", "rays", "--points", "40"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=280)
    assert run.returncode == 0 and "no races" in run.stdout, run.stdout[-4000:] + run.stderr[-2000:]
