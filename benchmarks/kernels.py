"""The native operations against plain torch and Dr.Jit, side by side, and against what this machine can do at all.

    python -m benchmarks.kernels [--json] [--quick] [--store]

Every contender is a process of its own that waits for its turn; within a case they take turns repetition by repetition, warmed up,
and the median counts. Points are uniform, unsorted, seed 0. `torch` is the faster of eager and torch.compile; Dr.Jit
(`pip install drjit` and the system's libLLVM) is left out with a note where it is absent. Ids are `hashgrid{dimensions}d-{log2 of the
table}-{fwd|fwdbwd}` (262,144 points, 16 levels of 2 features, base 16, growth 1.38), `step2d-15` (a whole training step of 65,536
points with an MLP 64 x 2, mean squared error, Adam), and the machine's ceilings.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from statistics import median

from benchmarks.report import add_arguments, emit, report

POINTS = 262_144
STEP_POINTS = 65_536
GRIDS = [(2, 15), (3, 15), (2, 19), (3, 19)]
STEP = "step2d-15"
# What each grid case is set against, and the ratio that we aim for.
GRID_CONTENDERS = ("native", "torch", "torch-compiled", "drjit")
STEP_CONTENDERS = ("native", "native+torch-mlp", "torch", "torch-compiled")


def measure(quick: bool) -> dict:
    repeats = 3 if quick else 9
    contenders = [name for name in (*GRID_CONTENDERS, "native+torch-mlp") if not (quick and name == "torch-compiled")]
    workers = {name: Worker(name) for name in contenders}
    cases = [f"hashgrid{d}d-{t}-{kind}" for d, t in (GRIDS[:1] if quick else GRIDS) for kind in ("fwd", "fwdbwd")]
    rows = []
    for case in cases:
        times = take_turns(case, {name: workers[name] for name in GRID_CONTENDERS if name in workers}, repeats)
        rows += compare(case, times)
    times = take_turns(STEP, {name: workers[name] for name in STEP_CONTENDERS if name in workers}, repeats)
    rows += compare(STEP, times)
    rows += [ceiling for ceiling in workers["native"].ask("ceilings")["rows"]]
    for worker in workers.values():
        worker.close()
    return report("kernels", rows)


def take_turns(case: str, workers: dict[str, Worker], repeats: int) -> dict[str, float | str]:
    """Median milliseconds of each contender, or why it has none."""
    found: dict[str, list[float] | str] = {}
    for name, worker in workers.items():
        ready = worker.ask("prepare", case)
        found[name] = ready["error"] if "error" in ready else []
    for _ in range(repeats):
        for name, worker in workers.items():
            if isinstance(found[name], list):
                found[name].append(worker.ask("run", case)["milliseconds"])
    for worker in workers.values():
        worker.ask("forget", case)
    return {name: times if isinstance(times, str) else median(times) for name, times in found.items()}


def compare(case: str, times: dict[str, float | str]) -> list[dict]:
    """A row a peer; the two torch contenders are one, by the faster."""
    ours = times.pop("native")
    torch_times = {name: times.pop(name) for name in ("torch", "torch-compiled") if name in times}
    measured = {name: t for name, t in torch_times.items() if isinstance(t, float)}
    if measured:
        best = min(measured, key=measured.get)
        times["torch"] = measured[best]
    rows = []
    for peer, theirs in times.items():
        row = {"id": case, "value": round(ours, 3), "unit": "ms", "against": peer}
        if isinstance(theirs, str):
            row |= {"against_value": None, "ratio": None, "note": theirs}
        else:
            row |= {"against_value": round(theirs, 3), "ratio": round(theirs / ours, 2)}
            if peer == "torch":
                row["note"] = ", ".join(f"{name} {t if isinstance(t, str) else round(t, 1)}" for name, t in torch_times.items())
        rows.append(row)
    return rows


class Worker:
    """A contender's process: JSON lines in, JSON lines out."""

    def __init__(self, name: str) -> None:
        self.process = subprocess.Popen([sys.executable, "-m", "benchmarks.kernels", "--worker", name], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)

    def ask(self, *words: str) -> dict:
        self.process.stdin.write(json.dumps(words) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait()


def work(name: str) -> None:
    """The contender's side: prepares cases (warmed up), runs them once when told, forgets them."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library prints must not look like an answer
    ready: dict = {}
    for line in sys.stdin:
        verb, *case = json.loads(line)
        answer: dict = {}
        if verb == "prepare":
            try:
                ready[case[0]] = prepare(name, case[0])
                for _ in range(2):
                    ready[case[0]]()
            except Exception as error:  # noqa: BLE001  (a peer may be absent in any way; the reason is the answer)
                answer["error"] = f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else ''}"
        elif verb == "run":
            begun = time.perf_counter()
            ready[case[0]]()
            answer["milliseconds"] = 1e3 * (time.perf_counter() - begun)
        elif verb == "forget":
            ready.pop(case[0], None)
        else:
            answer["rows"] = ceilings()
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def prepare(name: str, case: str):
    """The function to be timed."""
    if case == STEP:
        return prepare_step(name)
    grid, table, kind = case.removeprefix("hashgrid").split("-")
    dimensions, backward = int(grid[0]), kind == "fwdbwd"
    if name == "drjit":
        from benchmarks.baselines.drjit_hash_grid import build

        return build(dimensions, 1 << int(table), POINTS, os.cpu_count())[backward]

    import torch

    from benchmarks.baselines.hash_grid import TorchHashGrid
    from fields.ops.grid_layout import GridLayout
    from fields.ops.hash_grid import hash_grid

    layout = GridLayout(dimensions, 16, 2, 16, 1.38, 1 << int(table))
    generator = torch.Generator().manual_seed(0)
    coords = torch.rand(POINTS, dimensions, generator=generator)
    table = torch.randn(layout.entries, 2, generator=generator)
    upstream = torch.randn(POINTS, layout.outputs, generator=generator)
    if name == "native":
        table.requires_grad_()
        encode = lambda: hash_grid(coords, table, layout, backend="native")  # noqa: E731
    else:
        module = TorchHashGrid(layout, table)
        table = module.table
        if name == "torch-compiled":
            module = torch.compile(module)
        encode = lambda: module(coords)  # noqa: E731

    def forward() -> None:
        with torch.no_grad():
            encode()

    def forward_backward() -> None:
        table.grad = None
        encode().backward(upstream)

    return forward_backward if backward else forward


def prepare_step(name: str):
    import torch

    from benchmarks.baselines.hash_grid import TorchStep
    from fields.ops.adam import Adam
    from fields.ops.fused_step import GridMlpStep
    from fields.ops.grid_layout import GridLayout
    from fields.ops.hash_grid import hash_grid

    layout = GridLayout(2, 16, 2, 16, 1.38, 1 << 15)
    generator = torch.Generator().manual_seed(0)
    coords, targets = torch.rand(STEP_POINTS, 2, generator=generator), torch.rand(STEP_POINTS, 3, generator=generator)
    table = torch.empty(layout.entries, 2).uniform_(-1e-4, 1e-4, generator=generator)
    sizes = (layout.outputs, 64, 64, 3)
    weights = [torch.randn(b, a, generator=generator) * (2 / a) ** 0.5 for a, b in zip(sizes, sizes[1:])]
    if name.startswith("torch"):
        step = TorchStep(layout, table, weights, compiled=name == "torch-compiled")
        return lambda: step(coords, targets)

    leaves = [leaf.requires_grad_() for leaf in (table, *weights)]
    optimizer = Adam([{"params": leaves[:1], "lr": 5e-2, "sparse": True}, {"params": leaves[1:], "lr": 5e-3}])
    fused = GridMlpStep(table, weights, layout, "linear", "l2")

    def native() -> None:
        fused(coords, targets)
        optimizer.step()

    def with_torch_mlp() -> None:
        optimizer.zero_grad()
        values = hash_grid(coords, table, layout, backend="native")
        for weight in weights[:-1]:
            values = torch.relu(values @ weight.T)
        ((values @ weights[-1].T - targets) ** 2).mean().backward()
        optimizer.step()

    return native if name == "native" else with_torch_mlp


def ceilings() -> list[dict]:
    """What the machine gives: matrix products of the MLP's and of a large shape, and the MLP's share of the former's rate."""
    import torch

    rows = []
    for label, (m, k, n) in {"matmul-65536x64x64": (65536, 64, 64), "matmul-2048": (2048, 2048, 2048)}.items():
        a, b = torch.randn(m, k), torch.randn(k, n)
        seconds = _median_seconds(lambda: a @ b)  # noqa: B023
        rows.append({"id": label, "value": round(2e-9 * m * k * n / seconds, 1), "unit": "GFLOP/s"})
    step = prepare_step("native")
    both = _median_seconds(step)
    operations = 6 * STEP_POINTS * (32 * 64 + 64 * 64 + 64 * 3)
    rows.append({"id": "step2d-15-rate", "value": round(1e-9 * operations / both, 1), "unit": "GFLOP/s",
                 "note": "the MLP's operations over the time of the whole step, grid and Adam included"})
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    alone = _median_seconds(prepare_step("native"))
    torch.set_num_threads(threads)
    rows.append({"id": f"step2d-15-scaling-1-to-{threads}", "value": round(alone / both, 2), "unit": "times"})
    return rows


def _median_seconds(function, repeats: int = 9) -> float:
    function()
    times = []
    for _ in range(repeats):
        begun = time.perf_counter()
        function()
        times.append(time.perf_counter() - begun)
    return median(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        work(options.worker)
    else:
        emit(measure(options.quick), options)


if __name__ == "__main__":
    main()
