"""A fitted field as the signal that another is fitted to: its values where its own signal was measured."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from fields.models.field import Field, PointField, RadianceField
from fields.render.raster import evaluate_image, evaluate_lattice, sample_centers
from fields.render.sphere_trace import in_chunks, normals_of
from fields.render.surface_field import surface_field
from fields.render.video_frame import render_frame
from fields.runs.run import Run
from fields.surface.implicit import implicit_shape
from fields.surface.surface_mesh import scored_triangles
from scenes.audio.signal import Audio
from scenes.errors import BadInput
from scenes.image.color import to_bytes
from scenes.image.signal import Image
from scenes.sampling import StratifiedSampler
from scenes.shape.geometry import Mesh
from scenes.shape.samples import training_points
from scenes.shape.signal import MAX_SAMPLES, MIN_SAMPLES, NORMALS, SPACES, SURFACE, TRAINING, Shape, generator
from scenes.shape.surface import MeshSurface
from scenes.signal import Signal
from scenes.video.signal import Video
from scenes.volume.signal import Volume

# Cells along an axis of the mesh of a shape's surface, which samples and metrics are based on.
RESOLUTION = 256


def teacher_signal(run: Run, teacher: Field) -> Signal:
    """The signal of the run's kind, with the teacher's domain and channels. BadInput if the teacher cannot give it."""
    if isinstance(teacher, RadianceField):
        from fields.distill.views import TeacherScene

        signal = TeacherScene(teacher, run, alpha=run.header["options"]["background"] == "random")
    else:
        signal = SIGNALS[run.header["kind"]](teacher)
    signal.source = {"path": str(run.path), "options": {}}
    return signal


def _image(teacher: PointField) -> Image:
    width, height = teacher.domain.grid_shape
    values = evaluate_image(teacher, width, height)
    if teacher.channels.space == "srgb":
        values = values.clip(0, 1)
    signal = Image.from_array(values, teacher.channels.space, premultiplied=teacher.channels.premultiplied)
    signal.domain, signal.channels = teacher.domain, teacher.channels
    return signal


def _values(teacher: PointField) -> np.ndarray:
    return evaluate_lattice(teacher, *(sample_centers(count) for count in teacher.domain.grid_shape))


def _audio(teacher: PointField) -> Audio:
    return Audio(_values(teacher), teacher.domain, teacher.channels, {})


def _volume(teacher: PointField) -> Volume:
    return Volume(_values(teacher), teacher.domain, teacher.channels, {})


def _video(teacher: Field) -> Video:
    width, height, count = teacher.domain.grid_shape
    frames = np.empty((count, height, width, 3), np.uint8)
    for index, time in enumerate(sample_centers(count).tolist()):
        frames[index] = to_bytes(render_frame(teacher, time, width, height))
    signal = Video.from_array(frames)
    signal.domain = teacher.domain
    return signal


class TeacherShape(Shape):
    """A shape whose distances or occupancy, colors and normals are those of a field.

    Samples are drawn around a mesh of its surface. Raises BadInput if the field has no surface.
    """

    def __init__(self, teacher: PointField) -> None:
        self.domain, self.channels = teacher.domain, teacher.channels
        self.quantity = next(quantity for quantity, (space, _) in SPACES.items() if space == teacher.channels.space)
        self.has_colors = len(teacher.channels) > 1
        self.notes = ()
        self._teacher, self._samples = teacher, None
        self._fit = surface_field(teacher)
        found = scored_triangles(implicit_shape(teacher), RESOLUTION)
        if not found.crossed:
            raise BadInput("the teacher has no surface: it was not fitted long enough")
        self.surface = MeshSurface(Mesh(found.vertices, found.faces))
        self.box = found.vertices.min(axis=0), found.vertices.max(axis=0)

    @cached_property
    def _pool(self) -> tuple[np.ndarray, np.ndarray]:
        points = training_points(self.surface, self._samples or MAX_SAMPLES, generator(TRAINING))
        return points, self.values(points)

    def values(self, points: np.ndarray) -> np.ndarray:
        return self._query(self._teacher, points)

    def surface_points(self, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        points, normals, _ = self.surface.sample(count, generator(SURFACE))
        colors = self._fit.colors
        return points, normals, None if colors is None else self._query(colors, points)

    @cached_property
    def _surface_pool(self) -> tuple[np.ndarray, np.ndarray, StratifiedSampler]:
        points = self.surface.sample(MIN_SAMPLES, generator(NORMALS)).points.astype(np.float32)
        normals = self._query(lambda coords: normals_of(self._fit.function, coords), points)
        return points, normals, StratifiedSampler(len(points))

    def _query(self, function: Callable[[Tensor], Tensor], points: np.ndarray) -> np.ndarray:
        """Values of a function of points `[n, 3]`, which is computed in chunks on the teacher's device."""
        coords = torch.from_numpy(points).float().to(self._teacher.device)
        return in_chunks(function, coords).detach().cpu().numpy()


# Constructor of the teacher's signal, by kind.
SIGNALS = {"image": _image, "audio": _audio, "volume": _volume, "video": _video, "shape": TeacherShape}
# Kinds of signals whose fields can be distilled.
DISTILLED_KINDS = (*SIGNALS, "radiance")
