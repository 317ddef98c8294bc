"""The record of found cameras, `poses.json` beside the scene: which pictures have one, and why others have none."""

from __future__ import annotations

import json
import os
from collections import Counter
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Any

from scenes.errors import BadInput
from scenes.io.atomic import atomic_write_bytes
from scenes.posed.view import PosedViews

RECORD = "poses.json"
# Number of the record's format; a record of another one is not read.
FORMAT = 1


@dataclass(frozen=True)
class FoundPoses:
    """The result of `scenes.posed.find.find_poses`.

    Attributes:
        scene: the views with a camera; their files are in the folder that was named.
        used: names of the pictures with a camera, as the source has them.
        left_out: names of the other pictures, and why they have none.
        reprojection_error: mean distance, in pixels of the scene's images, between where points are seen and where
            their cameras project them.
        seconds: wall-clock seconds by stage.
        warnings: lines that a person should read before a fit.
        mapper: what found the cameras: "incremental", or the try after it that found more.
    """

    scene: PosedViews
    _: KW_ONLY
    used: tuple[str, ...]
    left_out: tuple[tuple[str, str], ...]
    reprojection_error: float
    seconds: dict[str, float]
    warnings: tuple[str, ...]
    mapper: str

    @property
    def num_images(self) -> int:
        """Number of pictures that the source has, or that were taken of the film."""
        return len(self.used) + len(self.left_out)

    def summary(self) -> dict[str, Any]:
        """All but the scene, as an object for JSON."""
        points = self.scene.points
        return {
            "given": self.num_images,
            "used": list(self.used),
            "left_out": [{"name": name, "reason": reason} for name, reason in self.left_out],
            "error_pixels": round(self.reprojection_error, 3),
            "points": 0 if points is None else len(points),
            "mapper": self.mapper,
            "seconds": {stage: round(seconds, 2) for stage, seconds in self.seconds.items()},
            "warnings": list(self.warnings),
        }


def write_record(folder: Path, found: FoundPoses, request: dict[str, Any]) -> None:
    """Write the record of a scene. `request`: what was asked for; another request does not get this result."""
    content = {"format": FORMAT, "request": request, **found.summary()}
    atomic_write_bytes(folder / RECORD, (json.dumps(content, indent=1) + "\n").encode())


def read_record(folder: str | os.PathLike) -> dict[str, Any] | None:
    """The record in a folder; None where there is none that can be read."""
    try:
        content = json.loads((Path(folder) / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) and content.get("format") == FORMAT else None


def recorded_poses(folder: Path, request: dict[str, Any]) -> FoundPoses | None:
    """The result of an earlier run in a folder; None where there is none.

    Raises BadInput where the folder holds the result of another request.
    """
    from scenes.posed.read import open_posed

    content = read_record(folder)
    if content is None:
        return None
    if content["request"] != request:
        raise BadInput(
            f"{folder}: holds the cameras of other pictures, or found with other options; name a new folder with "
            "`out=DIR`"
        )
    return FoundPoses(
        open_posed(folder),
        used=tuple(content["used"]),
        left_out=tuple((item["name"], item["reason"]) for item in content["left_out"]),
        reprojection_error=content["error_pixels"],
        seconds=content["seconds"],
        warnings=tuple(content["warnings"]),
        mapper=content["mapper"],
    )


def left_out_note(folder: str | os.PathLike) -> str | None:
    """A line about the pictures that a scene does without; None where it has all, or no record.

    `fit` shows it, as one of the scene's notes.
    """
    content = read_record(folder)
    if content is None or not content.get("left_out"):
        return None
    kinds = Counter(_kind(item["reason"]) for item in content["left_out"])
    counted = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
    return f"{len(content['left_out'])} of {content['given']} pictures are not used ({counted}); see {RECORD}"


def _kind(reason: str) -> str:
    for start, kind in (("blurred", "blurred"), ("nearly the same", "doubled"), ("cannot be", "damaged")):
        if reason.startswith(start):
            return kind
    return "without a camera"
