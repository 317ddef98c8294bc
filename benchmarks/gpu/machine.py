"""What this machine has for the parts of `make gpu`: GPU, compilers, tools, packages. The standard library alone."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from dataclasses import asdict, dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# Where CUDA's programs are, if not on the path.
CUDA_FOLDERS = (Path("/usr/local/cuda/bin"), Path("/usr/local/cuda/compute-sanitizer"))
# What the tests want besides the package's own requirements; other tests are not chosen.
TEST_PACKAGES = ("pytest", "pytest-timeout", "hypothesis")
# Printed by an interpreter that is asked what it has; without this checkout's packages.
QUESTION = """
import importlib.metadata as m, json
found = {"torch": None, "cuda": None, "works": False}
try:
    import torch
    found.update(torch=torch.__version__, cuda=torch.version.cuda, works=torch.cuda.is_available())
except Exception as error:
    found["error"] = str(error).splitlines()[0] if str(error) else type(error).__name__
found["packages"] = sorted({(d.metadata["Name"] or "").lower().replace("_", "-") for d in m.distributions()})
print(json.dumps(found))
"""


@dataclass(frozen=True)
class Gpu:
    """A GPU as the driver names it. `capability`: such as "9.0"."""

    name: str
    driver: str
    capability: str

    @property
    def slug(self) -> str:
        """Its name as a part of a file's name."""
        return re.sub(r"[^a-z0-9]+", "-", self.name.lower()).strip("-")


@dataclass(frozen=True)
class Here:
    """This machine.

    why_no_gpu: reason why nothing can run on a GPU, or None. python: interpreter for the parts. programs: paths of
    CUDA's programs by name, None where there is none. packages: names of what the interpreter has installed.
    """

    gpu: Gpu | None
    why_no_gpu: str | None
    python: str
    torch: str | None
    programs: dict[str, str | None]
    packages: list[str] = field(default_factory=list)

    def described(self) -> dict:
        """Plain values for the report."""
        return {name: value for name, value in asdict(self).items() if name != "packages"}


def program(name: str) -> str | None:
    """Path of one of CUDA's programs."""
    if found := shutil.which(name):
        return found
    return next((str(folder / name) for folder in CUDA_FOLDERS if (folder / name).is_file()), None)


def look(site: Path) -> Here:
    """What is here. `site`: folder of packages from wheels, which the parts see too."""
    gpu, why = _gpu()
    python, found = _interpreter(site)
    if why is None and not found["works"]:
        why = _why_torch_has_none(found)
    return Here(
        gpu=gpu,
        why_no_gpu=why,
        python=python,
        torch=found["torch"],
        programs={name: program(name) for name in ("nvcc", "cmake", "compute-sanitizer")},
        packages=found["packages"],
    )


def _gpu() -> tuple[Gpu | None, str | None]:
    """The first GPU that the driver shows, or why there is none."""
    tool = program("nvidia-smi")
    if tool is None:
        return None, "there is no NVIDIA driver (no nvidia-smi)"
    command = [tool, "--query-gpu=name,driver_version,compute_cap", "--format=csv,noheader"]
    run = subprocess.run(command, capture_output=True, text=True)
    lines = run.stdout.strip().splitlines()
    if run.returncode or not lines:
        said = (run.stderr or run.stdout).strip().splitlines()
        return None, f"nvidia-smi finds no GPU: {said[0] if said else 'it said nothing'}"
    name, driver, capability = (part.strip() for part in lines[0].split(",")[:3])
    return Gpu(name, driver, capability), None


def _interpreter(site: Path) -> tuple[str, dict]:
    """The first interpreter whose torch can use a GPU, else the one that runs this; and what it has."""
    first = None
    for python in dict.fromkeys([sys.executable, shutil.which("python3") or sys.executable]):
        run = subprocess.run(
            [python, "-c", QUESTION], capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(site)}
        )
        if run.returncode:
            continue
        found = json.loads(run.stdout.splitlines()[-1])
        first = first or (python, found)
        if found["works"]:
            return python, found
    return first or (sys.executable, {"torch": None, "cuda": None, "works": False, "packages": []})


def _why_torch_has_none(found: dict) -> str:
    if found["torch"] is None:
        return f"torch does not import: {found.get('error', 'it is not installed')}"
    if found["cuda"] is None:
        return f"torch {found['torch']} was built without CUDA"
    return f"torch {found['torch']} is built for CUDA {found['cuda']}, which the driver does not serve"


def missing_packages(here: Here) -> list[str]:
    """Names of what the parts want and the interpreter has not."""
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    names = [re.match(r"[\w.-]+", requirement)[0] for requirement in wanted]  # pyright: ignore[reportOptionalSubscript]
    return [name for name in (*names, *TEST_PACKAGES) if name.lower().replace("_", "-") not in here.packages]


def wheels_to_install(folder: Path | None, here: Here) -> list[Path]:
    """Wheels of the folder whose packages are not installed."""
    if folder is None:
        return []
    return [
        wheel
        for wheel in sorted(folder.rglob("*.whl"))
        if wheel.name.split("-")[0].lower().replace("_", "-") not in here.packages
    ]
