"""The page offers what the command line offers, and reads it in the same way."""

import pytest

from apps.cli.methods import describe
from apps.studio import examples, forms
from apps.studio.folders import Folders
from fields.fit.estimate import memory_estimate
from fields.methods.registry import make_method, method_class, method_names
from scenes.errors import BadInput
from scenes.image.signal import Image


@pytest.mark.parametrize("name", method_names())
def test_page_and_command_line_offer_the_same_options(name):
    controls = forms.controls(name)
    assert [control.name for control in controls] == [
        option["name"] for option in describe(method_class(name))["options"]
    ]
    assert [control.name for control in controls] == list(method_class(name).model_fields)
    for control in controls:
        assert control.description and control.default
        for choice in (control.choices or ())[1:]:
            try:
                typed = make_method(name, {control.name: choice})
            except BadInput as error:  # (a choice that wants another one too, as on the command line)
                with pytest.raises(BadInput) as same:
                    forms.options(name, {control.name: choice})
                assert str(same.value) == str(error)
            else:
                assert make_method(name, forms.options(name, {control.name: choice})) == typed
    assert forms.options(name, {control.name: (control.choices or ("",))[0] for control in controls}) == {}


@pytest.mark.parametrize("name", method_names())
def test_options_of_other_kinds_are_left_out(name):
    everything = {control.name for control in forms.controls(name)}
    shown = {kind: {control.name for control in forms.controls(name, kind)} for kind in ("image", "shape", "radiance")}
    assert (
        "cells" in shown["radiance"]
        and "cells" not in shown["image"]
        and shown["image"] <= shown["shape"]
        and shown["image"] <= shown["radiance"]
    )
    assert shown["shape"] | shown["radiance"] == everything


def test_what_is_wrong_is_told_as_the_command_line_tells_it():
    for typed in ({"levels": "0"}, {"levls": "3"}, {"growth": "many"}):
        with pytest.raises(BadInput) as page:
            forms.options("hashgrid", typed)
        with pytest.raises(BadInput) as command:
            make_method("hashgrid", typed)
        assert str(page.value) == str(command.value)
    assert forms.options("hashgrid", {"levels": " 8 ", "growth": "", "interpolation": "default"}) == {"levels": "8"}
    assert (
        make_method("hashgrid", {"features": "4"}).features == 4
        and make_method("hashgrid", {"table_size": "none"}).table_size is None
    )


def test_methods_that_do_not_take_a_signal_are_not_offered(astronaut):
    names = forms.suitable(Image.from_array(astronaut))
    assert "hashgrid" in names and "siren" in names and "nerv" not in names and "triplane" not in names


def test_memory_grows_with_what_takes_memory(astronaut):
    signal = Image.from_array(astronaut)
    small, large = (forms.prepared("hashgrid", {}, signal, count) for count in (100_000, 1_000_000))
    assert memory_estimate(large, signal) - memory_estimate(small, signal) > 30 * 0.85 * 900_000
    narrow, wide = (forms.prepared("siren", {"width": width}, signal, None) for width in (64, 256))
    assert memory_estimate(wide, signal) > 3 * memory_estimate(narrow, signal)


def test_every_example_is_a_signal(tmp_path):
    import scenes

    folders = Folders.at(tmp_path)
    kinds = {}
    for name in examples.MADE:
        source = examples.source(name, folders)
        signal = scenes.load(source)
        kinds[signal.kind] = source
        assert forms.suitable(signal) and examples.source(name, folders) == source
    assert set(kinds) == {"audio", "video", "volume", "shape"}
    assert examples.source("Coffee, a photograph", folders) == "skimage:coffee"


def test_two_visitors_do_not_reopen_each_others_signals(photograph, tmp_path, monkeypatch):
    import shutil

    pytest.importorskip("gradio")
    import scenes
    from apps.studio.tabs import fit

    calls, load = [], scenes.load
    monkeypatch.setattr(scenes, "load", lambda *given, **more: calls.append(given) or load(*given, **more))
    other = shutil.copy(photograph, tmp_path / "other.png")
    for source in (photograph, other) * 3:
        assert fit._loaded(str(source), "image", ()).kind == "image"
    assert len(calls) == 2
