"""Pages of fields in the system's Chromium: do they draw what Python draws, how large are they, how fast.

    python -m benchmarks.browser [--json] [--quick] [--store] [--only ID]

    agrees-KIND-METHOD   mean difference to Python's picture of the same view, in steps of 8 bits, with weights of 32
                         bits; beside it the largest one, the fraction of pixels within 2 steps, and the mean with
                         weights of 16 and of 8 bits. Fields are fitted for a few steps.
    bytes-KIND           of a page with weights of 16 bits; bytes-viewer: of the viewer, compressed
    wasm-*               seconds of a sharp picture with WebAssembly in one worker
    first-picture-KIND   seconds from opening the file to the first sharp picture

WebGL 2 runs in software there, so that what needs a GPU is not measured; the shaders' pictures are compared all the
same (`webgl2_mean`). A ratio compares with the aim.
"""

from __future__ import annotations

import argparse
import base64
import io
import shutil
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.report import add_arguments, emit, report
from benchmarks.studio import BROWSER_FLAGS

if TYPE_CHECKING:
    from fields.runs.run import Run

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
# Source of each kind: real data where they are, else what needs no files.
SOURCES = {
    "image": (SHARED / "images" / "kodim05.png", "skimage:coffee"),
    "shape": (SHARED / "meshes" / "stanford_bunny.obj", None),
    "radiance": (SHARED / "nerf" / "lego_200", "procedural:duck"),
    "audio": (SHARED / "audio" / "gt_bach.wav", None),
    "video": (SHARED / "video" / "carphone_176x144", None),
}
IMAGE_METHODS = (
    *("hashgrid", "densegrid", "frequency", "fourier", "nerf", "siren", "finer", "wire", "cam"),
    *("rbf", "neurbf", "nstr"),
)
# Heads that a hash grid may have in place of its network.
HEADS = ("kan-spline", "hourglass", "quadratic")
SOLID_METHODS = {"shape": ("hashgrid", "siren", "triplane"), "radiance": ("hashgrid", "tensorf")}
# Steps of each fit: enough for a picture.
STEPS = {"image": 60, "shape": 150, "radiance": 150, "audio": 100, "video": 30}
# Size of the pictures that are compared, and of those that are timed.
COMPARED = {"image": (192, 128), "shape": (120, 120), "radiance": (100, 100), "video": (88, 72)}
TIMED = {"image": (768, 512), "shape": (400, 400), "radiance": (200, 200)}
AIM_MEAN = 0.5
AIM_BYTES = {"viewer": 250_000, "image": 1_000_000, "shape": 3_000_000, "radiance": 4_000_000}
AIM_SECONDS = {"image": 1.0, "shape": None, "radiance": 4.0}
AIM_FIRST = 1.0
# Largest size of a picture that is drawn with shaders, which takes long without a GPU.
SHADER_PIXELS = 160 * 120
TIMEOUT = 300_000


class Bench:
    """Runs that were fitted, and a browser that opens their pages."""

    def __init__(self, folder: Path, browser: Any) -> None:
        self.folder = folder
        self.browser = browser

    def run(self, kind: str, method: str) -> Run | None:
        """The run of a method; None where its data are not here."""
        from fields.runs.run import Run

        real, stand_in = SOURCES[kind]
        source = str(real) if real.exists() else stand_in
        if source is None:
            return None
        out = self.folder / f"{kind}-{method}"
        if not out.exists():
            name, head = ("hashgrid", ["--set", f"head={method}"]) if method in HEADS else (method, [])
            command = [sys.executable, "-m", "apps.cli.main", "fit", source, "--method", name, "--out", str(out)]
            command += ["--steps", str(STEPS[kind]), *head]
            subprocess.run(command, check=True, capture_output=True)
        return Run.open(out)

    def page(self, run: Run, bits: int) -> Path:
        """The file of a run's page."""
        from fields.export.base import Source
        from fields.export.page.write import page_of

        path = self.folder / f"{run.path.name}-{bits}.html"
        if not path.exists():
            path.write_text(page_of(Source(run, run.load_field(), run.header["kind"]), bits))
        return path

    def open(self, path: Path, fragment: str) -> Any:
        """An open page whose sharp picture stands. RuntimeError where it does not come."""
        page = self.browser.new_context(offline=True).new_page()
        page.set_default_timeout(TIMEOUT)
        page.goto(f"{path.as_uri()}#{fragment}")
        page.wait_for_function("document.documentElement.dataset.state != 'loading'")
        if page.evaluate("document.documentElement.dataset.state") == "error":
            raise RuntimeError(page.inner_text("#message"))
        return page

    def picture(self, path: Path, fragment: str) -> np.ndarray:
        """The canvas, `[H, W, 3]`."""
        from PIL import Image

        page = self.open(path, fragment)
        url = page.evaluate("document.querySelector('canvas#view').toDataURL()")
        page.context.close()
        return np.asarray(Image.open(io.BytesIO(base64.b64decode(url.split(",")[1]))).convert("RGB"), np.float32)


