"""What the program says of itself: its start, its help, its topics, and the completion of shells."""

import re
import shutil
import subprocess

import pytest

from apps.cli import help_topics
from apps.cli.completion import SHELLS, completion_script
from apps.cli.main import COMMANDS, GROUPS, build_parser, main, name_of, subcommands


@pytest.fixture
def said(capsys):
    """Runs a command that succeeds, and gives its standard output."""

    def run(*arguments: str) -> str:
        assert main(arguments) == 0
        return capsys.readouterr().out

    return run


def test_alone_it_shows_four_things_to_do(said):
    commands = re.findall(r"^  fit-a-scene (\w+)", said(), re.MULTILINE)
    assert commands == ["fit", "render", "export", "studio"]


def test_version_is_that_of_the_distribution(said):
    from importlib.metadata import version

    assert said("--version").startswith(f"fit-a-scene {version('field-studio')}, Python 3.")


def test_help_lists_every_command_in_a_group(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    out = capsys.readouterr().out
    assert ended.value.code == 0
    assert "exit status: 0 done" in out
    for title, modules in GROUPS.items():
        assert f"{title}:" in out
        assert all(f"\n  {name_of(module)} " in out for module in modules)


@pytest.mark.parametrize("command", [name_of(module) for module in COMMANDS])
def test_help_of_a_command_has_groups_and_ends_with_examples(command):
    parser = subcommands(build_parser())[command]
    text = parser.format_help()
    assert "output:\n" in text and "optional arguments" not in text and "\noptions:" not in text
    last = text[text.rindex("\noutput:") :]
    assert all(flag in last for flag in ("--json", "--quiet", "--debug", "--help"))
    assert f"\n  fit-a-scene {command}" in text[text.rindex("examples:") :]
    # Every option has a sentence, written as all others are.
    for action in parser._actions:
        if action.help != "==SUPPRESS==":
            assert action.help and (action.help[0].isupper() or ":" in action.help or action.choices), action.dest


def test_fit_is_grouped_by_source_budget_method_and_output():
    text = subcommands(build_parser())["fit"].format_help()
    assert all(f"\n{title}:\n" in text for title in ("source", "budget", "method", "output"))


@pytest.mark.parametrize("topic", help_topics.TOPICS)
def test_topics_say_something(said, topic):
    assert len(said("help", topic).splitlines()) > 5


def test_help_of_a_command_is_its_help(said):
    assert "usage: fit-a-scene evaluate" in said("help", "evaluate")
    assert "exit" in said("help")


def test_unknown_topics_name_near_ones(capsys):
    assert main(["help", "formates"]) == 2
    assert "formats" in capsys.readouterr().err


def test_formats_are_those_of_the_table(said):
    assert {".fsq", ".usdz", ".exr"} <= set(re.findall(r"\.\w+", said("help", "formats")))


@pytest.mark.parametrize("shell", SHELLS)
def test_completion_knows_every_command(shell):
    script = completion_script(shell)
    assert all(name_of(module) in script for module in COMMANDS)
    assert "hashgrid" in script and "--seconds" in script.replace("-l seconds", "--seconds")
    if shutil.which(shell):
        subprocess.run([shell, "-n"], input=script, text=True, check=True)


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ([""], {"fit", "runs", "help"}),
        (["fit", "--se"], {"--seconds", "--seed", "--set"}),
        (["distill", "runs/x", "--into", "sir"], {"siren"}),
        (["runs", "--sort", ""], {"date", "name", "kind", "size"}),
    ],
)
def test_bash_completes(typed, offered):
    words = " ".join(f"'{word}'" for word in ["fit-a-scene", *typed])
    ask = f"""
COMP_WORDS=({words}); COMP_CWORD={len(typed)}
function=$(complete -p fit-a-scene | sed 's/.*-F \\([^ ]*\\).*/\\1/'); $function; printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    script = completion_script("bash") + ask
    done = subprocess.run(["bash", "--norc"], input=script, capture_output=True, text=True, check=True)
    assert offered <= set(done.stdout.split())


def test_completion_without_its_package_names_it(monkeypatch, capsys):
    import sys

    monkeypatch.setitem(sys.modules, "shtab", None)
    assert main(["completion", "bash"]) == 2
    assert "pip install shtab" in capsys.readouterr().err
