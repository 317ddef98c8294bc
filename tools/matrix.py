"""Install the built wheel into an environment of each Python that can be had, and use it.

`python tools/matrix.py [--oldest]`. Pythons are those on the path and, where uv is installed, those that it finds or
downloads. --oldest: with the oldest versions of the base requirements that pyproject.toml promises.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

from make_wheel import ROOT, build

VERSIONS = ("3.11", "3.12", "3.13", "3.14")


def interpreter(version: str) -> str | None:
    """Path of a Python of this version, or None."""
    found = shutil.which(f"python{version}")
    if found and subprocess.run([found, "-c", ""], capture_output=True).returncode:
        found = None  # a name without a Python behind it, as pyenv has them
    if found is None and (uv := shutil.which("uv")):
        if subprocess.run([uv, "python", "install", "--quiet", version], capture_output=True).returncode:
            return None
        found = subprocess.run([uv, "python", "find", version], capture_output=True, text=True).stdout.strip() or None
    return found


def oldest() -> list[str]:
    """The base requirements at the versions that pyproject.toml begins with."""
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    return [re.sub(r"^(\S+?)>=(\S+)$", r"\1==\2.*", requirement) for requirement in wanted]


def tried(version: str, wheel: Path, pins: list[str]) -> str:
    """What became of one Python, in a line."""
    python = interpreter(version)
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
        return done.stdout.strip() if not done.returncode else "fails: " + done.stderr.strip().splitlines()[-1]


def main() -> int:
    """Try each, print a line for each; status 1 where one that is here fails."""
    failed = False
    with tempfile.TemporaryDirectory() as out:
        wheel = build(Path(out))
        for version in VERSIONS:
            said = tried(version, wheel, oldest() if "--oldest" in sys.argv else [])
            print(f"Python {version}: {said}", flush=True)
            failed |= said.startswith(("fails", "does not"))
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
