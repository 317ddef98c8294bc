"""List the methods, or every option of one: the options that `--set` takes."""

from __future__ import annotations

import argparse
from typing import Any

from apps.cli.flags import group

HELP = "list the methods and their options"
EPILOG = """\
examples:
  fit-a-scene methods
  fit-a-scene methods hashgrid
  fit-a-scene methods --json
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    group(parser, "method").add_argument("name", metavar="METHOD", nargs="?", help="Show the options of this method.")


def run(options: argparse.Namespace) -> dict[str, Any]:
    from fields.methods import figures
    from fields.methods.description import describe
    from fields.methods.registry import method_class, method_names

    names = [options.name] if options.name else method_names()
    report = {
        "methods": [{**describe(method_class(name)), "figures": figures.to_json(name)} for name in names],
        "figures_from": figures.where(),
    }
    if not options.json:
        for method in report["methods"]:
            _show(method, with_options=bool(options.name))
        if figures.where():
            print(f"\nfigures: one fit each, with its place among the methods tried, on {figures.where()}")
    return report


def _show(method: dict[str, Any], *, with_options: bool) -> None:
    """Print a method; `with_options`: with a table for each section of its options."""
    from rich.console import Console
    from rich.table import Table

    from fields.methods.figures import lines

    console = Console(highlight=False)
    console.print(f"[bold]{method['name']}[/]  {method['summary']}")
    for line in lines(method["name"]):
        console.print(f"  [dim]{line}[/]")
    if not with_options:
        return
    dimensions = ", ".join(str(d) for d in method["dimensions"])
    console.print(f"  {method['paper']}; signals of {dimensions} dimensions")
    for section in dict.fromkeys(option["section"] for option in method["options"]):
        table = Table("option", "default", "values", "what it does", box=None, header_style="dim", padding=(0, 2, 0, 0))
        for option in method["options"]:
            if option["section"] == section:
                default = str(option["default"]).lower()
                table.add_row(option["name"], default, option["values"], option["description"])
        console.print(f"\n[bold]{section}[/]")
        console.print(table)
