"""Write docs/results/trust.md from the reports that the parts of `benchmarks.trust` stored.

python -m benchmarks.trust.page
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

STORED = Path(__file__).resolve().parents[1] / "results" / "trust"
PAGE = Path(__file__).resolve().parents[2] / "docs" / "results" / "trust.md"
HEAD = """\
# Trust: what was done to it, and what came of that

Made by `make trust` (`python -m benchmarks.trust`), which runs the parts below and keeps a report of each in
`benchmarks/results/trust`. A part that is missing here was not run.
"""


def finish(report: dict[str, Any], options: argparse.Namespace) -> None:
    """Keep the report of a part (`--store`), and print it as one JSON object in the last line (`--json`)."""
    if options.store:
        STORED.mkdir(parents=True, exist_ok=True)
        name = report["benchmark"].removeprefix("trust-")
        (STORED / f"{name}.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    if options.json:
        print(json.dumps(report))


def page() -> str:
    """The page, of the reports that are stored."""
    parts = [HEAD]
    for name, section in SECTIONS.items():
        file = STORED / f"{name}.json"
        if file.is_file():
            report = json.loads(file.read_text(encoding="utf-8"))
            parts.append(section(report) + _notes(report))
    return "\n".join(parts)


def _files(report: dict[str, Any]) -> str:
    return (
        "## Broken files\n\n"
        f"`python -m benchmarks.trust.files`, {report['seconds']:,.0f} s: {report['files']:,} files of all formats, "
        "cut off, with flipped bits, swapped headers, absurd sizes, values that are no numbers, deep nesting, bombs, "
        f"climbing paths, and contradictory scenes of every dialect. {report['read']} were read, "
        f"{report['refused']} refused by one line, {len(report['wrong'])} went wrong.\n"
    )


def _kills(report: dict[str, Any]) -> str:
    rows = "".join(f"| {row['id']} | {row['kills']} | {row.get('ended_before', 0)} |\n" for row in report["rows"])
    return (
        "## Kills\n\n"
        f"`python -m benchmarks.trust.kills --kills {report['kills']} --seed {report['seed']}`, "
        f"{report['seconds']:,.0f} s: SIGKILL at random times and before random changes of files. After each, "
        "everything in the folder opens, the work goes on, and ends with the bits of an uninterrupted one; nothing "
        f"half-written stays. At most {report['most_seconds_lost']:.2f} s of work were lost, with a checkpoint every "
        f"{report['checkpoint_seconds']:g} s (ten outside of this test) on a machine that did other things too. "
        f"{len(report['faults'])} faults.\n\n| work | kills | ended before |\n|---|---|---|\n{rows}"
    )


def _hazards(report: dict[str, Any]) -> str:
    rows = "".join(f"| {row['id'].replace('_', ' ')} | {row['times']} |\n" for row in report["rows"])
    return (
        "## Disks, clocks, memory\n\n"
        f"`python -m benchmarks.trust.hazards --seed {report['seed']}`, {report['seconds']:,.0f} s: each ends with a "
        "result or with one line, and goes on to the same bits once the cause is gone. "
        f"{len(report['faults'])} faults.\n\n| disturbance | times |\n|---|---|\n{rows}"
    )


def _security(report: dict[str, Any]) -> str:
    rows = "".join(f"| {row['id'].replace('_', ' ')} | {row['faults']} |\n" for row in report["rows"])
    return (
        "## The studio's surface\n\n"
        f"`python -m benchmarks.trust.security`, {report['seconds']:,.0f} s, against a studio that is served, with a "
        f"secret beside its folder.\n\n| attacks | faults |\n|---|---|\n{rows}"
    )


def _packages(report: dict[str, Any]) -> str:
    strict = ", ".join(f"{row['name']} ({row['licence']})" for row in report["rows"] if row["copyleft"]) or "none"
    unsaid = ", ".join(row["name"] for row in report["rows"] if row["licence"] == "not said") or "none"
    return (
        "## Packages\n\n"
        f"`python -m benchmarks.trust.security --packages`: {len(report['rows'])} installed. With a copyleft licence: "
        f"{strict}. Without any in their metadata: {unsaid}. {report['audit']}.\n"
    )


def _fuzz(report: dict[str, Any]) -> str:
    rows = "".join(f"| {row['id']} | {row['runs']:,} | {row['seconds']:g} |\n" for row in report["rows"])
    return (
        "## Fuzzing of our parsers\n\n"
        f"`python -m benchmarks.trust.fuzz` with {report['engine']}. {len(report['faults'])} faults.\n\n"
        f"| parser | inputs | seconds |\n|---|---|---|\n{rows}"
    )


def _notes(report: dict[str, Any]) -> str:
    told = [*report.get("notes", ()), *(f"Fault: {fault}" for fault in report.get("faults", ()))]
    return "".join(f"\n* {note}" for note in told) + ("\n" if told else "")


SECTIONS = {
    "files": _files,
    "kills": _kills,
    "hazards": _hazards,
    "security": _security,
    "packages": _packages,
    "fuzz": _fuzz,
}


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
