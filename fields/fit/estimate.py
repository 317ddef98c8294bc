"""How much memory a fit will take, before it begins: for people who plan, good to about a factor of two."""

from __future__ import annotations

from fields.methods.base import Method
from scenes.signal import Signal

# Bytes for each stored number while a field is fitted: itself, its gradient, two moments and a step count, all of four.
STATE = 20
# And while a checkpoint is written: weights, moments and counts once more.
CHECKPOINT = 16
# Of a point's activations, about so many copies live through a step that is left to autograd.
COPIES = 4
WIDEST_UNKNOWN = 64


def memory_estimate(method: Method, signal: Signal, bits: int = 32) -> int:
    """Bytes above what the program and the decoded signal take; `method` is prepared (and sized)."""
    parameters = method.parameters(signal.domain.dimensions, len(signal.channels))
    state = parameters * (STATE + CHECKPOINT + (4 if bits != 32 else 0))
    width, layers = getattr(method, "width", WIDEST_UNKNOWN), getattr(method, "hidden_layers", 2) + 2
    batch = getattr(method, "batch", 1 << 14) or 1 << 14
    fused = method.name == "hashgrid" and getattr(method, "fused", "off") != "off" and getattr(method, "head", "") == "mlp"
    activations = batch * 64 if fused else batch * width * layers * 4 * COPIES
    return state + activations
