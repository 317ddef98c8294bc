"""Writes docs/results: README.md from the stored benchmarks, and a page for each system whose paper's claims were
measured.

python -m benchmarks.pages
"""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path

from benchmarks.papers.claims import statements
from benchmarks.report import RESULTS

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "results"
PAPERS = "papers-"
HEAD = """\
# What was measured

Made by `python -m benchmarks.pages` from `benchmarks/results/*.json`, which `python -m benchmarks.NAME --store`
writes. A ratio above 1 means that we are better; peers and we run side by side in one run, each in its own process.
"""
SYSTEM = """\
# {name}: the paper's claims, measured

Made by `python -m benchmarks.pages` from what `python -m benchmarks.papers {name} --{size} --store` stored ({where}).
The method: [{method}](../methods/{method}.md).

{what}
## Claims

Sizes are ours, so the figures are not the paper's; what is compared is the difference that an idea
makes. "Confirmed" means by at least the margin that the experiment asks for.

{claims}
## All rows

`spread` is the standard deviation over seeds (and images, where there are several).

{rows}"""
INSTALL = """\
# What an installation costs

Made by `python -m benchmarks.pages` from what `python -m benchmarks.install --store` stored ({where}).

Fresh clones, compiled without ccache, set up by pip with an empty cache. "Processor" are the seconds of all processes
together; seconds by the clock depend on the network and on what else the machine does. "With all sets" is a library for
every processor of the architecture, as in a wheel; `make` builds one for the machine that it runs on. Against: the
commit of before (its only build had all sets).

{rows}"""
COLUMNS = ("id", "value", "unit", "against", "against_value", "ratio")
# The page of a method that a system is about, where it is called otherwise.
METHODS = {"inr": "siren", "scenes": "nerf"}


def pages() -> dict[str, str]:
    """What belongs into docs/results, by the name of the file, from what is stored."""
    stored = [json.loads(file.read_text(encoding="utf-8")) for file in sorted(RESULTS.glob("*.json"))]
    systems = [result for result in stored if result["benchmark"].startswith(PAPERS)]
    found = {f"{result['benchmark'].removeprefix(PAPERS)}.md": system(result) for result in systems}
    parts = [
        HEAD,
        "What the papers of the methods claim, and what we found: "
        + ", ".join(f"[{name.removesuffix('.md')}]({name})" for name in found)
        + ".\n",
    ]
    for result in stored:
        if result["benchmark"] == "install":
            found["install.md"] = INSTALL.format(where=_where(result), rows=table(result["rows"]))
        elif result not in systems:
            parts.append(f"## {result['benchmark']}\n\n{_where(result)}.\n")
            parts.append(table(result["rows"]))
    return {"README.md": "\n".join(parts), **found}


def system(result: dict) -> str:
    """The page of one system of `benchmarks.papers`: what it is, the claims with their verdicts, the rows."""
    name = result["benchmark"].removeprefix(PAPERS)
    module = import_module(f"benchmarks.papers.{name}")
    return SYSTEM.format(
        name=name,
        size=result.get("size", "small"),
        where=_where(result),
        method=METHODS.get(name, name),
        what=module.__doc__,
        claims=statements(module.CLAIMS, result["rows"]),
        rows=table(result["rows"]),
    )


def _where(result: dict) -> str:
    versions = ", ".join(f"{name} {number}" for name, number in result["versions"].items())
    return f"{_machine(result['machine'])}; {versions}"


def _machine(machine: dict) -> str:
    return f"{machine['cpu']}, {machine['threads']} threads, GPU: {machine['gpu'] or 'none'}"


def table(rows: list[dict]) -> str:
    lines = ["| id | value | unit | against | its value | ratio | more |", "|---|---|---|---|---|---|---|"]
    for row in rows:
        more = ", ".join(f"{name} {_cell(value)}" for name, value in row.items() if name not in COLUMNS)
        lines.append("| " + " | ".join([*(_cell(row.get(name)) for name in COLUMNS), more]) + " |")
    return "\n".join(lines) + "\n"


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list):
        return " / ".join(_cell(item) for item in value)
    if isinstance(value, dict):
        # The part of a signal that was scored, or the machine of a row that was measured elsewhere than the others.
        return f"{value['fraction']:.0%} of the {value['of']}" if "fraction" in value else f"({_machine(value)})"
    return f"{value:,}" if isinstance(value, int) else str(value)


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
        print(f"docs/results/{name}")
