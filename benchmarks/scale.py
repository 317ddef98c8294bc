"""Fields between the samples and below them: enlarged and shrunk, beside what interpolation and averaging give.

    python -m benchmarks.scale [--json] [--quick] [--store] [--only PART ...] [--pictures FOLDER]

Parts: `hashgrid`, `densegrid`, `siren`, `neurbf` (the eight photographs of Kodak's set by that method), `curve` (two
photographs by the fraction of a batch that lies between samples; `samples` is the PSNR on the half), `drawings` (a page
of text and a line drawing made here), `volume`, `clip`, `sound`, `lego`. With `--only` the stored rows of other
parts stay. A fit takes 15 seconds (`--quick`: 3, and one photograph).

Photographs are halved (2 x 2 means), and fields are fitted to the halves, with points between samples and without
(`between`). Rows by their ids:

* `samples-M`: PSNR on the half itself, with points between samples, against the fit without.
* `enlarged-2x-M`: rendered at twice the size, against the original, which no field saw; the ratio is to bicubic
  interpolation of the half. `lanczos` is another filter, `off` the fit without points between.
* `enlarged-4x-M`: the same of a quarter of the photograph's width and height.
* `shrunk-2x-M`, 4x, 8x: rendered at a part of the size, against means of the half; against the same field asked at the
  pixels' centres. `off` as before.

Volumes are halved along each axis and enlarged against cubic interpolation, clips are halved and enlarged frame by
frame. Sounds are asked at twice their rate: `image-energy` is the energy above the old Nyquist frequency by that of the
whole, in dB; the lower the better. `lego` is a fit at 200 x 200, asked at 100 and 50, against a fit at that size.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.images import IMAGES, KODAK, STAND_INS
from benchmarks.methods import page, shells
from benchmarks.report import add_arguments, emit, report

if TYPE_CHECKING:
    from fields.fit.fit import Fit
    from fields.models.field import PointField
    from scenes.image.signal import Image
    from scenes.signal import Signal

SHARED = IMAGES.parent
IMAGE_METHODS = ("hashgrid", "densegrid", "siren", "neurbf")
VOLUME_METHODS = ("hashgrid", "densegrid", "kplanes")
CLIP_METHODS = ("hashgrid", "kplanes")
SOUND_METHODS = ("hashgrid", "siren")
PARTS = (*IMAGE_METHODS, "curve", "drawings", "volume", "clip", "sound", "lego")
# Fractions of a batch between samples in the part `curve`, and its photographs.
CURVE = ("off", "0.1", "0.25", "0.5", "0.75")
CURVE_NAMES = ("kodim05", "kodim23")
SECONDS, QUICK_SECONDS = 15.0, 3.0
SHRINKS = (2, 4, 8)
# Of the clip and the sound: frames, and seconds.
CLIP_FRAMES = 24
SOUND_SECONDS = (0.0, 4.0)
LEGO_SECONDS = 60.0
LEGO_SIZES = (100, 50)


@dataclass(frozen=True)
class Budget:
    """Seconds of a fit, and whether only a little is measured."""

    seconds: float
    quick: bool

    def fit(self, signal: Signal, method: str, between: str) -> Fit:
        import fields

        return fields.fit_field(signal, method, seconds=self.seconds, between=between)


def row(name: str, value: float, unit: str, against: str, against_value: float, **more: float | int) -> dict:
    """A row of the report. The ratio is of the two values."""
    return {
        "id": name,
        "value": round(float(value), 2),
        "unit": unit,
        "against": against,
        "against_value": round(float(against_value), 2),
        "ratio": round(float(value) / float(against_value), 3) if min(value, against_value) > 0 else None,
        **{key: round(float(number), 2) if isinstance(number, float) else number for key, number in more.items()},
    }


def photographs(method: str, budget: Budget, pictures: Path | None) -> Iterator[dict]:
    """Rows of the photographs by a method, and their means."""
    names = (KODAK if IMAGES.is_dir() else STAND_INS)[: 1 if budget.quick else None]
    rows: list[dict] = []
    for name in names:
        for found in pixel_rows(name, photograph(name), method, budget, pictures):
            rows.append(found)
            yield found
    yield from means(rows)


def curve(budget: Budget) -> Iterator[dict]:
    """Rows of enlarged photographs by the fraction of a batch between samples; `samples`: PSNR on the half."""
    names = CURVE_NAMES if IMAGES.is_dir() else STAND_INS[:2]
    for name in names[: 1 if budget.quick else None]:
        original = photograph(name)
        half = means_of(original, 2)
        bicubic = psnr(resized(half, original.shape[1], original.shape[0], "BICUBIC"), original)
        for fraction in CURVE:
            fit = budget.fit(as_image(half), "hashgrid", fraction)
            yield row(
                f"curve-{fraction}:{name}",
                psnr(values_of(fit, original.shape), original),
                "dB",
                "bicubic",
                bicubic,
                samples=psnr(values_of(fit, half.shape), half),
                steps=fit.steps,
            )


def drawings(budget: Budget, pictures: Path | None) -> Iterator[dict]:
    """Rows of a page of text and a line drawing, by the default method."""
    with tempfile.TemporaryDirectory() as folder:
        for name, draw in (("page", page), ("lines", lines)):
            path = Path(folder) / f"{name}.png"
            draw(path)
            yield from pixel_rows(name, read(str(path)), "hashgrid", budget, pictures)


def pixel_rows(name: str, original: np.ndarray, method: str, budget: Budget, pictures: Path | None) -> Iterator[dict]:
    """Rows of one picture `[H, W, 3]`: samples, enlarged twice and four times, shrunk."""
    half, quarter = means_of(original, 2), means_of(original, 4)
    fits = {between: budget.fit(as_image(half), method, between) for between in ("on", "off")}
    on, off = (values_of(fits[between], half.shape) for between in ("on", "off"))
    steps = {"steps": fits["on"].steps, "steps_off": fits["off"].steps}
    yield row(f"samples-{method}:{name}", psnr(on, half), "dB", "without between", psnr(off, half), **steps)
    yield enlarged(f"enlarged-2x-{method}:{name}", fits, half, original, 2)
    if pictures is not None:
        save_pictures(pictures, f"{method}-{name}", fits, half)
    for shrink in SHRINKS:
        truth = means_of(half, shrink)
        small = {between: values_of(fit, truth.shape) for between, fit in fits.items()}
        points = at_centres(point_field(fits["on"]), truth.shape)
        yield row(
            f"shrunk-{shrink}x-{method}:{name}",
            psnr(small["on"], truth),
            "dB",
            "asked at points",
            psnr(points, truth),
            off=psnr(small["off"], truth),
        )
    fits = {between: budget.fit(as_image(quarter), method, between) for between in ("on", "off")}
    yield enlarged(f"enlarged-4x-{method}:{name}", fits, quarter, original, 4)


def enlarged(name: str, fits: dict[str, Fit], samples: np.ndarray, original: np.ndarray, factor: int) -> dict:
    """The row of fields enlarged by a factor, beside interpolation of what they were fitted to."""
    height, width = samples.shape[0] * factor, samples.shape[1] * factor
    truth = original[:height, :width]
    return row(
        name,
        psnr(values_of(fits["on"], truth.shape), truth),
        "dB",
        "bicubic",
        psnr(resized(samples, width, height, "BICUBIC"), truth),
        lanczos=psnr(resized(samples, width, height, "LANCZOS"), truth),
        off=psnr(values_of(fits["off"], truth.shape), truth),
    )


def means(rows: Iterable[dict]) -> Iterator[dict]:
    """The mean of the rows whose ids are alike but for what follows the colon."""
    groups: dict[str, list[dict]] = {}
    for found in rows:
        groups.setdefault(found["id"].partition(":")[0], []).append(found)
    for name, group in groups.items():
        others = [key for key in group[0] if key in ("lanczos", "off")]
        mean = {key: float(np.mean([r[key] for r in group])) for key in ("value", "against_value", *others)}
        yield row(
            name,
            mean["value"],
            group[0]["unit"],
            group[0]["against"],
            mean["against_value"],
            **{k: mean[k] for k in others},
        )


def volume(budget: Budget) -> Iterator[dict]:
    """Rows of a volume that is halved along each axis."""
    from fields.render.raster import evaluate_lattice, sample_centers
    from scenes.lattice import TABLE_STEPS
    from scenes.volume.signal import Volume

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "shells.npy"
        shells(path)
        array = np.load(path)
    side = len(array) // 2
    half = array.reshape(side, 2, side, 2, side, 2).mean((1, 3, 5)).astype(np.float32)
    signal = Volume.from_array(half)
    truth = (array[..., None] - signal.channels.lower) / (signal.channels.upper - signal.channels.lower)
    doubled = np.repeat(np.arange(side) * TABLE_STEPS, 2) + np.tile([-TABLE_STEPS // 4, TABLE_STEPS // 4], side)
    z, y, x = (axis.reshape(-1) for axis in np.meshgrid(doubled, doubled, doubled, indexing="ij"))
    assert signal.lattice is not None
    cubic = signal.lattice.interpolate([x, y, z]).reshape(truth.shape)
    for method in VOLUME_METHODS:
        fits = {between: budget.fit(signal, method, between) for between in ("on", "off")}
        fine, own = sample_centers(2 * side), sample_centers(side)
        values = {between: evaluate_lattice(point_field(fit), fine, fine, fine) for between, fit in fits.items()}
        samples = {between: evaluate_lattice(point_field(fit), own, own, own) for between, fit in fits.items()}
        yield row(
            f"volume-samples-{method}",
            psnr(samples["on"], signal.values()),
            "dB",
            "without between",
            psnr(samples["off"], signal.values()),
        )
        yield row(
            f"volume-enlarged-2x-{method}",
            psnr(values["on"], truth),
            "dB",
            "cubic",
            psnr(cubic, truth),
            off=psnr(values["off"], truth),
        )


def clip(budget: Budget) -> Iterator[dict]:
    """Rows of a clip whose frames are halved."""
    import scenes
    from fields.render.video_frame import render_frame
    from scenes.video.signal import Video

    source = SHARED / "video" / "carphone_176x144"
    if not source.is_dir():
        return
    whole = scenes.load(str(source), "video")
    assert isinstance(whole, Video)
    frames = np.asarray(whole.stored[:CLIP_FRAMES], np.float32) / 255
    half = np.stack([means_of(frame, 2) for frame in frames])
    signal = Video.from_array(to_bytes(half))
    height, width = frames.shape[1:3]
    bicubic = np.stack([resized(frame, width, height, "BICUBIC") for frame in half])
    for method in CLIP_METHODS:
        fits = {between: budget.fit(signal, method, between) for between in ("on", "off")}
        scores = {}
        for between, fit in fits.items():
            field = point_field(fit)
            large = [render_frame(field, float(moment), width, height) for moment in signal.times]
            own = [render_frame(field, float(moment), width // 2, height // 2) for moment in signal.times]
            scores[between] = psnr(np.stack(large), frames), psnr(np.stack(own), half)
        yield row(f"clip-samples-{method}", scores["on"][1], "dB", "without between", scores["off"][1])
        yield row(
            f"clip-enlarged-2x-{method}",
            scores["on"][0],
            "dB",
            "bicubic",
            psnr(bicubic, frames),
            off=scores["off"][0],
        )


def sound(budget: Budget) -> Iterator[dict]:
    """Rows of a sound that is asked at twice its rate."""
    import scenes
    from fields.render.raster import evaluate_lattice, sample_centers
    from scenes.audio.signal import Audio

    path = SHARED / "audio" / "gt_bach.wav"
    if not path.is_file():
        return
    signal = scenes.load(str(path), "audio", part=SOUND_SECONDS)
    assert isinstance(signal, Audio)
    for method in SOUND_METHODS:
        energies, ratios = {}, {}
        for between in ("on", "off"):
            fit = budget.fit(signal, method, between)
            values = evaluate_lattice(point_field(fit), sample_centers(2 * signal.num_samples))
            energies[between], ratios[between] = image_energy(values), fit.metrics["snr"]
        yield row(f"sound-samples-{method}", ratios["on"], "dB SNR", "without between", ratios["off"])
        yield {
            "id": f"sound-image-energy-{method}",
            "value": round(energies["on"], 2),
            "unit": "dB of the signal",
            "against": "without between",
            "against_value": round(energies["off"], 2),
            "ratio": round(10 ** ((energies["off"] - energies["on"]) / 20), 3),
        }


def image_energy(values: np.ndarray) -> float:
    """Energy above half the Nyquist frequency against that of the whole, in dB, of `[N, C]`."""
    power = (np.abs(np.fft.rfft(values * np.hanning(len(values))[:, None], axis=0)) ** 2).sum(axis=1)
    return float(10 * np.log10(max(power[len(power) // 2 :].sum() / power.sum(), 1e-12)))


def lego(budget: Budget) -> Iterator[dict]:
    """Rows of a scene that is asked at smaller sizes than it was fitted at."""
    import fields
    import scenes
    from fields.fit.objectives.radiance import RadianceObjective
    from fields.kinds import objective_for
    from fields.models.field import RadianceField
    from scenes.posed.signal import RadianceScene

    source = SHARED / "nerf" / "lego_200"
    if not source.is_dir():
        return
    seconds = 2 * QUICK_SECONDS if budget.quick else LEGO_SECONDS
    scene = scenes.load(str(source), "radiance")
    assert isinstance(scene, RadianceScene)
    large = fields.fit_field(scene, seconds=seconds)
    assert isinstance(large.field, RadianceField)
    for size in LEGO_SIZES:
        with tempfile.TemporaryDirectory() as folder:
            smaller_scene(source, Path(folder), 200 // size)
            small = scenes.load(folder, "radiance")
            at_size = fields.fit_field(small, seconds=seconds)
            objective = objective_for(small, large.field, large.method.loss)
            # A pixel of a smaller view is the mean of as many rays as the fitted views have there.
            assert isinstance(objective, RadianceObjective)
            objective.scores.fitted = scene.training
            asked = objective.evaluate(large.field)
        yield row(f"lego-asked-at-{size}", asked["psnr"], "dB", f"fitted at {size}", at_size.metrics["psnr"])


def smaller_scene(source: Path, target: Path, factor: int) -> None:
    """A copy of a Blender scene whose images are means over `factor` x `factor` pixels, alpha multiplied in."""
    from PIL import Image as Pillow

    for file in source.rglob("*"):
        copy = target / file.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        if file.suffix == ".png":
            image = Pillow.open(file).convert("RGBA").convert("RGBa")
            image.reduce(factor).convert("RGBA").save(copy)
        elif file.suffix == ".json":
            document = json.loads(file.read_text(encoding="utf-8"))
            for key in ("w", "h", "fl_x", "fl_y", "cx", "cy"):
                if key in document:
                    document[key] /= factor
            copy.write_text(json.dumps(document), encoding="utf-8")
        elif file.is_file():
            shutil.copy(file, copy)


def photograph(name: str) -> np.ndarray:
    """A photograph, `[H, W, 3]` float32 in [0, 1], cut to multiples of 4."""
    return read(str(IMAGES / f"{name}.png") if IMAGES.is_dir() else f"skimage:{name}")


def read(source: str) -> np.ndarray:
    """An image file as `[H, W, 3]` float32 in [0, 1], cut to multiples of 4."""
    import scenes
    from scenes.image.signal import Image

    image = scenes.load(source, "image")
    assert isinstance(image, Image)
    return image.values(0, image.height // 4 * 4, 0, image.width // 4 * 4)[..., :3]


def lines(path: Path) -> None:
    """A drawing of circles and straight lines, 768 x 512 pixels, with smooth edges."""
    from PIL import Image as Pillow
    from PIL import ImageDraw

    scale = 4
    image = Pillow.new("L", (768 * scale, 512 * scale), 255)
    pen = ImageDraw.Draw(image)
    random = np.random.default_rng(0)
    for _ in range(40):
        x0, y0, x1, y1 = random.uniform(0, 1, 4) * np.array([768, 512, 768, 512]) * scale
        pen.line((x0, y0, x1, y1), fill=0, width=int(random.integers(4, 16)))
    for _ in range(30):
        x, y, radius = random.uniform(0, 768) * scale, random.uniform(0, 512) * scale, random.uniform(4, 60) * scale
        box = (x - radius, y - radius, x + radius, y + radius)
        pen.ellipse(box, outline=0, width=int(random.integers(4, 16)))
    image.reduce(scale).convert("RGB").save(path)


def means_of(values: np.ndarray, factor: int) -> np.ndarray:
    """Means over blocks of `factor` x `factor` pixels of `[H, W, C]`; what is left over at the far edges is cut off."""
    height, width = values.shape[0] // factor, values.shape[1] // factor
    whole = values[: height * factor, : width * factor]
    return whole.reshape(height, factor, width, factor, -1).mean((1, 3))


def to_bytes(values: np.ndarray) -> np.ndarray:
    return np.round(np.clip(values, 0, 1) * 255).astype(np.uint8)


def as_image(values: np.ndarray) -> Image:
    from scenes.image.signal import Image

    return Image.from_array(to_bytes(values))


def resized(values: np.ndarray, width: int, height: int, name: str) -> np.ndarray:
    """An image of 8 bits enlarged by one of Pillow's filters, `[height, width, 3]` in [0, 1]."""
    from PIL import Image as Pillow

    large = Pillow.fromarray(to_bytes(values)).resize((width, height), Pillow.Resampling[name])
    return np.asarray(large, np.float32) / 255


