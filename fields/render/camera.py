"""Rays of a camera as tensors."""

from __future__ import annotations

import torch
from torch import Tensor

from scenes.posed.camera import Camera


def camera_rays(camera: Camera, device: torch.device | str = "cpu") -> tuple[Tensor, Tensor]:
    """Origins and unit directions through the centers of a camera's pixels, `[height * width, 3]` float32 each.

    They go row by row from the top left, in the axes of the camera's pose.
    """
    origins, directions = (torch.tensor(rays, dtype=torch.float32) for rays in camera.rays())
    return origins.to(device), directions.to(device)
