"""The photographs that are chosen for a reconstruction, and their cameras for the page's viewer."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

import numpy as np

import scenes
from apps.studio.chosen_signal import MAX_PIXELS, VOLUME_FACTOR
from fields.export.outputs.cameras import camera_size, drawn_points, pyramid
from scenes.errors import BadInput
from scenes.posed.find import MIN_IMAGES
from scenes.posed.find_record import read_record
from scenes.posed.read import is_posed
from scenes.posed.signal import RadianceScene
from scenes.posed.up import up_axis
from scenes.recognise import VIDEO_ENDINGS
from scenes.video.read import image_files

# Digits of coordinates that are sent to the page.
DIGITS = 5
# Pictures without a camera that the page lists.
MAX_LISTED = 200


class ChosenPhotographs(TypedDict):
    """Plain data, which Gradio keeps for each visitor.

    `name`: for people and for the run's folder. `posed`: whether the source has cameras. `run`: the run whose folder
    keeps cameras or stages of this source; empty before there is one.
    """

    source: str
    name: str
    posed: bool
    run: str


@dataclass(frozen=True)
class OpenedScene:
    """What the page shows of a scene with cameras.

    `description`: a line for people. `lower`, `upper`: corners of its box in units of the scene. `viewer`: JSON data
    for the script that draws it. `left_out`: pictures that are not used, and why.
    """

    description: str
    notes: tuple[str, ...]
    lower: tuple[float, ...]
    upper: tuple[float, ...]
    viewer: str
    left_out: tuple[tuple[str, str], ...]


def choose(source: str, name: str) -> tuple[ChosenPhotographs, str]:
    """What is chosen, and a line about it. Raises BadInput where it holds no photographs."""
    chosen = ChosenPhotographs(source=source, name=name, posed=is_posed(source), run="")
    if chosen["posed"]:
        return chosen, "cameras are known"
    path = Path(source)
    if path.is_dir():
        folder = path / "images" if (path / "images").is_dir() else path
        count = len(image_files(folder))
        if count < MIN_IMAGES:
            are = "photograph is" if count == 1 else "photographs are"
            raise BadInput(f"{count} {are} too few; take 30 or more from all sides, with much overlap")
        return chosen, f"{count} photographs; their cameras are not known yet"
    if path.suffix.lower() in VIDEO_ENDINGS:
        return chosen, "a film; its cameras are not known yet"
    raise BadInput(f"{path.name}: one photograph is too few; choose several, a zip of them, or a film")


def open_scene(source: str | Path) -> OpenedScene:
    """A scene with cameras, opened. Raises BadInput where it cannot be read, has too many pixels, or moves."""
    signal = scenes.load(str(source), "radiance", max_pixels=MAX_PIXELS * VOLUME_FACTOR)
    assert isinstance(signal, RadianceScene)
    if signal.moving:
        raise BadInput("the scene moves, and a mesh stands still")
    record = read_record(source) or {}
    left_out = tuple((str(item["name"]), str(item["reason"])) for item in record.get("left_out", []))
    return OpenedScene(
        description=signal.describe(),
        notes=(*signal.notes, *map(str, record.get("warnings", []))),
        lower=tuple(map(float, signal.box.lower)),
        upper=tuple(map(float, signal.box.upper)),
        viewer=json.dumps(viewer_data(signal)),
        left_out=left_out[:MAX_LISTED],
    )


def viewer_data(signal: RadianceScene) -> dict[str, Any]:
    """Cameras, sparse points and box of a scene, in its units, as JSON data.

    `cameras`: for each its name, whether it is for testing, and five points: its position, and the corners of what it
    sees. `points`: all coordinates in one list.
    """
    views = signal.views.views
    size = camera_size(views)
    points = signal.views.points
    shown = np.zeros((0, 3)) if points is None or not len(points) else drawn_points(points, views)
    return {
        "cameras": [
            {"name": view.name, "test": view.split == "test", "points": _rounded(pyramid(view, size))} for view in views
        ],
        "points": _rounded(shown.reshape(-1)),
        "lower": _rounded(signal.box.lower),
        "upper": _rounded(signal.box.upper),
        "up": _rounded(up_axis(np.stack([view.pose for view in views]))),
    }


def _rounded(values: np.ndarray) -> Any:
    return np.round(np.asarray(values, np.float64), DIGITS).tolist()
