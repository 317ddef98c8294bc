"""What an installation costs: a fresh clone built, set up and used, with empty caches, at one commit or several.

python -m benchmarks.install [--commits COMMIT ...] [--quick]

`--quick` measures the native library alone. Packages are downloaded again for each set-up, so that seconds of set-ups
depend on the network; processor seconds of compilers do not.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

from benchmarks.report import add_arguments, emit, report

ROOT = Path(__file__).resolve().parents[1]


def clone(commit: str, folder: Path) -> Path:
    """A clone of this repository at a commit."""
    target = folder / commit[:12]
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(target)], check=True)
    subprocess.run(["git", "-C", str(target), "checkout", "--quiet", commit], check=True)
    return target


def timed(command: list[str], folder: Path, **variables: str) -> tuple[float, float]:
    """Seconds, and processor seconds of all child processes, of a command that must succeed."""
    environment = os.environ | {"CCACHE_DISABLE": "1"} | variables
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - start, processor


def native_rows(checkout: Path, name: str) -> list[dict]:
    """The native library compiled from nothing, for this machine and with all instruction sets."""
    rows = []
    binaries = str(Path(sys.executable).parent)
    path = os.pathsep.join([binaries, os.environ["PATH"]])
    for sets in ("host", "all"):
        build = checkout / "build" / f"native-{sets}"
        variables = {"PATH": path, "FIELD_STUDIO_ISA": sets}
        configure = ["cmake", "-S", "cuda_ext", "-B", str(build), "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release"]
        timed(configure, checkout, **variables)
        seconds, processor = timed(["cmake", "--build", str(build)], checkout, **variables)
        size = (build / "lib" / "libfield_studio_cpu.so").stat().st_size
        rows += [
            {"id": f"{name}: native library, {sets}, processor", "value": round(processor, 1), "unit": "s"},
            {"id": f"{name}: native library, {sets}, wall", "value": round(seconds, 1), "unit": "s"},
            {"id": f"{name}: native library, {sets}, size", "value": round(size / 1e6, 1), "unit": "MB"},
        ]
    return rows


def setup_rows(checkout: Path, name: str) -> list[dict]:
    """`make fit` from nothing, after a change to Python alone, and `make studio` and `make test`'s set-ups after it."""
    rows = []
    with tempfile.TemporaryDirectory() as cache:
        variables = {"PIP_CACHE_DIR": cache, "UV_CACHE_DIR": cache}
        steps = {
            "make fit": ["make", "fit", "ARGS=--seconds 5"],
            "make fit again": ["make", "fit", "ARGS=--seconds 5"],
            "set-up of make studio": ["make", ".venv/installed-studio"],
            "set-up of make test": ["make", ".venv/installed-test"],
        }
        for step, command in steps.items():
            if step == "make fit again":
                os.utime(checkout / "fields" / "__init__.py")
            seconds, processor = timed(command, checkout, **variables)
            rows += [
                {"id": f"{name}: {step}, wall", "value": round(seconds, 1), "unit": "s"},
                {"id": f"{name}: {step}, processor", "value": round(processor, 1), "unit": "s"},
            ]
    return rows


def closure(extras: str = "") -> dict[str, float]:
    """Installed packages that the distribution needs, with an extra if one is named, and their bytes."""
    found: dict[str, float] = {}
    todo = [Requirement(f"field-studio[{extras}]" if extras else "field-studio")]
    while todo:
        requirement = todo.pop()
        key = f"{requirement.name.lower().replace('_', '-')}[{','.join(sorted(requirement.extras))}]"
        try:
            package = metadata.distribution(requirement.name)
        except metadata.PackageNotFoundError:
            continue
        if key in found:
            continue
        files = (package.locate_file(file) for file in package.files or [])
        found[key] = sum(os.path.getsize(str(file)) for file in files if os.path.isfile(str(file)))
        for text in package.requires or []:
            inner = Requirement(text)
            names = requirement.extras or {""}
            if inner.marker is None or any(inner.marker.evaluate({"extra": extra}) for extra in names):
                todo.append(inner)
    return {key: size for key, size in found.items() if not key.startswith("field-studio")}


def package_rows() -> list[dict]:
    """What is installed here for the base and for everything, without torch, and torch."""
    rows = []
    for name, extras in {"base": "", "all": "all"}.items():
        sizes = closure(extras)
        torch = sizes.pop("torch[]", 0.0)
        rows += [
            {"id": f"packages, {name}", "value": len(sizes) + 1, "unit": "packages"},
            {"id": f"megabytes beside torch, {name}", "value": round(sum(sizes.values()) / 1e6), "unit": "MB"},
        ]
        if not extras:
            rows.append({"id": "megabytes of torch", "value": round(torch / 1e6), "unit": "MB"})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--commits", nargs="*", default=["HEAD"], help="commits to compare (default: this one)")
    add_arguments(parser)
    options = parser.parse_args()
    rows = package_rows()
    folder = Path(tempfile.mkdtemp())
    try:
        for name in options.commits:
            commit = subprocess.run(
                ["git", "-C", str(ROOT), "rev-parse", name], capture_output=True, text=True, check=True
            ).stdout.strip()
            checkout = clone(commit, folder)
            rows += native_rows(checkout, commit[:7])
            if not options.quick:
                rows += setup_rows(checkout, commit[:7])
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    emit(report("install", rows), options)


if __name__ == "__main__":
    main()
