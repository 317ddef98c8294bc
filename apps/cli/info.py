"""Tell what a run holds: what was fitted, how, how far it came and what it scored; or what cameras a posed scene has.

With --plot the cameras and the scene's box are drawn.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from scenes.errors import BadInput

HELP = "tell what a run or a posed scene holds"
EPILOG = """\
examples:
  fit-a-scene info runs/photo
  fit-a-scene info runs/photo --json
  fit-a-scene info my-scene --plot                  cameras and box of a posed scene, drawn to my-scene-cameras.png
  fit-a-scene info runs/my-scene --plot cameras.png
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run_folder", metavar="RUN|SOURCE", help="the run's folder, or photographs with their cameras")
    parser.add_argument(
        "--plot",
        nargs="?",
        const="",
        metavar="FILE",
        help="draw the cameras and the box (default: RUN/cameras.png, SOURCE-cameras.png)",
    )


def run(options: argparse.Namespace) -> dict:
    from scenes.posed.read import is_posed

    folder = Path(options.run_folder)
    if (
        not (folder / "run.json").is_file()
        and folder.name != "run.json"
        and (folder.exists() or ":" in options.run_folder)
        and is_posed(options.run_folder)
    ):
        return _scene(options)
    from fields.runs.run import Run

    kept = Run.open(folder)
    stored = kept.metrics()
    report = {"run": str(kept.path), **kept.header, "metrics": stored["metrics"] if stored else None}
    if options.plot is not None:
        if kept.header["kind"] != "radiance":
            raise BadInput(f"{kept.path}: --plot draws cameras, and a run of the kind {kept.header['kind']} has none")
        report["plot"] = str(_plot_run(kept, options.plot))
    if options.json:
        return report
    _print_run(kept, stored)
    if options.plot is not None:
        print(f"drawn in {report['plot']}")
    return report


def _plot_run(kept, wanted: str) -> Path:
    """From the cameras that lie beside the run: the photographs need not be there."""
    import numpy as np

    from fields.export.outputs.cameras import draw_cameras

    out = Path(wanted or kept.beside("cameras.png"))
    cameras = kept.cameras()
    if not cameras:
        raise BadInput(f"{kept.path}: --plot draws cameras, and this run has none beside it")
    test = [camera.split == "test" for camera in cameras]
    lower, upper = (np.array([axis[end] for axis in kept.header["domain"]["axes"][:3]]) for end in ("lower", "upper"))
    draw_cameras(
        out,
        [camera.pose for camera in cameras],
        [camera.intrinsics for camera in cameras],
        test,
        lower,
        upper,
        None,
        kept.path.name,
    )
    return out


def _scene(options: argparse.Namespace) -> dict:
    """Of photographs with their cameras."""
    import numpy as np

    from fields.export.outputs.cameras import draw_scene
    from scenes.posed.box import focus
    from scenes.posed.signal import open_radiance

    signal = open_radiance(options.run_folder)
    scene, box = signal.views, signal.box
    poses = np.stack([view.pose for view in scene.views])
    distances = np.linalg.norm(poses[:, :, 3] - focus(poses), axis=1)
    sizes = sorted({(view.intrinsics.width, view.intrinsics.height) for view in scene.views})
    models = sorted({view.intrinsics.model for view in scene.views})
    report = {
        "source": options.run_folder,
        "kind": "radiance",
        "train": len(scene.of("train")),
        "test": len(scene.of("test")),
        "sizes": sizes,
        "all_intrinsics": models,
        "box": {"lower": box.lower.tolist(), "upper": box.upper.tolist(), "bounded": box.bounded, "why": box.why},
        "distances": [float(distances.min()), float(distances.max())],
        "points": 0 if scene.points is None else len(scene.points),
        "notes": list(signal.notes),
    }
    if options.plot is not None:
        out = Path(options.plot or f"{Path(options.run_folder.rpartition(':')[2]).stem}-cameras.png")
        draw_scene(out, scene, box)
        report["plot"] = str(out)
    if not options.json:
        from rich.console import Console
        from rich.table import Table

        table = Table(show_header=False, box=None)
        table.add_row("views", signal.describe())
        table.add_row("pictures", ", ".join(f"{w} x {h}" for w, h in sizes[:6]) + ("" if len(sizes) <= 6 else ", ..."))
        table.add_row("all_intrinsics", ", ".join(models))
        table.add_row("cameras", f"{distances.min():.3g} to {distances.max():.3g} from what they look at")
        table.add_row(
            "box",
            f"{np.round(box.lower, 3).tolist()} to {np.round(box.upper, 3).tolist()}, {box.why}"
            + ("" if box.bounded else "; what is beyond is fitted too"),
        )
        for note in signal.notes:
            table.add_row("note", note)
        if "plot" in report:
            table.add_row("drawn in", report["plot"])
        Console().print(table)
    return report


def _print_run(kept, stored: dict | None) -> None:
    from rich.console import Console
    from rich.table import Table

    header = kept.header
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
    Console().print(table)
