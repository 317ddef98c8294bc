"""The kernels compute the same on another processor (aarch64 with NEON, emulated), by another compiler (clang) and on
another system (Windows, by wine), and macOS' compiler takes them.

By hand, as it compiles everything several times: `FIELD_STUDIO_COMPILERS=1 pytest -m slow` with this file.
"""

import os
import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from test_sanitizers import BASE, ROOT, SOURCES, kernel_sources

import cuda_ext

pytestmark = [
    pytest.mark.skipif(
        "FIELD_STUDIO_COMPILERS" not in os.environ,
        reason="compiles everything several times: FIELD_STUDIO_COMPILERS=1 runs it",
    ),
    pytest.mark.timeout(3600),
]

FUZZ = Path(__file__).parent / "sanitize" / "fuzz.cpp"
FLAGS = [*(flag for flag in BASE if flag != "-g1"), "-O1", "-fno-math-errno", "-fno-trapping-math", "-DFS_EXPORTS"]
ROUNDS = "6"
# float32 puts inputs of a ReLU and of the L1 loss on the other side of zero, which turns derivatives by coordinates of
# hundreds: the sum over five random steps moves by some tenths of a percent, that of float64 by nothing.
TOLERANCE = {"fuzz_step<float>": 1e-2}


def objects(folder: Path, compiler: list[str], *flags: str) -> list[Path]:
    """The kernels of the baseline and the fuzzer, compiled by `compiler`."""
    folder.mkdir()
    names = ["isa", "parallel", *kernel_sources("kernels")]
    sources = [FUZZ, *(SOURCES / f"{name}.cpp" for name in names)]
    launcher = [ccache] if (ccache := shutil.which("ccache")) else []
    environment = os.environ | {"CCACHE_BASEDIR": str(ROOT), "CCACHE_NOHASHDIR": "1"}

    def compile_one(source: Path) -> int:
        out = ["-c", source, "-o", folder / f"{source.stem}.o"]
        command = [*launcher, *compiler, *FLAGS, "-DFS_ISA=baseline", *flags, *out]
        return subprocess.run(command, cwd=ROOT, env=environment).returncode

    with ThreadPoolExecutor(int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1))) as pool:
        assert not any(pool.map(compile_one, sources))
    return [folder / f"{source.stem}.o" for source in sources]


def built(folder: Path, compiler: str, *flags: str) -> Path:
    """The fuzzer with the kernels of the baseline, as one program of `compiler`."""
    program = folder / "fuzz"
    command = [compiler, *objects(folder, [compiler], *flags), "-o", program, "-ldl", "-lpthread"]
    subprocess.run(command, check=True)
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
        assert found[name][0] == pytest.approx(total, rel=TOLERANCE.get(name, 1e-4), abs=0.05), name


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


MINGW = "x86_64-w64-mingw32-g++-posix"
# Loads the library as Python does, and prints the number of its interface.
LOADER = """
#include <windows.h>
#include <cstdio>
int main(int, char **arguments) {
    HMODULE library = LoadLibraryA(arguments[1]);
    auto abi = reinterpret_cast<int (*)()>(library ? GetProcAddress(library, "fs_abi") : nullptr);
    std::printf("%d\\n", abi ? abi() : -1);
}
"""


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which(MINGW), reason="needs Debian's g++-mingw-w64-x86-64")
@pytest.mark.skipif(not shutil.which("wine"), reason="needs wine")
def test_windows_computes_the_same_and_loads_the_library(tmp_path, here, monkeypatch):
    monkeypatch.setenv("WINEPREFIX", str(tmp_path / "wine"))
    monkeypatch.setenv("WINEDEBUG", "-all")
    # As in csrc/cpu/CMakeLists.txt: gcc forgets how Windows aligns the stack.
    compiled = objects(tmp_path / "build", [MINGW], "-mfma", "-Wa,-muse-unaligned-vector-move")
    program = tmp_path / "fuzz.exe"
    subprocess.run([MINGW, "-static", *compiled, "-o", program], check=True)
    assert_close(results("wine", program), here)

    library, loader = tmp_path / "libfield_studio_cpu.dll", tmp_path / "loader.exe"
    kernels = [file for file in compiled if file.stem != "fuzz"]
    subprocess.run([MINGW, "-shared", "-static", "-s", *kernels, "-o", library], check=True)
    (tmp_path / "loader.cpp").write_text(LOADER)
    subprocess.run([MINGW, "-static", tmp_path / "loader.cpp", "-o", loader], check=True)
    done = subprocess.run(["wine", loader, library.name], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == str(cuda_ext.ABI)


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("python-zig"), reason="needs the package ziglang: clang with macOS' headers")
def test_macos_compiles_and_links(tmp_path):
    """For Apple's processors, by clang with the headers and libraries of macOS; there is nothing to run it on."""
    clang = ["python-zig", "c++", "-target", "aarch64-macos.12.0", "-mcpu=apple_m1"]
    compiled = objects(tmp_path / "build", clang, "-Werror", "-fPIC", "-fno-exceptions", "-fno-threadsafe-statics")
    library = tmp_path / "libfield_studio_cpu.dylib"
    kernels = [file for file in compiled if file.stem != "fuzz"]
    # Nothing of the C++ runtime is needed, nor of OpenMP.
    subprocess.run([*clang, "-shared", "-nostdlib++", *kernels, "-o", library], check=True)
    content = library.read_bytes()
    assert content[:4] == bytes.fromhex("cffaedfe")  # Mach-O, 64 bit
    assert b"_fs_abi" in content and not re.search(rb"lib(gomp|omp|iomp5)\.dylib", content[:8192])
