"""Standard input and output, several sources, quiet commands, dumb terminals, and the exit status."""

import io
import json
import os
import shlex
import signal

import numpy as np
import pytest
from PIL import Image

from apps.cli import main as program
from apps.cli.main import main
from apps.cli.standard_input import SIGNATURES
from apps.cli.terminal import error_console, shows_bars

QUICK = ["--steps", "3", "--set", "batch=2048", "table_size=256", "levels=4"]


class Piped(io.StringIO):
    """Standard input or output of text with bytes beneath it, as a pipe has."""

    def __init__(self, content: bytes = b"") -> None:
        super().__init__()
        self.buffer = io.BytesIO(content)


@pytest.fixture
def piped(monkeypatch):
    """Puts bytes into standard input."""
    return lambda content: monkeypatch.setattr("sys.stdin", Piped(content))


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_fits_what_comes_from_standard_input_and_finds_it_again(here, photograph, piped, capsys):
    piped(photograph.read_bytes())
    assert main(["fit", "-", "--json", *QUICK]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["run"] == "runs/stdin" and report["kind"] == "image"
    assert main(["evaluate", "runs/stdin", "--json"]) == 0
    scored = json.loads(capsys.readouterr().out)
    assert scored["metrics"]["psnr"] == pytest.approx(report["metrics"]["psnr"], abs=0.01)
    piped(photograph.read_bytes())
    assert main(["evaluate", "runs/stdin", "--data", "-", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["metrics"] == scored["metrics"]


@pytest.mark.parametrize(("content", "words"), [(b"", "nothing came"), (b"some text", "no known format")])
def test_refuses_other_standard_input_and_keeps_nothing(here, piped, capsys, content, words):
    piped(content)
    assert main(["fit", "-", *QUICK]) == 2
    assert words in capsys.readouterr().err
    assert [file for file in here.rglob("*") if file.is_file()] == []


def test_formats_on_standard_input_are_told_from_their_first_bytes(here, piped):
    from apps.cli.standard_input import keep_standard_input

    for ending, at, magic in SIGNATURES:
        piped(bytes(at) + magic + b"rest")
        assert keep_standard_input().suffix == ending
    array = io.BytesIO()
    np.savez(array, a=np.zeros(3))
    piped(array.getvalue())
    assert keep_standard_input().suffix == ".npz"


@pytest.fixture
def run(here, photograph, capsys):
    assert main(["fit", str(photograph), *QUICK]) == 0
    capsys.readouterr()
    return "runs/photo"


@pytest.mark.parametrize(
    ("command", "magic"),
    [
        (["export", "-", "--as", "png"], b"\x89PNG"),
        (["export", "-", "--as", "weights"], b"PK"),
        (["export", "-", "--as", "small"], b"FSQ1"),
        (["export", "-"], b"\x89PNG"),
        (["render", "--out", "-", "--size", "20x10"], b"\x89PNG"),
    ],
)
def test_writes_to_standard_output(run, monkeypatch, capsys, command, magic):
    out = Piped()
    monkeypatch.setattr("sys.stdout", out)
    assert main([command[0], run, *command[1:]]) == 0
    assert out.buffer.getvalue().startswith(magic)
    assert out.getvalue() == ""
    assert capsys.readouterr().err.startswith("-   ")


def test_refuses_what_cannot_go_to_standard_output(run, capsys):
    assert main(["export", run, "-", "--json"]) == 2
    assert "both write to standard output" in capsys.readouterr().err
    assert main(["export", run, "-", "--as", "glb"]) == 2
    assert "--as glb: for standard output, give one of image, small" in capsys.readouterr().err


def test_fits_several_sources_and_reports_those_that_cannot_be_read(here, photograph, capsys):
    (here / "b.png").write_bytes(photograph.read_bytes())
    (here / "bad.png").write_text("no picture")
    sources = [str(photograph), "bad.png", "b.png"]
    # Flags may be anywhere between the sources.
    assert main(["fit", *sources[:1], "--out", "album", *sources[1:], "--json", "--quiet", *QUICK]) == 2
    captured = capsys.readouterr()
    report = json.loads(captured.out)
    assert [run["run"] for run in report["runs"]] == ["album/photo", "album/b"]
    assert [entry["source"] for entry in report["refused"]] == ["bad.png"]
    assert captured.err.startswith("error: bad.png: holds text") and captured.err.count("\n") == 1


def test_a_missing_source_of_several_is_refused_before_the_first_fit(here, photograph, capsys):
    assert main(["fit", str(photograph), "nowhere.png", *QUICK]) == 2
    assert "nowhere.png" in capsys.readouterr().err
    assert not (here / "runs").exists()


def test_quiet_prints_errors_only(here, photograph, capsys):
    assert main(["fit", str(photograph), "--quiet", *QUICK]) == 0
    assert capsys.readouterr() == ("", "")
    assert main(["fit", "nowhere.png", "--quiet"]) == 2
    assert capsys.readouterr().err.startswith("error: nowhere.png")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("variables", "bars", "colors"),
    [
        ({"TERM": "xterm-256color"}, True, True),
        ({"TERM": "xterm-256color", "NO_COLOR": "1"}, True, False),
        ({"TERM": "dumb"}, False, False),
    ],
)
def test_terminals(monkeypatch, variables, bars, colors):
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "COLORTERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    stream = Terminal()
    monkeypatch.setattr("sys.stderr", stream)
    console = error_console()
    assert shows_bars(console) == bars
    console.print("[red]red[/]")
    assert ("\x1b[31m" in stream.getvalue()) == colors


def test_a_fit_on_a_dumb_terminal_prints_lines_without_codes(here, photograph, monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    stream = Terminal()
    monkeypatch.setattr("sys.stderr", stream)
    assert main(["fit", str(photograph), *QUICK]) == 0
    assert "steps" in stream.getvalue() and "\x1b" not in stream.getvalue()


@pytest.mark.parametrize(
    ("raised", "status", "line"),
    [
        (KeyboardInterrupt(), 130, "interrupted"),
        (MemoryError(), 1, "error: out of memory"),
        (RuntimeError("a\nfault"), 1, "error: the program failed, RuntimeError: a fault"),
        (BrokenPipeError(), 0, ""),
    ],
)
def test_status_and_one_line_whatever_happens(monkeypatch, capsys, raised, status, line):
    def fail(options):
        raise raised

    monkeypatch.setattr(program.doctor, "run", fail)
    assert main(["doctor"]) == status
    err = capsys.readouterr().err
    assert err.startswith(line) and err.count("\n") <= 1


def test_sigterm_interrupts_as_ctrl_c_does(monkeypatch, capsys):
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(program.doctor, "run", lambda options: os.kill(os.getpid(), signal.SIGTERM))
    assert main(["doctor"]) == 130
    assert capsys.readouterr().err == "interrupted\n"
    assert signal.getsignal(signal.SIGTERM) == before


def test_renamed_flags_are_named(run, capsys):
    assert main(["export", run, "a.glb", "--faces", "10"]) == 2
    assert "it is called --triangles" in capsys.readouterr().err
    assert main(["fit", "a.png", "--second", "3"]) == 2
    assert "did you mean --seconds" in capsys.readouterr().err


def test_a_pixel_export_is_the_picture(run, monkeypatch):
    out = Piped()
    monkeypatch.setattr("sys.stdout", out)
    assert main(["render", run, "--out", "-", "--size", "20x10"]) == 0
    assert Image.open(io.BytesIO(out.buffer.getvalue())).size == (20, 10)


def test_odd_names_are_shown_as_they_are_and_commands_can_be_pasted(here, photograph, capsys):
    source = here / "my [b] photo.png"
    source.write_bytes(photograph.read_bytes())
    assert main(["fit", str(source), *QUICK]) == 0
    said = capsys.readouterr().err
    assert str(source) in said and "runs/my [b] photo/preview.png" in said
    command = next(line for line in said.splitlines() if line.startswith("  look"))
    words = shlex.split(command)[1:]
    assert words[:3] == ["fit-a-scene", "render", "runs/my [b] photo"]
    assert main([*words[1:3], "--size", "8x8"]) == 0
