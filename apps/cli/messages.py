"""Messages of the library as the command line shows them: arguments become flags.

Errors of `scenes` and `fields` put arguments in backticks (`fields.options.replace_arguments`): the message
"raise `max_pixels=200`" becomes "raise --max-pixels 200".
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Iterable

from apps.cli.flags import flag_of
from fields.compare.request import CompareRequest
from fields.distill.request import DistillRequest
from fields.fit.request import FitRequest
from fields.options import options_of, replace_arguments

# Flags that are not made from the argument's name, of commands whose options are not described by a request.
OTHER_FLAGS = {"form": "--as"}


def with_flags(message: str, given: argparse.Namespace | None) -> str:
    """A message in which the arguments of the command that was given are shown as its flags.

    `given`: the parsed command line; None where it could not be parsed, and arguments are shown as they are.
    """
    known = {} if given is None else vars(given)

    def replace(name: str, value: str | None) -> str:
        if name in known:
            flag = _flags().get(name, f"--{name.replace('_', '-')}")
            return flag if value is None else f"{flag} {value}"
        text = name if value is None else f"{name}={value}"
        return f"--set {text}" if "settings" in known and value is not None else text

    return replace_arguments(message, replace)


def command_line(*words: object) -> str:
    """A command of this program as one pastes it into a shell: `fit-a-scene render 'runs/my photo'`."""
    return shlex.join(["fit-a-scene", *map(str, words)])


def print_notes(notes: Iterable[str], given: argparse.Namespace) -> None:
    """Print a signal's remarks to standard error, with the flags of the command that was given."""
    for note in notes:
        print(f"note: {with_flags(note, given)}", file=sys.stderr)


def _flags() -> dict[str, str]:
    models = (CompareRequest, DistillRequest, FitRequest)
    return OTHER_FLAGS | {option.name: flag_of(option) for model in models for option in options_of(model)}
