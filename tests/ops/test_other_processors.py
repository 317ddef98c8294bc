"""The kernels compute the same on another processor (aarch64 with NEON, emulated) and by another compiler (clang).

By hand, as it compiles everything three times: `FIELD_STUDIO_COMPILERS=1 pytest -m slow` with this file.
"""

import os
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from test_sanitizers import BASE, ROOT, SOURCES, kernel_sources

pytestmark = pytest.mark.skipif(
    "FIELD_STUDIO_COMPILERS" not in os.environ,
    reason="compiles everything three times: FIELD_STUDIO_COMPILERS=1 runs it",
)

FUZZ = Path(__file__).parent / "sanitize" / "fuzz.cpp"
FLAGS = [*(flag for flag in BASE if flag != "-g1"), "-O1", "-fno-math-errno", "-fno-trapping-math", "-DFS_EXPORTS"]
ROUNDS = "6"


def built(folder: Path, compiler: str, *flags: str) -> Path:
    """The fuzzer with the kernels of the baseline, as one program of `compiler`."""
    folder.mkdir()
    names = ["isa", "parallel", *kernel_sources("kernels")]
    sources = [FUZZ, *(SOURCES / f"{name}.cpp" for name in names)]
    launcher = [ccache] if (ccache := shutil.which("ccache")) else []
    environment = os.environ | {"CCACHE_BASEDIR": str(ROOT), "CCACHE_NOHASHDIR": "1"}

    def compile_one(source: Path) -> int:
        out = ["-c", source, "-o", folder / f"{source.stem}.o"]
        command = [*launcher, compiler, *FLAGS, "-DFS_ISA=baseline", *flags, *out]
        return subprocess.run(command, cwd=ROOT, env=environment).returncode

    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        assert not any(pool.map(compile_one, sources))
    program = folder / "fuzz"
    objects = [folder / f"{source.stem}.o" for source in sources]
    subprocess.run([compiler, *objects, "-o", program, "-ldl", "-lpthread"], check=True)
    return program


def results(*command: str | Path) -> dict[str, tuple[float, int]]:
    """Of each kernel, the sum of its results and how many are no numbers."""
    run = subprocess.run([*command, ROUNDS], capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr[-2000:]
    rows = [line.split() for line in run.stdout.splitlines() if line.startswith("baseline")]
    return {" ".join(row[1:-2]): (float(row[-2]), int(row[-1])) for row in rows}


def assert_close(found: dict, wanted: dict) -> None:
    assert found.keys() == wanted.keys() and len(wanted) > 20
    for name, (total, odd) in wanted.items():
        assert found[name][1] == odd, name
        assert found[name][0] == pytest.approx(total, rel=1e-4, abs=0.05), name


@pytest.fixture(scope="module")
def here(tmp_path_factory) -> dict:
    """Results of this processor and compiler, with fused multiply-adds as aarch64 has them."""
    flags = ["-mfma"] if os.uname().machine == "x86_64" else []
    return results(built(tmp_path_factory.mktemp("here") / "build", os.environ.get("CXX", "c++"), *flags))


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("aarch64-linux-gnu-g++"), reason="needs Debian's g++-aarch64-linux-gnu")
@pytest.mark.skipif(not shutil.which("qemu-aarch64"), reason="needs Debian's qemu-user")
def test_aarch64_computes_the_same(tmp_path, here):
    program = built(tmp_path / "build", "aarch64-linux-gnu-g++")
    assert_close(results("qemu-aarch64", "-L", "/usr/aarch64-linux-gnu", program), here)


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("clang++"), reason="needs clang")
def test_clang_computes_the_same(tmp_path, here):
    flags = ["-mfma"] if os.uname().machine == "x86_64" else []
    assert_close(results(built(tmp_path / "build", "clang++", *flags)), here)
