"""Print the requirements of extras as words for an installer's command line: `python tools/extras.py studio,onnx`."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1] / "pyproject.toml"


def requirements(extras: list[str]) -> list[str]:
    """Requirements of extras, with those of the extras that they name (`field-studio[...]`), each once, in order."""
    table = tomllib.loads(PROJECT.read_text())["project"]["optional-dependencies"]
    found: dict[str, None] = {}
    for extra in extras:
        for requirement in table[extra]:
            own = re.fullmatch(r"field-studio\[(.*)\]", requirement)
            for name in requirements(own[1].split(",")) if own else [requirement]:
                found[name] = None
    return list(found)


if __name__ == "__main__":
    print(*requirements(sys.argv[1].split(",")))
