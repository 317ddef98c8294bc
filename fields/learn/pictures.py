"""Pictures of the fields of a dataset: a query with the items most like it on one sheet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image as Pillow
from PIL import ImageDraw

from fields.fit.objectives.shape import default_camera
from fields.models.field import Field
from fields.render.sphere_trace import render_shape
from fields.render.surface_field import surface_field
from fields.weights.dataset import FieldDataset, field_of
from scenes.errors import BadInput
from scenes.image.color import to_bytes
from scenes.io.atomic import atomic_write
from scenes.video.write import check_video_writable, write_video

# Side of a picture, and height of the line below it, in pixels.
SIDE, LINE = 160, 26
# Of films: frames, frames per second, and side of a frame in pixels.
FRAMES, RATE, FRAME_SIDE = 48, 24.0, 256


def picture(dataset: FieldDataset, index: int, side: int = SIDE) -> np.ndarray:
    """An item's surface from the default view, `[side, side, 3]` uint8."""
    return field_picture(dataset.field(index), side)


def field_picture(field: Field, side: int) -> np.ndarray:
    """The surface of a field from the default view, `[side, side, 3]` uint8."""
    points = field.point_field
    assert points is not None
    fit = surface_field(points)
    shown = render_shape(fit.traceable(), default_camera(side), albedo=fit.colors, device=fit.device)
    return to_bytes(shown.color.cpu().numpy())


def write_sheet(path: Path, dataset: FieldDataset, query: int, found: Sequence[tuple[int, float]]) -> None:
    """Write a row of pictures: the query in a frame, then the items that were found, with their likeness."""
    columns = [(query, 1.0), *found]
    sheet = Pillow.new("RGB", (SIDE * len(columns), SIDE + LINE), "white")
    draw = ImageDraw.Draw(sheet)
    for place, (index, likeness) in enumerate(columns):
        left = place * SIDE
        sheet.paste(Pillow.fromarray(picture(dataset, index)), (left, 0))
        item = dataset.items[index]
        text = f"{item.label or item.name}" + (f"  {likeness:.2f}" if place else "")
        draw.text((left + 6, SIDE + 6), text, fill="black")
    draw.rectangle((0, 0, SIDE - 1, SIDE - 1), outline="black", width=2)
    with atomic_write(path) as temporary:
        sheet.save(temporary, format=Pillow.registered_extensions().get(path.suffix.lower(), "PNG"))


def between(dataset: FieldDataset, first: int, last: int, frames: int) -> Iterator[Field]:
    """Fields on the straight line between two items whose decoder is the same, both ends included.

    Raises BadInput where items have decoders of their own: numbers between two of those mean nothing.
    """
    if not dataset.header["shared"]:
        raise BadInput(
            f"{dataset.path}: each field has a decoder of its own, and nothing lies between two of them; fit the "
            "folder again with fit-a-scene batch --shared-decoder"
        )
    ends = dataset.state(first), dataset.state(last)
    for frame in range(frames):
        t = frame / max(1, frames - 1)
        state = {name: (1 - t) * tensor + t * ends[1][name] for name, tensor in ends[0].items()}
        yield field_of(dataset.method, dataset.items[first], dataset.channels, state)


def write_film(path: Path, dataset: FieldDataset, first: int, last: int, frames: int = FRAMES) -> list[str]:
    """Write a film from one item to another, and return notes on what its format could not keep.

    Raises BadInput as `between`, and for files that cannot be written.
    """
    check_video_writable(path)
    fields = between(dataset, first, last, frames)
    return write_video(path, (field_picture(field, FRAME_SIDE) for field in fields), RATE)
