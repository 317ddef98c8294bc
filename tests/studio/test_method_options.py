"""Options of methods: the page offers what the command line offers, and reads it in the same way."""

import pytest

from apps.studio import method_options
from fields.fit.estimate import memory_estimate
from fields.methods import figures
from fields.methods.description import describe
from fields.methods.registry import make_method, method_class, method_names
from scenes.errors import BadInput
from scenes.image.signal import Image


@pytest.mark.parametrize("name", method_names())
def test_page_and_command_line_offer_the_same_options(name):
    options = method_options.method_options(name)
    names = [option.name for option in options]
    assert sorted(names) == sorted(option["name"] for option in describe(method_class(name))["options"])
    assert sorted(names) == sorted(method_class(name).model_fields)
    for option in options:
        assert option.description and option.default
        for choice in (option.choices or ())[1:]:
            try:
                typed = make_method(name, {option.name: choice})
            except BadInput as error:  # (a choice that wants another one too, as on the command line)
                with pytest.raises(BadInput) as same:
                    method_options.settings_of(name, {option.name: choice})
                assert str(same.value) == str(error)
            else:
                assert make_method(name, method_options.settings_of(name, {option.name: choice})) == typed
    assert method_options.settings_of(name, {option.name: (option.choices or ("",))[0] for option in options}) == {}


@pytest.mark.parametrize("name", method_names())
def test_options_of_other_kinds_of_signals_are_left_out(name):
    def shown(kind=None):
        return {option.name for option in method_options.method_options(name, kind)}

    takes_scenes = "radiance" in (method_class(name).kinds or ("radiance",))
    assert ("cells" in shown("radiance")) == takes_scenes and "cells" not in shown("image")
    assert shown("image") <= shown("shape") and shown("image") <= shown("radiance")
    assert shown("shape") | shown("radiance") == shown()


def test_wrong_values_are_refused_as_on_the_command_line():
    for typed in ({"levels": "0"}, {"levls": "3"}, {"growth": "many"}):
        with pytest.raises(BadInput) as page:
            method_options.settings_of("hashgrid", typed)
        with pytest.raises(BadInput) as command:
            make_method("hashgrid", typed)
        assert str(page.value) == str(command.value)
    assert method_options.settings_of("hashgrid", {"levels": " 8 ", "growth": "", "interpolation": "default"}) == {
        "levels": "8"
    }
    assert (
        make_method("hashgrid", {"features": "4"}).features == 4
        and make_method("hashgrid", {"table_size": "none"}).table_size is None
    )


def test_only_methods_that_take_a_signal_are_offered(astronaut):
    names = method_options.suitable_methods(Image.from_array(astronaut))
    assert "hashgrid" in names and "siren" in names and "nerv" not in names and "triplane" not in names


def test_the_memory_estimate_grows_with_parameters_and_width(astronaut):
    signal = Image.from_array(astronaut)
    small, large = (method_options.prepared_method("hashgrid", {}, signal, count) for count in (100_000, 1_000_000))
    assert memory_estimate(large, signal) - memory_estimate(small, signal) > 30 * 0.85 * 900_000
    narrow, wide = (method_options.prepared_method("nerf", {"width": width}, signal, None) for width in (64, 256))
    assert memory_estimate(wide, signal) > 3 * memory_estimate(narrow, signal)


def test_the_summary_says_what_a_method_reached_on_signals_of_the_kind(monkeypatch):
    reached = {"image": ["30 s: kodim05 21.0 dB (2 of 9)"]}
    monkeypatch.setattr(figures, "lines", lambda name, kind: reached.get(kind, []))
    monkeypatch.setattr(figures, "where", lambda: "a processor")
    assert method_options.summary("siren", "image").endswith(
        "Measured on a processor, with its place among methods: 30 s: kodim05 21.0 dB (2 of 9)."
    )
    assert "Measured" not in method_options.summary("siren", "shape") + method_options.summary("siren")
