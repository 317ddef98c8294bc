"""The program `fit-a-scene`: its parser, and how every command ends.

Nothing here imports torch, so that `--help` is quick; each command imports it when it runs.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Iterator, Sequence
from types import FrameType, ModuleType
from typing import Any, NoReturn

from apps.cli import (
    batch,
    bench,
    check,
    compare,
    completion,
    distill,
    doctor,
    evaluate,
    export,
    fit,
    help_topics,
    info,
    learn,
    methods,
    open_run,
    poses,
    reconstruct,
    render,
    runs,
    studio,
)
from apps.cli.flags import OUTPUT, group, reorder_groups
from apps.cli.messages import with_flags
from fields.options import near
from scenes.errors import BadInput, missing_package
from scenes.io.atomic import ADVICE
from scenes.io.processors import limit_threads

# The commands, under the headings of `--help`.
GROUPS = {
    "fit": (fit, reconstruct, distill, compare),
    "look and measure": (render, evaluate, info, runs, open_run),
    "fields as data": (batch, learn),
    "for other programs": (export, poses),
    "in the browser": (studio,),
    "methods and this machine": (methods, check, doctor, bench),
    "more": (help_topics, completion),
}
COMMANDS = tuple(module for modules in GROUPS.values() for module in modules)
OK, FAILED, REFUSED, INTERRUPTED = 0, 1, 2, 130

# Flags that had another name before one thing had one name in all commands.
RENAMED = {
    "--faces": "--triangles",
    "--crop-box": "--box",
    "--longest": "--length",
    "--size": "--length",
    "--turntable": "--frames",
}

START = """\
Fit a neural field to a signal, look at it, export it. Four things that people do first:

  fit-a-scene fit photo.jpg                  fit your own file for 30 seconds: image, audio, video, mesh, volume, scene
  fit-a-scene render runs/photo --scale 4    look at the field, four times as large
  fit-a-scene export runs/photo photo.exr    write it as a file for other programs
  fit-a-scene studio                         do all of it in the browser

fit-a-scene --help lists the commands, fit-a-scene help the topics."""

EPILOG = """\
examples:
  fit-a-scene fit photo.jpg                       fit a photograph for 30 seconds
  fit-a-scene fit photo.jpg --seconds 5 --json    quickly, for a script
  fit-a-scene fit photo.jpg --method siren --set first_omega=60
  fit-a-scene render runs/photo --scale 4         look at it, four times as large
  fit-a-scene COMMAND --help                      what a command can do

exit status: 0 done, 1 failed, 2 bad input, 130 interrupted (fit-a-scene help exit)
"""


class Parser(argparse.ArgumentParser):
    """An argparse parser that reports errors as BadInput and accepts no abbreviated flags."""

    def __init__(self, **options: Any) -> None:
        super().__init__(allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter, **options)

    def error(self, message: str) -> NoReturn:
        raise BadInput(f"{message}{self._advice(message)} (see {self.prog} --help)")

    def _advice(self, message: str) -> str:
        """What an unknown flag is called, or may have been meant to be."""
        unknown = re.search(r"unrecognized arguments: (--[\w-]+)", message)
        if not unknown:
            return ""
        known = [flag for action in self._actions for flag in action.option_strings if flag.startswith("--")]
        if RENAMED.get(unknown[1]) in known:
            return f"; it is called {RENAMED[unknown[1]]}"
        advice = near(unknown[1], known)
        return f"; {advice}" if advice.startswith("did you mean") else ""


def name_of(command: ModuleType) -> str:
    """The name of a command: that of its module, unless it has a `NAME`."""
    return getattr(command, "NAME", command.__name__.rpartition(".")[2])


def build_parser() -> Parser:
    """The parser of the program, with one for each command."""
    parser = Parser(
        prog="fit-a-scene",
        usage="fit-a-scene COMMAND ... [--json] [--quiet] [--debug]",
        description=_overview(),
        epilog=EPILOG,
    )
    parser.add_argument("--version", action="store_true", help="print the version and exit")
    commands = parser.add_subparsers(prog="fit-a-scene", metavar="COMMAND", help=argparse.SUPPRESS)
    for module in COMMANDS:
        command = commands.add_parser(
            name_of(module), help=module.HELP, description=module.__doc__, epilog=module.EPILOG, add_help=False
        )
        module.arguments(command)
        _add_common(command)
        reorder_groups(command)
        command.set_defaults(run=module.run)
    return parser


def _overview() -> str:
    lines = ["Fit a neural field to a signal, look at it, export it.\n"]
    for title, modules in GROUPS.items():
        lines.append(f"{title}:")
        lines += [f"  {name_of(module):12} {module.HELP}" for module in modules]
        lines.append("")
    return "\n".join(lines)


def _add_common(command: argparse.ArgumentParser) -> None:
    output = group(command, OUTPUT)
    output.add_argument(
        "--json", action="store_true", help="Print one JSON object as the last line of standard output."
    )
    output.add_argument("--quiet", action="store_true", help="No progress and no notes: only results and errors.")
    output.add_argument("--debug", action="store_true", help="Show the whole traceback of an error.")
    output.add_argument("-h", "--help", action="help", help="Show this and exit.")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command. Returns the exit status: 0, 1 where something failed, 2 for bad input, 130 after Ctrl-C."""
    arguments = arrange(list(sys.argv[1:] if argv is None else argv))
    limit_threads()
    options = None
    try:
        if not arguments:
            print(START)
            return OK
        parser = build_parser()
        if arguments[0] == "--version":
            print(version_line())
            return OK
        options = parse(parser, arguments)
        with _terminated_as_interrupted(), _quiet(options.quiet), _device_notes():
            result = options.run(options)
        if options.quiet:
            for entry in result.get("refused", ()):
                print(f"error: {entry['error']}", file=sys.stderr)
        if options.json:
            print(json.dumps(result, allow_nan=False), flush=True)
        return status_of(result)
    except BadInput as error:
        if "--debug" in arguments:
            traceback.print_exc()
        message = with_flags(str(error), options)
        print(f"error: {' '.join(message.split())}", file=sys.stderr)
        return REFUSED
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of a pipe (`| head`) may stop reading at any time. What is still buffered has nowhere to go.
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except MemoryError:
        if "--debug" in arguments:
            traceback.print_exc()
        print("error: out of memory; use a smaller input or size, or close other programs", file=sys.stderr)
        return FAILED
    except Exception as error:
        if "--debug" in arguments:
            traceback.print_exc()
        if isinstance(error, OSError) and error.errno in ADVICE:
            print(f"error: {error.filename or 'a file'}: {ADVICE[error.errno]}", file=sys.stderr)
            return REFUSED
        if isinstance(error, ImportError) and (missing := missing_package(error)):
            print(f"error: {missing}", file=sys.stderr)
            return REFUSED
        line = " ".join(f"{type(error).__name__}: {error}".split())
        print(f"error: the program failed, {line} (report this with the output of --debug)", file=sys.stderr)
        return FAILED


