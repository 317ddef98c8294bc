"""A set-up that was killed at any moment ends well when it is started again; `make` is real, Python and pip are not."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from test_tools import ROOT, tool

half_installed = tool("half_installed")

# Stands for Python, in and outside of the environment. At the moment that KILL names, all that `make` has started
# is killed. Its pip behaves as pip does: it leaves alone what has a description, and signs it last.
PYTHON = """\
#!/bin/sh
stop() { [ "$KILL" != "$1" ] || kill -KILL 0; }
packages=.venv/lib/python3/site-packages
case "$*" in
tools/*) exec REAL "$@" ;;
"-m venv .venv")
    mkdir -p .venv/bin $packages
    stop venv
    cp "$0" .venv/bin/python ;;
*--dry-run*) exit 1 ;;
*"pip install"*)
    if ! [ -e $packages/numpy.dist-info ]; then
        echo code > $packages/numpy.py
        mkdir $packages/numpy.dist-info
        echo numpy.py,, > $packages/numpy.dist-info/RECORD
        stop pip
        echo pip > $packages/numpy.dist-info/INSTALLER
    fi
    mkdir -p build
    echo half > build/object.o
    stop compile
    echo whole > build/object.o
    mkdir -p $packages/field_studio.dist-info
    touch $packages/field_studio.dist-info/RECORD $packages/field_studio.dist-info/INSTALLER
    printf '#!/bin/sh\\necho "ran $*"\\n' > .venv/bin/fit-a-scene
    chmod +x .venv/bin/fit-a-scene ;;
*) echo "unexpected: $*" >&2; exit 1 ;;
esac
"""


@pytest.fixture
def checkout(tmp_path) -> Path:
    """A folder in which `make` does what it does in a clone, with a Python that installs nothing."""
    folder = tmp_path / "mein Körper"
    (folder / "cuda_ext").mkdir(parents=True)
    for name in ("Makefile", "pyproject.toml", "constraints.txt", "tools"):
        (folder / name).symlink_to(ROOT / name)
    (tmp_path / "python").write_text(PYTHON.replace("REAL", sys.executable))
    (tmp_path / "python").chmod(0o755)
    return folder


def make_fit(folder: Path, **environment: str) -> subprocess.CompletedProcess:
    """`make fit` in a process group of its own, with 4 GB of room whatever this disk has."""
    (folder.parent / "sitecustomize.py").write_text(
        "import shutil, collections\nshutil.disk_usage = lambda _: collections.namedtuple('U', 'free')(4 * 10**9)\n"
    )
    return subprocess.run(
        ["make", "--no-print-directory", "fit", "UV=", f"PYTHON={folder.parent / 'python'}", "SOURCE=a photo.jpg"],
        cwd=folder,
        env=os.environ | {"MAKEFLAGS": "", "PYTHONPATH": str(folder.parent)} | environment,
        capture_output=True,
        text=True,
        start_new_session=True,
        timeout=60,
    )


@pytest.mark.parametrize("moment", ["venv", "pip", "compile"])
def test_a_killed_set_up_is_started_again(checkout, moment):
    assert make_fit(checkout, KILL=moment).returncode == -9
    again = make_fit(checkout, KILL="")
    assert again.returncode == 0, again.stderr
    assert again.stdout.endswith("ran fit a photo.jpg\n")
    assert (checkout / "build" / "object.o").read_text() == "whole\n"
    assert not half_installed.unfinished(str(checkout / ".venv"))
    assert ("numpy.dist-info was left unfinished" in again.stderr) == (moment == "pip")
    # What is set up is not set up again.
    assert make_fit(checkout, KILL="venv").stdout == "ran fit a photo.jpg\n"


def test_what_is_half_installed_is_found(tmp_path):
    place = tmp_path / "lib" / "python3.11" / "site-packages"
    packages = {
        "whole": "whole.py,,\n__pycache__/whole.pyc,,\n",
        "gone": '"a, b.py",,\ngone.py,,\n',
        "short": None,
        "unsigned": "",
    }
    for name, record in packages.items():
        (place / f"{name}.dist-info").mkdir(parents=True)
        if name != "unsigned":
            (place / f"{name}.dist-info" / "INSTALLER").write_text("pip")
        if record is not None:
            (place / f"{name}.dist-info" / "RECORD").write_text(record)
    (place / "~umpy").mkdir()
    for name in ("whole.py", "a, b.py"):
        (place / name).touch()
    found = [Path(folder).name for folder in half_installed.unfinished(str(tmp_path))]
    assert found == ["gone.dist-info", "short.dist-info", "unsigned.dist-info", "~umpy"]
    assert half_installed.unfinished(str(tmp_path / "absent")) == []


@pytest.mark.parametrize(("home", "keeps"), [("/dev/null", False), ("", True)])
def test_uv_keeps_no_downloads_in_a_home_that_cannot_be_written_to(tmp_path, home, keeps):
    environment = {key: value for key, value in os.environ.items() if key not in ("XDG_CACHE_HOME", "UV_NO_CACHE")}
    said = subprocess.run(
        ["make", "-f", ROOT / "Makefile", "-C", tmp_path, "--print-data-base", "--question", "UV=uv", "clean"],
        env=environment | {"HOME": home or str(tmp_path), "MAKEFLAGS": ""},
        capture_output=True,
        text=True,
        timeout=60,
    ).stdout
    assert ("\nUV_NO_CACHE := 1\n" not in said) == keeps and "\nINSTALLER := uv pip install" in said


def test_meshes_are_prepared_in_a_home_that_cannot_be_written_to(monkeypatch):
    """What is kept for later is not needed."""
    from scenes.shape.cache import cached

    for name in ("XDG_CACHE_HOME", "FIELD_STUDIO_CACHE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "/dev/null")
    assert cached({"a": 1}, lambda: {"b": 2}) == {"b": 2}
