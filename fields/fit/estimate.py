"""Memory that a fit takes, estimated before it begins.

`python -m benchmarks.memory` compares the estimate with what fits took; the constants were chosen by it.
"""

from __future__ import annotations

from fields.kinds import KINDS
from fields.methods.base import Method
from scenes.errors import BadInput
from scenes.io.memory import available_memory
from scenes.signal import Signal

# Bytes per parameter during training: value, gradient, Adam's two moments, step count (4 bytes each).
TRAINING_BYTES_PER_PARAMETER = 20
# Bytes per parameter while a checkpoint is written: value, two moments, step count, and all in the file's bytes.
CHECKPOINT_BYTES_PER_PARAMETER = 32
# Bytes per parameter of the good state to which a fit that diverges goes back: value, two moments, step count.
GUARD_BYTES_PER_PARAMETER = 16
# Bytes per parameter of the copy that is kept where training uses rounded weights.
ROUNDING_BYTES_PER_PARAMETER = 4


def memory_estimate(method: Method, signal: Signal, bits: int = 32) -> int:
    """Bytes that a fit takes besides the program and the decoded signal. `method` is prepared, and sized if it will be.

    `bits`: bits per stored weight, as in `FitRequest`.
    """
    per_parameter = TRAINING_BYTES_PER_PARAMETER + CHECKPOINT_BYTES_PER_PARAMETER + GUARD_BYTES_PER_PARAMETER
    if bits != 32:
        per_parameter += ROUNDING_BYTES_PER_PARAMETER
    state = per_parameter * method.count_parameters(signal.domain, signal.channels)
    kind = KINDS[signal.kind]
    scoring = kind.scoring_bytes
    if kind.scoring_bytes_per_value:
        values = (signal.domain.shape[0] or 0) * len(signal.channels)
        scoring += kind.scoring_bytes_per_value * values
    return state + method.batch * method.step_bytes(signal) + scoring


def refuse_too_large(parameters: int) -> None:
    """Raise BadInput where a field of so many parameters cannot be trained in the memory that is free."""
    free, needed = available_memory(), parameters * TRAINING_BYTES_PER_PARAMETER
    if needed > free:
        raise BadInput(
            f"a field of {parameters:,} parameters takes {needed / 2**30:.1f} GiB of memory to train, and "
            f"{free / 2**30:.1f} GiB are free; ask for at most `params={free // TRAINING_BYTES_PER_PARAMETER // 1000}k`"
        )
