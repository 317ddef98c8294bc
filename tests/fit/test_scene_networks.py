"""Defaults of networks that are fitted to scenes."""

import pytest
from posed_scene import write_scene

from fields.methods.registry import make_method
from scenes.posed.signal import open_radiance
from scenes.procedural import Waves


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    return open_radiance(write_scene(tmp_path_factory.mktemp("scene") / "scene", side=16))


@pytest.mark.parametrize("name", ("nerf", "cam"))
def test_networks_and_batches_on_scenes_are_small_unless_they_are_given(name, scene):
    method = make_method(name).prepare(scene)
    picture = make_method(name).prepare(Waves((32, 32)))
    assert method.width < picture.width and method.batch < picture.batch
    assert method.learning_rate > picture.learning_rate
    given = make_method(name, {"width": 256, "batch": 5000, "ray_step": 0.003}).prepare(scene)
    assert (given.width, given.batch, given.ray_step) == (256, 5000, 0.003)
    # What a run's header holds is taken as it is.
    assert make_method(name, method.model_dump()).prepare(scene) == method
