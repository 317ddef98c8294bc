"""The CPU kernels under the address and undefined-behaviour sanitizers, called with random shapes."""

import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from ops_helpers import available_isas

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ROOT / "cuda_ext" / "csrc" / "cpu"
BASE = ["-std=c++17", "-O0", "-g1", "-ffp-contract=off", "-Wno-psabi", "-DFS_FEW_SHAPES"]
SANITIZERS = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer"]
SETS = {
    "baseline": [],
    "avx2": ["-mavx2", "-mfma", "-mf16c"],
    "avx512": [
        "-mavx2",
        "-mfma",
        "-mf16c",
        "-mavx512f",
        "-mavx512bw",
        "-mavx512dq",
        "-mavx512vl",
        "-mprefer-vector-width=512",
    ],
}
KERNELS = (
    "adam",
    "composite",
    "factor_grid",
    "fused_step",
    "gaussian_layer",
    "hash_grid",
    "march",
    "mlp",
    "neighbours",
    "rbf_gather",
)
# The MLPs once more; it is no set of its own.
BFLOAT16 = ["-DFS_ISA=avx512_bfloat16", "-DFS_BFLOAT16", "-mavx512bf16"]


@pytest.mark.slow
def test_nothing_is_reported(tmp_path):
    """Builds the library and a fuzzer in one program; an error would end it."""
    x86 = os.uname().machine == "x86_64"
    run_here = available_isas()
    define = ["-DFS_X86"] if x86 else []
    jobs = {f"{name}.o": [SOURCES / f"{name}.cpp", *define, *SANITIZERS] for name in ("interface", "isa", "parallel")}
    jobs["fuzz.o"] = [Path(__file__).parent / "sanitize" / "fuzz.cpp", *define, *SANITIZERS]
    for isa, flags in SETS.items() if x86 else [("baseline", [])]:
        watched = (
            SANITIZERS if isa in run_here else []
        )  # (the others are only linked; watching takes six times as long to compile)
        jobs |= {
            f"{kernel}-{isa}.o": [SOURCES / f"{kernel}.cpp", *define, f"-DFS_ISA={isa}", *flags, *watched]
            for kernel in KERNELS
        }
    if x86:
        jobs |= {
            f"{kernel}-bfloat16.o": [SOURCES / f"{kernel}.cpp", *define, *BFLOAT16, *SETS["avx512"], *watched]
            for kernel in ("fused_step", "mlp")
        }
    compiler = os.environ.get("CXX", "c++")

    def build(job: tuple[str, list]) -> int:
        name, arguments = job
        return subprocess.run([compiler, *BASE, *map(str, arguments), "-c", "-o", str(tmp_path / name)]).returncode

    slowest_first = sorted(jobs.items(), key=lambda job: not job[0].startswith(("hash_grid", "factor_grid")))
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        assert not any(pool.map(build, slowest_first))
    program = tmp_path / "fuzz"
    subprocess.run(
        [compiler, *SANITIZERS, *(str(tmp_path / name) for name in jobs), "-o", str(program), "-ldl", "-lpthread"],
        check=True,
    )
    run = subprocess.run([str(program), "20"], capture_output=True, text=True, timeout=600)
    assert run.returncode == 0, run.stderr[-4000:]
    assert f"on {len(run_here)} instruction sets" in run.stdout
