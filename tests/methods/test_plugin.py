"""The example of a plug-in, announced by an installed package and registered by a program."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from apps.cli.main import main
from fields.methods import registry

EXAMPLE = Path(__file__).resolve().parents[2] / "docs" / "examples" / "plugin"


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """What pip installs: the module, and the metadata that it makes of pyproject.toml."""
    import tomllib

    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]
    shutil.copy(EXAMPLE / "field_studio_filters.py", tmp_path)
    info = tmp_path / "field_studio_filters-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    points = project["entry-points"]["field_studio.methods"]
    (info / "entry_points.txt").write_text(
        "[field_studio.methods]\n" + "".join(f"{name} = {location}\n" for name, location in points.items())
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    registry._locations.cache_clear()
    yield tmp_path
    registry._locations.cache_clear()
    sys.modules.pop("field_studio_filters", None)


@pytest.mark.slow
def test_an_announced_method_passes_all_checks(installed, capsys):
    assert main(["check", "filters", "--set", "width=24", "hidden_layers=2", "frequency=10"]) == 0
    assert "checks passed" in capsys.readouterr().err


def test_an_announced_method_is_listed_fitted_and_evaluated(installed, photograph, tmp_path):
    assert "filters" in registry.method_names()
    assert (
        main(
            [
                "fit",
                str(photograph),
                "--method",
                "filters",
                "--steps",
                "3",
                "--params",
                "5k",
                "--out",
                str(tmp_path / "run"),
            ]
        )
        == 0
    )
    assert main(["evaluate", str(tmp_path / "run")]) == 0


def test_a_method_is_unknown_without_its_package():
    assert "filters" not in registry.method_names()


def test_the_decorator_registers_a_method_for_one_process():
    code = (
        f"import sys; sys.path.insert(0, {str(EXAMPLE)!r})\n"
        "from fields.methods.registry import register, make_method\nfrom field_studio_filters import Filters\n"
        "register(type('Mine', (Filters,), {'name': 'mine', '__module__': __name__}))\n"
        "print(make_method('mine', {'width': 8}).width)"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "8"
    )
