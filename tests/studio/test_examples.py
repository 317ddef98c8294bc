"""Example signals of the page."""

from apps.studio import examples, method_options
from apps.studio.folders import Folders


def test_every_generated_example_is_a_signal_that_a_method_takes(tmp_path):
    import scenes

    folders = Folders.at(tmp_path)
    kinds = {}
    for name in [example.name for example in examples.EXAMPLES if example.write]:
        source = examples.source(name, folders)
        signal = scenes.load(source)
        kinds[signal.kind] = source
        assert method_options.suitable_methods(signal) and examples.source(name, folders) == source
    assert set(kinds) == {"audio", "video", "volume", "shape"}
    assert examples.source("Coffee, a photograph", folders) == "skimage:coffee"
