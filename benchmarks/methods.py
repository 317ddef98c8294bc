"""Every method on every signal in 15, 30 and 60 seconds: what each is good at, and what a budget buys.

    python -m benchmarks.methods --json --store
    python -m benchmarks.methods --methods siren,cam --signals kodim05,kodim20 --budgets 30 --seeds 1 --store
    python -m benchmarks.methods --methods siren,cam --signals kodim05 --budgets 30 --before --store

With `--store` each row is stored when it is measured, and the rows of other runs stay: a run may be cut off. `--before`
measures networks a second time with the batch and the rates that they had for all times and in float32 throughout.
Each fit is the command that a person would type, in a process of its own, one after the other on a quiet machine.
`fit-a-scene methods` shows the stored figures. Signals are photographs of Kodak's set, a page of text made here, music
and a song of whistles made here, a clip, two meshes, a scene and a volume; what is not there is left out.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import fmean, stdev

import numpy as np

from benchmarks.report import RESULTS, add_arguments, emit, report, stored

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
BUDGETS = (15, 30, 60)
SEEDS = 3
# Seconds that a fit may take beyond its budget, before it is ended.
PATIENCE = 120
IMAGE_METHODS = [
    "hashgrid",
    "siren",
    "finer",
    "wire",
    "fourier",
    "frequency",
    "cam",
    "nstr",
    "rbf",
    "neurbf",
    "densegrid",
    "triplane",
    "tensorf",
    "kplanes",
]
# Options of networks before batch, rates and precision followed from the time, and what is added to their rows' names.
BEFORE = ["--set=batch=16384", "--set=matmul_dtype=float32"]
BEFORE_LABEL = ":before"
# By kind: methods, and the metric that is shown, with its unit.
METHODS = {
    "image": IMAGE_METHODS,
    "audio": ["hashgrid", "siren", "finer", "wire", "fourier", "frequency", "cam"],
    "video": ["hashgrid", "siren", "cam", "kplanes", "nerv", "nervpp"],
    "shape": ["hashgrid", "siren", "finer", "wire", "fourier", "frequency", "neurbf", "triplane", "densegrid"],
    "radiance": ["hashgrid", "nerf", "cam", "tensorf", "kplanes", "triplane", "densegrid", "rbf", "neurbf"],
    "volume": ["hashgrid", "siren", "densegrid", "triplane", "tensorf"],
}
METRICS = {"shape": ("iou", "1"), "audio": ("snr", "dB")}


def page(path: Path) -> None:
    """A page of text of 768 x 512 pixels."""
    from PIL import Image, ImageDraw

    image = Image.new("L", (768, 512), 255)
    pen = ImageDraw.Draw(image)
    words = ("field", "signal", "of", "the", "a", "grid", "table", "sine", "is", "and", "coordinates")
    random = np.random.default_rng(0)
    for line in range(30):
        pen.text((24, 14 + 16 * line), " ".join(random.choice(words, 18)), 0)
    image.convert("RGB").save(path)


def song(path: Path) -> None:
    """2.7 seconds of whistles, as a WAV file."""
    import wave

    from benchmarks.tuning import chirps

    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(22050)
        file.writeframes((chirps(seed=1) * 32767).astype("<i2").tobytes())


def shells(path: Path) -> None:
    """A volume of 96 x 96 x 96 voxels: waves around two centers."""
    points = np.stack(np.meshgrid(*[np.arange(96) / 96] * 3, indexing="ij"), -1)
    radii = [np.linalg.norm(points - center, axis=-1) for center in ((0.3, 0.4, 0.5), (0.7, 0.6, 0.4))]
    waves = [np.cos(60 * radius) * np.exp(-4 * radius) for radius in radii]
    np.save(path, np.sum(waves, axis=0).astype(np.float32))


# By name: kind, and a file of the shared data or the function that makes it and its ending.
SIGNALS: dict[str, tuple[str, str | tuple[Callable[[Path], None], str]]] = {
    "kodim05": ("image", "images/kodim05.png"),
    "kodim08": ("image", "images/kodim08.png"),
    "kodim20": ("image", "images/kodim20.png"),
    "kodim23": ("image", "images/kodim23.png"),
    "page": ("image", (page, ".png")),
    "song": ("audio", (song, ".wav")),
    "bach": ("audio", "audio/gt_bach.wav"),
    "clip": ("video", "video/carphone_176x144"),
    "armadillo": ("shape", "meshes/armadillo.obj"),
    "bunny": ("shape", "meshes/stanford_bunny.obj"),
    "lego_200": ("radiance", "nerf/lego_200"),
    "shells": ("volume", (shells, ".npy")),
}


def source_of(name: str, folder: Path) -> Path | None:
    """The file of a signal; None where it is not there."""
    what = SIGNALS[name][1]
    if isinstance(what, str):
        found = SHARED / what
        return found if found.exists() else None
    make, ending = what
    file = folder / f"{name}{ending}"
    if not file.exists():
        make(file)
    return file


def fitted(source: Path, kind: str, method: str, seconds: float, seed: int, extra: list[str]) -> dict | None:
    """The report of a fit in a process of its own; None where it failed."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "apps.cli.main", "fit", str(source), "--kind", kind, "--method", method]
        command += ["--seconds", f"{seconds:g}", "--seed", str(seed), "--out", f"{folder}/run", "--json", *extra]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + PATIENCE)
        except subprocess.TimeoutExpired:
            return None
    if done.returncode:
        print(done.stderr.strip().splitlines()[-1:], file=sys.stderr)
        return None
    return json.loads(done.stdout.splitlines()[-1])


