"""What differs between kinds of signals: an entry for each.

`scenes.LOADERS` names what opens a kind; this table names what fits, shows and writes it. Classes are given as
"module:name" and load on first use, so that the command line can read the table without importing torch.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from scenes.errors import BadInput

if TYPE_CHECKING:
    from fields.export.outputs.base import Output
    from fields.export.viewers import Viewer
    from fields.fit.objectives.base import Objective
    from fields.models.field import Field
    from scenes.signal import Signal


# First bytes of a compressed field (`fields.runs.small_file`). Kept here, where they can be read without torch.
COMPRESSED = b"FSQ1"


@dataclass(frozen=True)
class Kind:
    """What differs between kinds of signals, outside `scenes`. Classes are named as "module:name"."""

    # Classes that fit and score fields; the first whose `requires` is met by the field is used.
    objectives: tuple[str, ...]
    # Class of `fields.export.outputs` that renders its fields to files.
    output: str
    # What its fields can be exported from: names that the formats of `fields.export.formats` need.
    exports: tuple[str, ...]
    # Method by which it is fitted unless another is asked for.
    method: str = "hashgrid"
    # Packages that loading, fitting and scoring import on the way.
    packages: tuple[str, ...] = ("PIL.Image",)
    # Whether it consists of pixels, of an image or of frames, so that sizes are also given in bits per pixel.
    has_pixels: bool = False
    # Whether its files are recognised beyond doubt, so that people need not be told what a file was taken for.
    unmistakable: bool = False
    # Memory that scoring takes besides the fit, in bytes: of a shape a lattice, its mesh and a search tree.
    scoring_bytes: int = 12_000_000
    # And for each value of the signal: the spectra of audio.
    scoring_bytes_per_value: int = 0
    # Class of `fields.export.viewers` that draws its fields on a screen.
    viewer: str = "fields.export.viewers:ImageViewer"


KINDS = {
    "image": Kind(
        ("fields.fit.objectives.image:ImageObjective",),
        "fields.export.outputs.image:ImageOutput",
        exports=("image",),
        has_pixels=True,
        unmistakable=True,
    ),
    "audio": Kind(
        ("fields.fit.objectives.audio:AudioObjective",),
        "fields.export.outputs.audio:AudioOutput",
        exports=("audio",),
        viewer="fields.export.viewers:AudioViewer",
        packages=("soundfile", "PIL.ImageDraw"),
        scoring_bytes=24_000_000,
        scoring_bytes_per_value=50,
    ),
    "video": Kind(
        ("fields.fit.objectives.video:VideoObjective", "fields.fit.objectives.frames:FrameObjective"),
        "fields.export.outputs.video:VideoOutput",
        exports=("video",),
        viewer="fields.export.viewers:VideoViewer",
        packages=("av", "PIL.Image"),
        has_pixels=True,
        scoring_bytes=2_000_000,
    ),
    "volume": Kind(
        ("fields.fit.objectives.volume:VolumeObjective",),
        "fields.export.outputs.volume:VolumeOutput",
        exports=("surface", "lattice"),
        viewer="fields.export.viewers:VolumeViewer",
        scoring_bytes=24_000_000,
    ),
    "shape": Kind(
        ("fields.fit.objectives.shape:ShapeObjective",),
        "fields.export.outputs.shape:ShapeOutput",
        exports=("surface", "lattice"),
        viewer="fields.export.viewers:ShapeViewer",
        scoring_bytes=350_000_000,
        packages=("trimesh", "igl", "networkx", "scipy.ndimage", "scipy.spatial", "skimage.measure", "PIL.Image"),
    ),
    "radiance": Kind(
        ("fields.fit.objectives.radiance:RadianceObjective",),
        "fields.export.outputs.radiance:RadianceOutput",
        exports=("surface", "radiance"),
        viewer="fields.export.viewers:SceneViewer",
    ),
}


def import_packages(kind: str) -> None:
    """Import what a fit of this kind imports on the way, so that it does not count towards the time of the fit.

    Packages that are absent are reported where they are needed.
    """
    for name in KINDS[kind].packages:
        with suppress(ImportError):
            import_module(name)


def objective_for(signal: Signal, field: Field, loss: str, gradient_terms: dict[str, float] | None = None) -> Objective:
    """The objective that fits `field` to `signal` and scores it. Raises BadInput where none takes such a field."""
    choices = [_load(place) for place in KINDS[signal.kind].objectives]
    for objective in choices:
        if isinstance(field, objective.requires):
            return objective(signal, loss, gradient_terms)
    wanted = " or ".join(f"a {objective.requires.__name__}" for objective in choices)
    raise BadInput(f"a signal of the kind {signal.kind} needs {wanted}; this method builds a {type(field).__name__}")


def output_for(kind: str, field: Field, folder: Path | None = None) -> Output:
    """How a fitted field of that kind becomes a file; `folder` is its run's."""
    return _load(KINDS[kind].output)(field, folder)


def viewer_for(kind: str, field: Field, folder: Path | None = None) -> Viewer:
    """The viewer of a fitted field of that kind; `folder` is its run's."""
    return viewer_class(kind)(field, folder)


def viewer_class(kind: str) -> type[Viewer]:
    """The class of the viewers of fields of that kind, which says how they are viewed."""
    return _load(KINDS[kind].viewer)


def default_method(kind: str) -> str:
    return KINDS[kind].method


def _load(place: str):
    module, _, name = place.partition(":")
    return getattr(import_module(module), name)