def expected(run: Run, size: tuple[int, int]) -> np.ndarray:
    """Python's picture of view 0, or of the moment 0.5, `[H, W, 3]` in steps of 8 bits; at points, as pages draw."""
    from fields.export.outputs.radiance import RadianceOutput
    from fields.export.outputs.shape import view_camera
    from fields.models.field import PointField, RadianceField
    from fields.render.raster import evaluate_image, evaluate_lattice, sample_centers
    from fields.render.sphere_trace import render_shape
    from fields.render.surface_field import surface_field

    kind, field = run.header["kind"], run.load_field()
    if isinstance(field, RadianceField):
        output = RadianceOutput(field, run.path)
        image = output.render_camera(output.cameras()[0].resized(*size), max_rays=1)[0].color.numpy()
    else:
        assert isinstance(field, PointField)
        if kind == "shape":
            surface = surface_field(field)
            image = render_shape(surface.traceable(), view_camera(0, *size), albedo=surface.colors).color.numpy()
        elif kind == "video":
            time = sample_centers(1)
            image = evaluate_lattice(field, sample_centers(size[0]), sample_centers(size[1]), time)[0]
        else:
            image = evaluate_image(field, *size, most=1)
    return np.rint(np.clip(np.broadcast_to(image, (*image.shape[:2], 3)), 0, 1) * 255)


def agreement(bench: Bench, kind: str, method: str) -> dict[str, Any] | None:
    """The row of one field."""
    run = bench.run(kind, method)
    if run is None:
        return None
    size = COMPARED[kind]
    fragment = f"size={size[0]}x{size[1]}&view=0&position=0.5&backend="
    target = expected(run, size)
    found = {bits: np.abs(bench.picture(bench.page(run, bits), fragment + "wasm") - target) for bits in (32, 16, 8)}
    row = _compared(f"agrees-{kind}-{method}", float(found[32].mean()), "steps of 8 bits", AIM_MEAN)
    row |= {
        "max": float(found[32].max()),
        "within_2": round(float((found[32] <= 2).mean()), 5),
        "mean_16_bits": round(float(found[16].mean()), 4),
        "mean_8_bits": round(float(found[8].mean()), 4),
    }
    if size[0] * size[1] <= SHADER_PIXELS:
        shaded = np.abs(bench.picture(bench.page(run, 32), fragment + "webgl2") - target)
        row |= {"webgl2_mean": round(float(shaded.mean()), 4), "webgl2_within_2": round(float((shaded <= 2).mean()), 5)}
    return row


def audio_agreement(bench: Bench) -> dict[str, Any] | None:
    """Audio has no picture to compare: its values, in steps of 8 bits."""
    import torch

    run = bench.run("audio", "hashgrid")
    if run is None:
        return None
    coords = ((np.arange(200) + 0.5) / 200).tolist()
    page = bench.open(bench.page(run, 32), "backend=wasm")
    values = np.array(page.evaluate("(coords) => coords.map((t) => fieldStudio.value(t))", coords))
    page.context.close()
    difference = np.abs(values - run.load_field()(torch.tensor(coords)[:, None]).detach().numpy()) * 127.5
    return _compared("agrees-audio-hashgrid", float(difference.mean()), "steps of 8 bits", AIM_MEAN)


