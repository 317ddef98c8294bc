"""The compiled ray operations: what their calls look like, and how they are made."""

from __future__ import annotations

import ctypes

import torch
from torch import Tensor

import cuda_ext
from fields.ops import ray_kernels_cuda

_INT32, _INT64, _POINTER, _DOUBLE = ctypes.c_int32, ctypes.c_int64, ctypes.c_void_p, ctypes.c_double


class BoxCall(ctypes.Structure):
    """`BoxCall` in csrc/common/rays.h, as are those below."""

    _fields_ = [
        ("rays", _INT64),
        ("is_double", _INT32),
        ("workers", _INT32),
        ("lower", _DOUBLE * 3),
        ("upper", _DOUBLE * 3),
        *((name, _POINTER) for name in ("origins", "directions", "near", "far")),
    ]


class MarchCall(ctypes.Structure):
    _fields_ = [
        ("rays", _INT64),
        ("first_ray", _INT64),
        ("longest", _INT64),
        ("is_double", _INT32),
        ("workers", _INT32),
        ("levels", _INT32),
        ("resolution", _INT32),
        ("jitter", _INT32),
        ("seed", ctypes.c_uint32),
        ("most", _INT64),
        ("centre", _DOUBLE * 3),
        ("per_cell", _DOUBLE * 3),
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
                "clear",
                "counts",
                "offsets",
                "starts",
                "ends",
                "ray_indices",
            )
        ),
    ]


class CompositeCall(ctypes.Structure):
    _fields_ = [
        ("rays", _INT64),
        ("is_double", _INT32),
        ("workers", _INT32),
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
    _fields_ = [
        ("rays", _INT64),
        ("is_double", _INT32),
        ("workers", _INT32),
        *((name, _POINTER) for name in ("weights", "starts", "ends", "offsets", "loss", "grad_loss", "grad_weights")),
    ]


class ImportanceCall(ctypes.Structure):
    _fields_ = [
        ("rays", _INT64),
        ("first_ray", _INT64),
        ("is_double", _INT32),
        ("workers", _INT32),
        ("edges", _INT32),
        ("jitter", _INT32),
        ("seed", ctypes.c_uint32),
        ("reserved", ctypes.c_uint32),
        *((name, _POINTER) for name in ("weights", "starts", "ends", "offsets", "out")),
    ]


def run(name: str, call: type[ctypes.Structure], like: Tensor, **values: Tensor | int | float | tuple | None) -> None:
    """`fs_{name}` with a call of these values, where `like` lives and in its dtype.

    Tensors become pointers: they are contiguous and of the dtype that the call wants, which is for the caller to see to.
    """
    filled = {
        key: value.data_ptr() if isinstance(value, Tensor) else value
        for key, value in values.items()
        if value is not None
    }
    filled |= {"is_double": like.dtype == torch.float64, "workers": torch.get_num_threads()}
    _make(name, call(**filled), like.device)


def _make(name: str, call: ctypes.Structure, device: torch.device) -> None:
    if device.type == "cuda":
        ray_kernels_cuda.run(name, call, device)
    else:
        getattr(cuda_ext.load("cpu"), f"fs_{name}")(ctypes.byref(call))
