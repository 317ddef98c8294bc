"""Does a field enlarge a photograph better than bicubic interpolation? Told as it is.

    python -m benchmarks.upscale [--json] [--quick] [--store]

Each photograph is halved (2 x 2 means), a field is fitted to the half, rendered at twice its size, and compared with
the original that the field never saw; so is the half enlarged by bicubic interpolation. A ratio is of PSNRs.
"""

from __future__ import annotations

import argparse

import numpy as np

from benchmarks.images import IMAGES, KODAK, STAND_INS
from benchmarks.report import add_arguments, emit, report

# Grids memorise pixels; sines interpolate.
METHODS = {"hashgrid": {}, "siren": {"first_omega": 60.0, "width": 128}}


def measure(quick: bool) -> dict:
    from PIL import Image as Pillow

    import fields
    import scenes
    from fields.fit.metrics.samples import psnr
    from fields.models.field import PointField
    from fields.render.raster import evaluate_image
    from scenes.image.signal import Image

    names = (KODAK if IMAGES.is_dir() else STAND_INS)[: 2 if quick else None]
    rows = []
    for method, options in METHODS.items():
        values, against = [], []
        for name in names:
            image = scenes.load(str(IMAGES / f"{name}.png") if IMAGES.is_dir() else f"skimage:{name}")
            assert isinstance(image, Image)
            original = image.values()
            original = original[: original.shape[0] // 2 * 2, : original.shape[1] // 2 * 2]
            height, width = original.shape[:2]
            half = original.reshape(height // 2, 2, width // 2, 2, 3).mean((1, 3))
            small = Image.from_array(np.round(half * 255).astype(np.uint8))
            field = fields.fit_field(small, method, seconds=3 if quick else 15, settings=options).field
            assert isinstance(field, PointField)
            bicubic = Pillow.fromarray(small.pixels).resize((width, height), Pillow.Resampling.BICUBIC)
            values.append(psnr(evaluate_image(field, width, height), original))
            against.append(psnr(np.asarray(bicubic, np.float32) / 255, original))
            rows.append(
                {
                    "id": f"upscale-2x-{method}:{name}",
                    "value": round(values[-1], 2),
                    "unit": "dB",
                    "against": "bicubic",
                    "against_value": round(against[-1], 2),
                    "ratio": round(values[-1] / against[-1], 3),
                }
            )
        rows.append(
            {
                "id": f"upscale-2x-{method}",
                "value": round(float(np.mean(values)), 2),
                "unit": "dB",
                "against": "bicubic",
                "against_value": round(float(np.mean(against)), 2),
                "ratio": round(float(np.mean(values) / np.mean(against)), 3),
            }
        )
    return report("upscale", rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    options = parser.parse_args()
    emit(measure(options.quick), options)


if __name__ == "__main__":
    main()
