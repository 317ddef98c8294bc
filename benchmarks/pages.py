"""Writes docs/results/README.md from the stored benchmarks.

    python -m benchmarks.pages
"""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.report import RESULTS

PAGE = Path(__file__).resolve().parents[1] / "docs" / "results" / "README.md"
HEAD = """\
# What was measured

Made by `python -m benchmarks.pages` from `benchmarks/results/*.json`, which `python -m benchmarks.NAME --store` writes. A ratio above 1
means that we are better; peers and we run side by side in one run, each in its own process.
"""
COLUMNS = ("id", "value", "unit", "against", "against_value", "ratio")


def page() -> str:
    """The whole page, from what is stored."""
    parts = [HEAD]
    for file in sorted(RESULTS.glob("*.json")):
        result = json.loads(file.read_text(encoding="utf-8"))
        machine = result["machine"]
        versions = ", ".join(f"{name} {number}" for name, number in result["versions"].items())
        parts.append(f"## {result['benchmark']}\n\n{machine['cpu']}, {machine['threads']} threads, GPU: {machine['gpu'] or 'none'}; {versions}.\n")
        parts.append(table(result["rows"]))
    return "\n".join(parts)


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
    return f"{value:,}" if isinstance(value, int) else str(value)


if __name__ == "__main__":
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(page(), encoding="utf-8")
    print(PAGE.relative_to(Path.cwd()) if PAGE.is_relative_to(Path.cwd()) else PAGE)
