"""A fitted scene as a folder of posed images with `transforms.json`, from which it can be fitted again."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import numpy as np

from fields.export.base import Progress, Source
from fields.export.outputs.radiance import RadianceOutput
from fields.export.request import ExportRequest
from fields.models.field import RadianceField
from scenes.errors import BadInput
from scenes.image.color import to_bytes
from scenes.io.atomic import atomic_folder
from scenes.posed.box import MARGIN
from scenes.posed.camera import Camera
from scenes.posed.pose import turntable_cameras
from scenes.posed.signal import BACKGROUNDS
from scenes.posed.view import PosedViews, View, split_of
from scenes.posed.write import write_scene

# Bounds of the number of views on a turntable.
MIN_VIEWS = 2
MAX_VIEWS = 10_000


@dataclass(frozen=True, eq=False, kw_only=True)
class RenderedView(View):
    """A view whose image is rendered when it is read."""

    output: RadianceOutput

    def read_image(self, notes: list[str] | None = None) -> np.ndarray:
        """The image, `[H, W, 4]` uint8 with straight alpha; `[H, W, 3]` if the scene fills all of it. Without notes."""
        seen, _ = self.output.render_camera(self)
        color, opacity = seen.color.cpu().numpy(), seen.opacity.cpu().numpy()[..., None]
        if _fills_image(self.output.field):
            return to_bytes(color)
        straight = (color - (1 - opacity) * BACKGROUNDS[self.output.background]) / np.maximum(opacity, 1e-6)
        return to_bytes(np.concatenate([np.where(opacity > 0, straight, 0), opacity], axis=-1))


def write(source: Source, out: Path, request: ExportRequest, progress: Progress) -> dict:
    """Write the views of the run's cameras, or of a turntable around the scene with every eighth for testing."""
    field = cast(RadianceField, source.field)
    output = RadianceOutput(field, source.run.path if source.run else None)
    cameras = output.cameras()
    if request.frames:
        if not MIN_VIEWS <= request.frames <= MAX_VIEWS:
            raise BadInput(f"`frames={request.frames}`: should be from {MIN_VIEWS} to {MAX_VIEWS:,} views")
        ring = turntable_cameras(cameras, request.frames, cameras[0].intrinsics)
        cameras = [replace(camera, name=f"{i:04}", split=split_of(i)) for i, camera in enumerate(ring)]
    views = tuple(_view(output, camera, number, request.size) for number, camera in enumerate(cameras))
    box = None if _fills_image(field) else _box(field)
    with atomic_folder(out) as folder:
        write_scene(folder, PosedViews(views, box=box), one_file=True, progress=progress.fraction)
    intrinsics = views[0].intrinsics
    alpha = "without alpha, because the scene has no bounds" if _fills_image(field) else "with alpha"
    return {
        "views": len(views),
        "for_testing": sum(view.split == "test" for view in views),
        "width": intrinsics.width,
        "height": intrinsics.height,
        "bytes": sum(file.stat().st_size for file in out.rglob("*") if file.is_file()),
        "files": [str(out)],
        "notes": ["each view shows the scene at its own moment"] if field.moving else [],
        "text": f"{len(views)} images of {intrinsics.width} x {intrinsics.height}, {alpha}, and transforms.json",
    }


def _view(output: RadianceOutput, camera: Camera, number: int, size: tuple[int, int] | None) -> RenderedView:
    return RenderedView(
        pose=camera.pose,
        intrinsics=camera.intrinsics if size is None else camera.intrinsics.resized(*size),
        time=camera.time if output.field.moving else None,
        name=camera.name or f"{number:04}",
        split=camera.split or "train",
        output=output,
    )


def _fills_image(field: RadianceField) -> bool:
    """Whether the scene is unbounded or has a background of its own, so that its images have no alpha."""
    return field.cascades > 1 or field.background is not None


def _box(field: RadianceField) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """The box around the scene that a loader enlarges to the field's cube."""
    axes = field.domain.axes[:3]
    lower, upper = np.array([axis.lower for axis in axes]), np.array([axis.upper for axis in axes])
    centre, half = (lower + upper) / 2, (upper - lower) / 2 / MARGIN
    return _corner(centre - half), _corner(centre + half)


def _corner(values: np.ndarray) -> tuple[float, float, float]:
    x, y, z = values.tolist()
    return x, y, z
