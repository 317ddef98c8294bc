"""Command-line flags made from the options of a request (`fields.options`), and requests made from the flags."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TypeVar

from fields.options import OptionInfo, Request, options_of, setting

# Title of the group of what comes out, and of what every command has.
OUTPUT = "output"
# Folder of all runs, unless another is named.
RUNS = Path("runs")
R = TypeVar("R", bound=Request)
T = TypeVar("T")


def add_flags(parser: argparse.ArgumentParser, model: type[Request]) -> None:
    """Add every option of a request to a parser, in a group for each section. Read them with `read_request`."""
    for section, title in model.sections.items():
        options = [option for option in options_of(model) if option.section == section and not option.hidden]
        if options:
            for option in options:
                _add(group(parser, title), option)


def group(parser: argparse.ArgumentParser, title: str) -> argparse._ArgumentGroup:
    """The group of a parser with that title, which is made where there is none yet."""
    found = [group for group in parser._action_groups if group.title == title]
    return found[0] if found else parser.add_argument_group(title)


def reorder_groups(parser: argparse.ArgumentParser) -> None:
    """Put the group of the output last in the help of a command."""
    parser._action_groups.sort(key=lambda group: group.title == OUTPUT)


def add_run(parser: argparse.ArgumentParser) -> None:
    """Add the run that a command works on."""
    group(parser, "source").add_argument(
        "run_folder", metavar="RUN", type=run_path, help="The run's folder, or its name in the folder runs."
    )


def run_path(text: str) -> Path:
    """The run that is named by its path or, where there is no such path, by its name in the folder of all runs."""
    path = Path(text)
    named = RUNS / text
    return named if path.name == text and not os.path.lexists(path) and os.path.exists(named) else path


def add_device(parser: argparse.ArgumentParser) -> None:
    """Add where to compute."""
    group(parser, "budget").add_argument(
        "--device",
        default="auto",
        choices=("auto", "cpu", "cuda", "mps"),
        help="Where to compute; auto is an NVIDIA GPU where one can be used. mps is Apple's, in plain torch and slow.",
    )


def read_request(model: type[R], namespace: argparse.Namespace) -> R:
    """The request that was given on the command line. Raises BadInput where its options do not go together."""
    given = {option.name: vars(namespace)[option.name] for option in options_of(model) if option.name in namespace}
    for option in options_of(model):
        # (A run that is an output need not be there yet.)
        if option.metavar == "RUN" and option.name != "out" and given.get(option.name) is not None:
            given[option.name] = run_path(str(given[option.name]))
    return model(**given)


def flag_of(option: OptionInfo) -> str:
    """How messages name an option: its flag, or the word that stands for a positional argument."""
    if option.positional:
        return option.metavar or option.name.upper()
    return f"--{next(iter(option.switches))}" if option.switches else option.flag


def argument_type(parse: Callable[[object], T]) -> Callable[[str], T]:
    """A parser of values as an argparse type, so that its sentence about what is wrong reaches the person."""

    @wraps(parse)
    def parsed(text: str) -> T:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return parsed


def _add(place: argparse._ArgumentGroup, option: OptionInfo) -> None:
    text = option.full_help.replace("%", "%%")
    if option.switches:
        for index, (name, value) in enumerate(option.switches.items()):
            place.add_argument(
                f"--{name}",
                dest=option.name,
                action="store_const",
                const=value,
                default=option.default,
                help=argparse.SUPPRESS if index else text,
            )
    elif option.switch:
        place.add_argument(option.flag, dest=option.name, action="store_true", help=text)
    elif option.repeated:
        place.add_argument(
            option.flag,
            dest=option.name,
            action="append",
            type=argument_type(setting),
            default=[],
            metavar=option.metavar,
            help=text,
        )
    elif option.positional:
        place.add_argument(option.name, type=argument_type(option.parse), metavar=option.metavar, help=text)
    else:
        place.add_argument(
            option.flag,
            dest=option.name,
            type=argument_type(option.parse),
            choices=option.choices,
            default=option.default,
            metavar=option.metavar,
            required=option.required,
            help=text,
        )
