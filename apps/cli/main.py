"""The program `fit-a-scene`: its parser, and how every command ends.

Nothing here imports torch, so that `--help` is quick; each command imports it when it runs.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import traceback
from collections.abc import Sequence
from typing import NoReturn

from apps.cli import (
    bench,
    check,
    compare,
    distill,
    doctor,
    evaluate,
    export,
    fit,
    info,
    methods,
    poses,
    reconstruct,
    render,
    studio,
)
from apps.cli.messages import with_flags
from scenes.errors import BadInput

COMMANDS = (
    fit,
    reconstruct,
    evaluate,
    render,
    export,
    distill,
    compare,
    poses,
    info,
    methods,
    check,
    doctor,
    bench,
    studio,
)
FAILED = 1
INTERRUPTED = 130

EPILOG = """\
examples:
  fit-a-scene fit photo.jpg                       fit a photograph for 30 seconds
  fit-a-scene fit photo.jpg --seconds 5 --json    quickly, for a script
  fit-a-scene fit photo.jpg --method siren --set first_omega=60
  fit-a-scene render runs/photo --scale 4         look at it, four times as large
  fit-a-scene COMMAND --help                      what a command can do
"""


class Parser(argparse.ArgumentParser):
    """An argparse parser that reports errors as BadInput and accepts no abbreviated flags."""

    def __init__(self, **options) -> None:
        super().__init__(allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter, **options)

    def error(self, message: str) -> NoReturn:
        raise BadInput(f"{message} (see {self.prog} --help)")


def build_parser() -> Parser:
    parser = Parser(
        prog="fit-a-scene", description="Fit a neural field to a signal, look at it, export it.", epilog=EPILOG
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for module in COMMANDS:
        name = module.__name__.rpartition(".")[2]
        command = commands.add_parser(name, help=module.HELP, description=module.__doc__, epilog=module.EPILOG)
        module.arguments(command)
        command.add_argument(
            "--json", action="store_true", help="print one JSON object as the last line of standard output"
        )
        command.add_argument("--debug", action="store_true", help="show the whole traceback of an error")
        command.set_defaults(run=module.run)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command. Returns the exit status: 0, 1 where `check` failed, 2 for bad input, 130 after Ctrl-C."""
    arguments = arrange(list(sys.argv[1:] if argv is None else argv))
    options = None
    try:
        options = build_parser().parse_args(arguments)
        result = options.run(options)
        if options.json:
            print(json.dumps(result, allow_nan=False), flush=True)
        return INTERRUPTED if result.get("interrupted") else FAILED if result.get("failed") else 0
    except BadInput as error:
        if "--debug" in arguments:
            traceback.print_exc()
        message = with_flags(str(error), options)
        print(f"error: {' '.join(message.split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of a pipe (`| head`) may stop reading at any time.
        sys.stderr.close()
        return 0


def arrange(arguments: list[str]) -> list[str]:
    """The arguments with the command first, and with a flag for each value of `--set A=1 B=2`.

    This makes flags work in any position.
    """
    names = {module.__name__.rpartition(".")[2] for module in COMMANDS}
    for index, argument in enumerate(arguments):
        if argument in names:
            arguments = [argument, *arguments[:index], *arguments[index + 1 :]]
            break
        if not argument.startswith("-"):
            break
    arranged: list[str] = []
    setting = False
    for argument in arguments:
        if argument == "--set":
            setting = True
        elif setting and re.match(r"[A-Za-z_]\w*=", argument):
            arranged.append(f"--set={argument}")
        else:
            if setting and not (arranged and arranged[-1].startswith("--set=")):
                arranged.append("--set")
            setting = False
            arranged.append(argument)
    if setting and not (arranged and arranged[-1].startswith("--set=")):
        arranged.append("--set")
    return arranged


if __name__ == "__main__":
    sys.exit(main())
