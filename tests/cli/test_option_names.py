"""One thing has one name in all commands: a flag that several commands have means the same and takes the same."""

import argparse

import pytest

from apps.cli.main import RENAMED, build_parser, subcommands

# Flags that take something else in one command than in another, because the thing differs; why.
DIFFERENT = {
    "--init": "how weights begin: from what a signal says, or in a batch from those of all",
    "--out": "a folder of a run, a file of a picture: what a command makes",
    "--bits": "weights of a run have 8, 16 or 32; entropy coding takes 2 to 8",
}


@pytest.fixture(scope="module")
def commands() -> dict[str, argparse.ArgumentParser]:
    return dict(subcommands(build_parser()))


def takes(action: argparse.Action) -> tuple:
    return (type(action).__name__, action.metavar, tuple(action.choices or ()), action.nargs)


def test_a_flag_takes_the_same_in_every_command(commands):
    found: dict[str, dict[tuple, list[str]]] = {}
    for name, parser in commands.items():
        for action in parser._actions:
            for flag in action.option_strings:
                found.setdefault(flag, {}).setdefault(takes(action), []).append(name)
    differing = {flag: forms for flag, forms in found.items() if len(forms) > 1 and flag not in DIFFERENT}
    assert not differing


def test_a_destination_has_the_same_flag_in_every_command(commands):
    found: dict[str, set[tuple[str, ...]]] = {}
    for parser in commands.values():
        for action in parser._actions:
            if action.option_strings:
                found.setdefault(action.dest, set()).add(tuple(action.option_strings))
    # Options that are set by one of several flags, such as --bounded and --unbounded.
    switches = {"unbounded", "refine", "turned"}
    assert {name: flags for name, flags in found.items() if len(flags) > 1 and name not in switches} == {}


def test_renamed_flags_exist_under_their_new_name_only(commands):
    flags = {flag for parser in commands.values() for action in parser._actions for flag in action.option_strings}
    assert set(RENAMED.values()) <= flags
    # Flags that mean something else in other commands: the size of images and their longest side, in pixels, and a
    # video once around.
    assert set(RENAMED) & flags == {"--longest", "--size", "--turntable"}


def test_flags_of_the_contract_are_there(commands):
    contract = {
        "fit": "--kind --method --init --steps --seconds --params --bits --held-out --from --device --seed --out "
        "--resume --set --json",
        "evaluate": "--data --json",
        "render": "--out --size --scale --crop --view --time --what --turntable --path",
        "export": "--as --resolution --json",
        "reconstruct": "--out --seconds --triangles --texture-size --preview --up --units --json",
        "poses": "--out",
        "distill": "--into --out --seconds --params --share-heads --set --json",
        "compare": "--methods --params --seconds --seeds --out --json",
        "info": "--plot",
        "methods": "--json",
        "doctor": "--json",
        "bench": "--json",
        "studio": "--port --host --password",
    }
    for name, flags in contract.items():
        has = {flag for action in commands[name]._actions for flag in action.option_strings}
        assert set(flags.split()) <= has, name
