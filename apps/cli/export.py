"""Write a fitted run as a file for other programs. The ending of OUT decides the format; --as chooses a form of it.

Shapes, volumes and scenes become meshes, points, Gaussians or lattices of values, and the summary says how far a mesh
is from the field and from the file that was fitted. Images, audio and videos are written at any size and rate. Every
field can also be written as its parameters (.npz), as a graph (.onnx, .pt2), as one compressed file (.fsq) or
as a page that draws it in any browser (.html).
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from apps.cli.flags import OUTPUT, add_device, add_flags, add_run, group, read_request
from fields.export.request import ExportRequest
from scenes.errors import BadInput

if TYPE_CHECKING:
    from apps.cli.work_progress import WorkProgress
    from fields.export.base import Source

HELP = "write a run as a mesh, points, a volume ..."
EPILOG = """\
examples:
  fit-a-scene export runs/bunny                              RUN/export.glb, the usual form of this kind
  fit-a-scene export runs/bunny bunny.glb --resolution 512
  fit-a-scene export runs/spot spot.glb --texture            at most 50,000 triangles, and a texture of 2048 x 2048
  fit-a-scene export runs/bunny bunny.stl --largest --triangles 20000
  fit-a-scene export runs/scan scan.glb --level 0.4 --box 0,0,0,64,64,32
  fit-a-scene export runs/photo large.tif --scale 4          an image of 4 times the size; .exr keeps values as they are
  fit-a-scene export runs/film smooth.mp4 --rate 60          a video; frames/ writes a folder of images
  fit-a-scene export runs/duck duck.mp4                      a video once around a scene
  fit-a-scene export runs/duck duck.ply --as splat           3-D Gaussians for 3DGS viewers
  fit-a-scene export runs/duck views/                        posed images with transforms.json, to be fitted again
  fit-a-scene export runs/photo photo.fsq                    a compressed file that every command takes for a run
  fit-a-scene export runs/photo photo.html                   a page that draws the field in any browser
  fit-a-scene export runs/photo photo.onnx                   a graph of plain operators; .pt2 for torch
  fit-a-scene export runs/photo - --as png | convert - photo.jpg
  fit-a-scene export runs/photo photo.npz                    the parameters, with a description
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    add_run(parser)
    add_flags(parser, ExportRequest)
    add_device(parser)
    output = group(parser, OUTPUT)
    output.add_argument(
        "out",
        metavar="OUT",
        type=Path,
        nargs="?",
        help="The file, a folder if it has no ending, or - for standard output (default RUN/export with the usual "
        "ending of the run's kind).",
    )
    output.add_argument(
        "--as",
        dest="form",
        metavar="FORM",
        help="Form of the field: mesh, points, splat, volume, weights ... (default: the usual one for the ending). "
        "For standard output also an ending, such as ply.",
    )


def run(options: argparse.Namespace) -> dict:
    from apps.cli.work_progress import WorkProgress

    with WorkProgress("export", options) as shown:
        return _export(options, shown)


def _export(options: argparse.Namespace, shown: WorkProgress) -> dict:
    from fields.runs.run import Run

    kept = Run.open(options.run_folder)

    import time

    from apps.cli.export_progress import ExportProgress
    from apps.cli.reported import report_written
    from apps.cli.standard_input import STANDARD, written_to
    from fields.export.base import Source
    from fields.export.formats import default_ending, export
    from fields.fit.fit import resolve_device

    source = Source(kept, kept.load_field(resolve_device(options.device)), kept.header["kind"])
    request, form = read_request(ExportRequest, options), options.form
    begun = time.perf_counter()
    out, ending = options.out or kept.beside(f"export{default_ending(source)}"), ""
    if str(out) == STANDARD:
        ending, form = _piped_form(source, form)
    shown.begin("writing")
    with written_to(out, ending, json=options.json) as path:
        report = export(source, path, request, form, progress=ExportProgress(shown))
    shown.stop()
    return report_written(options, kept, source.field, out=out, report=report, seconds=time.perf_counter() - begun)


def _piped_form(source: Source, form: str | None) -> tuple[str, str | None]:
    """Ending and form of what goes to standard output. `form`: a form, or an ending without its dot, or None.

    Raises BadInput where this field has no such form in a single file.
    """
    from fields.export.formats import FOLDER, default_ending, formats_of

    rows = [row for row in formats_of(source) if row.ending != FOLDER]
    if form is None:
        return default_ending(source), None
    for row in rows:
        if form == row.form:
            return row.ending, form
    for row in rows:
        if form.lstrip(".").lower() == row.ending[1:]:
            return row.ending, None
    names = dict.fromkeys([*(row.form for row in rows), *(row.ending[1:] for row in rows)])
    raise BadInput(f"`form={form}`: for standard output, give one of {', '.join(names)}")
