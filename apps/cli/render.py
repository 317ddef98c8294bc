"""Make a picture of a fitted run, at any size, scale and crop; evaluated in tiles, so memory stays bounded.

The ending of --out decides the format: PNG, JPEG, WebP, TIFF, or EXR for the values as they are.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from apps.cli import types
from scenes.errors import BadInput

HELP = "make a picture of a run"
EPILOG = """\
examples:
  fit-a-scene render runs/photo                                  at the size it was fitted at
  fit-a-scene render runs/photo --scale 4 --out big.png          four times as large
  fit-a-scene render runs/photo --crop 100,50,200,150 --size 1000x1000
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run_folder", metavar="RUN", type=Path, help="the run's folder")
    parser.add_argument("--out", type=Path, metavar="FILE", help="where to write it (default RUN/render.png, .exr for HDR)")
    parser.add_argument("--size", type=types.size, metavar="WxH", help="pixels of the picture")
    parser.add_argument("--scale", type=types.positive, metavar="K", help="K times the pixels of the original along each side")
    parser.add_argument("--crop", type=types.crop, metavar="X0,Y0,X1,Y1", help="only this part, in pixels of the original")
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"), help="where to compute")


def run(options: argparse.Namespace) -> dict:
    from fields.fit.run import Run

    kept = Run.open(options.run_folder)

    import sys
    import time

    import numpy as np

    from fields.fit.fit import resolve_device
    from fields.raster import picture
    from scenes.pictures.storage import Storage
    from scenes.image import check_writable, write_image

    field = kept.load_field(resolve_device(options.device))
    width, height, window = frame(field.domain, options.size, options.scale, options.crop)
    linear = field.channels.space == "linear"
    out = options.out or kept.path / ("render.exr" if linear else "render.png")
    check_writable(out, field.channels)  # told before the work, not after it
    begun = time.perf_counter()
    # Beyond the storage's limit the values lie in a mapped temporary file: memory does not grow with the picture.
    values = Storage(max_pixels=width * height).new(height, width, len(field.channels), np.float32)
    notes = write_image(out, picture(field, width, height, window, values), field.channels)
    for note in notes:
        print(f"note: {note}", file=sys.stderr)
    seconds = time.perf_counter() - begun
    if not options.json:
        print(f"{out}   {width} x {height}, {seconds:.2f} s")
    return {"run": str(kept.path), "out": str(out), "width": width, "height": height, "seconds": round(seconds, 3),
            "backend": field.backend}


def frame(domain, size, scale, crop) -> tuple[int, int, tuple[float, float, float, float]]:
    """Pixels and window (in [0, 1]) of the picture that --size, --scale and --crop ask for."""
    if size and scale:
        raise BadInput("--size and --scale: give one of the two")
    full_width, full_height = domain.shape
    x0, y0, x1, y1 = crop or (0, 0, full_width, full_height)
    if x0 < 0 or y0 < 0 or x1 > full_width or y1 > full_height:
        raise BadInput(f"--crop {x0:g},{y0:g},{x1:g},{y1:g} reaches outside the picture of {full_width} x {full_height} pixels")
    width, height = size or (max(1, round((x1 - x0) * (scale or 1))), max(1, round((y1 - y0) * (scale or 1))))
    return width, height, (x0 / full_width, y0 / full_height, x1 / full_width, y1 / full_height)
