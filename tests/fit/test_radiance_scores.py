"""Scores of test views: pixels outside the mask do not count."""

import json

import numpy as np
import pytest
from PIL import Image
from posed_scene import write_scene

import scenes
from fields.fit.metrics.samples import psnr, ssim
from fields.fit.objectives import radiance, view_scores
from fields.fit.objectives.radiance import RadianceObjective
from fields.fit.objectives.view_scores import ViewScores
from fields.models.field import RadianceField


@pytest.fixture
def scored(tmp_path, monkeypatch):
    """Scores and images of a fit that is close to the photographs inside the masks and grey outside."""
    folder = write_scene(tmp_path / "scene", train=4, test=2)
    mask = np.zeros((24, 24), bool)
    mask[:, :12] = True
    Image.fromarray(mask.astype(np.uint8) * 255).save(folder / "mask.png")
    content = json.loads((folder / "transforms_test.json").read_text())
    content["frames"][0]["mask_path"] = "mask.png"
    (folder / "transforms_test.json").write_text(json.dumps(content))
    scene = scenes.load(folder)
    targets = [scene.image(view) for view in scene.test]
    fits = [np.where(mask[..., None], np.clip(target + 0.1, 0, 1), 0.5).astype(np.float32) for target in targets]
    objective = RadianceObjective(scene, "l2")

    def view_colors(scene, field, view, stride=1, rays=1):
        assert rays == 1
        return fits[scene.test.index(view)][::stride, ::stride]

    monkeypatch.setattr(view_scores, "view_colors", view_colors)
    monkeypatch.setattr(radiance, "camera_remarks", lambda scene, field: [])
    return objective.evaluate(None), objective.scores, mask, targets, fits


def test_masked_views_are_scored_where_the_mask_counts(scored):
    means, scores, mask, targets, fits = scored
    first, second = scores.per_view
    assert first["psnr"] == pytest.approx(psnr(fits[0][:, :12], targets[0][:, :12])) and first["psnr"] > 19
    assert first["ssim"] == pytest.approx(ssim(np.where(mask[..., None], fits[0], targets[0]), targets[0]))
    assert (
        second == {"name": second["name"], "psnr": psnr(fits[1], targets[1]), "ssim": ssim(fits[1], targets[1])}
        and second["psnr"] < 12
    )
    assert means["psnr"] == pytest.approx((first["psnr"] + second["psnr"]) / 2)
    assert scores.watched_psnr(None) == pytest.approx(means["psnr"], abs=0.5)


def test_smaller_views_than_the_fitted_ones_are_scored_with_several_rays(tmp_path, monkeypatch):
    scene = scenes.load(write_scene(tmp_path / "scene", train=4, test=2))
    field = RadianceField(scene.domain, scene.channels)
    asked = []

    def view_colors(scene, field, view, stride=1, rays=1):
        asked.append(rays)
        return scene.image(view)

    monkeypatch.setattr(view_scores, "view_colors", view_colors)
    scores = ViewScores(scene)
    scores.evaluate(field)
    scores.fitted = [view.resized(72, 72) for view in scene.training]
    scores.evaluate(field)
    assert asked == [1, 1, 3, 3]
