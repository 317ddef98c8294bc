"""Folders: names of runs cannot lead out of the folder of runs."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.studio.folders import NAME, Folders, check_name, clean_name
from scenes.errors import BadInput


@pytest.fixture
def folders(tmp_path):
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "run.json").write_text('{"format": 1}')
    return Folders.at(tmp_path / "runs")


@pytest.mark.parametrize(
    "name",
    [
        "..",
        "../secret",
        "a/../../secret",
        "/etc",
        ".uploads",
        "",
        "a/b",
        "a\\b",
        "a\0b",
        "x" * 81,
        "run\n",
        "..a",
        "a..b",
        " a",
    ],
)
def test_refuses_names_that_lead_elsewhere(folders, name):
    with pytest.raises(BadInput):
        folders.run(name)
    with pytest.raises(BadInput):
        check_name(name)


def test_refuses_a_link_in_the_folder_of_runs(folders, tmp_path):
    os.symlink(tmp_path / "secret", folders.runs / "link")
    with pytest.raises(BadInput, match="no run called link"):
        folders.run("link")


@given(st.text())
def test_a_cleaned_name_is_valid_and_stays_the_same(text):
    assert NAME.fullmatch(clean_name(text)) and check_name(clean_name(text)) == clean_name(text)


def test_a_new_run_never_replaces_another(folders):
    (folders.runs / "cat").mkdir()
    assert (
        folders.new("cat").name == "cat-2"
        and folders.new("../cat").name == "cat-2"
        and folders.new("???").name == "run"
    )
