"""All cases, and the rows that they give."""

from __future__ import annotations

from benchmarks.kernels import grids, march, mlps, planes, quality, rbf, step
from benchmarks.kernels.case import NATIVE, Case
from benchmarks.kernels.workers import Worker, take_turns
from benchmarks.report import report

CASES: list[Case] = [*grids.CASES, *march.CASES, *mlps.CASES, *planes.CASES, *rbf.CASES, *step.CASES]
COMPILED = "torch-compiled"


def measure(quick: bool, only: str = "") -> dict:
    """The report; `quick` leaves out the slow cases and torch.compile; `only` takes the cases whose id contains it."""
    cases = [case for case in CASES if only in case.id and (case.quick or not quick)]
    names = dict.fromkeys([NATIVE]) | dict.fromkeys(
        name for case in cases for name in case.contenders if not (quick and name == COMPILED)
    )
    workers = {name: Worker(name) for name in names}
    rows = []
    for case in cases:
        rows += compare(
            case,
            take_turns(
                case, {name: workers[name] for name in case.contenders if name in workers}, repeats=3 if quick else 9
            ),
        )
    rows += workers[NATIVE].ask("ceilings", only)["rows"]
    for worker in workers.values():
        worker.close()
    if only in "step2d-15-bf16-psnr" and (only or not quick):
        rows += quality.rows(quick)
    return report("kernels", rows)


def compare(case: Case, results: dict[str, dict | str]) -> list[dict]:
    """A row a peer; the two torch contenders are one, by the faster."""
    ours = results.pop(NATIVE)
    if isinstance(ours, str):
        return [{"id": case.id, "value": None, "unit": "ms", "note": ours}]
    torch_results = {name: results.pop(name) for name in ("torch", COMPILED) if name in results}
    measured = {name: result["milliseconds"] for name, result in torch_results.items() if not isinstance(result, str)}
    if torch_results:
        results["torch"] = torch_results[min(measured, key=measured.get)] if measured else torch_results["torch"]
    rows = []
    for peer, theirs in results.items():
        row = {"id": case.id, "value": round(ours["milliseconds"], 3), "unit": "ms", "against": peer}
        if isinstance(theirs, str):
            row |= {"against_value": None, "ratio": None, "note": theirs}
        else:
            row |= {
                "against_value": round(theirs["milliseconds"], 3),
                "ratio": round(theirs["milliseconds"] / ours["milliseconds"], 2),
            }
            if peer == "torch":
                row["note"] = ", ".join(
                    f"{name} {t if isinstance(t, str) else round(t['milliseconds'], 1)}"
                    for name, t in torch_results.items()
                )
        rows.append(row)
        if case.memory and not isinstance(theirs, str):
            rows.append(
                {
                    "id": case.id,
                    "value": round(ours["megabytes"], 1),
                    "unit": "MB",
                    "against": f"{peer}-memory",
                    "against_value": round(theirs["megabytes"], 1),
                    "ratio": round(theirs["megabytes"] / ours["megabytes"], 2) if ours["megabytes"] else None,
                }
            )
    return rows
