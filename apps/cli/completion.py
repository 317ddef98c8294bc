"""Print a script that completes commands, flags, methods and files in a shell. It starts no Python at the Tab key."""

from __future__ import annotations

import argparse

from apps.cli.flags import group
from scenes.errors import BadInput

HELP = "print the completion of a shell"
EPILOG = """\
examples:
  fit-a-scene completion bash > ~/.local/share/bash-completion/completions/fit-a-scene
  fit-a-scene completion zsh > ~/.zfunc/_fit-a-scene        with fpath+=~/.zfunc before compinit in ~/.zshrc
  fit-a-scene completion fish > ~/.config/fish/completions/fit-a-scene.fish
"""
SHELLS = ("bash", "zsh", "fish")
# Arguments that are the name of a method.
METHOD_ARGUMENTS = ("method", "into", "name")
# What stands for files and folders in the help.
FILES = ("SOURCE", "RUN", "RUN|SOURCE", "OUT", "FILE", "DIR")


def arguments(parser: argparse.ArgumentParser) -> None:
    group(parser, "source").add_argument("shell", metavar="SHELL", choices=SHELLS, help=", ".join(SHELLS))


def run(options: argparse.Namespace) -> dict:
    script = completion_script(options.shell)
    if not options.json:
        print(script)
    return {"shell": options.shell, "script": script}


def completion_script(shell: str) -> str:
    """The script for "bash", "zsh" or "fish". Raises BadInput where the package that makes it is missing."""
    try:
        import shtab
    except ModuleNotFoundError:
        raise BadInput("completion needs the package shtab: pip install shtab") from None
    from apps.cli.main import build_parser, subcommands
    from fields.methods.registry import method_names

    parser = build_parser()
    for action in parser._actions:
        # The help shows the commands in its own way, and hides argparse's list.
        if action.help == argparse.SUPPRESS:
            action.help = "the command"
    names = method_names()
    for command in subcommands(parser).values():
        for action in command._actions:
            if action.dest in METHOD_ARGUMENTS and action.choices is None:
                action.choices = names
            elif action.metavar in FILES:
                vars(action)["complete"] = shtab.FILE
    return shtab.complete(parser, shell)
