"""Write a field as one HTML file without any reference outside itself, which draws the field in any browser."""

from __future__ import annotations

import html
from importlib.resources import files
from pathlib import Path
from typing import Any

from fields.export.base import Progress, Source
from fields.export.page.contents import BITS, compressed, encode
from fields.export.page.program import FORMAT, Tensors
from fields.export.page.views import contents_of
from fields.export.request import ExportRequest
from scenes.errors import BadInput
from scenes.io.atomic import atomic_write_bytes, check_path_writable

# Bits per value unless they are requested: half precision costs less than a step of 8-bit images.
DEFAULT_BITS = 16
# Nothing is loaded from anywhere; workers are made of Blob URLs. Without eval, tools that drive browsers cannot wait.
POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval' blob:; style-src 'unsafe-inline'; "
    "worker-src blob:; img-src blob: data:; media-src blob:"
)
# Inflates the viewer and runs it.
START = """addEventListener("DOMContentLoaded", async () => {
  try {
    const text = atob(document.getElementById("viewer").textContent), bytes = new Uint8Array(text.length);
    for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    const script = document.createElement("script");
    script.textContent = await new Response(stream).text();
    document.body.append(script);
  } catch (error) {
    document.body.append("This page needs a browser of 2023 or later (" + error.message + ").");
    document.documentElement.dataset.state = "error";
  }
});"""
# The viewer comes before the data, so that it can say so where these were cut off.
PAGE = """<!doctype html>
<html lang="en" data-state="loading" data-kind="{kind}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<link rel="icon" href="data:,">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<canvas id="view" tabindex="0" role="img" aria-label="{title}"></canvas>
<div id="bar"></div>
<aside id="panel" hidden></aside>
<noscript><p id="message">This page computes its picture, which needs JavaScript.</p></noscript>
<script type="application/octet-stream" id="viewer">{viewer}</script>
<script>{start}</script>
<script type="application/octet-stream" id="field" data-length="{length}">{data}</script>
</body>
</html>
"""


def write(source: Source, out: Path, request: ExportRequest, progress: Progress) -> dict[str, Any]:
    """Write the page. BadInput where the field has a part that the viewer does not compute."""
    bits = request.bits or DEFAULT_BITS
    if bits not in BITS:
        raise BadInput(f"`bits={bits}`: the weights of a page have {BITS[0]}, {BITS[1]} or {BITS[2]} bits")
    check_path_writable(out)
    content = page_of(source, bits).encode()
    atomic_write_bytes(out, content)
    return {
        "bytes": len(content),
        "bits": bits,
        "files": [str(out)],
        "text": f"{len(content):,} bytes, weights of {bits} bits; opens in any browser, without a network",
    }


def page_of(source: Source, bits: int) -> str:
    """The text of the page."""
    field = source.field.cpu().eval()
    tensors = Tensors()
    programs, view = contents_of(Source(source.run, field, source.kind), tensors)
    title = _title(source)
    header = {
        "format": FORMAT,
        "kind": source.kind,
        "title": title,
        "programs": programs,
        "domain": field.domain.to_json(),
        "channels": field.channels.to_json(),
        "view": view,
        "about": _about(source, bits),
        "bits": bits,
    }
    data = encode(header, tensors, bits)
    return PAGE.format(
        kind=source.kind,
        policy=POLICY,
        title=html.escape(title),
        style=_asset("viewer.css"),
        viewer=compressed(_asset("viewer.js").encode()),
        start=START,
        length=len(data),
        data=data,
    )


def _asset(name: str) -> str:
    return (files("fields.export.page") / name).read_text(encoding="utf-8")


def _title(source: Source) -> str:
    """The name of what was fitted, without its folder."""
    if source.run is None:
        return source.kind
    return Path(str(source.run.header["source"].get("path", source.run.path.name))).stem or source.kind


def _about(source: Source, bits: int) -> list[tuple[str, str]]:
    """What the page says about its field: names and texts."""
    field, run = source.field, source.run
    rows = [("Kind", source.kind)]
    if run is not None:
        rows.append(("Method", run.header["method"]))
    rows.append(("Parameters", f"{field.num_parameters:,}, of {bits} bits"))
    if run is None:
        return rows
    found = run.metrics() or {}
    for name, value in (found.get("metrics") or {}).items():
        rows.append((name.upper() if len(name) < 5 else name.replace("_", " "), f"{value:.4g}"))
    rows.append(("Source", Path(str(run.header["source"].get("path", ""))).name or "an array"))
    steps, seconds = found.get("steps"), found.get("seconds")
    if steps:
        rows.append(("Fit", f"{steps:,} steps" + (f" in {seconds:.3g} s" if seconds else "")))
    machine = run.header.get("machine") or {}
    if cpu := machine.get("gpu") if run.header.get("device") == "cuda" else machine.get("cpu"):
        rows.append(("Machine", str(cpu)))
    version = run.header.get("versions", {}).get("field-studio", "")
    rows.append(("Made with", f"Field Studio {version}".strip()))
    return rows
