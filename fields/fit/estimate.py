"""How much memory a fit will take, before it begins: for people who plan. `python -m benchmarks.memory` compares it with what fits took, by
which the constants below were chosen.
"""

from __future__ import annotations

import math

from fields.methods.base import Method
from fields.methods.radiance import count_parameters
from scenes.signal import Signal

# Bytes for each stored number while a field is fitted: itself, its gradient, two moments and a step count, all of four.
STATE = 20
# And while a checkpoint is written: weights, moments and counts once more, and again as the bytes of the file.
CHECKPOINT = 32
# Of a point's activations, about so many copies of four bytes live through a step that is left to autograd; CAM's are scaled and moved too.
COPIES, MODULATED_COPIES = 4, 8
# Of a feature that is read from planes and lines with all its corners, as many more.
CORNERS = 8
WIDEST_UNKNOWN = 64
# What a point takes where native code goes through the network a tile at a time, in the fused step, and a pixel of a frame that is made whole.
TILED, FUSED, FRAME_PIXEL = 600, 64, 2000
# What scoring takes besides: of a shape a lattice, its mesh and a tree of that; of a sound its spectra, so many bytes a sample.
SCORING = {"shape": 350_000_000, "volume": 24_000_000, "audio": 24_000_000, "video": 2_000_000}
SCORING_OTHERS = 12_000_000
SPECTRA = 50


def memory_estimate(method: Method, signal: Signal, bits: int = 32) -> int:
    """Bytes above what the program and the decoded signal take; `method` is prepared (and sized)."""
    state = count_parameters(method, signal.domain, signal.channels) * (STATE + CHECKPOINT + (4 if bits != 32 else 0))
    batch = getattr(method, "batch", 1 << 14) or 1 << 14
    return (
        state
        + batch * _a_sample(method, signal)
        + SCORING.get(signal.kind, SCORING_OTHERS)
        + (SPECTRA * signal.domain.shape[0] * len(signal.channels) if signal.kind == "audio" else 0)
    )


def _a_sample(method: Method, signal: Signal) -> int:
    """Bytes that each sample of a step takes."""
    if method.name.startswith("nerv"):
        return FRAME_PIXEL * math.prod(n or 1 for n in signal.domain.shape[:2])
    radiance, native = signal.kind == "radiance", getattr(method, "head", "") == "mlp"
    features = getattr(method, "features", None) or 0
    grids = (getattr(method, "levels", None) or 1) * (3 if method.name in ("triplane", "tensorf", "kplanes") else 1)
    if native:
        fused = method.name == "hashgrid" and method.fused != "off" and not radiance
        return FUSED if fused else TILED + 4 * COPIES * grids * features
    width, layers = getattr(method, "width", WIDEST_UNKNOWN), getattr(method, "hidden_layers", 2) + 2
    copies = MODULATED_COPIES if method.name == "cam" else COPIES
    corners = CORNERS * grids * features if method.name in ("triplane", "tensorf", "kplanes") else 0
    # Along rays more places are looked at than light reaches.
    return (2 if radiance else 1) * 4 * copies * (width * layers + corners)
