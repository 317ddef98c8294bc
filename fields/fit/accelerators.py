"""What a fit asks of its device, and is refused where the device does not have it."""

from __future__ import annotations

import torch

from fields.methods.base import Method
from fields.methods.radiance import RadianceOptions, SceneOptions
from fields.ops import nerfacc_rays
from scenes.errors import BadInput
from scenes.signal import Signal


def check_device(method: Method, signal: Signal, device: torch.device) -> None:
    """Raise BadInput where a prepared method cannot be trained on a device as its options want."""
    if not signal.channels.is_radiance:
        return
    if device.type == "mps":
        raise BadInput("`device=mps`: scenes are composited in float64, which Apple's GPUs lack; use `device=cpu`")
    if isinstance(method, SceneOptions) and method.march == "nerfacc":
        if reason := nerfacc_rays.why_not(device.type):
            raise BadInput(f"march=nerfacc: {reason}; use `march=native`")
        if isinstance(method, RadianceOptions) and method.sampling == "proposal":
            raise BadInput("march=nerfacc: samples of this scene come from proposals; use `sampling=cells`")
