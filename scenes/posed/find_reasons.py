"""Say in plain words why pictures have no camera, why none has one, and what makes found cameras doubtful."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from scenes.posed.find_pictures import Picture
from scenes.posed.pose import focus_point
from scenes.posed.view import PosedViews

# Features below which a picture has too little texture.
FEW_FEATURES = 60
# Matches with another picture that COLMAP asks for.
FEW_MATCHES = 15
# Fraction of the pictures with a camera below which a person is warned.
LOW_FRACTION = 0.7
# Mean reprojection error in pixels above which a person is warned.
HIGH_ERROR = 1.5
# Pictures below which a person is warned.
FEW_PICTURES = 12
# Angle in degrees between the outermost cameras, as seen from what they look at, below which they are on one side.
ONE_SIDE = 100.0
# The same angle below which the cameras were given places by chance, where pairs show no depth either.
NO_DEPTH = 10.0
# How COLMAP calls pairs whose matches one plane, or a turn of the camera in one place, explains.
FLAT = ("PLANAR", "PANORAMIC", "PLANAR_OR_PANORAMIC")
ADVICE = "take thirty or more photographs from different places, each showing most of what its neighbours show"


def reason_left_out(picture: Picture, found: Mapping[str, Any], names: Mapping[str, str]) -> str:
    """Why a picture has no camera.

    Args:
        found: the result of COLMAP (`scenes.posed.find_colmap.Result`).
        names: name of each picture's file: as a person knows it.
    """
    if found["features"].get(picture.file, 0) < FEW_FEATURES:
        return f"only {found['features'].get(picture.file, 0)} features: it is blurred, dark, plain or mostly masked"
    group = next((group for group in found["groups"] if picture.file in group), None)
    if group is not None:
        others = [names.get(file, file) for file in group if file != picture.file]
        return f"overlaps with {others[0]} and {len(others)} in all, but that group not with the rest"
    partner = found["partners"].get(picture.file, 0)
    if partner < FEW_MATCHES:
        return "has nothing in common with any other picture"
    return f"no place for it fits the others, though {partner} points are seen in another picture too"


def has_no_depth(poses: np.ndarray, points: np.ndarray | None, found: Mapping[str, Any]) -> bool:
    """Whether found cameras `[N, 3, 4]` mean nothing, as no pictures were taken from different places.

    COLMAP's mappers may give such cameras some places or other. A plane or a turn explains what most pairs have in
    common, and the cameras span a few degrees.
    """
    return _is_flat(found) and spanned_angle(poses, points) < NO_DEPTH


def _is_flat(found: Mapping[str, Any]) -> bool:
    """Whether a plane, or a turn of the camera in one place, explains most pairs."""
    geometries = found["geometries"]
    return sum(geometries.get(kind, 0) for kind in FLAT) > 0.5 * sum(geometries.values())


def reason_for_nothing(pictures: Sequence[Picture], found: Mapping[str, Any]) -> str:
    """Why no cameras could be found, in a line that says what would help."""
    features = sorted(found["features"].get(picture.file, 0) for picture in pictures)
    if not features or features[len(features) // 2] < FEW_FEATURES:
        middle = features[len(features) // 2] if features else 0
        return (
            f"no cameras could be found: the pictures have too little texture ({middle} features each); sharper or "
            "larger ones may help, and something patterned beside the object does"
        )
    if not sum(found["geometries"].values()):
        return f"no cameras could be found: no two pictures show the same thing; {ADVICE}"
    if _is_flat(found):
        return (
            "no cameras could be found: the pictures show something flat, or were taken from one place by turning the "
            "camera; walk around what they show"
        )
    connected = sum(found["partners"].get(picture.file, 0) >= FEW_MATCHES for picture in pictures)
    return (
        f"no cameras could be found: {connected} of {len(pictures)} pictures have something in common with another, "
        f"which is not enough; {ADVICE}"
    )


def warnings_about(scene: PosedViews, num_given: int, error: float, still_background: bool) -> list[str]:
    """Lines that a person should read before a fit.

    Args:
        num_given: pictures that cameras were looked for.
        error: mean reprojection error in pixels.
        still_background: whether COLMAP ignored what stands still in the pictures.
    """
    warnings = []
    if still_background:
        warnings.append(
            "the background stands still while something turns in front of it: the cameras are those of what turns; "
            "make the rest transparent, or mask it, before a fit"
        )
    count = len(scene.views)
    if count / num_given < LOW_FRACTION:
        warnings.append(
            f"cameras were found for {count} of {num_given} pictures only; those of the others are left out"
        )
    if error > HIGH_ERROR:
        warnings.append(
            f"the points are {error:.1f} pixels from where they were seen, which is much: expect a blurred fit"
        )
    poses = np.stack([view.pose for view in scene.views])
    warnings += camera_warnings(poses, scene.points)
    if scene.points is not None and (away := _looking_away(poses, scene.points)):
        warnings.append(f"{away} of {count} cameras have hardly any of the points in front of them: they may be wrong")
    return warnings


def camera_warnings(poses: np.ndarray, points: np.ndarray | None = None) -> list[str]:
    """Lines about cameras `[N, 3, 4]`, found or given, that show too little for a shape.

    points: `[P, 3]` on surfaces, where there are any.
    """
    warnings = []
    if len(poses) < FEW_PICTURES:
        warnings.append(f"{len(poses)} pictures are few: what only one of them shows has no shape; {ADVICE}")
    span = spanned_angle(poses, points)
    if span < ONE_SIDE:
        warnings.append(
            f"the cameras see the scene from one side, over {span:.0f} degrees: what they do not see stays unknown"
        )
    return warnings


def spanned_angle(poses: np.ndarray, points: np.ndarray | None = None) -> float:
    """The largest angle in degrees between two cameras `[N, 3, 4]`, as seen from what they look at."""
    centre = focus_point(poses) if points is None or len(points) == 0 else np.median(points, axis=0)
    directions = poses[:, :, 3] - centre
    directions /= np.maximum(np.linalg.norm(directions, axis=1, keepdims=True), 1e-12)
    return float(np.degrees(np.arccos(np.clip(directions @ directions.T, -1.0, 1.0)).max()))


def _looking_away(poses: np.ndarray, points: np.ndarray) -> int:
    """Number of cameras that have fewer than a twentieth of the points in front of them."""
    in_front = [float(((points - pose[:, 3]) @ -pose[:, 2] > 0).mean()) for pose in poses] if len(points) else []
    return sum(fraction < 0.05 for fraction in in_front)
