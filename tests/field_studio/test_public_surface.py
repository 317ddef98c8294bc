"""`import field_studio as fs`: light, complete, documented and typed."""

import inspect
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

import field_studio as fs
from field_studio import functions

sys.path.insert(0, str(Path(__file__).parent))
from option_types import TARGET, written  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
NAMES = [*fs.__all__, *(f"encoders.{n}" for n in fs.encoders.__all__), *(f"networks.{n}" for n in fs.networks.__all__)]


def resolve(name: str):
    found = fs
    for part in name.split("."):
        found = getattr(found, part)
    return found


@pytest.mark.parametrize("name", NAMES)
def test_every_name_resolves_and_is_documented(name):
    found = resolve(name)
    summary = (inspect.getdoc(found) or "").split("\n")[0]
    assert len(summary) > 12 and not summary.startswith("dict("), f"{name}: {summary!r}"


def test_nothing_else_is_public():
    assert dir(fs) == sorted(fs.__all__)
    with pytest.raises(AttributeError, match="no attribute 'fitt'"):
        fs.fitt  # noqa: B018


def test_encoders_and_networks_are_modules():
    from torch import nn

    for room in (fs.encoders, fs.networks):
        found = {name for name in room.__all__ if not issubclass(getattr(room, name), nn.Module)}
        assert found <= {"GridLayout"}


def test_importing_it_is_quick_and_imports_neither_torch_nor_numpy():
    code = (
        "import sys, time; begun = time.perf_counter(); import field_studio as fs; "
        "took = time.perf_counter() - begun; print(took, *(name for name in ('torch', 'numpy') if name in sys.modules))"
    )
    runs = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT) for _ in range(3)]
    assert all(len(done.stdout.split()) == 1 for done in runs), runs[0].stdout + runs[0].stderr
    assert min(float(done.stdout) for done in runs) < 0.2


def test_types_of_options_are_those_of_the_requests():
    here = subprocess.run(
        [sys.executable, "-m", "ruff", "format", "-"], input=written(), capture_output=True, text=True, cwd=ROOT
    )
    if here.returncode:
        pytest.skip("ruff is not installed")
    assert TARGET.read_text(encoding="utf-8") == here.stdout, "run: python tests/field_studio/option_types.py"


def test_functions_say_what_they_take_and_raise():
    for name in functions.__dict__:
        function = getattr(functions, name)
        if inspect.isfunction(function) and not name.startswith("_") and function.__module__ == functions.__name__:
            assert "BadInput" in (function.__doc__ or ""), name


@pytest.mark.slow
def test_a_type_checker_knows_every_name(tmp_path):
    pyright = shutil.which("pyright") or shutil.which("pyright", path=str(ROOT / "node_modules" / ".bin"))
    if pyright is None:
        pytest.skip("pyright is not installed (npm ci)")
    lines = ["import field_studio as fs", *(f"reveal_type(fs.{name})" for name in NAMES)]
    lines += ['reveal_type(fs.fit("a.png", seconds=3).field)', 'reveal_type(fs.open_run("a").load_field())']
    wrong = len(lines) + 1
    lines += ['fs.fit("a.png", secods=3)', 'fs.fit("a.png", bits=7)', 'fs.export("a", "b.glb", texture="yes")']
    (tmp_path / "use.py").write_text("\n".join(lines))
    settings = {"include": ["use.py"], "extraPaths": [str(ROOT)], "typeCheckingMode": "strict"}
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(settings))
    done = subprocess.run(
        [pyright, "--outputjson", "--pythonpath", sys.executable, "-p", str(tmp_path)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=240,
    )
    found = json.loads(done.stdout)["generalDiagnostics"]
    revealed = [entry["message"] for entry in found if entry["severity"] == "information"]
    assert len(revealed) == len(NAMES) + 2
    assert not [message for message in revealed if "Unknown" in message]
    errors = {entry["range"]["start"]["line"] + 1 for entry in found if entry["severity"] == "error"}
    assert errors == {wrong, wrong + 1, wrong + 2}, [
        entry["message"] for entry in found if entry["severity"] == "error"
    ]


def test_what_the_command_line_does(tmp_path, photograph):
    quick = {"steps": 3, "settings": {"batch": 512, "table_size": 256, "levels": 2}}
    result = fs.fit(photograph, out=tmp_path / "run", held_out=0.1, **quick)
    assert result.run is not None and result.field.at(48.0, 32.0).shape == (3,)
    run = fs.open_run(tmp_path / "run")
    assert run.header["source"]["options"] == {"held_out": 0.1}
    assert fs.render(run, tmp_path / "a.png", scale=2)["text"] == "192 x 128"
    assert fs.export(tmp_path / "run", tmp_path / "a.npz")["form"] == "weights"
    student = fs.distill(run, "siren", steps=2, settings={"width": 8})
    assert isinstance(student.field, fs.Field) and student.method.name == "siren"
    comparison = fs.compare(photograph, ["hashgrid", "siren"], out=tmp_path / "both", steps=1, params=2000)
    assert [row["status"] for row in comparison.rows] == ["finished"] * 2
    assert (tmp_path / "both" / "comparison.html").is_file()


def test_signals_may_be_loaded_before(photograph, tmp_path):
    signal = fs.load(photograph, held_out="0.25")
    assert isinstance(signal, fs.Signal)
    with pytest.raises(ValueError, match="held_out: options of `load`"):
        fs.fit(signal, held_out=0.1)
    with pytest.raises(fs.BadInput, match="`held_out`"):
        fs.load(photograph, held_out=2.0)
    with pytest.raises(fs.BadInput, match="no such file"):
        fs.fit(tmp_path / "none.png")
    seen: list[int] = []
    begun = time.perf_counter()
    fs.fit(signal, "siren", steps=4, settings={"width": 8}, callbacks=[lambda trainer: seen.append(trainer.index)])
    assert seen == [1, 2, 3, 4] and time.perf_counter() - begun < 30
