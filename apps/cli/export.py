"""Write a fitted run as a file for other programs. The ending of OUT decides the format; --as chooses a form of it.

Shapes, volumes and scenes become meshes, points, Gaussians or lattices of values, and the summary says how far a mesh
is from the field and from the file that was fitted. Images, audio and videos are written at any size and rate. Every
field can also be written as its parameters (.npz), as a graph (.onnx, .pt2) or as one compressed file (.fsq).
"""

from __future__ import annotations

import argparse
from pathlib import Path

from apps.cli.flags import add_flags, read_request
from fields.export.request import ExportRequest

HELP = "write a run as a mesh, points, a volume ..."
EPILOG = """\
examples:
  fit-a-scene export runs/bunny                              RUN/export.glb, the usual form of this kind
  fit-a-scene export runs/bunny bunny.glb --resolution 512
  fit-a-scene export runs/spot spot.glb --texture            at most 50,000 triangles, and a texture of 2048 x 2048
  fit-a-scene export runs/bunny bunny.stl --largest --faces 20000
  fit-a-scene export runs/scan scan.glb --level 0.4 --crop 0,0,0,64,64,32
  fit-a-scene export runs/photo large.tif --scale 4          an image of 4 times the size; .exr keeps values as they are
  fit-a-scene export runs/film smooth.mp4 --rate 60          a video; frames/ writes a folder of images
  fit-a-scene export runs/duck duck.mp4                      a video once around a scene
  fit-a-scene export runs/duck duck.ply --as splat           3-D Gaussians for 3DGS viewers
  fit-a-scene export runs/duck views/                        posed images with transforms.json, to be fitted again
  fit-a-scene export runs/photo photo.fsq                    a compressed file that every command takes for a run
  fit-a-scene export runs/photo photo.onnx                   a graph of plain operators; .pt2 for torch
  fit-a-scene export runs/photo photo.npz                    the parameters, with a description
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run_folder", metavar="RUN", type=Path, help="the run's folder")
    parser.add_argument(
        "out",
        metavar="OUT",
        type=Path,
        nargs="?",
        help="the file, or a folder if it has no ending (default RUN/export with the usual ending of the run's kind)",
    )
    parser.add_argument(
        "--as",
        dest="form",
        metavar="FORM",
        help="form of the field: mesh, points, splat, volume, weights ... (default: the usual one for the ending)",
    )
    add_flags(parser, ExportRequest)
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"), help="where to compute")


def run(options: argparse.Namespace) -> dict:
    from fields.runs.run import Run

    kept = Run.open(options.run_folder)

    import time

    from apps.cli.export_progress import ExportProgress
    from apps.cli.reported import report_written
    from fields.export.base import Source
    from fields.export.formats import default_ending, export
    from fields.fit.fit import resolve_device

    source = Source(kept, kept.load_field(resolve_device(options.device)), kept.header["kind"])
    out = options.out or kept.beside(f"export{default_ending(source)}")
    begun = time.perf_counter()
    with ExportProgress(options) as progress:
        report = export(source, out, read_request(ExportRequest, options), options.form, progress=progress)
    return report_written(options, kept, source.field, out=out, report=report, seconds=time.perf_counter() - begun)
