"""Find the cameras of photographs or a film, or write any posed scene as a folder with transforms.json.

SOURCE is a folder of photographs or a film of something that stands still, taken from many sides with much overlap: its cameras
are found by COLMAP (pip install 'field-studio[poses]'). Or SOURCE is a scene whose cameras are known (transforms.json,
poses_bounds.npy, a COLMAP model, an NPZ, a zip of those, procedural:NAME): then it is only written anew.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from apps.cli.flags import argument_type
from fields.options import count

HELP = "find the cameras of photographs"
EPILOG = """\
examples:
  fit-a-scene poses photos/ --out scene            then: fit-a-scene fit scene
  fit-a-scene poses walk-around.mp4 --out scene --frames 60
  fit-a-scene poses procedural:duck --out duck     the built-in scene as a folder
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", metavar="SOURCE", help="a folder of photographs, a film, or a posed scene")
    parser.add_argument("--out", type=Path, metavar="DIR", help="the new folder (default: NAME-posed)")
    parser.add_argument(
        "--frames",
        type=argument_type(count),
        default=80,
        metavar="N",
        help="films: so many pictures, the sharpest of as many stretches (default 80)",
    )
    parser.add_argument(
        "--longest",
        type=argument_type(count),
        default=1280,
        metavar="PIXELS",
        help="photographs are made no larger than this (default 1280)",
    )


def run(options: argparse.Namespace) -> dict:
    import tempfile

    from scenes.posed.box import scene_box
    from scenes.posed.find import find_poses
    from scenes.posed.read import is_posed, open_posed
    from scenes.posed.write import check_empty, write_scene

    out = options.out or Path(f"{Path(options.source.rpartition(':')[2]).stem}-posed")
    check_empty(out)
    report: dict = {"out": str(out)}
    with tempfile.TemporaryDirectory(prefix="field-studio-") as work:
        if is_posed(options.source):
            scene = open_posed(options.source)
        else:
            found = find_poses(
                options.source, work, options.longest, options.frames, lambda line: print(line, file=sys.stderr)
            )
            scene = found.scene
            report |= {"given": found.given, "error_pixels": round(found.error, 3), "points": len(scene.points)}
            for warning in found.warnings:
                print(f"warning: {warning}", file=sys.stderr)
        write_scene(out, scene)
    from fields.export.outputs.cameras import draw_scene

    draw_scene(out / "cameras.png", scene, scene_box(scene))
    report |= {
        "views": len(scene.views),
        "train": len(scene.training),
        "test": len(scene.test),
        "drawing": str(out / "cameras.png"),
    }
    if not options.json:
        checked = (
            f"cameras of {report['views']} of {report['given']} pictures, {report['points']:,} points, {report['error_pixels']:g} pixels off in the mean; "
            if "given" in report
            else f"{report['views']} views; "
        )
        print(f"{out}   {checked}drawn in {out / 'cameras.png'}")
    return report
