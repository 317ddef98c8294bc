"""Tests of the table of kinds."""

import subprocess
import sys

import pytest
import trimesh

SCRIPT = """
import sys
import torch
import fields.fit.fit as fitting
import scenes
from fields.fit.objectives import shape
from fields.kinds import import_packages
from fields.runs.run import Run

shape.VOLUME_POINTS, shape.SURFACE_POINTS, shape.RESOLUTION, shape.PANEL_SIDE = 2000, 500, 16, 16
import_packages("shape")
before = set(sys.modules)
trainer, _ = fitting.prepare(scenes.load(sys.argv[1]), None, steps=2, settings={"batch": 256})
fitting.finish(trainer, None)
packages = {name.partition(".")[0] for name in set(sys.modules) - before}
print(*sorted(packages & {"trimesh", "igl", "scipy", "skimage", "networkx", "PIL", "torch"}))
"""


@pytest.mark.slow
def test_fit_imports_no_large_package_after_import_packages(tmp_path, monkeypatch):
    monkeypatch.setenv("FIELD_STUDIO_CACHE", "off")
    trimesh.creation.icosphere(2).export(tmp_path / "ball.obj")
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path / "ball.obj")], capture_output=True, text=True, check=True
    )
    new = done.stdout.splitlines()[-1].split()
    assert not set(new) & {"trimesh", "igl", "scipy", "networkx"}, new