def rows(options: argparse.Namespace, folder: Path) -> Iterator[dict]:
    for name in options.signals.split(","):
        kind, source = SIGNALS[name][0], source_of(name, folder)
        if source is None:
            print(f"{name}: not there", file=sys.stderr)
            continue
        wanted = options.methods.split(",") if options.methods else METHODS[kind]
        for method in (method for method in wanted if method in METHODS[kind]):
            for seconds in map(float, options.budgets.split(",")):
                runs = [(options.label, options.fit_option)]
                if options.before and _is_network(method):
                    runs.append((options.label + BEFORE_LABEL, [*BEFORE, *options.fit_option]))
                for label, extra in runs:
                    reports = [fitted(source, kind, method, seconds, seed, extra) for seed in range(options.seeds)]
                    if row := _row(f"{method}:{name}:{seconds:g}s{label}", kind, [r for r in reports if r]):
                        print(f"{row['id']}: {row['value']:.4g} {row['unit']}, {row['steps']} steps", file=sys.stderr)
                        yield row


def _is_network(method: str) -> bool:
    """Whether batch, rates and precision of the method follow from the time and the processor."""
    from fields.methods.registry import method_class

    cls = method_class(method)
    return cls.pace is not None and "matmul_dtype" in cls.model_fields


def _row(name: str, kind: str, reports: list[dict]) -> dict | None:
    metric, unit = METRICS.get(kind, ("psnr", "dB"))
    values = [r["metrics"].get(metric, 0.0) for r in reports]
    if not values:
        return None
    return {
        "id": name,
        "value": fmean(values),
        "unit": unit,
        "metric": metric,
        "kind": kind,
        "spread": stdev(values) if len(values) > 1 else None,
        "seeds": len(values),
        "steps": round(fmean(r["steps"] for r in reports)),
        "parameters": reports[0]["parameters"],
        "seconds": fmean(r["seconds"] for r in reports),
        **({"scored": reports[0]["scored"]} if "scored" in reports[0] else {}),
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.methods", description=(__doc__ or "").split("\n")[0])
    add_arguments(parser)
    parser.add_argument("--methods", default="", help="names, separated by commas (default: those of each kind)")
    parser.add_argument("--signals", default=",".join(SIGNALS), help="names, separated by commas")
    parser.add_argument("--budgets", default=",".join(map(str, BUDGETS)), help="seconds, separated by commas")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="fits of each")
    parser.add_argument("--fit-option", action="append", default=[], help="of each fit, such as --set=batch=16384")
    parser.add_argument("--before", action="store_true", help="measure networks with their older defaults too")
    parser.add_argument("--label", default="", help="added to the rows' names, such as :before")
    options = parser.parse_args()
    if options.quick:
        options.signals, options.budgets, options.seeds = "page,song", "5", 1
    with tempfile.TemporaryDirectory() as folder:
        measured = []
        for row in rows(options, Path(folder)):
            measured.append(row)
            if options.store:
                stored(report("methods", [row]), partial=True)
                store_figures()
        emit(report("methods", measured), options, partial=True)


def store_figures() -> None:
    """Write what is stored without a label to the file from which `fit-a-scene methods` takes its figures."""
    from fields.methods.figures import FILE, ranked

    stored = json.loads((RESULTS / "methods.json").read_text(encoding="utf-8"))
    machine = f"{stored['machine']['cpu']}, {stored['machine']['threads']} threads"
    figures = ranked(row for row in stored["rows"] if row["id"].count(":") == 2)
    FILE.write_text(json.dumps({"machine": machine, "figures": figures}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
