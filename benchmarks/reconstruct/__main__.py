"""Photographs to textured meshes: the whole command, its files read and drawn by other programs, and its peers.

    python -m benchmarks.reconstruct [--json] [--quick] [--store] [--only ROW ...] [--parts PART ...]
        [--seconds S] [--keep DIR] [--table]

For each row a scene is drawn (or taken from `shared/data/nerf` beside the repository), and `fit-a-scene reconstruct
SCENE OUT.glb --units source --json` makes a file of it. The file is scored by `benchmarks.reconstruct.score`. Memory is
that of all processes of the command together, and `silence` the longest time in which a terminal shows nothing new.

Parts: `reconstruct` (the command), `usdz` (the same run written as USDZ and read by OpenUSD's library), `ceiling`
(texels fitted on the true mesh: `benchmarks.reconstruct.ceiling`), and `peers` (Open3D's fusion and Poisson
reconstruction of the field's own depths and of the true ones, and what pycolmap's dense stage says:
`benchmarks.reconstruct.peers`). `--only` also takes scenes without a row, such as `blob_glossy`
(`benchmarks.reconstruct.scenes`), for pictures. With `--store --only` (or `--parts`) other rows stay as they were.
`--keep` keeps scenes, runs, files and pictures there, and takes a scene or run that is there already. `--table` prints
the stored rows as the table of docs/reconstruct.md and measures nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.reconstruct.ceiling import ceiling
from benchmarks.reconstruct.peers import dense_stage, peers
from benchmarks.reconstruct.read_mesh import source_transform
from benchmarks.reconstruct.rows import ROWS, WITHOUT_DATA, Row
from benchmarks.reconstruct.scenes import setting_of, write_scene
from benchmarks.reconstruct.score import aligned, score_scene
from benchmarks.reconstruct.watched import ESCAPES, Watched, watch
from benchmarks.report import RESULTS, add_arguments, emit, report

PARTS = ("reconstruct", "usdz", "ceiling", "peers")
QUICK_SECONDS = 60
# Digits after the point that a score is stored with.
DIGITS = {"psnr": 2, "ssim": 4, "inside_psnr": 2, "normal_angle": 2, "shading_angle": 2, "unseen": 4}
SCORES = (
    "ssim",
    "inside_psnr",
    "chamfer",
    "from_truth",
    "to_truth",
    "normal_angle",
    "shading_angle",
    "triangles",
    "parts",
)
# Columns of the table in docs/reconstruct.md: heading, and the row's entry, with its format.
COLUMNS = (
    ("PSNR, dB", "value", "{:.2f}"),
    ("aim", "aim_psnr", "≥ {:g}"),
    ("ceiling, dB", "ceiling", "{:.2f}"),
    ("as USDZ, dB", "usdz_value", "{:.2f}"),
    ("SSIM", "ssim", "{:.3f}"),
    ("Chamfer / longest", "chamfer", "{:.5f}"),
    ("aim", "aim_chamfer", "≤ {:g}"),
    ("normals, degrees", "normal_angle", "{:.1f}"),
    ("aim", "aim_normal_angle", "≤ {:g}"),
    ("triangles", "triangles", "{:,}"),
    ("parts", "parts", "{}"),
    ("MB", "megabytes", "{:.1f}"),
    ("without texture", "untextured_megabytes", "{:.1f}"),
    ("seconds", "seconds", "{:.0f}"),
    ("longest silence, s", "silence", "{:.1f}"),
    ("peak memory, GB", "peak_gb", "{:.2f}"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    names = [*ROWS, *(name for name in WITHOUT_DATA if name not in ROWS)]
    parser.add_argument("--only", nargs="+", type=_row, metavar="ROW", help=f"of {', '.join(names)}, or a scene's name")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), help="only these")
    parser.add_argument("--seconds", type=int, help="budget of each reconstruction, in place of each row's own")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep scenes, runs, files and pictures there")
    parser.add_argument("--table", action="store_true", help="print the stored rows as a table and measure nothing")
    options = parser.parse_args()
    if options.table:
        print(table(json.loads((RESULTS / "reconstruct.json").read_text(encoding="utf-8"))["rows"]))
        return
    rows = dict(options.only or map(_row, _available()))
    with tempfile.TemporaryDirectory() as folder:
        work = options.keep or Path(folder)
        found = []
        for name, row in rows.items():
            seconds = options.seconds or (QUICK_SECONDS if options.quick else row.seconds)
            found += measured(name, row, work, seconds, options.parts)
            print("\n".join(json.dumps(line) for line in found[-1:]), file=sys.stderr, flush=True)
        if "peers" in options.parts:
            found.append({"id": "pycolmap-dense", "value": None, "unit": "", "note": dense_stage()})
    whole = options.only is None and set(options.parts) == set(PARTS)
    if not whole:
        found = merged(found)
    emit(report("reconstruct", found), options, partial=not whole)
    if not options.json:
        print(table(found))


def _row(name: str) -> tuple[str, Row]:
    """The row of that name, or one for the scene of that name."""
    if known := {**ROWS, **WITHOUT_DATA}.get(name):
        return name, known
    try:
        setting_of(name)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return name, Row(scene=name)


def _available() -> list[str]:
    """The rows whose data are there."""
    found = [name for name, row in ROWS.items() if not isinstance(row.scene, Path) or row.scene.is_dir()]
    return found if len(found) == len(ROWS) else list(WITHOUT_DATA)


def measured(name: str, row: Row, work: Path, seconds: int, parts: list[str]) -> list[dict]:
    """The rows of one reconstruction: its own, and those of its peers."""
    scene = row.scene if isinstance(row.scene, Path) else work / "scenes" / row.scene
    if not scene.is_dir():
        assert isinstance(row.scene, str)
        write_scene(row.scene, scene)
    run, out = work / "runs" / f"{name}-{seconds}s", work / "files" / f"{name}-{seconds}s.glb"
    has_truth = (scene / "truth" / "mesh.glb").is_file()
    main_row: dict = {"id": name, "value": None, "unit": "dB", **{f"aim_{key}": aim for key, aim in row.aims.items()}}
    if "reconstruct" in parts:
        main_row |= reconstructed(row, scene, run, out, seconds)
    if "usdz" in parts and (run / "run.json").is_file():
        main_row |= as_usdz(row, scene, run, out.with_suffix(".usdz"), seconds)
    if "ceiling" in parts and has_truth and not _unposed(scene):
        (work / "files").mkdir(parents=True, exist_ok=True)
        best = ceiling(scene, background=row.background, keep=work / "files" / f"{name}-ceiling.glb")
        main_row |= {"ceiling": round(best["psnr"], 2), "ceiling_ssim": round(best["ssim"], 4)}
    rows = [main_row]
    if "peers" in parts and row.peers:
        for peer, scores in peers(scene, run if (run / "run.json").is_file() else None).items():
            rows.append({"id": f"{name}:{peer}", "unit": "dB", **_scores(row, scores)})
    return rows


def reconstructed(row: Row, scene: Path, run: Path, out: Path, seconds: int) -> dict:
    """What the command made of a scene and how, or the one line with which it refused it."""
    out.parent.mkdir(parents=True, exist_ok=True)
    run.parent.mkdir(parents=True, exist_ok=True)
    done = _command(row, scene, run, out, seconds)
    watched = {
        "budget": seconds,
        "seconds": round(done.seconds, 1),
        "peak_gb": round(done.peak / 2**30, 2),
        "silence": round(done.silence, 2),
        "silent_after": done.silent_after,
        "start": round(done.start, 2),
    }
    if done.status or not out.is_file():
        said = [line for line in ESCAPES.sub("", done.output + "\n" + done.progress).splitlines() if line.strip()]
        return {**watched, "value": None, "refused": said[-1].strip() if said else f"exit status {done.status}"}
    told = json.loads(done.output.strip().splitlines()[-1])
    scores = score_scene(
        out,
        scene,
        background=row.background,
        transform=_found_to_true(run, scene, out) if _unposed(scene) else None,
        picture=out.with_suffix(".png"),
    )
    stages = {f"{stage}_s": round(taken, 1) for stage, taken in told.get("seconds", {}).items() if stage != "total"}
    own = told.get("metrics", {}).get("psnr")
    return {**_scores(row, scores), **watched, **stages, **({} if own is None else {"own_psnr": round(own, 2)})}


def as_usdz(row: Row, scene: Path, run: Path, out: Path, seconds: int) -> dict:
    """Scores of the USDZ file of a run that is finished: all its stages are kept, and only the file is made anew."""
    done = _command(row, scene, run, out, seconds)
    if done.status or not out.is_file():
        raise RuntimeError(f"{out}: {done.progress.strip().splitlines()[-1]}")
    scores = score_scene(
        out,
        scene,
        background=row.background,
        transform=_found_to_true(run, scene, out) if _unposed(scene) else None,
    )
    kept = _scores(row, scores)
    return {f"usdz_{name}": kept[name] for name in ("value", "chamfer", "megabytes") if name in kept}


def _command(row: Row, scene: Path, run: Path, out: Path, seconds: int) -> Watched:
    source = scene / "photographs" if _unposed(scene) else scene
    given = {"--units": "source", "--seconds": seconds, "--out": run, "--background": row.background}
    options = [str(word) for pair in given.items() for word in pair]
    return watch(
        [sys.executable, "-m", "apps.cli.main", "reconstruct", str(source), str(out), *options, "--json", *row.more],
        {"PYTHONPATH": os.pathsep.join([str(Path(__file__).resolve().parents[2]), os.environ.get("PYTHONPATH", "")])},
    )


def _unposed(scene: Path) -> bool:
    return (scene / "photographs").is_dir()


def _found_to_true(run: Path, scene: Path, file: Path) -> np.ndarray:
    """The matrix from a file's coordinates to the true ones, from cameras that were found and the true ones."""
    from scenes.posed.read import open_posed
    from scenes.posed.transforms import open_transforms

    found = {Path(view.name).stem: view.position for view in open_posed(run / "poses").views}
    true = {Path(view.name).stem: view.position for view in open_transforms(scene / "truth").training}
    own = source_transform(file)
    return aligned(found, true) @ (np.eye(4) if own is None else own)


