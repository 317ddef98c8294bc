"""Tests of the conformance kit: our methods pass it, and it finds defects."""

import sys
from pathlib import Path

import pytest
import torch

from apps.cli.main import main
from fields.fit.conformance import check_method
from fields.methods.hashgrid import HashGrid
from fields.methods.registry import make_method, method_class, method_names, register
from fields.methods.siren import Siren
from fields.models.field import CoordinateField
from scenes.errors import BadInput

# Small enough to be quick; everything else as it comes.
SMALL = {
    "neus": {"levels": 6, "table_size": 4096, "batch": 2048, "cells": 32},
    "wire": {"width": 32, "hidden_layers": 2, "omega": 5.0, "scale": 2.0},
    "hashgrid": {"levels": 8, "table_size": 4096},
    "fourier": {"width": 32, "hidden_layers": 2, "learning_rate": 3e-3, "frequencies": 32, "sigma": 0.7},
}
NETWORK = {"width": 32, "hidden_layers": 2}


@pytest.mark.parametrize("name", method_names())
def test_our_methods_pass_every_check(name):
    options = SMALL.get(name) or (
        {**NETWORK, "learning_rate": 3e-3} if "hidden_layers" in method_class(name).model_fields else {}
    )
    wrong = [
        f"{result.name}: {result.detail}" for result in check_method(method_class(name), options) if not result.passed
    ]
    assert not wrong


class Broken(Siren):
    name = "broken"

    def parameters(self, dimensions, channels):
        return super().parameters(dimensions, channels) + 1

    def parameter_groups(self, field):
        return [
            {"params": [field.network.output.weight], "lr": 1e-3, "sparse": False},
            {"params": [], "lr": 1e-3, "sparse": False},
        ]

    def build(self, domain, channels, seed):
        field = super().build(domain, channels, 0)

        class Doubled(CoordinateField):
            def forward(self, coords):
                values = super().forward(coords)
                return torch.where((coords < 0).any(-1, keepdim=True), float("nan"), values) + coords.numel()

        field.__class__ = Doubled
        return field


def test_each_defect_of_a_method_fails_its_check():
    register(Broken)
    results = {
        result.name: result
        for result in check_method(Broken, {**NETWORK, "width": 8}, steps=3)
        if result.name.startswith("2-D")
    }
    failed = {name: result.detail for name, result in results.items() if not result.passed}
    assert set(failed) == {"2-D parameters", "2-D build", "2-D shapes", "2-D outside", "2-D gradients", "2-D fit"}
    assert "another seed" in failed["2-D build"] and "depends on its batch" in failed["2-D shapes"]
    assert (
        "not finite" in failed["2-D outside"]
        and "empty" in failed["2-D gradients"]
        and "the mean value" in failed["2-D fit"]
    )


def test_register_is_a_decorator_and_refuses_names_that_are_taken():
    @register
    class Mine(HashGrid):
        name = "mine"

    assert method_class("mine") is Mine and isinstance(make_method("mine"), Mine) and "mine" in method_names()
    with pytest.raises(BadInput, match="there is a method named 'siren' already"):
        register(type("Thief", (HashGrid,), {"name": "siren"}))
    with pytest.raises(BadInput, match="is not a method"):
        register(dict)


def test_check_command_takes_a_class_of_another_package(tmp_path: Path, monkeypatch, capsys):
    (tmp_path / "their_package.py").write_text(
        "from fields.methods.siren import Siren\n\n\n"
        "class Theirs(Siren):\n    name = 'theirs'\n    dimensions = (1,)\n\n\n"
        "class Slow(Theirs):\n    name = 'slow'\n    def rate_factor(self, step, total):\n        return 0.0\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path[:])
    small = ["--set", "width=32", "hidden_layers=2", "learning_rate=0.003"]
    assert main(["check", "their_package:Theirs", *small]) == 0
    assert "9 of 9 checks passed" in capsys.readouterr().err
    assert main(["check", "their_package:Slow", "--json", *small]) == 1
    assert '"passed": false' in capsys.readouterr().out
    assert main(["check", "their_package:Nothing"]) == 2
    assert main(["check", "no_package:Nothing"]) == 2
    assert main(["check", "hashgird"]) == 2
    assert "did you mean hashgrid" in capsys.readouterr().err
