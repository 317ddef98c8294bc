"""Sections of options: a method's own first, then those of scenes and shapes where it takes such signals."""

import json

import pytest

from apps.cli.main import main
from fields.methods.points import PointMethod
from fields.methods.radiance import SceneMethod
from fields.methods.registry import method_class, method_names
from fields.runs.renamed import current_header


@pytest.mark.parametrize("name", method_names())
def test_sections_hold_every_option_once(name):
    names = [option for section in method_class(name).option_sections() for option in section.names]
    assert sorted(names) == sorted(method_class(name).model_fields)


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("siren", ["width", "hidden_layers", "learning_rate", "batch", "first_omega"]),
        ("nerv", ["grid_channels", "lower_width", "hidden", "strides", "learning_rate", "batch"]),
    ],
)
def test_size_rate_batch_and_frequency_come_first(name, first):
    assert list(method_class(name).option_sections()[0].names[: len(first)]) == first


@pytest.mark.parametrize("name", method_names())
def test_only_methods_of_points_have_options_of_scenes_and_shapes(name):
    titles = [section.title for section in method_class(name).option_sections()]
    cls = method_class(name)
    scenes = ["scene options"] if issubclass(cls, SceneMethod) else []
    expected = [*scenes, "shape options"] if issubclass(cls, PointMethod) else scenes
    assert titles == ["options", *expected]


def test_the_class_that_defines_an_option_decides_its_section():
    sections = {section.title: section for section in method_class("hashgrid").option_sections()}
    assert {"cells", "cascades", "sampling", "color_width"} <= set(sections["scene options"].names)
    assert sections["scene options"].signal_kinds == ("radiance",)
    assert sections["shape options"].names == ("eikonal", "normals")
    assert sections["shape options"].signal_kinds == ("shape",)


def test_the_command_lists_options_section_by_section(capsys):
    assert main(["methods", "siren"]) == 0
    out = capsys.readouterr().out
    assert out.index("width") < out.index("scene options") < out.index("cascades") < out.index("shape options")
    assert main(["methods", "siren", "--json"]) == 0
    options = json.loads(capsys.readouterr().out.splitlines()[-1])["methods"][0]["options"]
    assert options[0]["name"] == "width" and options[0]["section"] == "options"
    assert {option["section"] for option in options if option["name"] == "cells"} == {"scene options"}


def test_old_headers_get_the_names_of_today_and_lose_options_that_a_method_has_no_more():
    header = {"method": "hashgrid", "options": {"cubes": 4, "fresh_density": 0.2, "levels": 8}}
    assert current_header(header)["options"] == {"cascades": 4, "initial_density": 0.2, "levels": 8}
    header = {"method": "nerv", "options": {"cubes": 1, "cells": 128, "eikonal": 0.0, "strides": "5,2"}}
    assert current_header(header)["options"] == {"strides": "5,2"}
