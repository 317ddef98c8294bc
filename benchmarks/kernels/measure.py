"""All cases, and the rows that they give."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.kernels import grids, march, mlps, networks, planes, quality, raster, rbf, step
from benchmarks.kernels.case import NATIVE, Case
from benchmarks.kernels.contenders import Contender, take_turns
from benchmarks.report import report

CASES: list[Case] = [
    *grids.CASES,
    *march.CASES,
    *mlps.CASES,
    *networks.CASES,
    *planes.CASES,
    *raster.CASES,
    *rbf.CASES,
    *step.CASES,
]
COMPILED = "torch-compiled"


def measure(quick: bool, only: str = "", device: str = "cpu", told: Callable[[list[dict]], None] | None = None) -> dict:
    """The report.

    quick: leave out torch.compile and, on the CPU, the slow cases. only: measure the cases whose id contains it.
    told: called with the rows of each case when they are known.
    """
    on_cpu = device == "cpu"
    cases = [
        case
        for case in CASES
        if only in case.id and case.contenders_on(device) and (case.quick or not (quick and on_cpu))
    ]
    names = dict.fromkeys([NATIVE]) | dict.fromkeys(
        name for case in cases for name in case.contenders_on(device) if not (quick and name == COMPILED)
    )
    contenders = {name: Contender(name, device) for name in names}
    rows = []
    for case in cases:
        own = {name: contenders[name] for name in case.contenders_on(device) if name in contenders}
        of_case = compare(case, take_turns(case, own, repeats=3 if quick else 9, memory=on_cpu))
        if told is not None:
            told(of_case)
        rows += of_case
    if on_cpu:
        rows += contenders[NATIVE].ask("ceilings", only)["rows"]
    for contender in contenders.values():
        contender.close()
    if on_cpu and (only or not quick):
        rows += quality.rows(quick, only)
    return report("kernels" if on_cpu else f"kernels-{device}", rows)


def compare(case: Case, results: dict[str, dict[str, float] | str]) -> list[dict]:
    """One row per peer, and one more per peer if memory was compared. The two torch contenders are one peer."""
    results = dict(results)
    ours = results.pop(NATIVE)
    if isinstance(ours, str):
        return [{"id": case.id, "value": None, "unit": "ms", "note": ours}]
    torch_results = {name: results.pop(name) for name in ("torch", COMPILED) if name in results}
    if torch_results:
        results["torch"] = _faster(torch_results)
    rows = []
    for peer, theirs in results.items():
        row = {"id": case.id, "value": round(ours["milliseconds"], 3), "unit": "ms", "against": peer}
        if isinstance(theirs, str):
            rows.append(row | {"against_value": None, "ratio": None, "note": theirs})
            continue
        row |= {
            "against_value": round(theirs["milliseconds"], 3),
            "ratio": round(theirs["milliseconds"] / ours["milliseconds"], 2),
        }
        if peer == "torch":
            row["note"] = ", ".join(f"{name} {_milliseconds(result)}" for name, result in torch_results.items())
        rows.append(row)
        if "megabytes" in ours and "megabytes" in theirs:
            rows.append(_memory_row(case.id, peer, ours["megabytes"], theirs["megabytes"]))
    return rows


def _faster(results: dict[str, dict[str, float] | str]) -> dict[str, float] | str:
    """The faster of the results, or the first reason if none was measured."""
    measured = [result for result in results.values() if not isinstance(result, str)]
    if measured:
        return min(measured, key=lambda result: result["milliseconds"])
    return next(iter(results.values()))


def _milliseconds(result: dict[str, float] | str) -> str | float:
    return result if isinstance(result, str) else round(result["milliseconds"], 1)


def _memory_row(id: str, peer: str, ours: float, theirs: float) -> dict:
    return {
        "id": id,
        "value": round(ours, 1),
        "unit": "MB",
        "against": f"{peer}-memory",
        "against_value": round(theirs, 1),
        "ratio": round(theirs / ours, 2) if ours else None,
    }
