"""What an installation costs: a fresh clone compiled, set up and used, with empty caches, and an older one beside it.

python -m benchmarks.install [--before COMMIT] [--only PART ...] [--quick] [--store]

PART is one of `native` (the native library alone, which is all that `--quick` measures), `fit`, `studio`, `test` (the
targets of make, each from nothing; of `test` the set-up) and `uv` (`fit` by uv, where it is installed). Each set-up
downloads its packages, so that its seconds depend on the network; processor seconds of compilers do not.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.report import add_arguments, emit, report

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = Path(__file__).with_name("packages.py")
# Value and unit of each row of one commit.
Figures = dict[str, tuple[float, str]]


def clone(commit: str, folder: Path) -> Path:
    """A clone of this repository at a commit."""
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
    subprocess.run(["git", "-C", str(folder), "checkout", "--quiet", commit], check=True)
    return folder


def timed(name: str, command: list[str], folder: Path, **variables: str) -> Figures:
    """Seconds, and processor seconds of all child processes, of a command that must succeed."""
    environment = os.environ | {"CCACHE_DISABLE": "1"} | variables
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    seconds, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout.decode(errors='replace')[-3000:]}")
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {f"{name}, wall": (round(seconds, 1), "s"), f"{name}, processor": (round(processor, 1), "s")}


def native(checkout: Path, cache: Path) -> Figures:
    """The native library compiled from nothing, as `make` does, which is for this machine alone."""
    return _native(checkout, "native library", "host")


def native_all(checkout: Path, cache: Path) -> Figures:
    """The native library with all instruction sets, as in a wheel."""
    return _native(checkout, "native library with all sets", "all")


def _native(checkout: Path, name: str, sets: str) -> Figures:
    build = checkout / "build" / sets
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    variables = {"PATH": path, "FIELD_STUDIO_ISA": sets}
    configure = ["cmake", "-S", "cuda_ext", "-B", str(build), "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release"]
    timed("configure", configure, checkout, **variables)
    found = timed(name, ["cmake", "--build", str(build)], checkout, **variables)
    size = (build / "lib" / "libfield_studio_cpu.so").stat().st_size
    return {**found, f"{name}, size": (round(size / 1e6, 1), "MB")}


def set_up(target: str, then: str = "") -> Callable[[Path, Path], Figures]:
    """A target of make from nothing, by pip, with the packages of the base or of `then` that it has installed."""

    def measure(checkout: Path, cache: Path) -> Figures:
        name = "make fit" if target == "fit" else f"set-up of make {target.rpartition('-')[2]}"
        variables = {"PIP_CACHE_DIR": str(cache)}
        found = timed(name, ["make", target, "UV="], checkout, **variables)
        if target == "fit":
            os.utime(checkout / "fields" / "__init__.py")
            again = ["make", ".venv/installed", "UV="]
            found |= timed("set-up of make fit after a change of Python", again, checkout, **variables)
        counts = packages(checkout, then)
        of = then or "the base"
        found[f"packages of {of}"] = (counts["packages"], "packages")
        found[f"megabytes of {of}, beside torch"] = (counts["MB"], "MB")
        if not then:
            found["megabytes of torch"] = (counts["torch"], "MB")
        return found

    return measure


def by_uv(checkout: Path, cache: Path) -> Figures:
    """`make fit` from nothing by uv."""
    uv = shutil.which("uv") or "uv"
    return timed("make fit by uv", ["make", "fit", f"UV={uv}"], checkout, UV_CACHE_DIR=str(cache))


def packages(checkout: Path, extras: str) -> dict[str, int]:
    """What is installed in the environment of a clone."""
    command = [str(checkout / ".venv" / "bin" / "python"), str(PACKAGES), *([extras] if extras else [])]
    done = subprocess.run(command, cwd=checkout, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


# What is measured of each part, of the older commit too or not.
PARTS: dict[str, list[tuple[Callable[[Path, Path], Figures], bool]]] = {
    "native": [(native, True), (native_all, False)],
    "fit": [(set_up("fit"), True)],
    "studio": [(set_up(".venv/installed-studio", "studio"), True)],
    "test": [(set_up(".venv/installed-test", "all"), True)],
    "uv": [(by_uv, False)],
}


def measured(measure: Callable[[Path, Path], Figures], commit: str) -> Figures:
    """The figures of a fresh clone, which is removed again."""
    with tempfile.TemporaryDirectory() as folder:
        cache = Path(folder) / "cache"
        cache.mkdir()
        return measure(clone(commit, Path(folder) / "clone"), cache)


def rows_of(now: Figures, before: Figures, name: str) -> list[dict]:
    """A row for each figure, beside that of the older commit where there is one."""
    rows = []
    for key, (value, unit) in now.items():
        row: dict = {"id": key, "value": value, "unit": unit}
        if key in before:
            older = before[key][0]
            row |= {"against": name, "against_value": older, "ratio": round(older / value, 2) if value else None}
        rows.append(row)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--commit", default="HEAD", help="commit that is measured (default: this one)")
    parser.add_argument("--before", help="an older commit to compare with")
    parser.add_argument("--only", nargs="*", choices=PARTS, help="parts (default: all)")
    add_arguments(parser)
    options = parser.parse_args()
    parts = options.only or (["native"] if options.quick else list(PARTS))
    if not shutil.which("uv"):
        parts = [part for part in parts if part != "uv"]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))
    rows: list[dict] = []
    for part in parts:
        for measure, older_too in PARTS[part]:
            now, before = measured(measure, options.commit), {}
            try:
                if options.before and older_too:
                    before = measured(measure, options.before)
            except SystemExit as error:  # what was measured until then is kept
                print(error, file=sys.stderr)
            rows += rows_of(now, before, f"{(options.before or '')[:9]}")
    emit(report("install", rows), options, partial=len(parts) < len(PARTS))


if __name__ == "__main__":
    main()
