"""Feed our own parsers inputs that a fuzzer finds: coverage-guided by atheris where it is installed.

    python -m benchmarks.trust.fuzz [--seconds 300] [--only TEXT] [--json] [--store]

Without atheris the inputs are sound files with random changes, for the same time. What a parser raises besides BadInput
is a fault, and so is what takes longer than some seconds.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from benchmarks.trust.page import finish
from benchmarks.trust.sound_files import sound_files
from scenes.errors import BadInput

SECONDS = 300.0
# Processor seconds that one input may take.
SLOW_SECONDS = 5.0
# Files by parser: the sound source they begin with, and the file of it that is fuzzed.
PARSERS = {
    "transforms": ("posed-ngp", "transforms.json"),
    "colmap": ("posed-colmap-binary", "images.bin"),
    "colmap-cameras": ("posed-colmap-text", "cameras.txt"),
    "llff": ("posed-llff", "poses_bounds.npy"),
    "run": ("run-image-siren-8bit", "run.json"),
    "fsq": ("run-image-siren.fsq", ""),
    "ply": ("shape-ply", ""),
    "stl": ("shape-stl", ""),
    "nrrd": ("volume-nrrd", ""),
}


def target(name: str, folder: Path) -> tuple[Callable[[bytes], None], bytes]:
    """What reads bytes as a parser's file, and the sound content."""
    source_name, file_name = PARSERS[name]
    source = sound_files()[source_name](folder)
    file = next(source.rglob(file_name)) if file_name else source
    sound = file.read_bytes()

    def read(data: bytes) -> None:
        file.write_bytes(data)
        begun = time.process_time()
        try:
            if name in ("run", "fsq"):
                from fields.runs.run import Run

                Run.open(source).load_field()
            else:
                import scenes

                scenes.load(source)
        except (BadInput, MemoryError):
            pass
        if time.process_time() - begun > SLOW_SECONDS:
            raise TimeoutError(f"{time.process_time() - begun:.1f} s")

    return read, sound


def changed(sound: bytes, chance: random.Random) -> bytes:
    """A sound file with a few random changes: bytes, cuts, repeats, and numbers that mean something."""
    data = bytearray(sound)
    for _ in range(chance.randint(1, 6)):
        at = chance.randrange(len(data) + 1)
        how = chance.randrange(5)
        if how == 0 and data:
            data[at % len(data)] ^= 1 << chance.randrange(8)
        elif how == 1:
            del data[at : at + chance.randint(1, 40)]
        elif how == 2:
            data[at:at] = data[at : at + chance.randint(1, 40)]
        elif how == 3:
            data[at : at + 4] = chance.choice((b"\xff\xff\xff\xff", b"\0\0\0\0", b"\xff\xff\xff\x7f", b"\0\0\xc0\x7f"))
        else:
            data[at : at + 3] = chance.choice((b"nan", b"1e9", b"-1,", b"[[[", b'"a"', b"null", b"{},", b"\xf0\x9f"))
    return bytes(data)


def fuzz_randomly(name: str, seconds: float, folder: Path, seed: int) -> tuple[int, list[str]]:
    """Inputs that were read, and faults. Faulty inputs are kept in the folder."""
    read, sound = target(name, folder)
    chance, begun, runs = random.Random(seed), time.monotonic(), 0
    faults: dict[str, str] = {}
    while time.monotonic() - begun < seconds:
        data = changed(sound, chance)
        runs += 1
        try:
            read(data)
        except Exception as error:  # noqa: BLE001  (whatever is raised is what this is about)
            place = error.__traceback__
            while place is not None and place.tb_next is not None:
                place = place.tb_next
            where = f"{Path(place.tb_frame.f_code.co_filename).name}:{place.tb_lineno}" if place else ""
            key = f"{type(error).__name__} at {where}"
            if key not in faults:
                kept = folder.parent / f"{name}-{runs}.bin"
                kept.write_bytes(data)
                faults[key] = f"{name}: {key}: {str(error)[:120]} ({kept})"
    return runs, list(faults.values())


def fuzz_guided(name: str, seconds: float, folder: Path, seed: int) -> tuple[int, list[str]]:
    """The same by atheris, in a process of its own, which ends at the first fault."""
    corpus = folder / "corpus"
    corpus.mkdir()
    (folder / "sound").mkdir()
    _, sound = target(name, folder / "sound")
    (corpus / "sound").write_bytes(sound)
    options = {
        "max_total_time": f"{seconds:.0f}",
        "seed": seed + 1,
        "max_len": 20000,
        "artifact_prefix": f"{folder.parent}/{name}-",
        "timeout": 60,
    }
    flags = [f"-{option}={value}" for option, value in options.items()]
    command = [sys.executable, "-m", "benchmarks.trust.fuzz", "--guided", name, str(folder), str(corpus), *flags]
    done = subprocess.run(command, capture_output=True, text=True)
    told = [line for line in done.stderr.splitlines() if line.startswith("Done ")]
    runs = int(told[-1].split()[1]) if told else 0
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if "Error" in line or "ERROR" in line]
        return runs, [f"{name}: {' '.join(lines[:3])[:300] or done.stderr[-300:]}"]
    return runs, []


def guided(arguments: list[str]) -> None:
    """The process of `fuzz_guided`."""
    # Not among our packages, and so unknown to the type checker.
    atheris = import_module("atheris")
    name, folder, *rest = arguments
    with atheris.instrument_imports(include=["scenes", "fields.runs"]):
        import fields.runs.run  # noqa: F401
        import scenes  # noqa: F401
    place = Path(folder) / "read"
    place.mkdir()
    read, _ = target(name, place)
    atheris.Setup([sys.argv[0], *rest], read)
    atheris.Fuzz()


def main() -> int:
    if sys.argv[1:2] == ["--guided"]:
        guided(sys.argv[2:])
        return 0
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=SECONDS, help=f"of each parser (default {SECONDS:g})")
    parser.add_argument("--only", default="", metavar="TEXT", help="only parsers with this in their name")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    parser.add_argument("--store", action="store_true", help="keep the report for docs/results/trust.md")
    options = parser.parse_args()
    if find_spec("atheris"):
        engine, fuzz = "atheris", fuzz_guided
    else:
        engine, fuzz = "random changes of sound files (atheris is not installed)", fuzz_randomly
    rows, faults = [], []
    keep = Path(tempfile.mkdtemp(prefix="trust-fuzz-"))
    for name in PARSERS:
        if options.only in name:
            folder = keep / name
            folder.mkdir()
            runs, found = fuzz(name, options.seconds, folder, options.seed)
            rows.append({"id": name, "runs": runs, "seconds": options.seconds})
            faults += found
            print(f"{name}: {runs:,} inputs, {len(found)} faults", file=sys.stderr, flush=True)
    for fault in faults:
        print(fault)
    report = {"benchmark": "trust-fuzz", "engine": engine, "seed": options.seed, "rows": rows, "faults": faults}
    finish(report, options)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
