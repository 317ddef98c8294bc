"""A fitted scene as a folder of posed pictures, which is fitted again by whoever reads `transforms.json`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from fields.export.base import Progress, Source
from fields.export.outputs.radiance import RadianceOutput
from fields.export.request import ExportRequest
from scenes.errors import BadInput
from scenes.image.color import to_bytes
from scenes.io.atomic import atomic_folder
from scenes.posed.box import MARGIN
from scenes.posed.camera import Camera
from scenes.posed.pose import turntable_cameras
from scenes.posed.signal import BACKGROUNDS
from scenes.posed.view import PosedViews, View, split_of
from scenes.posed.write import write_scene

MAX_VIEWS = 10_000


@dataclass(frozen=True, eq=False, kw_only=True)
class Rendered(View):
    """A view whose picture is taken when it is asked for."""

    output: RadianceOutput

    def read_image(self) -> np.ndarray:
        """`[H, W, 4]` uint8 with straight alpha; `[H, W, 3]` of a scene without bounds, which fills the picture."""
        seen, _ = self.output.see(self)
        color, opacity = seen.color.cpu().numpy(), seen.opacity.cpu().numpy()[..., None]
        if _boundless(self.output.field):
            return to_bytes(color)
        straight = (color - (1 - opacity) * BACKGROUNDS[self.output.background]) / np.maximum(opacity, 1e-6)
        return to_bytes(np.concatenate([np.where(opacity > 0, straight, 0), opacity], axis=-1))


def write(source: Source, out: Path, request: ExportRequest, progress: Progress) -> dict:
    """The views of the run's cameras, or ``turntable`` N of a ring around the scene; every eighth of those for testing."""
    output = RadianceOutput(source.field, source.run.path)
    cameras = output.cameras()
    if request.turntable:
        if not 2 <= request.turntable <= MAX_VIEWS:
            raise BadInput(f"`turntable={request.turntable}`: should be from 2 to {MAX_VIEWS:,} views")
        ring = turntable_cameras(cameras, request.turntable, cameras[0].intrinsics)
        cameras = [replace(camera, name=f"{i:04}", split=split_of(i)) for i, camera in enumerate(ring)]
    views = tuple(_view(output, camera, number, request.size) for number, camera in enumerate(cameras))
    moving = source.field.moving
    box = None
    if not _boundless(source.field):
        axes = source.field.domain.axes[:3]
        middle, half = (np.array([getattr(axis, end) for axis in axes]) for end in ("lower", "upper"))
        middle, half = (middle + half) / 2, (half - middle) / 2 / MARGIN
        box = tuple((middle - half).tolist()), tuple((middle + half).tolist())
    with atomic_folder(out) as folder:
        write_scene(folder, PosedViews(views, box=box), one_file=True)
    intrinsics = views[0].intrinsics
    alpha = "as the scene has no bounds, without alpha" if _boundless(source.field) else "with alpha"
    return {
        "views": len(views),
        "for_testing": sum(view.split == "test" for view in views),
        "width": intrinsics.width,
        "height": intrinsics.height,
        "bytes": sum(file.stat().st_size for file in out.rglob("*") if file.is_file()),
        "files": [str(out)],
        "notes": ["each view shows the scene at its own moment"] if moving else [],
        "text": f"{len(views)} pictures of {intrinsics.width} x {intrinsics.height}, {alpha}, and transforms.json",
    }


def _view(output: RadianceOutput, camera: Camera, number: int, size: tuple[int, int] | None) -> Rendered:
    return Rendered(
        pose=camera.pose,
        intrinsics=camera.intrinsics if size is None else camera.intrinsics.resized(*size),
        time=camera.time if output.field.moving else None,
        name=camera.name or f"{number:04}",
        split=camera.split or "train",
        output=output,
    )


def _boundless(scene) -> bool:
    return scene.levels > 1 or scene.background is not None
