"""The viewer that ships is what its sources give."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
WEB = ROOT / "apps" / "web"


def run(*command: str) -> None:
    if shutil.which("node") is None or not (ROOT / "node_modules" / "esbuild").is_dir():
        pytest.skip("needs the packages of package.json: make check installs them")
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


def test_bundle_is_made_of_the_sources(tmp_path):
    run("node", "apps/web/build.mjs", str(tmp_path))
    for name in ("viewer.js", "viewer.css"):
        shipped = ROOT / "fields" / "export" / "page" / name
        assert shipped.read_bytes() == (tmp_path / name).read_bytes(), f"{name}: run `node apps/web/build.mjs`"


def test_module_is_made_of_the_sources():
    recorded = (WEB / "evaluate.sha256").read_text().split()
    assert len(recorded) > 2
    for digest, name in zip(recorded[::2], recorded[1::2]):
        found = hashlib.sha256((ROOT / name).read_bytes()).hexdigest()
        assert found == digest, f"{name} has changed: run cuda_ext/csrc/wasm/build.sh"
    assert (WEB / "evaluate.wasm").stat().st_size < 100_000


def test_module_is_what_the_compiler_gives(tmp_path):
    if shutil.which("clang++") is None or not Path("/usr/include/wasm32-wasi").is_dir():
        pytest.skip("the compiler of the module is not here; build.sh names its packages")
    subprocess.run(["cuda_ext/csrc/wasm/build.sh", str(tmp_path / "evaluate.wasm")], cwd=ROOT, check=True)
    assert (tmp_path / "evaluate.wasm").read_bytes() == (WEB / "evaluate.wasm").read_bytes()


@pytest.mark.slow
def test_scripts_types_and_units():
    run("npx", "tsc", "-p", "apps/web")
    run("npx", "vitest", "run", "--root", "apps/web")
