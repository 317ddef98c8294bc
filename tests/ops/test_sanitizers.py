"""The CPU kernels run without findings under the address and undefined-behaviour sanitizers, for random shapes."""

import os
import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from ops_helpers import available_isas

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ROOT / "cuda_ext" / "csrc" / "cpu"
BASE = ["-std=c++17", "-O0", "-g1", "-ffp-contract=off", "-Wno-psabi", "-DFS_FEW_SHAPES"]
SANITIZERS = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer"]
AVX2 = ["-mavx2", "-mfma", "-mf16c"]
AVX512 = [*AVX2, "-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mprefer-vector-width=512"]
INSTRUCTION_SETS = {"avx2": AVX2, "avx512": AVX512}
# The kernels that multiply matrices are compiled once more with bfloat16, which counts as a part of avx512.
BFLOAT16 = ["-DFS_ISA=avx512_bfloat16", "-DFS_BFLOAT16", "-mavx512bf16"]


def kernel_sources(variable: str) -> list[str]:
    """Names of the sources that CMakeLists.txt lists in a variable: `kernels` or `bfloat16_kernels`."""
    (names,) = re.findall(rf"set\({variable} ([^)]*)\)", (SOURCES / "CMakeLists.txt").read_text())
    return [Path(name).stem for name in names.split()]


@pytest.mark.slow
def test_sanitizers_report_nothing_for_random_shapes(tmp_path):
    """Builds the library and a fuzzer as one program, which the first error would end."""
    # Sanitizers take six times as long to compile: the baseline and the widest set of this processor are enough.
    widest = available_isas()[-1]
    sets = {"baseline": ["-DFS_EXPORTS"]} | ({widest: INSTRUCTION_SETS[widest]} if widest != "baseline" else {})
    define = [f"-DFS_{isa.upper()}" for isa in sets if isa != "baseline"]
    if widest == "avx512":
        define.append("-DFS_AVX512_BFLOAT16")
    jobs = {f"{name}.o": [SOURCES / f"{name}.cpp"] for name in ("isa", "parallel")}
    jobs["fuzz.o"] = [Path(__file__).parent / "sanitize" / "fuzz.cpp"]
    for isa, flags in sets.items():
        jobs |= {
            f"{kernel}-{isa}.o": [SOURCES / f"{kernel}.cpp", f"-DFS_ISA={isa}", *flags]
            for kernel in kernel_sources("kernels")
        }
    if widest == "avx512":
        jobs |= {
            f"{kernel}-bfloat16.o": [SOURCES / f"{kernel}.cpp", *BFLOAT16, *AVX512]
            for kernel in kernel_sources("bfloat16_kernels")
        }
    compiler = os.environ.get("CXX", "c++")
    # Objects of an earlier run, from whatever checkout, are taken from ccache's store where there is one.
    launcher = [ccache] if (ccache := shutil.which("ccache")) else []
    environment = os.environ | {"CCACHE_BASEDIR": str(ROOT), "CCACHE_NOHASHDIR": "1"}

    def build(job: tuple[str, list]) -> int:
        name, arguments = job
        command = [
            *launcher,
            compiler,
            *BASE,
            *SANITIZERS,
            *define,
            *map(str, arguments),
            "-c",
            "-o",
            str(tmp_path / name),
        ]
        return subprocess.run(command, cwd=ROOT, env=environment).returncode

    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        assert not any(pool.map(build, jobs.items()))
    program = tmp_path / "fuzz"
    subprocess.run(
        [compiler, *SANITIZERS, *(str(tmp_path / name) for name in jobs), "-o", str(program), "-ldl", "-lpthread"],
        check=True,
    )
    run = subprocess.run([str(program), "20"], capture_output=True, text=True, timeout=600)
    assert run.returncode == 0, run.stderr[-4000:]
    assert f"on {len(sets)} instruction sets" in run.stdout
