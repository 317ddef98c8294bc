"""Show what a run holds: what was fitted, how, its progress and its scores; or the cameras of a posed scene.

With --plot the cameras and the scene's box are drawn.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from apps.cli.flags import OUTPUT, group, run_path
from scenes.errors import BadInput

if TYPE_CHECKING:
    from fields.runs.run import Run
    from scenes.posed.signal import RadianceScene

HELP = "show what a run or a posed scene holds"
EPILOG = """\
examples:
  fit-a-scene info runs/photo
  fit-a-scene info runs/photo --json
  fit-a-scene info my-scene --plot                  cameras and box of a posed scene, drawn to my-scene-cameras.png
  fit-a-scene info runs/my-scene --plot cameras.png
"""
# Image sizes of a scene that are listed; of more, only that there are more.
LISTED_SIZES = 6


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the run or the source, and the file of the drawing."""
    group(parser, "source").add_argument(
        "run_folder", metavar="RUN|SOURCE", help="The run's folder, or photographs with their cameras."
    )
    group(parser, OUTPUT).add_argument(
        "--plot",
        nargs="?",
        const="",
        metavar="FILE",
        help="Draw the cameras and the box (default: RUN/cameras.png, SOURCE-cameras.png).",
    )


def run(options: argparse.Namespace) -> dict:
    """Print a table of the run or of the scene, unless `--json` is given, and return the report."""
    options.run_folder = str(run_path(options.run_folder))
    return _show_scene(options) if _is_scene(options.run_folder) else _show_run(options)


def _is_scene(source: str) -> bool:
    """Whether a source is a posed scene and not a run."""
    from scenes.posed.read import is_posed

    path = Path(source)
    if (path / "run.json").is_file() or path.name == "run.json":
        return False
    return (path.exists() or ":" in source) and is_posed(source)


def _show_run(options: argparse.Namespace) -> dict:
    from fields.runs.run import Run

    run = Run.open(Path(options.run_folder))
    stored = run.metrics()
    report = {"run": str(run.path), **run.header, "metrics": stored["metrics"] if stored else None}
    if options.plot is not None:
        if run.header["kind"] != "radiance":
            raise BadInput(f"{run.path}: `plot` draws cameras, and a run of the kind {run.header['kind']} has none")
        report["plot"] = str(_plot_run(run, options.plot))
    if not options.json:
        _print_run(run, stored)
        if options.plot is not None:
            print(f"drawn in {report['plot']}")
    return report


def _plot_run(run: Run, file: str) -> Path:
    """Draw the cameras that are stored in a run's folder, for which the photographs are not needed."""
    import numpy as np

    from fields.export.outputs.cameras import draw_cameras

    out = Path(file or run.beside("cameras.png"))
    cameras = run.cameras()
    if not cameras:
        raise BadInput(f"{run.path}: `plot` draws cameras, and there are none in this run's folder")
    lower, upper = (np.array([axis[end] for axis in run.header["domain"]["axes"][:3]]) for end in ("lower", "upper"))
    draw_cameras(out, cameras, lower, upper, title=run.path.name)
    return out


def _show_scene(options: argparse.Namespace) -> dict:
    from fields.export.outputs.cameras import draw_scene
    from scenes.posed.signal import open_radiance

    signal = open_radiance(options.run_folder)
    report = _scene_report(signal, options.run_folder)
    if options.plot is not None:
        out = Path(options.plot or f"{Path(options.run_folder.rpartition(':')[2]).stem}-cameras.png")
        draw_scene(out, signal.views, signal.box)
        report["plot"] = str(out)
    if not options.json:
        _print_scene(report, signal.describe())
    return report


def _scene_report(signal: RadianceScene, source: str) -> dict:
    """The views, cameras and box of a scene, as JSON."""
    import numpy as np

    from scenes.posed.pose import focus_point

    scene, box = signal.views, signal.box
    poses = np.stack([view.pose for view in scene.views])
    distances = np.linalg.norm(poses[:, :, 3] - focus_point(poses), axis=1)
    return {
        "source": source,
        "kind": "radiance",
        "train": len(scene.training),
        "test": len(scene.test),
        "sizes": sorted({(view.intrinsics.width, view.intrinsics.height) for view in scene.views}),
        "lenses": sorted({view.intrinsics.model for view in scene.views}),
        "box": {"lower": box.lower.tolist(), "upper": box.upper.tolist(), "bounded": box.bounded, "why": box.reason},
        "distances": [float(distances.min()), float(distances.max())],
        "points": 0 if scene.points is None else len(scene.points),
        "notes": list(signal.notes),
    }


def _print_scene(report: dict, description: str) -> None:
    from rich.console import Console
    from rich.table import Table

    from apps.cli.messages import with_flags

    box, (nearest, farthest) = report["box"], report["distances"]
    lower, upper = ([round(value, 3) for value in box[corner]] for corner in ("lower", "upper"))
    sizes = [f"{width} x {height}" for width, height in report["sizes"]]
    table = Table(show_header=False, box=None)
    table.add_row("views", description)
    table.add_row("images", ", ".join(sizes[:LISTED_SIZES]) + (", ..." if len(sizes) > LISTED_SIZES else ""))
    table.add_row("camera models", ", ".join(report["lenses"]))
    table.add_row("cameras", f"{nearest:.3g} to {farthest:.3g} from the point that they look at")
    beyond = "" if box["bounded"] else "; what is beyond is fitted too"
    table.add_row("box", f"{lower} to {upper}, {box['why']}{beyond}")
    for note in report["notes"]:
        table.add_row("note", with_flags(note, None))
    if "plot" in report:
        table.add_row("drawn in", report["plot"])
    Console(markup=False).print(table)


def _print_run(run: Run, stored: dict | None) -> None:
    from rich.console import Console
    from rich.table import Table

    header = run.header
    table = Table(show_header=False, box=None)
    table.add_row(
        "signal",
        f"{header['source']['path']} ({header['kind']}, "
        + " x ".join(str(axis["samples"]) for axis in header["domain"]["axes"])
        + f", {'+'.join(header['channels']['names'])}, {header['channels']['space']})",
    )
    table.add_row("method", f"{header['method']}, {header['parameters']:,} parameters")
    if teacher := header.get("teacher"):
        table.add_row(
            "teacher",
            f"{teacher['path']}: {teacher['method']}, {teacher['parameters']:,} parameters"
            + (f"; shared {', '.join(header['shared'])}" if header["shared"] else ""),
        )
    table.add_row("options", ", ".join(f"{name}={value}" for name, value in header["options"].items()))
    table.add_row(
        "status",
        f"{header['status']}, seed {header['seed']}, {header['steps'] or '?'} steps"
        + (f" in a budget of {header['seconds']:g} s" if header["seconds"] else ""),
    )
    table.add_row(
        "computed",
        f"{header['backend']}{' (fused step)' if header['fused'] else ''} on {header['device']}, "
        f"{header['threads']} threads, {header['machine']['cpu']}",
    )
    for name, value in (stored["metrics"] if stored else {}).items():
        table.add_row(name, f"{value:.6g}")
    Console(markup=False).print(table)
