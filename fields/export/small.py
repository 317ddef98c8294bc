"""Write a field as one compressed file: weights of a few bits, entropy-coded, which every command takes for a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fields.export.base import Progress, Source
from fields.export.request import ExportRequest
from fields.fit.fit import reopen
from fields.kinds import objective_for
from fields.methods.registry import make_method
from fields.models.field import Field
from fields.runs.bit_rate import bits_per_pixel
from fields.runs.run import Run
from fields.runs.small_file import pack, unpack
from scenes.errors import BadInput
from scenes.io.atomic import atomic_write_bytes, check_path_writable

# Bits per parameter before entropy coding, unless they are requested.
BITS = 8


def write(source: Source, out: Path, request: ExportRequest, progress: Progress) -> dict[str, Any]:
    """Write a compressed file, and report what it scores on the signal that was fitted, as rounding costs quality.

    A note says so where the signal is gone.
    """
    check_path_writable(out)
    run, field = source.stored_run, source.field
    bits = request.bits or BITS
    if bits > BITS:
        raise BadInput(f"`bits={bits}`: a compressed file has 2 to {BITS} bits per parameter")
    method = make_method(run.header["method"], run.header["options"])
    before = run.metrics() or {}
    metrics, notes = None, []
    try:
        metrics = _scores(run, unpack(pack(field, method, bits)).to(field.device))
    except BadInput as error:
        notes.append(f"The quality after rounding is not known: {error}")
    about = {"run": run.header, "metrics": {**before, "metrics": metrics} if metrics else before or None}
    content = pack(field, method, bits, {**about, "cameras": run.camera_content()})
    atomic_write_bytes(out, content)
    per_pixel = bits_per_pixel(source.kind, field.domain, len(content))
    per_parameter = 8 * len(content) / field.num_parameters
    text = f"{len(content):,} bytes, {per_parameter:.2f} bits per parameter"
    if per_pixel:
        text += f", {per_pixel:.4g} bits per pixel"
    for name, value in (metrics or {}).items():
        text += f", {name} {value:.4g}"
        if name in before.get("metrics", {}):
            text += f" (was {before['metrics'][name]:.4g})"
    return {
        "bytes": len(content),
        "bits_per_number": round(per_parameter, 4),
        **({"bits_per_pixel": round(per_pixel, 5)} if per_pixel else {}),
        "metrics": metrics,
        "metrics_before": before.get("metrics"),
        "files": [str(out)],
        "text": text,
        "notes": notes,
    }


def _scores(run: Run, field: Field) -> dict[str, float]:
    """Metrics of a field on the signal of a run. Raises BadInput if its file has moved or changed."""
    return objective_for(reopen(run), field, run.header["options"]["loss"]).evaluate(field)
