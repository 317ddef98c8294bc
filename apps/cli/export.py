"""Take a fitted run home as a file that other programs open. The ending of OUT decides the format, --as which form of it.

Surfaces (signed and unsigned distance, occupancy, volumes) become meshes, points or lattices of values, and the summary says
how far the mesh is from the field, and from the file that was fitted; pictures, sounds and clips become what they were, at any
size and rate. Every field becomes its numbers (.npz), a graph (.onnx, .pt2) or one small file (.fsq).
"""

from __future__ import annotations

import argparse
from pathlib import Path

from apps.cli import types

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
    parser.add_argument(
        "--resolution", type=types.count, metavar="N", help="cells along the longest side (default 256)"
    )
    surface = parser.add_argument_group("surfaces")
    surface.add_argument(
        "--level",
        type=types.number,
        metavar="V",
        help="where the surface lies, in the field's values (default: 0 for distances, "
        "0.5 for occupancy, suggested from the histogram for volumes)",
    )
    surface.add_argument(
        "--crop",
        type=types.part_of_space,
        metavar="X0,Y0,Z0,X1,Y1,Z1",
        help="only this box, in the units of the fitted file; of a picture X0,Y0,X1,Y1 in pixels",
    )
    surface.add_argument("--largest", action="store_const", const=True, help="only the largest connected part")
    surface.add_argument("--faces", type=types.count, metavar="N", help="simplify to at most N triangles")
    surface.add_argument(
        "--texture",
        type=types.count,
        nargs="?",
        const=2048,
        metavar="PIXELS",
        help="unwrap and bake a square texture (default 2048; simplifies to 50,000 faces unless --faces says otherwise)",
    )
    surface.add_argument(
        "--normal-map",
        action="store_const",
        const=True,
        help="with --texture: the field's normals as a tangent-space normal map",
    )
    surface.add_argument(
        "--error-map",
        action="store_const",
        const=True,
        help="colour the vertices by their distance from the field's surface and from the source",
    )
    surface.add_argument(
        "--points", type=types.count, metavar="N", help="--as points or splat: how many (default 500,000 or 200,000)"
    )
    surface.add_argument(
        "--memory", type=types.size_in_bytes, metavar="SIZE", help="refuse what would need more (default: what is free)"
    )
    renders = parser.add_argument_group("pictures, sounds, clips")
    renders.add_argument("--size", type=types.size, metavar="WxH", help="pixels")
    renders.add_argument(
        "--scale",
        type=types.positive,
        metavar="K",
        help="K times the pixels along each side, or samples a second, of the original",
    )
    renders.add_argument("--rate", type=types.positive, metavar="N", help="samples, or frames, a second")
    renders.add_argument(
        "--time", type=types.moment, metavar="T", help="a picture of a clip: at this second (default: the first)"
    )
    renders.add_argument("--part", type=types.part, metavar="START,END", help="only this stretch, in seconds")
    renders.add_argument(
        "--turntable",
        type=types.count,
        metavar="N",
        help="of a scene: so many pictures once around it (a film has 60; a folder of "
        "posed pictures is from the run's own cameras, unless this is given)",
    )
    small = parser.add_argument_group("small files")
    small.add_argument(
        "--bits", type=types.few_bits, metavar="N", help="bits a number before entropy coding, 2 to 8 (default 8)"
    )
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"), help="where to compute")


def run(options: argparse.Namespace) -> dict:
    from fields.runs.run import Run

    kept = Run.open(options.run_folder)

    import time

    from apps.cli.reported import tell_written
    from fields.export.base import Request, Source
    from fields.export.formats import default_ending, export
    from fields.fit.fit import resolve_device

    source = Source(kept, kept.load_field(resolve_device(options.device)), kept.header["kind"])
    out = options.out or kept.beside(f"export{default_ending(source)}")
    begun = time.perf_counter()
    report = export(source, out, Request(**{name: getattr(options, name) for name in Request.names()}), options.form)
    return tell_written(options, kept, source.field, out, report, time.perf_counter() - begun)
