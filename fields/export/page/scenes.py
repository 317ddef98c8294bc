"""What a page knows of a scene: programs of density and color, the cells that are occupied, the run's cameras."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from fields.export.base import Source
from fields.export.outputs.radiance import RadianceOutput
from fields.export.page.describe import describe
from fields.export.page.program import Program, Tensors, Vector
from fields.export.viewers import orbit_pose
from fields.models.field import CONE, MIN_WEIGHT, RadianceField
from fields.models.radiance import FAR, FIELD_SAMPLES, MAX_LOG_DENSITY, NEAR, PROPOSAL_SAMPLES, EncodedRadiance
from fields.ops.march import pack_cells
from fields.sampling.march_settings import MarchSettings
from fields.sampling.proposal import PADDING
from scenes.errors import BadInput
from scenes.posed.camera import NUM_COEFFICIENTS, Camera, Intrinsics
from scenes.posed.signal import BACKGROUNDS

# Knee of rays whose samples are proposed, the default of `fields.sampling.proposal.propose`.
KNEE = 2.0


def scene_contents(source: Source, tensors: Tensors) -> tuple[dict[str, Any], dict[str, Any]]:
    """The programs of a scene and what its view needs. BadInput, with the reason, where a page cannot draw it."""
    field = source.field
    if not isinstance(field, EncodedRadiance):
        raise BadInput(
            f"a page cannot draw a {type(field).__name__} yet: its density depends on neighbouring samples of a ray; "
            "export a mesh (.glb) or a video"
        )
    programs = {"density": _density(field, tensors), "color": _color(field, tensors)}
    proposal = None
    if field.proposal_field is not None:
        program = Program(tensors, 3)
        programs["proposal"] = program.to_json(describe(field.proposal_field, program, program.inputs[0]))
        proposal = {
            "near": NEAR,
            "far": FAR,
            "knee": KNEE,
            "counts": [PROPOSAL_SAMPLES, FIELD_SAMPLES],
            "padding": PADDING,
        }
    words = pack_cells(field.grid.occupancy.cells()).cpu().numpy().view(np.uint16)
    learned = field.background_color()
    output = RadianceOutput(field, source.run.path if source.run else None)
    background = [BACKGROUNDS[output.background]] * 3 if learned is None else learned.tolist()
    view = {
        "features": len(field.trunk.channels),
        "log_density": [field.initial_log_density, MAX_LOG_DENSITY],
        "moving": field.moving,
        "directional": field.directional_density,
        "unbounded": field.cascades > 1,
        "occupied": tensors.add_words(words),
        "cells": field.cells,
        "cascades": field.cascades,
        "step": field.step,
        "cone": CONE if field.cascades > 1 else 0.0,
        "min_weight": 0.0 if proposal else MIN_WEIGHT,
        "min_transmittance": MarchSettings().min_transmittance,
        "max_samples": MarchSettings().max_samples,
        "proposal": proposal,
        "background": background,
        **_cameras(field, _cameras_of(source, output)),
    }
    return programs, view


def _density(field: EncodedRadiance, tensors: Tensors) -> dict[str, Any]:
    """Coords, the time of a moving scene, and the direction where density depends on it, to the trunk's feature."""
    sizes = [3, *([1] if field.moving else []), *([3] if field.directional_density else [])]
    program = Program(tensors, *sizes)
    coords, *rest = program.inputs
    parts: list[Vector] = [coords]
    if field.moving:
        time = rest.pop(0)
        if field.deformation is not None:
            parts = [describe(field.deformation, program, coords, time)]
        if field.deformation is None or field.trunk.takes_time:
            parts.append(time)
    if field.directional_density:
        parts.append(program.step("angles", rest.pop(0), size=2))
    return program.to_json(describe(field.trunk, program, program.concat(*parts)))


def _color(field: EncodedRadiance, tensors: Tensors) -> dict[str, Any]:
    """The trunk's feature and a direction to a color."""
    features, bands = len(field.trunk.channels), field.degree**2
    program = Program(tensors, features, 3)
    feature, direction = program.inputs
    encoded = program.step("harmonics", direction, size=bands, degree=field.degree)
    if field.head is not None:
        rest = program.slice(feature, 1, features - 1)
        return program.to_json(program.map(describe(field.head, program, program.concat(encoded, rest)), "sigmoid"))
    ones = torch.ones(1, bands)
    colors = [
        program.linear(program.multiply(program.slice(feature, 1 + c * bands, bands), encoded), ones) for c in range(3)
    ]
    return program.to_json(program.map(program.concat(*colors), "sigmoid"))


def _cameras_of(source: Source, output: RadianceOutput) -> list[Camera]:
    if source.run is None:
        raise BadInput("a page of a scene needs the cameras of its run")
    return output.cameras()


def _lens(intrinsics: Intrinsics) -> dict[str, Any]:
    """What the viewer knows of a lens; it draws other distortions than those of four coefficients without them."""
    lens = {name: getattr(intrinsics, name) for name in ("width", "height", "fl_x", "fl_y", "cx", "cy")}
    if intrinsics.model == "opencv" and len(intrinsics.distortion) == NUM_COEFFICIENTS:
        lens["distortion"] = list(intrinsics.distortion)
    return lens


def _cameras(field: RadianceField, cameras: list[Camera]) -> dict[str, Any]:
    """The run's cameras, those for testing first, and what they look at, in units of the cube."""
    lower = np.array([axis.lower for axis in field.domain.axes[:3]])
    near, far = (orbit_pose(cameras, 0.0, 0.0, distance) for distance in (1.0, 2.0))
    reach = float((far[:, 3] - near[:, 3]) @ near[:, 2])
    focus = near[:, 3] - reach * near[:, 2]
    return {
        "frame": {
            "up": near[:, 1].tolist(),
            "front": near[:, 2].tolist(),
            "focus": ((focus - lower) / field.side).tolist(),
            "reach": reach / field.side,
        },
        "cameras": [
            {
                "eye": ((camera.position - lower) / field.side).tolist(),
                "right": camera.pose[:, 0].tolist(),
                "up": camera.pose[:, 1].tolist(),
                "backward": camera.pose[:, 2].tolist(),
                "lens": _lens(camera.intrinsics),
                "time": camera.time,
                "test": camera.split == "test",
            }
            for camera in cameras
        ],
    }