def point_field(fit: Fit) -> PointField:
    from fields.models.field import PointField

    assert isinstance(fit.field, PointField)
    return fit.field


def values_of(fit: Fit, shape: tuple[int, ...]) -> np.ndarray:
    """The image of a field at a size `[H, W, C]`, as it is rendered: what is smaller than the samples is filtered."""
    from fields.render.raster import evaluate_image

    return evaluate_image(point_field(fit), shape[1], shape[0])


def at_centres(field: PointField, shape: tuple[int, ...]) -> np.ndarray:
    """Values of a field at the centres of the pixels of a size."""
    from fields.render.raster import evaluate_lattice, sample_centers

    return evaluate_lattice(field, sample_centers(shape[1]), sample_centers(shape[0]))


def psnr(values: np.ndarray, truth: np.ndarray) -> float:
    """PSNR in dB of values that are clipped to [0, 1]."""
    return float(-10 * np.log10(max(np.square(np.clip(values, 0, 1) - truth, dtype=np.float64).mean(), 1e-12)))


def save_pictures(folder: Path, name: str, fits: dict[str, Fit], half: np.ndarray) -> None:
    """Write the middle of the half at four times its size: by the fields without and with `between`, and bicubic."""
    from PIL import Image as Pillow

    folder.mkdir(parents=True, exist_ok=True)
    height, width = 4 * half.shape[0], 4 * half.shape[1]
    middle = (slice(height // 2 - 160, height // 2 + 160), slice(width // 2 - 160, width // 2 + 160))
    parts = [values_of(fits[between], (height, width))[middle] for between in ("off", "on")]
    parts.append(resized(half, width, height, "BICUBIC")[middle])
    Pillow.fromarray(np.concatenate([to_bytes(part) for part in parts], axis=1)).save(folder / f"{name}.png")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=(), metavar="PART", help="only these parts")
    parser.add_argument("--pictures", type=Path, metavar="FOLDER", help="also write enlarged photographs there")
    options = parser.parse_args()
    budget = Budget(QUICK_SECONDS if options.quick else SECONDS, options.quick)
    others = {"curve": curve, "volume": volume, "clip": clip, "sound": sound, "lego": lego}
    rows: list[dict] = []
    for part in options.only or PARTS:
        if part in IMAGE_METHODS:
            rows += photographs(part, budget, options.pictures)
        elif part == "drawings":
            rows += drawings(budget, options.pictures)
        else:
            rows += others[part](budget)
    emit(report("scale", rows), options, partial=bool(options.only))


if __name__ == "__main__":
    main()
