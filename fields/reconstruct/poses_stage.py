"""The first stage: the cameras of photographs and films that come without."""

from __future__ import annotations

import time

from fields.export.scene_assets.reports import Reports
from fields.export.scene_assets.schedule import Schedule
from fields.reconstruct.request import ReconstructRequest
from scenes.posed.read import is_posed

# Folder in the run's own where the found cameras and their photographs are.
FOLDER = "poses"
# Fraction of the time after which no further try at finding the cameras begins.
UNTIL = 0.4


def posed_source(request: ReconstructRequest, reports: Reports, schedule: Schedule) -> tuple[str, dict[str, float]]:
    """A source whose cameras are known: the request's own, or the one that is found and kept in the run's folder.

    Returns it, and the seconds that the stage took, which are none where there was nothing to do.
    """
    if is_posed(request.source):
        return request.source, {}
    from scenes.posed.find import find_poses

    assert request.out is not None
    folder = request.out / FOLDER
    begun = time.perf_counter()
    seconds = UNTIL * schedule.seconds
    reports.begin("poses", seconds)
    found = find_poses(
        request.source,
        folder,
        seed=request.seed,
        seconds=seconds,
        progress=lambda stage, fraction: reports.fraction(fraction, stage),
    )
    taken = time.perf_counter() - begun
    reports.end("poses", taken)
    for warning in found.warnings:
        reports.message(warning)
    for name, reason in found.left_out:
        reports.message(f"{name} is not used: {reason}")
    return str(folder), {"poses": round(taken, 3)}