def status_of(result: dict[str, Any]) -> int:
    """The exit status of a command that returned this report."""
    if result.get("interrupted"):
        return INTERRUPTED
    if result.get("refused"):
        return REFUSED
    return FAILED if result.get("failed") else OK


def parse(parser: Parser, arguments: Sequence[str]) -> argparse.Namespace:
    """The options of a command, whose flags and files may be mixed in any order."""
    commands = subcommands(parser)
    name = arguments[0]
    if name in commands:
        return commands[name].parse_intermixed_args(arguments[1:])
    if name in ("-h", "--help"):
        parser.print_help()
        raise SystemExit(OK)
    if name.startswith("-"):
        raise BadInput(f"name a COMMAND: {', '.join(commands)} (see fit-a-scene --help)")
    raise BadInput(f"there is no COMMAND {name!r}; {near(name, list(commands))} (see fit-a-scene --help)")


def subcommands(parser: argparse.ArgumentParser) -> dict[str, Parser]:
    """The parsers of the commands, by their names."""
    found = next(action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    return found.choices  # pyright: ignore[reportReturnType]  (argparse calls them ArgumentParser)


def version_line() -> str:
    """Name and version of the program, and what it runs on."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        number = version("field-studio")
    except PackageNotFoundError:
        number = "(not installed)"
    return f"fit-a-scene {number}, Python {'.'.join(map(str, sys.version_info[:3]))}"


@contextlib.contextmanager
def _quiet(quiet: bool) -> Iterator[None]:
    """Context in which nothing reaches standard error. Errors are printed by `main`, outside of it."""
    if not quiet:
        yield
        return
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stderr(nowhere):
        yield


@contextlib.contextmanager
def _device_notes() -> Iterator[None]:
    """Context in which sentences about the device are printed as notes, once each."""
    shown, told = warnings.showwarning, set()

    def show(message: Warning | str, category: type[Warning], *rest: Any, **more: Any) -> None:
        if category.__name__ == "DeviceNote":
            if str(message) not in told:
                told.add(str(message))
                print(f"note: {message}", file=sys.stderr)
        else:
            shown(message, category, *rest, **more)

    warnings.showwarning = show
    try:
        yield
    finally:
        warnings.showwarning = shown


@contextlib.contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """Context in which SIGTERM ends a command as Ctrl-C does, so that nothing half-written is left behind."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def arrange(arguments: list[str]) -> list[str]:
    """The arguments with the command first, and with a flag for each value of `--set A=1 B=2`.

    This makes flags work in any position.
    """
    names = {name_of(module) for module in COMMANDS}
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
