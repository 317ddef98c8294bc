"""Render a fitted run as an image, audio or a video, at any size; evaluated in tiles, so memory stays bounded.

The ending of --out decides the format, such as PNG, JPEG, WebP, TIFF, or EXR for the values as they are; of videos and
turntables MP4, WebM, GIF, or animated WebP and PNG.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from apps.cli.flags import OUTPUT, add_device, add_flags, add_run, group, read_request
from fields.export.request import RenderRequest

if TYPE_CHECKING:
    from apps.cli.work_progress import WorkProgress

HELP = "render an image, audio or a video of a run"
EPILOG = """\
examples:
  fit-a-scene render runs/photo                                  at the size it was fitted at
  fit-a-scene render runs/photo --scale 4 --out big.png          four times as large
  fit-a-scene render runs/photo --crop 100,50,200,150 --size 1000x1000
  fit-a-scene render runs/bunny --view 2 --what normal           the normals of a shape, from its right
  fit-a-scene render runs/bunny --turntable --out bunny.gif
  fit-a-scene render runs/lego --view 3 --what depth             depth of a scene, from its fourth camera for testing
  fit-a-scene render runs/lego --turntable                       a video once around a scene
  fit-a-scene render runs/lego --path cameras.json               a video along a path of cameras
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    add_run(parser)
    add_flags(parser, RenderRequest)
    add_device(parser)
    group(parser, OUTPUT).add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="The file, or - for standard output (default RUN/render.png, or what suits the run's kind).",
    )


def run(options: argparse.Namespace) -> dict:
    from apps.cli.work_progress import WorkProgress

    with WorkProgress("render", options) as shown:
        return _render(options, shown)


def _render(options: argparse.Namespace, shown: WorkProgress) -> dict:
    from fields.runs.run import Run

    kept = Run.open(options.run_folder)

    import time

    from apps.cli.reported import report_written
    from apps.cli.standard_input import written_to
    from fields.fit.fit import resolve_device
    from fields.kinds import output_for

    kind = kept.header["kind"]
    output = output_for(kind, kept.load_field(resolve_device(options.device)), kept.path)
    request = read_request(RenderRequest, options)
    output.check(request, kind)
    output.progress = shown.fraction
    name = output.default_name(request)
    out = options.out or kept.beside(name)
    begun = time.perf_counter()
    shown.begin("rendering")
    with written_to(out, Path(name).suffix, json=options.json) as path:
        report = output.render(path, request)
    shown.stop()
    return report_written(options, kept, output.field, out=out, report=report, seconds=time.perf_counter() - begun)