def _scores(row: Row, scores: dict) -> dict:
    value = scores["inside_psnr" if row.inside else "psnr"]
    kept = {name: round(scores[name], DIGITS.get(name, 5)) for name in SCORES if name in scores}
    megabytes = {
        name: round(scores[key] / 1e6, 2)
        for name, key in (("megabytes", "bytes"), ("untextured_megabytes", "bytes_without_texture"))
        if key in scores
    }
    return {"value": round(value, 2), **kept, **megabytes}


def merged(found: list[dict]) -> list[dict]:
    """The rows with what is stored of them and was not measured now: a ceiling, or a reconstruction and its machine."""
    file = RESULTS / "reconstruct.json"
    stored = {}
    if file.is_file():
        kept = json.loads(file.read_text(encoding="utf-8"))
        stored = {row["id"]: {"machine": kept["machine"], **row} for row in kept["rows"]}
    rows = []
    for row in found:
        old = stored.get(row["id"], {})
        measured_now = row["value"] is not None or "refused" in row
        rows.append(
            {**({"ceiling": old["ceiling"]} if "ceiling" in old else {}), **row}
            if measured_now
            else old | {key: value for key, value in row.items() if value is not None or key not in old}
        )
    return rows


def table(rows: list[dict]) -> str:
    """The rows as the table of docs/reconstruct.md."""
    lines = [
        "| scene | " + " | ".join(heading for heading, _, _ in COLUMNS) + " |",
        "|---|" + "---|" * len(COLUMNS),
    ]
    for row in rows:
        if row["id"] == "pycolmap-dense":
            continue
        cells = [pattern.format(row[name]) if row.get(name) is not None else "" for _, name, pattern in COLUMNS]
        if "refused" in row:
            cells[0] = row["refused"]
        lines.append(f"| {row['id']} | " + " | ".join(cells) + " |")
    lines += ["", *(f"pycolmap's dense stage: {row['note']}" for row in rows if row["id"] == "pycolmap-dense")]
    return "\n".join(lines).rstrip()


if __name__ == "__main__":
    main()
