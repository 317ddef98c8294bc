"""Control groups that tests write."""

import pytest


@pytest.fixture
def cgroups(tmp_path, monkeypatch):
    """Writes the process's table of control groups and the files of some of them."""
    monkeypatch.setattr("scenes.io.cgroups.CGROUP_ROOT", tmp_path / "cgroup")
    monkeypatch.setattr("scenes.io.cgroups.CGROUP_TABLE", tmp_path / "table")

    def write(table: str, **files_by_folder: dict[str, str]) -> None:
        (tmp_path / "table").write_text(table)
        for folder, files in files_by_folder.items():
            path = tmp_path / "cgroup" / folder.replace("__", "/").strip("/")
            path.mkdir(parents=True, exist_ok=True)
            for name, text in files.items():
                (path / name).write_text(text)

    return write
