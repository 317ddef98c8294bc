"""A fitted field as the signal that another is fitted to: what it gives where its own signal was measured."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import torch

from fields.models.field import Field, PointField
from fields.render.raster import centres, lattice, picture
from fields.render.sphere_trace import in_chunks, normals_of
from fields.render.surface_field import surface_field
from fields.runs.run import Run
from scenes.audio.signal import Audio
from scenes.errors import BadInput
from scenes.image.color import to_bytes
from scenes.image.signal import Image
from scenes.sampling import StratifiedSampler
from scenes.shape.geometry import Mesh
from scenes.shape.samples import training_places
from scenes.shape.signal import MIN_SAMPLES, NORMALS, SPACES, SURFACE, TRAINING, Shape, generator
from scenes.shape.surface import MeshSurface
from scenes.signal import Signal
from scenes.video.signal import Video
from scenes.volume.signal import Volume

# Cells along an axis of the mesh that tells where a shape's surface is, for sampling and for the metrics.
RESOLUTION = 256


def teacher_signal(run: Run, teacher: Field) -> Signal:
    """The signal of the run's kind with the teacher's domain and channels."""
    if run.header["kind"] == "radiance":
        signal = _scene(run, teacher)
    else:
        signal = SIGNALS[run.header["kind"]](teacher)
    signal.source = {"path": str(run.path), "options": {}}
    return signal


def _scene(run: Run, teacher: Field) -> Signal:
    from fields.distill.views import TaughtScene

    return TaughtScene(teacher, run, run.header["options"]["background"] == "random")


def _image(teacher: PointField) -> Image:
    width, height = teacher.domain.shape
    values = picture(teacher, width, height)
    if teacher.channels.space == "srgb":
        values = values.clip(0, 1)
    signal = Image.from_array(values, teacher.channels.space, premultiplied=teacher.channels.premultiplied)
    signal.domain, signal.channels = teacher.domain, teacher.channels
    return signal


def _values(teacher: PointField) -> np.ndarray:
    return lattice(teacher, *(centres(count) for count in teacher.domain.shape))


def _audio(teacher: PointField) -> Audio:
    return Audio(_values(teacher), teacher.domain, teacher.channels, {})


def _volume(teacher: PointField) -> Volume:
    return Volume(_values(teacher), teacher.domain, teacher.channels, {})


def _video(teacher: Field) -> Video:
    from fields.export.outputs.video import VideoOutput

    width, height, count = teacher.domain.shape
    frames, show = np.empty((count, height, width, 3), np.uint8), VideoOutput(teacher)
    for index, moment in enumerate(centres(count).tolist()):
        frames[index] = to_bytes(show.picture(moment, width, height, (0.0, 0.0, 1.0, 1.0)))
    signal = Video.from_array(frames)
    signal.domain = teacher.domain
    return signal


class TaughtShape(Shape):
    """A shape whose distances (or inside), colours and normals are a field's own; a mesh of its zero set says where to sample."""

    def __init__(self, teacher: PointField) -> None:
        self.domain, self.channels = teacher.domain, teacher.channels
        self.quantity = next(quantity for quantity, (space, _) in SPACES.items() if space == teacher.channels.space)
        self.painted = len(teacher.channels) > 1
        self.notes = ()
        self._teacher, self._samples = teacher, None
        self._fit = surface_field(teacher)
        vertices, faces = self._fit.triangles(RESOLUTION)
        if not len(faces):
            raise BadInput("the teacher has no surface: it was hardly fitted")
        self.surface = MeshSurface(Mesh(vertices, faces))
        self.box = vertices.min(axis=0), vertices.max(axis=0)

    @cached_property
    def _pool(self) -> tuple[np.ndarray, np.ndarray]:
        places = training_places(self.surface, self._samples, generator(TRAINING))
        return places, self.values(places)

    def values(self, places: np.ndarray) -> np.ndarray:
        return self._ask(self._teacher, places)

    def surface_points(self, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        places, normals, _, _ = self.surface.sample(count, generator(SURFACE))
        return places, normals, self._ask(self._fit.colors, places) if self.painted else None

    @cached_property
    def _surface_pool(self) -> tuple[np.ndarray, np.ndarray, StratifiedSampler]:
        places = self.surface.sample(MIN_SAMPLES, generator(NORMALS))[0].astype(np.float32)
        normals = self._ask(lambda points: normals_of(self._fit.function, points), places)
        return places, normals, StratifiedSampler(len(places))

    def _ask(self, function, places: np.ndarray) -> np.ndarray:
        device = next(self._teacher.parameters()).device
        return in_chunks(function, torch.from_numpy(places).float().to(device)).detach().cpu().numpy()


SIGNALS = {"image": _image, "audio": _audio, "volume": _volume, "video": _video, "shape": TaughtShape}
KINDS = (*SIGNALS, "radiance")
