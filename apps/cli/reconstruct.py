"""Make a mesh with a texture from photographs: find the cameras, fit a field with a surface, extract it, and paint it.

SOURCE is a folder or zip of photographs, a film, or a scene whose cameras are known (transforms.json, COLMAP, LLFF, an
NPZ, procedural:NAME). The photographs should show an object or a place that does not move, from many sides with much
overlap. OUT decides the format: .glb (for most programs), .usdz (for phones), .obj, .ply, .stl or .3mf. The result of
every stage is kept in the run's folder: the same command with --out RUN continues what was cut off, and does again only
the stages whose options have changed.
"""

from __future__ import annotations

import argparse
import sys

from apps.cli.flags import add_flags, read_request
from apps.cli.interrupt import stop_on_signals
from apps.cli.messages import command_line, with_flags
from fields.reconstruct.request import ReconstructRequest

# Seconds that starting usually takes.
START_SECONDS = 5.0
HELP = "make a textured mesh from photographs"
EPILOG = """\
examples:
  fit-a-scene reconstruct photos/ statue.glb                 eight minutes, 100,000 triangles, texture of 2048 x 2048
  fit-a-scene reconstruct photos/ statue.glb --preview       a coarse one in a tenth of the time
  fit-a-scene reconstruct walk-around.mp4 statue.usdz --length 0.4   for a phone; 40 cm long
  fit-a-scene reconstruct photos/ statue.glb --out runs/statue       then, cut off or with other options:
  fit-a-scene reconstruct photos/ statue.glb --out runs/statue --triangles 20000
  fit-a-scene reconstruct scene/ table.glb --box=-1,-1,0,1,1,2 --cut-base --close-holes
  fit-a-scene reconstruct scene/ scan.ply --units source     keep the coordinates of the poses
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    add_flags(parser, ReconstructRequest)


def run(options: argparse.Namespace) -> dict:
    request = read_request(ReconstructRequest, options)

    from apps.cli.reconstruct_progress import ReconstructProgress

    with ReconstructProgress(request.resolved("seconds"), lambda text: with_flags(text, options)) as progress:
        # Importing torch takes seconds, in which the progress is shown already.
        progress.begin("start", START_SECONDS)
        from apps.cli.sources import default_out
        from fields.reconstruct.reconstruct import Reconstruction

        if request.out is None:
            request = request.model_copy(update={"out": default_out(request.source)})
        work = Reconstruction(request, progress)
        with stop_on_signals(work):
            report = work.run()
    again = command_line("reconstruct", request.source, request.asset, "--out", request.out)
    if report.get("interrupted"):
        print(f"stopped; continue with: {again}", file=sys.stderr)
    elif not options.json:
        print(f"{request.asset}   {report['text']}")
    report.pop("text", None)
    return report
