"""One small file: weights of a few bits, entropy-coded, which every command takes for a run."""

from __future__ import annotations

from pathlib import Path

from fields.export.base import Progress, Source
from fields.export.request import ExportRequest
from fields.fit.fit import reopen
from fields.kinds import objective_for
from fields.methods.registry import make_method
from fields.runs.bit_rate import bits_per_pixel
from fields.runs.small_file import pack, unpack
from scenes.errors import BadInput
from scenes.io.atomic import atomic_write_bytes, check_path_writable

BITS = 8


def write(source: Source, out: Path, request: ExportRequest, progress: Progress) -> dict:
    """Also says what the file scores on what was fitted, as rounding costs; where that is gone, it says so."""
    check_path_writable(out)
    run, field = source.run, source.field
    bits = request.bits or BITS
    method = make_method(run.header["method"], run.header["options"])
    before = run.metrics() or {}
    metrics, notes = None, []
    try:
        signal = reopen(run)
        metrics = objective_for(signal, field, run.header["options"]["loss"]).evaluate(
            unpack(pack(field, method, bits)).to(next(field.parameters()).device)
        )
    except BadInput as error:
        notes.append(f"what rounding costs is not known: {error}")
    about = {"run": run.header, "metrics": {**before, "metrics": metrics} if metrics else before or None}
    content = pack(field, method, bits, {**about, "cameras": run.camera_content()})
    atomic_write_bytes(out, content)
    rate = bits_per_pixel(source.kind, field.domain, len(content))
    a_number = 8 * len(content) / field.num_parameters
    text = f"{len(content):,} bytes, {a_number:.2f} bits a number" + (f", {rate:.4g} bits a pixel" if rate else "")
    for name, value in (metrics or {}).items():
        text += f", {name} {value:.4g}" + (
            f" (was {before['metrics'][name]:.4g})" if name in before.get("metrics", {}) else ""
        )
    return {
        "bytes": len(content),
        "bits_per_number": round(a_number, 4),
        **({"bits_per_pixel": round(rate, 5)} if rate else {}),
        "metrics": metrics,
        "metrics_before": before.get("metrics"),
        "files": [str(out)],
        "text": text,
        "notes": notes,
    }