def sizes(bench: Bench, kind: str) -> dict[str, Any] | None:
    """Bytes of a page of the kind's default method and size."""
    run = bench.run(kind, "hashgrid")
    if run is None:
        return None
    return _compared(f"bytes-{kind}", bench.page(run, 16).stat().st_size, "bytes", AIM_BYTES.get(kind))


def seconds(bench: Bench, kind: str) -> dict[str, Any] | None:
    """Seconds of a sharp picture in one worker: the best of three."""
    run = bench.run(kind, "hashgrid")
    if run is None:
        return None
    width, height = TIMED[kind]
    page = bench.open(bench.page(run, 16), f"size={width}x{height}&view=0&backend=wasm&workers=1")
    best = min(page.evaluate("fieldStudio.draw()") for _ in range(3)) / 1000
    page.context.close()
    side = f"{width}x{height}" if width != height else str(width)
    name = "scene" if kind == "radiance" else kind
    return _compared(f"wasm-{name}-{side}", best, "s", AIM_SECONDS[kind])


def first_picture(bench: Bench, kind: str) -> dict[str, Any] | None:
    """Seconds from opening the file to the first sharp picture of the size that is timed."""
    run = bench.run(kind, "hashgrid")
    if run is None:
        return None
    width, height = TIMED[kind]
    page = bench.open(bench.page(run, 16), f"size={width}x{height}&view=0")
    found = page.evaluate("fieldStudio.firstPicture") / 1000
    page.context.close()
    return _compared(f"first-picture-{kind}", found, "s", AIM_FIRST)


def viewer_bytes() -> dict[str, Any]:
    """Compressed bytes of the viewer."""
    folder = files("fields.export.page")
    content = b"".join((folder / name).read_bytes() for name in ("viewer.js", "viewer.css"))
    return _compared("bytes-viewer", len(zlib.compress(content, 9)), "bytes", AIM_BYTES["viewer"])


def _compared(name: str, value: float, unit: str, aim: float | None) -> dict[str, Any]:
    """A row whose ratio is above 1 where the value, of which less is better, is below the aim."""
    against = {"against": "aim", "against_value": aim, "ratio": round(aim / value, 2) if aim and value else None}
    return {"id": name, "value": round(value, 4), "unit": unit, **(against if aim else {"ratio": None})}


def tasks(quick: bool) -> Iterator[tuple[str, Callable[[Bench], dict[str, Any] | None]]]:
    """The rows by name, and what measures them."""
    methods = IMAGE_METHODS[::4] if quick else (*IMAGE_METHODS, *HEADS)
    yield "bytes-viewer", lambda bench: viewer_bytes()
    for method in methods:
        yield f"agrees-image-{method}", lambda bench, method=method: agreement(bench, "image", method)
    for kind, choices in SOLID_METHODS.items():
        for method in choices[: 1 if quick else None]:
            yield f"agrees-{kind}-{method}", lambda bench, kind=kind, method=method: agreement(bench, kind, method)
    yield "agrees-video-kplanes", lambda bench: agreement(bench, "video", "kplanes")
    yield "agrees-audio-hashgrid", audio_agreement
    for kind in TIMED:
        yield f"bytes-{kind}", lambda bench, kind=kind: sizes(bench, kind)
        yield f"wasm-{kind}", lambda bench, kind=kind: seconds(bench, kind)
        yield f"first-picture-{kind}", lambda bench, kind=kind: first_picture(bench, kind)


def measure(quick: bool, only: str | None) -> dict:
    """All rows, or those whose name begins with one of `only`, which commas separate."""
    from playwright.sync_api import sync_playwright

    rows = []
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=list(BROWSER_FLAGS))
        bench = Bench(Path(folder), browser)
        for name, task in tasks(quick):
            if only and not name.startswith(tuple(only.split(","))):
                continue
            row = task(bench)
            if row is not None:
                print(row, file=sys.stderr, flush=True)
                rows.append(row)
        browser.close()
    return report("browser", rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    parser.add_argument("--only", metavar="ID,..", help="only the rows whose name begins so; with --store, others stay")
    options = parser.parse_args()
    emit(measure(options.quick, options.only), options, partial=options.only is not None)


if __name__ == "__main__":
    main()
