"""Counts what is installed for the package: `python packages.py [EXTRA]`, in the environment that is looked at.

Prints a JSON object with the number of packages, their megabytes without torch's, and torch's.
"""

from __future__ import annotations

import json
import os
import sys
from importlib import metadata

from packaging.requirements import Requirement


def closure(extras: str = "") -> dict[str, float]:
    """Bytes of each installed package that the distribution needs, with an extra if one is named."""
    found: dict[tuple[str, str], float] = {}
    todo = [Requirement(f"field-studio[{extras}]" if extras else "field-studio")]
    while todo:
        requirement = todo.pop()
        key = (requirement.name.lower().replace("_", "-"), ",".join(sorted(requirement.extras)))
        try:
            package = metadata.distribution(requirement.name)
        except metadata.PackageNotFoundError:
            continue
        if key in found:
            continue
        files = (package.locate_file(file) for file in package.files or [])
        found[key] = sum(os.path.getsize(str(file)) for file in files if os.path.isfile(str(file)))
        for text in package.requires or []:
            inner = Requirement(text)
            names = requirement.extras or {""}
            if inner.marker is None or any(inner.marker.evaluate({"extra": extra}) for extra in names):
                todo.append(inner)
    # A package that is wanted with an extra and without is one package.
    return {name: size for (name, _), size in found.items() if name != "field-studio"}


def main() -> None:
    sizes = closure(*sys.argv[1:2])
    torch = sizes.pop("torch", 0.0)
    print(json.dumps({"packages": len(sizes) + 1, "MB": round(sum(sizes.values()) / 1e6), "torch": round(torch / 1e6)}))


if __name__ == "__main__":
    main()
