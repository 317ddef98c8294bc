"""Install the wheel into an environment of each Python that can be had, and use it.

`python tools/matrix.py [--wheel FILE] [--oldest] [PYTHON ...]`. Pythons are those named, or those on the path and,
where uv is installed, those that it finds or downloads. --oldest: with the oldest versions of the base requirements
that pyproject.toml promises. --wheel: this one, instead of one that is built.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

from make_wheel import ROOT, build

VERSIONS = ("3.11", "3.12", "3.13", "3.14")
SHOW = "import sys, numpy, torch; print(sys.version.split()[0], torch.__version__, numpy.__version__, sep=', ')"


def interpreter(name: str) -> str | None:
    """Path of a Python, which is named by its version or its path; None if there is none."""
    found = shutil.which(f"python{name}") or shutil.which(name)
    if found and subprocess.run([found, "-c", ""], capture_output=True).returncode:
        found = None  # a name without a Python behind it, as pyenv has them
    if found is None and (uv := shutil.which("uv")):
        if subprocess.run([uv, "python", "install", "--quiet", name], capture_output=True).returncode:
            return None
        found = subprocess.run([uv, "python", "find", name], capture_output=True, text=True).stdout.strip() or None
    return found


def oldest() -> list[str]:
    """The base requirements at the versions that pyproject.toml begins with."""
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    return [re.sub(r"^(\S+?)>=(\S+)$", r"\1==\2.*", requirement) for requirement in wanted]


def tried(name: str, wheel: Path, pins: list[str]) -> str:
    """What became of one Python, in a line."""
    python = interpreter(name)
    if python is None:
        return "not here"
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([python, "-m", "venv", folder], check=True)
        inner = str(Path(folder) / "bin" / "python")
        install = [inner, "-m", "pip", "install", "--quiet", *pins, str(wheel)]
        done = subprocess.run(install, capture_output=True, text=True)
        if done.returncode:
            return "does not install: " + done.stderr.strip().splitlines()[-1]
        command = [inner, str(ROOT / "tools" / "try_wheel.py"), "--no-studio"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        if done.returncode:
            return "fails: " + done.stderr.strip().splitlines()[-1]
        versions = subprocess.run([inner, "-c", SHOW], capture_output=True, text=True, check=True).stdout.strip()
        return f"{done.stdout.strip()} (Python, torch, numpy: {versions})"


def main() -> int:
    """Try each, print a line for each; status 1 where one that is here fails."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pythons", nargs="*", metavar="PYTHON", help="a version, or a path")
    parser.add_argument("--wheel", type=Path, help="a wheel that was built")
    parser.add_argument("--oldest", action="store_true", help="the oldest versions of the base requirements")
    options = parser.parse_args()
    failed = False
    with tempfile.TemporaryDirectory() as out:
        wheel = options.wheel.resolve() if options.wheel else build(Path(out))
        for name in options.pythons or VERSIONS:
            said = tried(name, wheel, oldest() if options.oldest else [])
            print(f"Python {name}: {said}", flush=True)
            failed |= said.startswith(("fails", "does not")) or (bool(options.pythons) and said == "not here")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
