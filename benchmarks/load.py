"""What a fit makes of its share of the processor while other processes are busy.

    python -m benchmarks.load [--json] [--quick] [--store] [--only ID]

One row per kind of signal and number of busy processes beside the fit: the steps per second of processor time that the
fit takes, against those of the same fit alone, in turns in one process. A ratio of 1 means that no processor time is
lost in waiting: the fit makes as many steps as its share of the cores is worth. `steps_per_second` are by the clock.
All signals come with scikit-image or are computed from formulas.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.report import add_arguments, emit, report

# Source and method of each row; a source without a colon is an example of the studio.
CASES = {
    "image": ("skimage:astronaut", "hashgrid"),
    "image:siren": ("skimage:astronaut", "siren"),
    "shape": ("Knot", "hashgrid"),
    "radiance": ("procedural:duck", "hashgrid"),
}
# Numbers of busy processes beside a fit.
BUSY = (1, 3)
# Seconds of training before the first turn, of a turn, and turns of each sort.
WARM_SECONDS = 3.0
TURN_SECONDS = 4.0
TURNS = 3
BUSY_PROCESS = "while True: pass"


def measure(name: str, turns: int) -> dict[int, tuple[float, float]]:
    """Steps per second of processor time and per second, for each number of busy processes, with 0 first.

    Run in a process that has done nothing else.
    """

    import scenes
    from apps.studio import examples
    from apps.studio.folders import Folders
    from fields.fit.fit import build, objective_for, resolve_device
    from fields.fit.trainer import Trainer
    from fields.methods.registry import make_method

    with tempfile.TemporaryDirectory() as folder:
        source, method = CASES[name]
        signal = scenes.load(source if ":" in source else examples.source(source, Folders.at(Path(folder))))
        config = make_method(method, {}).prepare(signal)
        field = build(config, signal, 0, resolve_device("cpu"))
        objective = objective_for(signal, field, config.loss, config.gradient_terms)
        trainer = Trainer(field, objective, config, steps=10**6)
        _train(trainer, WARM_SECONDS)
        spent = {busy: [0.0, 0.0, 0] for busy in (0, *BUSY)}
        for turn in range(turns):
            for busy in sorted(spent, reverse=bool(turn % 2)):
                others = [subprocess.Popen([sys.executable, "-c", BUSY_PROCESS]) for _ in range(busy)]
                try:
                    # The scheduler has forgotten what came before.
                    _train(trainer, 0.5)
                    for index, amount in enumerate(_train(trainer, TURN_SECONDS)):
                        spent[busy][index] += amount
                finally:
                    for other in others:
                        other.kill()
                        other.wait()
        return {busy: (steps / processor, steps / seconds) for busy, (seconds, processor, steps) in spent.items()}


def _train(trainer, seconds: float) -> tuple[float, float, int]:
    """Train for some seconds. Returns seconds, seconds of processor time, and steps."""
    begun, processor, first = time.perf_counter(), time.process_time(), trainer.index
    while time.perf_counter() - begun < seconds:
        trainer.step()
    return time.perf_counter() - begun, time.process_time() - processor, trainer.index - first


def rows(name: str, turns: int) -> list[dict]:
    """Rows of a key of CASES, measured in a new process."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.load", "--in-process", name, "--turns", str(turns)],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    found = {int(busy): rates for busy, rates in json.loads(done.stdout.strip().splitlines()[-1]).items()}
    print(name, found, file=sys.stderr, flush=True)
    alone, alone_by_clock = found.pop(0)
    return [
        {
            "id": f"{name}:{busy}-busy",
            "value": round(rate, 2),
            "unit": "steps/CPU s",
            "against": "alone",
            "against_value": round(alone, 2),
            "ratio": round(rate / alone, 3),
            "steps_per_second": [round(by_clock, 2), round(alone_by_clock, 2)],
        }
        for busy, (rate, by_clock) in found.items()
    ]


def main() -> None:
    """Measure the chosen rows and print or store the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    parser.add_argument("--only", metavar="ID", help="only the kinds that begin like this")
    parser.add_argument("--in-process", metavar="ID", help=argparse.SUPPRESS)
    parser.add_argument("--turns", type=int, default=TURNS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.in_process:
        print(json.dumps(measure(options.in_process, options.turns)))
        return
    chosen = [name for name in CASES if name.startswith(options.only or "")]
    turns = 1 if options.quick else options.turns
    emit(report("load", [row for name in chosen for row in rows(name, turns)]), options, partial=bool(options.only))


if __name__ == "__main__":
    main()
