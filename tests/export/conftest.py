"""A quickly fitted shape for the tests of exports."""

import numpy as np
import pytest
import trimesh

from apps.cli.main import main
from fields.fit.objectives import shape as objective_module

QUICK = ["--steps", "500", "--set", "batch=4096", "table_size=8192", "levels=3", "base_resolution=8", "growth=1.5"]


@pytest.fixture(autouse=True, scope="session")
def small():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FIELD_STUDIO_CACHE", "off")
        for name, value in {"VOLUME_POINTS": 20000, "SURFACE_POINTS": 4000, "RESOLUTION": 32, "PANEL_SIDE": 32}.items():
            patch.setattr(objective_module, name, value)
        patch.setattr("fields.surface.quality.SAMPLES", 5000)
        yield


@pytest.fixture(scope="session")
def run(tmp_path_factory):
    """A run that was quickly fitted to a painted ball of radius 2 around (5, 0, 0)."""
    folder = tmp_path_factory.mktemp("ball")
    ball = trimesh.creation.icosphere(4, radius=2.0)
    ball.visual.vertex_colors = np.concatenate(
        [ball.vertices * 50 + 128, np.full((len(ball.vertices), 1), 255)], axis=1
    ).astype(np.uint8)
    ball.apply_translation([5.0, 0.0, 0.0])
    ball.export(folder / "ball.ply")
    assert main(["fit", str(folder / "ball.ply"), "--out", str(folder / "run"), *QUICK]) == 0
    return folder / "run"
