"""What the studio does with each kind of signal: one entry a kind.

`scenes.LOADERS` says who opens it; this says who fits it, how it becomes a file, and how it is fitted by default. Places
are "module:name" and load on first use, so that the command line can ask this table without importing torch.
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


# How the single file of a compressed field begins (`fields.runs.small_file`); here, where the command line may look without torch.
COMPRESSED = b"FSQ1"


@dataclass(frozen=True)
class Kind:
    """`objectives`: for each way of asking a field; the first whose `requires` the field meets is taken.
    `packages`: what loading, fitting and scoring import on the way."""

    objectives: tuple[str, ...]
    output: str
    method: str = "hashgrid"
    packages: tuple[str, ...] = ("PIL.Image",)
    has_pixels: bool = False
    # Class of `fields.export.viewers` that draws its fields on a screen.
    viewer: str = "fields.export.viewers:ImageViewer"
    # Whether its fields are viewed by a camera that goes around them, instead of through a flat window.
    solid: bool = False
    # Unit of the samples along the axes, for people; of time in videos, frames.
    samples: str = "pixels"


KINDS = {
    "image": Kind(
        ("fields.fit.objectives.image:ImageObjective",), "fields.export.outputs.image:ImageOutput", has_pixels=True
    ),
    "audio": Kind(
        ("fields.fit.objectives.audio:AudioObjective",),
        "fields.export.outputs.audio:AudioOutput",
        viewer="fields.export.viewers:AudioViewer",
        samples="samples",
        packages=("soundfile", "PIL.ImageDraw"),
    ),
    "video": Kind(
        ("fields.fit.objectives.video:VideoObjective", "fields.fit.objectives.frames:FrameObjective"),
        "fields.export.outputs.video:VideoOutput",
        viewer="fields.export.viewers:VideoViewer",
        samples="pixels and frames",
        packages=("av", "PIL.Image"),
        has_pixels=True,
    ),
    "volume": Kind(
        ("fields.fit.objectives.volume:VolumeObjective",),
        "fields.export.outputs.volume:VolumeOutput",
        viewer="fields.export.viewers:VolumeViewer",
        samples="voxels",
    ),
    "shape": Kind(
        ("fields.fit.objectives.shape:ShapeObjective",),
        "fields.export.outputs.shape:ShapeOutput",
        viewer="fields.export.viewers:ShapeViewer",
        solid=True,
        packages=("trimesh", "igl", "networkx", "scipy.ndimage", "scipy.spatial", "skimage.measure", "PIL.Image"),
    ),
    "radiance": Kind(
        ("fields.fit.objectives.radiance:RadianceObjective",),
        "fields.export.outputs.radiance:RadianceOutput",
        viewer="fields.export.viewers:SceneViewer",
        solid=True,
    ),
}


def import_packages(kind: str) -> None:
    """Imports what a fit would import on the way, as that is not to count towards its time; what is absent is told where it is needed."""
    for name in KINDS[kind].packages:
        with suppress(ImportError):
            import_module(name)


def objective_for(signal: Signal, field: Field, loss: str, gradient_terms: dict[str, float] | None = None) -> Objective:
    """How `field` is fitted to `signal` and scored; BadInput where fields of its sort cannot be."""
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
    return _load(KINDS[kind].viewer)(field, folder)


def default_method(kind: str) -> str:
    return KINDS[kind].method


def _load(place: str):
    module, _, name = place.partition(":")
    return getattr(import_module(module), name)
