"""Make the pictures of README.md in `assets/`: what goes in and what comes out, of every kind.

    python -m benchmarks.readme [photograph] [shape] [scene] [audio] [studio]

Sources are scikit-image's astronaut and signals that the project makes itself. The studio's picture needs chromium.
"""

from __future__ import annotations

import argparse
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

ASSETS = Path(__file__).resolve().parents[1] / "assets"
# Height of the pictures in the row, in pixels.
HEIGHT = 240
FRAME_MILLISECONDS = 80
CHROMIUM_FLAGS = ("--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader")


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.readme", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="PICTURE", help=f"{', '.join(PICTURES)} (default: all)")
    for name in parser.parse_args().names or PICTURES:
        with tempfile.TemporaryDirectory() as folder:
            out = PICTURES[name](Path(folder))
        print(f"{out}   {out.stat().st_size:,} bytes")


def photograph(folder: Path) -> Path:
    """The photograph, the field fitted to it, and ten times their difference."""
    from PIL import Image

    command("fit", "skimage:astronaut", "--seconds", "30", "--out", folder / "run")
    image = Image.open(folder / "run" / "preview.png").convert("RGB")
    image.thumbnail((1024, 1024))
    image.save(ASSETS / "astronaut.jpg", quality=88)
    return ASSETS / "astronaut.jpg"


def shape(folder: Path) -> Path:
    """A field of the duck's signed distance and colors, once around."""
    duck_mesh().export(folder / "duck.ply")
    command("fit", folder / "duck.ply", "--seconds", "30", "--out", folder / "run")
    command("render", folder / "run", "--turntable", "--size", f"{HEIGHT}x{HEIGHT}", "--out", folder / "turntable.webp")
    return animation(frames_of(folder / "turntable.webp"), ASSETS / "shape.webp")


def scene(folder: Path) -> Path:
    """A radiance field of 40 views of the duck, once around."""
    command("fit", "procedural:duck", "--seconds", "120", "--out", folder / "run")
    command("render", folder / "run", "--turntable", "--size", f"{HEIGHT}x{HEIGHT}", "--out", folder / "turntable.gif")
    return animation(frames_of(folder / "turntable.gif"), ASSETS / "scene.webp")


def audio(folder: Path) -> Path:
    """The spectrograms of struck bells and of the field fitted to it."""
    from PIL import Image

    from scenes.procedural.example_signals import write_bells

    write_bells(folder / "bells.wav")
    command("fit", folder / "bells.wav", "--seconds", "30", "--out", folder / "run")
    image = Image.open(folder / "run" / "preview.png").convert("RGB")
    image.thumbnail((512, 512))
    image.save(ASSETS / "audio.png", optimize=True)
    return ASSETS / "audio.png"


def studio(folder: Path) -> Path:
    """The page in the browser, some seconds after a fit of the first example was started."""
    import shutil

    from PIL import Image
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium")
    if chromium is None:
        sys.exit("the studio's picture needs chromium: apt install chromium")
    with ServedStudio(folder) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(CHROMIUM_FLAGS))
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.goto(address)
        page.wait_for_selector("#start")
        page.get_by_role("button", name="Astronaut").click()
        page.wait_for_function("document.querySelector('#estimate')?.textContent.includes('parameters')")
        page.click("#start")
        page.wait_for_timeout(20_000)
        page.screenshot(path=str(folder / "studio.png"))
        browser.close()
    image = Image.open(folder / "studio.png").convert("RGB")
    image.save(ASSETS / "studio.jpg", quality=85)
    return ASSETS / "studio.jpg"


PICTURES = {"photograph": photograph, "shape": shape, "scene": scene, "audio": audio, "studio": studio}


def command(*arguments: str | Path) -> None:
    """Run `fit-a-scene` with these arguments."""
    subprocess.run([sys.executable, "-m", "apps.cli.main", *map(str, arguments)], check=True)


class ServedStudio:
    """Context manager: a studio that serves on a free port of this machine; gives its address."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __enter__(self) -> str:
        import uvicorn

        from apps.studio.server import Studio, make_app

        with socket.socket() as trial:
            trial.bind(("127.0.0.1", 0))
            port = trial.getsockname()[1]
        app = make_app(Studio.at(self._folder / "runs"))
        self._server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="error"))
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self._thread.start()
        while not self._server.started:
            time.sleep(0.05)
        return f"http://localhost:{port}"

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join(10)


def duck_mesh(resolution: int = 160):
    """The procedural duck as a mesh with vertex colors, `trimesh.Trimesh`, y up."""
    import trimesh
    from skimage.measure import marching_cubes

    from scenes.procedural.still_life import DUCK as life

    # A margin, so that the mesh is closed.
    lower, upper = (np.array(corner, np.float32) + side for corner, side in ((life.lower, -0.05), (life.upper, 0.05)))
    axes = [np.linspace(a, b, resolution, dtype=np.float32) for a, b in zip(lower, upper)]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    values = np.concatenate([life.distance(part) for part in np.array_split(points, 64)]).reshape((resolution,) * 3)
    vertices, faces, _, _ = marching_cubes(values, 0.0, spacing=tuple((upper - lower) / (resolution - 1)))
    vertices = (vertices + lower).astype(np.float32)
    # The reflectance of the nearest part, without light: the render of the field adds its own.
    columns = tuple(np.ascontiguousarray(vertices.T))
    nearest = np.argmin([part.distance(columns) for part in life.parts], axis=0)
    linear = np.stack([part.color(columns) for part in life.parts])[nearest, np.arange(len(vertices))]
    colors = np.clip(linear, 0, 1) ** (1 / 2.2)
    turned = vertices[:, [0, 2, 1]] * [1, 1, -1]
    return trimesh.Trimesh(turned, faces, vertex_colors=(colors * 255).astype(np.uint8))


def frames_of(path: Path) -> list[np.ndarray]:
    """The frames of an animation, `[H, W, 3]` uint8."""
    from PIL import Image, ImageSequence

    with Image.open(path) as image:
        return [np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(image)]


def animation(frames: list[np.ndarray], out: Path) -> Path:
    """Write an animated WebP of at most 36 frames."""
    from PIL import Image

    images = [Image.fromarray(frame) for frame in frames[:: -(-len(frames) // 36)]]
    images[0].save(out, save_all=True, append_images=images[1:], duration=FRAME_MILLISECONDS, loop=0, quality=70)
    return out


if __name__ == "__main__":
    main()
