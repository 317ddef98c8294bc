"""The CPU kernels run without findings under the address and undefined-behaviour sanitizers, for random shapes."""

import os
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from ops_helpers import ISAS, available_isas

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ROOT / "cuda_ext" / "csrc" / "cpu"
BASE = ["-std=c++17", "-O0", "-g1", "-ffp-contract=off", "-Wno-psabi", "-DFS_FEW_SHAPES"]
SANITIZERS = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer"]
AVX2 = ["-mavx2", "-mfma", "-mf16c"]
AVX512 = [*AVX2, "-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mprefer-vector-width=512"]
INSTRUCTION_SETS = {"baseline": ["-DFS_EXPORTS"], "avx2": AVX2, "avx512": AVX512}
# The kernels that multiply matrices are compiled once more with bfloat16, which counts as a part of avx512.
BFLOAT16 = ["-DFS_ISA=avx512_bfloat16", "-DFS_BFLOAT16", "-mavx512bf16"]


def kernel_sources(variable: str) -> list[str]:
    """Names of the sources that CMakeLists.txt lists in a variable: `kernels` or `bfloat16_kernels`."""
    (names,) = re.findall(rf"set\({variable} ([^)]*)\)", (SOURCES / "CMakeLists.txt").read_text())
    return [Path(name).stem for name in names.split()]


@pytest.mark.slow
def test_sanitizers_report_nothing_for_random_shapes(tmp_path):
    """Builds the library and a fuzzer as one program, which the first error would end."""
    x86 = os.uname().machine == "x86_64"
    # A build for this machine alone lacks the narrower sets, which the processor has too.
    run_here = ISAS[: ISAS.index(available_isas()[-1]) + 1]
    define = ["-DFS_AVX2", "-DFS_AVX512", "-DFS_AVX512_BFLOAT16"] if x86 else []
    jobs = {f"{name}.o": [SOURCES / f"{name}.cpp", *define, *SANITIZERS] for name in ("isa", "parallel")}
    jobs["fuzz.o"] = [Path(__file__).parent / "sanitize" / "fuzz.cpp", *define, *SANITIZERS]
    for isa, flags in INSTRUCTION_SETS.items():
        if isa != "baseline" and not x86:
            continue
        # Sanitizers take six times as long to compile: the narrowest and the widest set of this processor have them.
        sanitizers = SANITIZERS if isa in (run_here[0], run_here[-1]) else []
        jobs |= {
            f"{kernel}-{isa}.o": [SOURCES / f"{kernel}.cpp", *define, f"-DFS_ISA={isa}", *flags, *sanitizers]
            for kernel in kernel_sources("kernels")
        }
    if x86:
        sanitizers = SANITIZERS if "avx512" in run_here else []
        jobs |= {
            f"{kernel}-bfloat16.o": [SOURCES / f"{kernel}.cpp", *define, *BFLOAT16, *AVX512, *sanitizers]
            for kernel in kernel_sources("bfloat16_kernels")
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
