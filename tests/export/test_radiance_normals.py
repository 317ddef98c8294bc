"""Expected normals of scenes: the weighted mean along a ray of the directions in which density falls."""

import sys
from pathlib import Path

import pytest
import torch

import scenes
from fields.export.outputs.radiance import RadianceOutput
from fields.fit.fit import prepare
from scenes.posed.camera import Camera

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "fit"))
from posed_scene import SMALL_GRID, pose, write_scene  # noqa: E402


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    """A function from a density to its normals `[2, 2, 3]` in the middle of the image of a camera above."""
    scene = scenes.load(write_scene(tmp_path_factory.mktemp("ball") / "scene", train=4, test=1))
    field = prepare(scene, "hashgrid", steps=1, settings=SMALL_GRID | {"hull": False})[0].field

    camera = Camera(pose(0, 89.9), scene.test[0].intrinsics)

    def look(density):
        field.density = lambda coords, time=None, directions=None: (density(coords), field.trunk_feature(coords))
        return RadianceOutput(field, None).render_camera(camera, normals=True)[1][11:13, 11:13]

    return look


def test_the_normal_of_a_layer_points_out_of_it(seen):
    normals = seen(lambda coords: 300 * (0.6 - coords[:, 2]).clamp(min=0))
    assert (normals - torch.tensor([0.0, 0.0, 1.0])).abs().max() < 1e-3


@pytest.mark.parametrize("fraction", [0.2, 0.5, 0.8])
def test_a_veil_and_the_surface_behind_it_count_by_their_weights(seen, fraction):
    """A veil that takes a fraction of the light and is denser to the left, in front of matter that is denser below."""

    def density(coords):
        thick = -torch.log(torch.tensor(1 - fraction)) / 0.1
        veil = thick * (1 + (0.5 - coords[:, 0]))
        return torch.where(
            coords[:, 2] > 0.7, torch.where(coords[:, 2] < 0.8, veil, 0.0), 3000 * (0.5 - coords[:, 2]).clamp(min=0)
        )

    expected = torch.nn.functional.normalize(torch.tensor([fraction, 0.0, 1 - fraction]), dim=0)
    assert (seen(density) - expected).abs().max() < 0.06


def test_an_empty_scene_has_no_normals(seen):
    assert not seen(lambda coords: torch.zeros_like(coords[:, 0]) * coords[:, 0]).any()
