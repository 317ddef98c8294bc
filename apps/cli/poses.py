"""Find the cameras of photographs or of a video, or write any posed scene as a folder with transforms.json.

SOURCE is a folder of photographs or a video of a scene that does not move, taken from many sides with much overlap: its
cameras are found by COLMAP (pip install 'field-studio[poses]'). Or SOURCE is a scene whose cameras are known
(transforms.json, poses_bounds.npy, a COLMAP model, an NPZ, a zip of those, procedural:NAME): then it is only written
again.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from apps.cli.flags import argument_type
from fields.options import count

if TYPE_CHECKING:
    from scenes.posed.view import PosedViews

HELP = "find the cameras of photographs"
EPILOG = """\
examples:
  fit-a-scene poses photos/ --out scene            then: fit-a-scene fit scene
  fit-a-scene poses walk-around.mp4 --out scene --frames 60
  fit-a-scene poses procedural:duck --out duck     the built-in scene as a folder
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the source, the new folder, and the number and size of the images."""
    parser.add_argument("source", metavar="SOURCE", help="a folder of photographs, a video, or a posed scene")
    parser.add_argument("--out", type=Path, metavar="DIR", help="the new folder (default: NAME-posed)")
    parser.add_argument(
        "--frames",
        type=argument_type(count),
        default=80,
        metavar="N",
        help="videos: number of images, each the sharpest frame of its stretch (default 80)",
    )
    parser.add_argument(
        "--longest",
        type=argument_type(count),
        default=1280,
        metavar="PIXELS",
        help="longest side of the images; larger photographs are made smaller (default 1280)",
    )


def run(options: argparse.Namespace) -> dict:
    """Write the scene and a drawing of its cameras; return counts of views and the error of found cameras."""
    from fields.export.outputs.cameras import draw_scene
    from scenes.posed.box import scene_box
    from scenes.posed.read import is_posed, open_posed
    from scenes.posed.write import check_empty, write_scene

    out = options.out or Path(f"{Path(options.source.rpartition(':')[2]).stem}-posed")
    drawing = out / "cameras.png"
    check_empty(out)
    found: dict = {}
    with tempfile.TemporaryDirectory(prefix="field-studio-") as work:
        if is_posed(options.source):
            scene = open_posed(options.source)
        else:
            scene, found = _find(options, Path(work))
        write_scene(out, scene)
    draw_scene(drawing, scene, scene_box(scene))
    report = {
        "out": str(out),
        **found,
        "views": len(scene.views),
        "train": len(scene.training),
        "test": len(scene.test),
        "drawing": str(drawing),
    }
    if not options.json:
        print(f"{out}   {_summary(report)}; drawn in {drawing}")
    return report


def _find(options: argparse.Namespace, work: Path) -> tuple[PosedViews, dict]:
    """The scene of the cameras that COLMAP finds, and the part of the report that tells how good they are."""
    from scenes.posed.find import find_poses

    found = find_poses(
        options.source,
        work,
        options.longest,
        options.frames,
        progress=lambda line: print(line, file=sys.stderr),
    )
    for warning in found.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    points = found.scene.points
    report = {
        "given": found.num_images,
        "error_pixels": round(found.error, 3),
        "points": 0 if points is None else len(points),
    }
    return found.scene, report


def _summary(report: dict) -> str:
    if "given" not in report:
        return f"{report['views']} views"
    return (
        f"cameras of {report['views']} of {report['given']} images, {report['points']:,} points, mean reprojection "
        f"error {report['error_pixels']:g} pixels"
    )
