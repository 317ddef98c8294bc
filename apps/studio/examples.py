"""Example signals of the page: scikit-image's photographs, a posed scene, and signals made from formulas.

`python -m apps.studio.examples` draws the small images that the page shows for them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from apps.studio.folders import Folders
from scenes.procedural.example_signals import write_bells, write_gyroid, write_knot, write_ripples

IMAGE_FOLDER = Path(__file__).parent / "static" / "examples"
# Side of the square images in pixels.
IMAGE_SIDE = 240


@dataclass(frozen=True)
class Example:
    """`source`: what `scenes.load` opens; or a file's ending, of a file that `write` makes."""

    title: str
    description: str
    source: str
    write: Callable[[Path], None] | None = None

    @property
    def name(self) -> str:
        """Its name in the list of the page."""
        return f"{self.title}, {self.description}"


EXAMPLES = (
    Example("Astronaut", "a photograph", "skimage:astronaut"),
    Example("Coffee", "a photograph", "skimage:coffee"),
    Example("Chelsea", "a photograph", "skimage:chelsea"),
    Example("Hubble's deep field", "a photograph", "skimage:hubble_deep_field"),
    Example("Duck", "a posed scene", "procedural:duck"),
    Example("Bells", "audio", ".wav", write_bells),
    Example("Ripples", "a video", ".mp4", write_ripples),
    Example("Gyroid", "a volume", ".npy", write_gyroid),
    Example("Knot", "a shape", ".ply", write_knot),
)


# Titles of those that the welcome shows: one of each kind.
READY = ("Astronaut", "Bells", "Ripples", "Knot", "Gyroid", "Duck")


def names() -> list[str]:
    """Names of all examples."""
    return [example.name for example in EXAMPLES]


def find(name: str) -> Example:
    """The example with this name or title."""
    return next(example for example in EXAMPLES if name in (example.name, example.title))


def source(name: str, folders: Folders) -> str:
    """The source of an example's signal. Files are made when they are first asked for."""
    example = find(name)
    if example.write is None:
        return example.source
    folder = folders.uploads / "examples"
    folder.mkdir(exist_ok=True)
    path = folder / (example.title.lower() + example.source)
    if not path.is_file():
        example.write(path)
    return str(path)


def draw(folder: Path = IMAGE_FOLDER) -> None:
    """Draw a small square image of each example."""
    import tempfile

    from PIL import Image, ImageOps

    import scenes

    folder.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        for index, example in enumerate(EXAMPLES):
            signal = scenes.load(source(example.name, Folders.at(Path(temporary))))
            image = Image.fromarray(signal.preview(2 * IMAGE_SIDE)).convert("RGB")
            ImageOps.fit(image, (IMAGE_SIDE, IMAGE_SIDE)).save(folder / f"{index}.webp", quality=80)


if __name__ == "__main__":
    draw()
