"""Take a fitted run home as a file that other programs open. The ending of OUT decides the format, --as which form of it.

Surfaces (signed and unsigned distance, occupancy, volumes) become meshes, points or lattices of values, and the summary says
how far the mesh is from the field, and from the file that was fitted; pictures, sounds and clips become what they were, at any
size and rate. Every field becomes its numbers (.npz), a graph (.onnx, .pt2) or one small file (.fsq).
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
  fit-a-scene export runs/spot spot.glb --texture            at most 50,000 faces, and a texture of 2048 pixels
  fit-a-scene export runs/bunny bunny.stl --largest --faces 20000
  fit-a-scene export runs/scan scan.glb --level 0.4 --crop 0,0,0,64,64,32
  fit-a-scene export runs/photo large.tif --scale 4          a picture; .exr keeps values as they are
  fit-a-scene export runs/film smooth.mp4 --rate 60          a clip; frames/ a folder of pictures
  fit-a-scene export runs/duck duck.mp4                      a film once around a scene; .ply --as splat, .glb
  fit-a-scene export runs/duck views/                        posed pictures with transforms.json, to be fitted again
  fit-a-scene export runs/photo photo.fsq                    a small file that every command takes for a run
  fit-a-scene export runs/photo photo.onnx                   plain operators; .pt2 for torch, .npz for the numbers
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run_folder", metavar="RUN", type=Path, help="the run's folder")
    parser.add_argument(
        "out",
        metavar="OUT",
        type=Path,
        nargs="?",
        help="the file (default RUN/export with the usual ending of its kind)",
    )
    parser.add_argument(
        "--as",
        dest="form",
        metavar="FORM",
        help="mesh, points, splat, volume, weights, ...: what of the field (default: by the ending)",
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
