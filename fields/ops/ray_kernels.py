"""C structures of the compiled ray operations, and the function that calls them."""

from __future__ import annotations

import ctypes

import torch
from torch import Tensor

import cuda_ext
from fields.ops import backends, ray_kernels_cuda

_INT32, _INT64, _POINTER, _DOUBLE = ctypes.c_int32, ctypes.c_int64, ctypes.c_void_p, ctypes.c_double


class BoxCall(ctypes.Structure):
    """`BoxCall` in csrc/common/rays.h."""

    _fields_ = [
        ("rays", _INT64),
        ("is_double", _INT32),
        ("num_threads", _INT32),
        ("lower", _DOUBLE * 3),
        ("upper", _DOUBLE * 3),
        *((name, _POINTER) for name in ("origins", "directions", "near", "far")),
    ]


class MarchCall(ctypes.Structure):
    """`MarchCall` in csrc/common/rays.h."""

    _fields_ = [
        ("rays", _INT64),
        ("first_ray", _INT64),
        ("max_steps", _INT64),
        ("is_double", _INT32),
        ("num_threads", _INT32),
        ("cascades", _INT32),
        ("resolution", _INT32),
        ("jitter", _INT32),
        ("seed", ctypes.c_uint32),
        ("max_samples", _INT64),
        ("centre", _DOUBLE * 3),
        ("inverse_cell_size", _DOUBLE * 3),
        ("step", _DOUBLE),
        ("cone", _DOUBLE),
        *(
            (name, _POINTER)
            for name in (
                "origins",
                "directions",
                "near",
                "far",
                "occupied",
                "clearance",
                "counts",
                "offsets",
                "starts",
                "ends",
                "ray_indices",
            )
        ),
    ]


class CompositeCall(ctypes.Structure):
    """`CompositeCall` in csrc/common/rays.h."""

    _fields_ = [
        ("rays", _INT64),
        ("is_double", _INT32),
        ("num_threads", _INT32),
        ("channels", _INT32),
        ("reserved", _INT32),
        ("threshold", _DOUBLE),
        *(
            (name, _POINTER)
            for name in (
                "density",
                "colors",
                "starts",
                "ends",
                "offsets",
                "color",
                "opacity",
                "depth",
                "weights",
                "grad_color",
                "grad_opacity",
                "grad_depth",
                "grad_weights",
                "grad_density",
                "grad_colors",
            )
        ),
    ]


class DistortionCall(ctypes.Structure):
    """`DistortionCall` in csrc/common/rays.h."""

    _fields_ = [
        ("rays", _INT64),
        ("is_double", _INT32),
        ("num_threads", _INT32),
        *((name, _POINTER) for name in ("weights", "starts", "ends", "offsets", "loss", "grad_loss", "grad_weights")),
    ]


class ImportanceCall(ctypes.Structure):
    """`ImportanceCall` in csrc/common/rays.h."""

    _fields_ = [
        ("rays", _INT64),
        ("first_ray", _INT64),
        ("is_double", _INT32),
        ("num_threads", _INT32),
        ("edges", _INT32),
        ("jitter", _INT32),
        ("seed", ctypes.c_uint32),
        ("reserved", ctypes.c_uint32),
        *((name, _POINTER) for name in ("weights", "starts", "ends", "offsets", "out")),
    ]


def run(name: str, call: type[ctypes.Structure], like: Tensor, **values: Tensor | int | float | tuple | None) -> None:
    """Call `fs_{name}` with a structure of these values, on the device of `like` and in its dtype.

    Tensors are passed as pointers: the caller makes them contiguous and of the dtype that the structure declares.
    """
    filled = {
        key: value.data_ptr() if isinstance(value, Tensor) else value
        for key, value in values.items()
        if value is not None
    }
    filled |= {"is_double": like.dtype == torch.float64, "num_threads": torch.get_num_threads()}
    _dispatch(name, call(**filled), like.device)


def _dispatch(name: str, call: ctypes.Structure, device: torch.device) -> None:
    if backends.device_type(device) == "cuda":
        ray_kernels_cuda.run(name, call, device)
    else:
        getattr(cuda_ext.load("cpu"), f"fs_{name}")(ctypes.byref(call))
