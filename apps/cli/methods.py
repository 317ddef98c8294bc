"""List the methods, or every option of one: what `--set` reaches."""

from __future__ import annotations

import argparse

HELP = "list the methods and their options"
EPILOG = """\
examples:
  fit-a-scene methods
  fit-a-scene methods hashgrid
  fit-a-scene methods --json
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="METHOD", nargs="?", help="show the options of this method")


def run(options: argparse.Namespace) -> dict:
    from fields.methods.registry import method_class, method_names

    names = [options.name] if options.name else method_names()
    report = {"methods": [describe(method_class(name)) for name in names]}
    if options.json:
        return report

    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    for method in report["methods"]:
        console.print(f"[bold]{method['name']}[/]  {method['summary']}")
        if options.name:
            dimensions = ", ".join(str(d) for d in method["dimensions"])
            console.print(f"  {method['paper']}; signals of {dimensions} dimensions")
            table = Table(
                "option", "default", "values", "what it does", box=None, header_style="dim", padding=(0, 2, 0, 0)
            )
            for option in method["options"]:
                table.add_row(option["name"], str(option["default"]).lower(), option["values"], option["description"])
            console.print(table)
    return report


def describe(cls) -> dict:
    """A method as plain data: the studio's controls and the `--json` listing are made from this."""
    properties = cls.model_json_schema()["properties"]
    options = [
        {"name": name, "default": entry.get("default"), "values": _values(entry), "description": entry["description"]}
        for name, entry in properties.items()
    ]
    return {
        "name": cls.name,
        "summary": cls.summary,
        "paper": cls.paper,
        "dimensions": list(cls.dimensions),
        "options": options,
    }


def _values(entry: dict) -> str:
    """The range or the choices of an option, for people."""
    if "anyOf" in entry:
        return " or ".join(_values(part) for part in entry["anyOf"])
    if "enum" in entry:
        return " ".join(str(value) for value in entry["enum"])
    if entry.get("type") == "null":
        return "none"
    low = (
        f"{entry['minimum']:g}"
        if "minimum" in entry
        else f"above {entry['exclusiveMinimum']:g}"
        if "exclusiveMinimum" in entry
        else ""
    )
    high = f"{entry['maximum']:g}" if "maximum" in entry else ""
    return f"{low} to {high}" if low and high else entry.get("type", "")
