"""Races of the CUDA kernels: each thread of a block is a thread of the CPU, under ThreadSanitizer.

    python tests/ops/sanitize/cuda_races.py [CASE ...] [--points N]

Takes the place of compute-sanitizer's racecheck where there is no GPU. The kernels are compiled for the host with
gcc's ThreadSanitizer (a minute, or taken from ccache) and called by the small cases of `benchmarks.gpu`, in a process
that has the sanitizer loaded. Threads of different blocks never run at the same time, so that races among blocks are
not found, and neither is anything of a GPU's memory model. Status 1 where something was found, which is printed.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
OPS = ROOT / "tests" / "ops"
# Source of the kernels of each case; those of grids and MLPs are in one.
SOURCES = {"tri_plane": "factor_grid", "vector_matrix": "factor_grid", "rays": "rays", "rbf": "rbf",
           "raster": "rasterise", "adam": "mlp"}  # fmt: skip
ALL_SOURCES = ("grid_mlp", *dict.fromkeys(SOURCES.values()))
FLAGS = ("-std=c++17", "-O0", "-g1", "-fsanitize=thread", "-fPIC", "-ffp-contract=off", "-DFS_VECTOR_ATOMICS",
         "-DFS_PAIRS_SORTED_AT_ONCE=256", "-DFS_FEW_SHAPES")  # fmt: skip
POINTS = 70
FOUND = 66


def build(folder: Path, cases: list[str]) -> None:
    """Compile the kernels of these cases, or of all, into one library for each source."""
    ccache = shutil.which("ccache")
    environment = os.environ | {"CCACHE_BASEDIR": str(ROOT), "CCACHE_NOHASHDIR": "1"}
    includes = (f"-I{OPS / 'cuda_on_threads'}", f"-I{OPS / 'cuda_on_host'}", f"-I{ROOT / 'cuda_ext' / 'csrc'}")
    for name in dict.fromkeys(SOURCES.get(case, "grid_mlp") for case in cases) or ALL_SOURCES:
        compile_it = [*FLAGS, *includes, "-c", OPS / "cuda_on_host" / f"{name}.cpp", "-o", folder / f"{name}.o"]
        subprocess.run([*([ccache] if ccache else []), "g++", *compile_it], check=True, cwd=ROOT, env=environment)
        library = folder / f"lib{name}.so"
        subprocess.run(["g++", "-shared", "-fsanitize=thread", folder / f"{name}.o", "-o", library], check=True)


def sanitized(folder: Path, arguments: list[str]) -> subprocess.CompletedProcess[str]:
    """Run the cases in a process with the sanitizer. It wants addresses that are not randomised."""
    library = subprocess.run(["g++", "-print-file-name=libtsan.so"], check=True, capture_output=True, text=True)
    options = f"exitcode={FOUND} halt_on_error=0 ignore_noninstrumented_modules=1 report_thread_leaks=0"
    environment = os.environ | {
        "LD_PRELOAD": library.stdout.strip(),
        "TSAN_OPTIONS": options,
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(OPS)]),
    }
    fixed = ["setarch", platform.machine(), "-R"] if shutil.which("setarch") else []
    command = [*fixed, sys.executable, __file__, "--in", str(folder), *arguments]
    # What it says, as it says it, and once more for the caller to count.
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert process.stdout is not None
    said = []
    for line in process.stdout:
        print(line, end="", flush=True)
        said.append(line)
    return subprocess.CompletedProcess(command, process.wait(), "".join(said))


def run_cases(folder: Path, names: list[str], points: int) -> None:
    """Run the cases by the libraries in `folder`, as if tensors were on a GPU."""
    import ctypes

    import cuda_ext
    from benchmarks.gpu import small_cases
    from fields.ops import backends, cuda_calls

    libraries = [ctypes.CDLL(str(path)) for path in sorted(folder.glob("lib*.so"))]

    class Kernels:
        def __getattr__(self, name: str):
            return next(getattr(library, name) for library in libraries if hasattr(library, name))

    cpu, kernels = cuda_ext.load("cpu"), Kernels()
    cuda_ext.load = lambda device="cpu": kernels if device == "cuda" else cpu  # type: ignore[assignment]
    cuda_ext.why_absent = lambda device="cpu": None
    cuda_calls.stream = lambda device: 0
    backends.device_type = lambda of: "cuda"
    small_cases.POINTS = points
    small_cases.RAYS = min(points, small_cases.RAYS)
    for name in names or small_cases.CASES:
        small_cases.CASES[name]("native", "cpu")
        print(f"{name}: done", flush=True)


def main() -> int:
    """Build, run the cases under the sanitizer, and print what it says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", metavar="CASE", help="of benchmarks/gpu/small_cases.py; by default all")
    parser.add_argument("--points", type=int, default=POINTS)
    parser.add_argument("--in", dest="folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.folder:
        run_cases(options.folder, options.cases, options.points)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        build(Path(folder), options.cases)
        done = sanitized(Path(folder), [*options.cases, "--points", str(options.points)])
    races = done.stdout.count("WARNING: ThreadSanitizer")
    print(
        f"{races} races" if races else "no races" if done.returncode == 0 else f"failed with status {done.returncode}"
    )
    return 1 if done.returncode else 0


if __name__ == "__main__":
    sys.exit(main())
