"""A wheel, installed outside of the repository: nothing but what it has and the packages that it needs."""

import os
import subprocess
import sys
import sysconfig

import pytest
from test_tools import ROOT, make_wheel


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the tags of other systems come from cibuildwheel")
def test_an_installed_wheel_fits_exports_and_serves(tmp_path):
    # What has been compiled already is used: CI compiles for all processors, as wheels are.
    wheel = make_wheel.build(tmp_path / "dist", os.environ.get("FIELD_STUDIO_ISA", "host"))
    assert make_wheel.findings(wheel) == []
    assert "py3-none-manylinux_2_28" in wheel.name

    environment = tmp_path / "Umgebung für Räder"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    python = environment / "bin" / "python"
    install = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--no-index", wheel]
    subprocess.run(install, check=True, env=os.environ | {"PIP_CONSTRAINT": ""})
    # torch and the others are those of this environment, found last.
    site = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('platlib'))"], capture_output=True, text=True
    ).stdout.strip()
    with open(f"{site}/packages.pth", "w", encoding="utf-8") as file:
        file.write(sysconfig.get_path("platlib") + "\n")

    clean = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "FIELD_STUDIO_NATIVE")}
    tried = subprocess.run(
        [python, ROOT / "tools" / "try_wheel.py"], cwd=tmp_path, env=clean, capture_output=True, text=True
    )
    assert tried.returncode == 0, tried.stdout + tried.stderr
    assert "fit, export and studio work" in tried.stdout
