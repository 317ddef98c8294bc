"""What the page offers of the commands' options. Controls are made from the commands' own parsers, and what is typed goes through them, so
that both offer the same, read it in the same way and refuse it with the same sentences. A new option of a command is on the page by itself.
"""

from __future__ import annotations

import argparse
import re
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module

from apps.cli.main import Parser
from scenes.errors import BadInput

DEFAULT = "default"
# Options that a tab lays out itself; the others are made by `offers`.
OWN = {
    "fit": ("method", "seconds", "settings", "mask", "start"),
    "compare": ("methods", "seconds", "seeds"),
    "distill": ("run_folder", "into", "seconds", "settings", "data"),
}
# And those that the page does without, with the reason.
_OUT = "runs are named after their signal, and renamed under Runs"
_KIND = "recognised from the content, and told; where that fails, the command line overrules it"
_RESUME = "Resume and Continue are buttons"
WITHOUT = {
    "fit": {
        "source": "the signal that is chosen or dropped",
        "kind": _KIND,
        "out": _OUT,
        "resume": _RESUME,
        "tensorboard": "a log for another program; the page draws its own curve",
        "max_pixels": "the same limit for all uploads",
        "memory": "what samples may take is for the one who serves the page to say",
    },
    "compare": {"source": "the signal of the first tab", "kind": _KIND, "out": _OUT},
    "distill": {"out": _OUT, "resume": _RESUME},
}
LABELS = {
    "params": "Parameters",
    "bits": "Bits a stored weight",
    "keep": "Share of the weights to keep",
    "init": "Start",
    "rate": "Frame rate",
    "ignore_invalid": "Holes where samples are NaN or infinite",
    "unbounded": "Bounds of the scene",
    "share_heads": "Begin with the teacher's network where it fits",
}
HINTS = {"params": "such as 200k; else the method's own size", "steps": "instead of a time; such as 2000", "seed": "0"}


@dataclass(frozen=True)
class Offer:
    """One option. It is a switch, a choice (of which the first leaves it as it is) or a text; `group` is its heading in the command's help."""

    name: str
    label: str
    info: str
    hint: str
    group: str
    choices: tuple[str, ...] | None
    switch: bool
    flag: str

    def words(self, given: object) -> list[str]:
        """What would be typed after the command."""
        text = "" if given is None else str(given).strip()
        if self.switch:
            return [self.flag] if given and text else []
        if self.choices and text and text not in self.choices:
            raise BadInput(f"{self.label}: {text!r} is not one of {', '.join(self.choices)}")
        if not text or self.choices and text == self.choices[0]:
            return []
        return [f"{self.flag}={text}"] if self.flag else [f"--{text}"]


class _Parser(Parser):
    """Names what is wrong by its label on the page."""

    def error(self, message: str) -> None:
        flag, _, rest = message.removeprefix("argument ").partition(": ")
        name = flag.removeprefix("--").replace("-", "_")
        raise BadInput(f"{label_of(name)}: {rest}" if rest and flag.startswith("--") else message)


@lru_cache
def parser(command: str) -> argparse.ArgumentParser:
    made = _Parser(prog=command, add_help=False)
    import_module(f"apps.cli.{command}").arguments(made)
    return made


@lru_cache
def offers(command: str) -> tuple[Offer, ...]:
    """Every option that the tab of the command neither lays out itself nor does without, in the command's order."""
    groups = {
        id(action): group.title or "" for group in parser(command)._action_groups for action in group._group_actions
    }
    actions: dict[str, list[argparse.Action]] = {}
    for action in parser(command)._actions:
        if action.dest not in OWN[command] and action.dest not in WITHOUT[command]:
            actions.setdefault(action.dest, []).append(action)
    return tuple(_offer(name, same, groups[id(same[0])]) for name, same in actions.items())


def options(command: str, words: list[str], given: dict[str, object]) -> argparse.Namespace:
    """The command's options as it would parse them: `words` first, then what controls hold, by name."""
    typed = [word for offer in offers(command) for word in offer.words(given.get(offer.name))]
    return parser(command).parse_args([*words, *typed])


def label_of(name: str) -> str:
    return LABELS.get(name, name.replace("_", " ").capitalize())


def _offer(name: str, actions: list[argparse.Action], group: str) -> Offer:
    first = actions[0]
    info = (first.help or "").replace("%%", "%")
    flag = first.option_strings[0]
    if len(actions) > 1:  # (--bounded and --unbounded)
        return Offer(
            name,
            label_of(name),
            info,
            "",
            group,
            (DEFAULT, *(a.option_strings[0].removeprefix("--") for a in actions)),
            False,
            "",
        )
    switch = first.nargs == 0
    choices = None
    if first.choices and not switch:
        choices = tuple(
            dict.fromkeys((DEFAULT if first.default is None else str(first.default), *map(str, first.choices)))
        )
    hint = HINTS.get(name, "" if first.metavar is None else re.sub(r"[^A-Z0-9,]", "", first.metavar))
    return Offer(name, label_of(name), info, hint, group, choices, switch, flag)
