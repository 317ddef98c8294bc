"""Explain a command or a topic.

Without a TOPIC it lists them.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

from apps.cli.flags import group
from fields.options import near
from scenes.errors import BadInput

NAME = "help"
HELP = "explain a command or a topic"
EPILOG = """\
examples:
  fit-a-scene help sources
  fit-a-scene help fit          the same as fit-a-scene fit --help
"""

SOURCES = """\
SOURCE is what is fitted:

  a file                 image, audio, video, mesh or point cloud, volume; told from its content. --kind overrules
  a folder               photographs with their cameras, frames of a video, DICOM slices
  a zip                  of such a folder
  -                      a file from standard input: cat photo.jpg | fit-a-scene fit -
  skimage:NAME           a photograph of scikit-image: astronaut, chelsea, coffee, rocket ...
  procedural:NAME        a computed scene: procedural:duck
  a run                  its folder, run.json or .fsq file: the same fit again

`fit` takes several, one run for each. Photographs without cameras: fit-a-scene poses PHOTOS --out SCENE, then fit
SCENE, or fit-a-scene reconstruct PHOTOS statue.glb for a mesh. Endings: docs/signals/README.md."""

BUDGET = """\
--seconds S   be done in S seconds (default 30), from opening SOURCE to the last metric
--steps N     train for N steps instead: the same result on every machine with the same number of threads

Ctrl-C saves, and --resume continues from there. A killed fit continues from its last checkpoint, at most about ten
seconds before. `fit RUN/run.json` repeats a run to the bit. `compare` continues with the same command, `reconstruct`
with the same command and --out RUN."""

RUN = """\
A run is a folder, runs/NAME unless --out says otherwise:

  run.json             what was fitted, how, on which machine, how far
  field.safetensors    the weights: all that a program needs to query the field
  history.jsonl        a row for each step that was logged
  metrics.json         the scores
  preview.png          original, field, difference
  checkpoint/          what --resume continues from; may be deleted afterwards

fit-a-scene runs lists, removes and renames them, info shows one, open its pictures. `export RUN small.fsq` makes one
file of it that every command takes for a run."""

EXIT = """\
  0     done
  1     failed: `check` found a fault in a method, memory ran out, or the program has a fault (--debug shows where)
  2     bad input: one line on standard error says what was wrong and what would do; nothing half-written is left
  130   interrupted by Ctrl-C or SIGTERM; what can be continued was saved

Results go to standard output, everything else to standard error. --json prints one JSON object as the last line of
standard output, --quiet leaves standard error to errors."""

ENVIRONMENT = """\
  NO_COLOR                 no colors
  TERM=dumb                lines instead of moving bars, no colors; so do pipes and files
  OMP_NUM_THREADS          number of threads
  TMPDIR                   where large decoded images and videos lie while they are fitted
  FIELD_STUDIO_CACHE       where prepared meshes are kept (default ~/.cache/field-studio)
  FIELD_STUDIO_NATIVE      folder of another build of the native library
  DISPLAY, WAYLAND_DISPLAY whether `open` and `studio` can open a window"""

PYTHON = """\
  import field_studio as fs

  result = fs.fit(fs.load("photo.jpg"), seconds=30)
  result.field.at(384.5, 256.5)        # the color at a position, in pixels
  run = fs.open_run("runs/photo")      # a run of the command line
  fs.render(run, "large.png", scale=4)
  fs.export(run, "photo.fsq")

Names are those of the flags: --held-out 0.1 is held_out=0.1. docs/library.md has more."""


def _methods() -> str:
    from fields.methods.registry import method_class, method_names

    lines = [f"  {name:12} {method_class(name).summary}" for name in method_names()]
    return "\n".join([*lines, "", "fit-a-scene methods NAME lists the options of one, which --set KEY=VALUE takes."])


def _formats() -> str:
    from fields.export.formats import FORMATS

    endings: dict[tuple[str, str], list[str]] = {}
    for row in FORMATS:
        endings.setdefault((row.form, row.description), []).append("folder/" if row.ending == "/" else row.ending)
    rows = [f"  {form:10} {', '.join(found)}\n             {text}" for (form, text), found in endings.items()]
    last = "The ending of OUT decides, --as FORM chooses where an ending has several. `-` is standard output."
    return "\n".join([*rows, "", last])


def _options() -> str:
    from apps.cli.main import build_parser, subcommands

    found: dict[str, list[str]] = {}
    for name, command in subcommands(build_parser()).items():
        for action in command._actions:
            if action.option_strings:
                flag = action.option_strings[-1]
                value = "" if action.nargs == 0 else f" {action.metavar or '|'.join(map(str, action.choices or ()))}"
                found.setdefault(f"{flag}{value}", []).append(name)
    everywhere = max(map(len, found.values()))
    lines = [
        f"  {flag}\n{' ' * 24}{'every command' if len(names) == everywhere else ', '.join(names)}"
        for flag, names in sorted(found.items())
    ]
    return "\n".join(["The same flag means the same in every command that has it.", "", *lines])


# (title, text or what makes it) by name.
TOPICS: dict[str, tuple[str, str | Callable[[], str]]] = {
    "sources": ("what can be fitted", SOURCES),
    "budget": ("time, steps, and how to continue", BUDGET),
    "methods": ("the methods", _methods),
    "formats": ("what can be exported", _formats),
    "options": ("every flag, and the commands that have it", _options),
    "run": ("what is in the folder of a run", RUN),
    "exit": ("exit status, and what is printed where", EXIT),
    "environment": ("variables of the environment", ENVIRONMENT),
    "python": ("the same from Python", PYTHON),
}


def arguments(parser: argparse.ArgumentParser) -> None:
    group(parser, "source").add_argument(
        "topic", metavar="TOPIC", nargs="?", help=f"A command, or one of: {', '.join(TOPICS)}."
    )


def run(options: argparse.Namespace) -> dict:
    text = explain(options.topic)
    if not options.json:
        print(text)
    return {"topic": options.topic, "text": text}


def explain(topic: str | None) -> str:
    """The text about a topic or a command; None: the list of topics. Raises BadInput where there is no such topic."""
    from apps.cli.main import build_parser, subcommands

    if topic is None:
        lines = [f"  {name:12} {title}" for name, (title, _) in TOPICS.items()]
        return "\n".join(["topics, for fit-a-scene help TOPIC:", *lines, "", "and every command, as in help fit"])
    if topic in TOPICS and topic != "methods":
        text = TOPICS[topic][1]
        return text if isinstance(text, str) else text()
    commands = subcommands(build_parser())
    if topic == "methods":
        return f"{_methods()}\n\n{commands[topic].format_help()}"
    if topic in commands:
        return commands[topic].format_help().rstrip()
    raise BadInput(f"there is no topic {topic!r}; {near(topic, [*TOPICS, *commands])}")
