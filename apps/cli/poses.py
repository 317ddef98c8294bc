"""Find the cameras of photographs or of a video, or write any posed scene as a folder with transforms.json.

SOURCE is a folder or zip of photographs or a film of a scene that does not move, taken from many sides with much
overlap: its cameras are found by COLMAP (pip install 'field-studio[poses]'). What is transparent, or dark in an image
of the same name in a folder masks, is ignored. Blurred pictures and doubles are left out; which pictures have no
camera, and why, is listed. A run that was interrupted goes on where it was. Or SOURCE is a scene whose cameras are
known (transforms.json, poses_bounds.npy, a COLMAP model, an NPZ, a zip of those, procedural:NAME): then it is only
written again.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from apps.cli.flags import OUTPUT, argument_type, group
from fields.options import count

if TYPE_CHECKING:
    from apps.cli.work_progress import WorkProgress
    from scenes.posed.find_record import FoundPoses
    from scenes.posed.view import PosedViews

# The drawing of the cameras, in the folder of the scene.
DRAWING = "cameras.png"
# Pictures without a camera that are printed one by one; the file poses.json lists all.
MAX_LISTED = 30

HELP = "find the cameras of photographs"
EPILOG = """\
examples:
  fit-a-scene poses photos/ --out scene            then: fit-a-scene fit scene
  fit-a-scene poses walk-around.mp4 --out scene --frames 60
  fit-a-scene poses procedural:duck --out duck     the built-in scene as a folder
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the source, the new folder, and the number and size of the images."""
    source = group(parser, "source")
    source.add_argument("source", metavar="SOURCE", help="A folder or zip of photographs, a film, or a posed scene.")
    source.add_argument(
        "--frames",
        type=argument_type(count),
        default=80,
        metavar="N",
        help="Films: number of images, each the sharpest frame of its stretch (default 80).",
    )
    source.add_argument(
        "--longest",
        type=argument_type(count),
        default=1280,
        metavar="PIXELS",
        help="Longest side of the images; larger photographs are made smaller (default 1280).",
    )
    source.add_argument(
        "--orientation",
        choices=("stored", "upright"),
        help="Posed scenes: whether poses belong to the photographs' pixels as stored, or turned upright as EXIF says.",
    )
    source.add_argument(
        "--pose-convention",
        choices=("opengl", "opencv", "w2c", "w2c-opencv"),
        help="Posed scenes: camera to world with OpenGL's or OpenCV's axes, or world to camera (w2c).",
    )
    group(parser, OUTPUT).add_argument("--out", type=Path, metavar="DIR", help="The new folder (default: NAME-posed).")


def run(options: argparse.Namespace) -> dict:
    """Write the scene and a drawing of its cameras; return counts of views and what was found and left out."""
    from apps.cli.work_progress import WorkProgress

    out = options.out or Path(f"{Path(options.source.rpartition(':')[2]).stem}-posed")
    with WorkProgress("poses", options) as shown:
        scene, found = _write(options, out, shown)
    report = {
        "out": str(out),
        **found,
        "views": len(scene.views),
        "train": len(scene.training),
        "test": len(scene.test),
        "drawing": str(out / DRAWING),
    }
    if not options.json:
        print(f"{out}   {_summary(report)}; drawn in {out / DRAWING}")
    return report


def _write(options: argparse.Namespace, out: Path, shown: WorkProgress) -> tuple[PosedViews, dict]:
    """Write the scene and the drawing of its cameras. Returns it, and what was found of photographs without cameras."""
    from apps.cli.messages import print_notes
    from fields.export.outputs.cameras import draw_scene
    from scenes.io.atomic import atomic_folder
    from scenes.posed.box import scene_box
    from scenes.posed.read import ReadingOptions, is_posed, open_posed
    from scenes.posed.write import check_empty, write_scene

    if not is_posed(options.source):
        poses = _find(options, out, shown)
        draw_scene(out / DRAWING, poses.scene, scene_box(poses.scene))
        return poses.scene, poses.summary()
    scene = open_posed(options.source, options=ReadingOptions(options.orientation, options.pose_convention))
    print_notes(scene.notes, options)
    check_empty(out)
    shown.begin("writing")
    with atomic_folder(out) as folder:
        write_scene(folder, scene, progress=shown.fraction)
        draw_scene(folder / DRAWING, scene, scene_box(scene))
    return scene, {}


def _find(options: argparse.Namespace, out: Path, shown: WorkProgress) -> FoundPoses:
    """Find the cameras, and print what a person should know of them."""
    from scenes.posed.find import find_poses

    stages = Stages(shown)
    try:
        found = find_poses(options.source, out, longest=options.longest, frames=options.frames, progress=stages.show)
    except KeyboardInterrupt:
        if out.exists():
            print("the same command continues", file=sys.stderr)
        raise
    for name, reason in found.left_out[:MAX_LISTED]:
        print(f"not used: {name}: {reason}", file=sys.stderr)
    if len(found.left_out) > MAX_LISTED:
        print(f"not used: {len(found.left_out) - MAX_LISTED} more, in {out / 'poses.json'}", file=sys.stderr)
    for warning in found.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    return found


class Stages:
    """Hands the reports of a search for cameras to what the command line shows."""

    def __init__(self, shown: WorkProgress) -> None:
        self._shown, self._stage = shown, ""

    def show(self, stage: str, fraction: float) -> None:
        """Take a report of a stage and the fraction of it that is done."""
        if stage != self._stage:
            self._stage = stage
            self._shown.begin(stage)
        self._shown.fraction(fraction)


def _summary(report: dict) -> str:
    if "given" not in report:
        return f"{report['views']} views"
    return (
        f"cameras of {report['views']} of {report['given']} images, {report['points']:,} points, mean reprojection "
        f"error {report['error_pixels']:g} pixels"
    )
