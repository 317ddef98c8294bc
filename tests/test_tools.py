"""What `make` runs before an installation: obstacles in one line, extras, the choice of torch's build, wheels."""

import importlib.util
import os
import subprocess
import sys
import zipfile
from collections import namedtuple
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[1]


def tool(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


before_install, extras, torch_build, make_wheel = map(tool, ("before_install", "extras", "torch_build", "make_wheel"))


def fake_command(folder: Path, name: str, prints: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\ncat <<'E'\n{prints}\nE\n")
    path.chmod(0o755)


@pytest.fixture
def only_fakes(tmp_path, monkeypatch):
    """A path with apt-get and cat, on which a test puts what it wants."""
    for name in ("cat", "sh"):
        (tmp_path / name).symlink_to(f"/bin/{name}")
    fake_command(tmp_path, "apt-get", "")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    return tmp_path


def test_no_compiler_names_the_package_and_wheels(only_fakes):
    line = before_install.wrong_compiler()
    assert "apt install g++" in line and "wheel" in line and "\n" not in line


@pytest.mark.parametrize(
    ("name", "says", "accepted"),
    [
        ("g++", "g++ (Debian 10.2.1-6) 10.2.1 20210110", False),
        ("g++", "g++ (Debian 12.2.0-14) 12.2.0", True),
        ("clang++", "Debian clang version 11.0.1", False),
        ("clang++", "Apple clang version 15.0.0 (clang-1500.3.9.4)", True),
        ("c++", "a compiler that nobody knows", True),
    ],
)
def test_old_compilers_are_refused(only_fakes, name, says, accepted):
    fake_command(only_fakes, name, says)
    line = before_install.wrong_compiler()
    assert (line is None) == accepted
    if line:
        assert "gcc 12 or clang 14" in line and "wheel" in line


def test_old_python_is_refused():
    assert "PYTHON=" in before_install.wrong_python((3, 9, 2))
    assert before_install.wrong_python((3, 14, 0)) is None


def test_python_without_venv_is_refused(only_fakes, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "ensurepip", None)
    assert "-venv" in before_install.missing_venv(str(tmp_path / "absent"))
    fake_command(only_fakes, "uv", "")
    assert before_install.missing_venv(str(tmp_path / "absent")) is None


def test_full_disks_and_folders_of_others_are_refused(monkeypatch, tmp_path):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(before_install.shutil, "disk_usage", lambda _: usage(10**9, 9 * 10**8, 10**8))
    assert "0.1 GB free" in before_install.no_room(str(tmp_path))
    monkeypatch.setattr(before_install.os, "access", lambda *_: False)
    assert "cannot be written" in before_install.no_room(str(tmp_path))


def test_what_an_interrupted_installation_left_is_not_needed_again(monkeypatch, tmp_path):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(before_install.shutil, "disk_usage", lambda _: usage(10**9, 0, 2_000_000))
    assert "needs about 0.0 GB" in before_install.no_room(str(tmp_path), 3_000_000)
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / "package").write_bytes(bytes(1_500_000))
    assert before_install.no_room(str(tmp_path), 3_000_000) is None


def test_make_stops_on_a_full_disk_without_a_trace(tmp_path):
    """`make fit` says what is missing and leaves no half of an environment behind."""
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "tools").symlink_to(ROOT / "tools")
    (tmp_path / "cuda_ext").mkdir()
    full = tmp_path / "sitecustomize.py"
    full.write_text(
        "import shutil, collections\nshutil.disk_usage = lambda _: collections.namedtuple('U', 'free')(10**8)\n"
    )
    environment = os.environ | {"PYTHONPATH": str(tmp_path), "MAKEFLAGS": ""}
    done = subprocess.run(
        ["make", "fit", f"PYTHON={sys.executable}"], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 2 and "0.1 GB free" in done.stderr
    assert not (tmp_path / ".venv").exists()


def test_before_install_parses_on_old_pythons():
    """It is to say that they are too old, in syntax that they know."""
    import ast

    ast.parse((ROOT / "tools" / "before_install.py").read_text(), feature_version=(3, 6))


def test_extras_of_extras_are_listed_once():
    found = extras.requirements(["all", "studio"])
    assert len(found) == len(set(found)) and not any("field-studio" in name for name in found)
    assert {"gradio>=6.20", "matplotlib>=3.9"} <= set(found)
    # They are words on a command line.
    assert not any(" " in name for name in extras.requirements(["all", "test", "bench", "check", "wheel"]))


@pytest.mark.parametrize("has_cpu_index", [True, False])
@pytest.mark.parametrize("uses_uv", [True, False])
def test_torch_for_gpus_is_announced_or_avoided(monkeypatch, capsys, uses_uv, has_cpu_index):
    asked = []

    def brings_cuda(installer, *extra):
        asked.append(extra)
        return not has_cpu_index if "--torch-backend=cpu" in extra or not uses_uv else True

    monkeypatch.setattr(torch_build, "has_nvidia_device", lambda: False)
    monkeypatch.setattr(torch_build, "is_installed", lambda: False)
    monkeypatch.setattr(torch_build, "brings_cuda", brings_cuda)
    monkeypatch.setattr(torch_build.sys, "platform", "linux")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    monkeypatch.delenv("PIP_EXTRA_INDEX_URL", raising=False)
    found = torch_build.arguments(["/usr/bin/uv" if uses_uv else "python", "pip", "install"])
    assert found == (["--torch-backend=cpu"] if uses_uv and has_cpu_index else [])
    assert ("several gigabytes" in capsys.readouterr().err) == (not has_cpu_index)


def test_gpus_and_installed_torch_are_left_alone(monkeypatch):
    monkeypatch.setattr(torch_build, "brings_cuda", lambda *_: pytest.fail("asked for nothing"))
    monkeypatch.setattr(torch_build, "has_nvidia_device", lambda: True)
    assert torch_build.arguments(["python", "-m", "pip", "install"]) == []


def test_half_of_torch_is_not_torch(monkeypatch, tmp_path):
    """After an interrupted set-up the build of torch is chosen again, though its folder is there."""
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").touch()
    described = tmp_path / "torch-2.13.0.dist-info"
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    assert not torch_build.is_installed()
    described.mkdir()
    (described / "METADATA").write_text("Metadata-Version: 2.1\nName: torch\nVersion: 2.13.0\n")
    importlib.invalidate_caches()
    assert torch_build.is_installed()


def wheel(
    folder: Path, files: dict[str, bytes], name: str = "field_studio-1-py3-none-manylinux_2_28_x86_64.whl"
) -> Path:
    names = {f"{package}/__init__.py": b"" for package in make_wheel.PACKAGES}
    with zipfile.ZipFile(folder / name, "w") as archive:
        for path, content in (names | files).items():
            archive.writestr(path, content)
    return folder / name


GOOD_LIBRARY = {"cuda_ext/lib/libfield_studio_cpu.so": b"\0GLIBC_2.2.5\0GLIBC_2.27\0libm.so.6\0"}


def test_a_good_wheel_is_found_good(tmp_path):
    assert make_wheel.findings(wheel(tmp_path, GOOD_LIBRARY)) == []


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"cuda_ext/lib/libfield_studio_cpu.so": b"\0GLIBC_2.34\0"}, "glibc"),
        ({"cuda_ext/lib/libfield_studio_cpu.so": b"\0libgomp.so.1\0"}, "OpenMP"),
        (GOOD_LIBRARY | {"tests/test_it.py": b""}, "at its top"),
        (GOOD_LIBRARY | {"cuda_ext/csrc/cpu/adam.cpp": b""}, "adam.cpp"),
        ({}, "0 native libraries"),
    ],
)
def test_what_is_wrong_with_a_wheel_is_found(tmp_path, files, says):
    assert any(says in line for line in make_wheel.findings(wheel(tmp_path, files)))


@pytest.mark.parametrize(
    ("arguments", "password", "runs"),
    [
        ([], "", None),
        (
            [],
            "12345678",
            "studio --host 0.0.0.0 --port 7860 --runs /runs --no-browser --password 12345678",
        ),
        (["fit", "/data/a photo.jpg"], "", "fit /data/a photo.jpg"),
    ],
)
def test_the_container_starts_the_studio_or_a_command(tmp_path, arguments, password, runs):
    program = tmp_path / "fit-a-scene"
    program.write_text('#!/bin/sh\necho "$@"\n')
    program.chmod(0o755)
    done = subprocess.run(
        ["sh", ROOT / "tools" / "container_entry.sh", *(arguments or ["studio"])],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin", "FIELD_STUDIO_PASSWORD": password},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout.strip()) == ((0, runs) if runs else (2, ""))
