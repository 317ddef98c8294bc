"""Make a picture of a fitted run, at any size, scale and crop; evaluated in tiles, so memory stays bounded.

The ending of --out decides the format: PNG, JPEG, WebP, TIFF, or EXR for the values as they are.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from apps.cli import types

HELP = "make a picture of a run"
EPILOG = """\
examples:
  fit-a-scene render runs/photo                                  at the size it was fitted at
  fit-a-scene render runs/photo --scale 4 --out big.png          four times as large
  fit-a-scene render runs/photo --crop 100,50,200,150 --size 1000x1000
  fit-a-scene render runs/bunny --view 2 --what normal           a shape from its right, its normals as colours
  fit-a-scene render runs/bunny --turntable --out bunny.gif
  fit-a-scene render runs/lego --view 3 --what depth             a scene as its fourth camera for testing sees it
  fit-a-scene render runs/lego --turntable                       a film once around it; --path CAMERAS.json along a path
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run_folder", metavar="RUN", type=Path, help="the run's folder")
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="where to write it (default RUN/render.png, .exr for HDR)"
    )
    parser.add_argument("--size", type=types.size, metavar="WxH", help="pixels of the picture")
    parser.add_argument(
        "--scale", type=types.positive, metavar="K", help="K times the pixels of the original along each side"
    )
    parser.add_argument(
        "--crop", type=types.crop, metavar="X0,Y0,X1,Y1", help="only this part, in pixels of the original"
    )
    parser.add_argument(
        "--rate",
        type=types.positive,
        metavar="N",
        help="sounds: samples a second, clips: frames a second (default: as it was fitted)",
    )
    parser.add_argument(
        "--time", type=types.moment, metavar="T", help="clips: one picture, at this second; scenes that move: 0 to 1"
    )
    parser.add_argument(
        "--part", type=types.part, metavar="START,END", help="sounds and clips: only this stretch, in seconds"
    )
    parser.add_argument(
        "--slice", type=types.slice_at, metavar="AXIS=SHARE", help="volumes: a cut, such as z=0.5 for the middle"
    )
    parser.add_argument(
        "--what",
        choices=("color", "depth", "normal", "frequency", "flow", "orientation", "explained"),
        help="of a shape or scene: what is seen (default), its depth or its normals; of a picture fitted by nstr: a map of its "
        "frequencies, with arrows to where they rise, of the direction across its waves, or of what the transport explains",
    )
    parser.add_argument(
        "--view",
        type=types.view,
        metavar="N",
        help="of a shape: from where, N of the 8 places around it, or AZIMUTH,ELEVATION in degrees; of a scene: its camera N, "
        "those for testing first",
    )
    parser.add_argument(
        "--turntable",
        action="store_const",
        const=True,
        help="an animation once around a shape (.gif, .webp, .png) or scene (.mp4, .gif)",
    )
    parser.add_argument(
        "--path", type=Path, metavar="FILE", help="scenes: a film along the cameras of this JSON file, one frame each"
    )
    parser.add_argument(
        "--crop-box",
        type=types.box,
        metavar="X0,Y0,Z0,X1,Y1,Z1",
        help="scenes: only what is in this box, in the scene's units (fit-a-scene info RUN has them); write --crop-box=-1,...",
    )
    parser.add_argument(
        "--clean",
        action="store_const",
        const=True,
        help="scenes: without what no camera had in its picture, and specks in mid-air",
    )
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"), help="where to compute")


def run(options: argparse.Namespace) -> dict:
    from fields.runs.run import Run

    kept = Run.open(options.run_folder)

    import time

    from apps.cli.reported import tell_written
    from fields.export.outputs.base import Request
    from fields.fit.fit import resolve_device
    from fields.kinds import output_for

    kind = kept.header["kind"]
    output = output_for(kind, kept.load_field(resolve_device(options.device)), kept.path)
    request = Request(**{name: getattr(options, name) for name in Request.names()})
    output.check(request, kind)
    out = options.out or kept.beside(output.default_name(request))
    begun = time.perf_counter()
    report = output.render(out, request)
    return tell_written(options, kept, output.field, out, report, time.perf_counter() - begun)
