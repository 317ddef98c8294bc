"""The files that people look at, made from what a comparison stores: curves.png, crops.png and one HTML page."""

from __future__ import annotations

import base64
import io
import json
from html import escape
from pathlib import Path

import numpy as np

from fields.compare import chart
from fields.compare.comparison import HEADER, Comparison
from fields.compare.curve import read_curve
from fields.compare.pictures import crop_sheet, error_map, shown, worst_places
from fields.compare.table import best, columns, summary, written
from scenes.io.atomic import atomic_write, atomic_write_bytes

PAGE = "comparison.html"
MEASURES = {"psnr": "PSNR of fixed samples, dB", "snr": "SNR of fixed samples, dB", "loss": "loss of fixed samples"}


def write_report(comparison: Comparison) -> Path:
    """Writes the three files into the comparison's folder, and returns the page's path."""
    lines, measure = curves(comparison)
    target, fits = shown(comparison)
    places = worst_places(target, fits) if fits else []
    if lines:
        chart.png(lines, "seconds", measure, comparison.path / "curves.png", logarithmic=True)
    if fits:
        _save(comparison.path / "crops.png", crop_sheet(target, fits, places))
    page = comparison.path / PAGE
    atomic_write_bytes(page, html(comparison).encode())
    return page


def curves(comparison: Comparison) -> tuple[list[chart.Line], str]:
    """A line for each fit that has begun, and what its height means."""
    lines, measure = [], ""
    for method, seed in comparison.wanted:
        if rows := read_curve(comparison.folder(method, seed) / "curve.jsonl"):
            lines.append(chart.Line(method, [(row["seconds"], row["value"]) for row in rows]))
            measure = MEASURES.get(rows[0]["measure"], rows[0]["measure"])
    return lines, measure


def html(comparison: Comparison) -> str:
    """The page: no file and no host besides itself is needed to look at it."""
    here = Path(__file__).parent
    header = comparison.header
    name = header["source"]["path"].replace("\\", "/").rpartition("/")[2]
    replaced = {
        "TITLE": escape(f"{name}: {', '.join(header['methods'])}"),
        "NAME": escape(name),
        "SUBTITLE": escape(subtitle(header)),
        "STYLE": (here / "page.css").read_text(encoding="utf-8"),
        "SCRIPT": (here / "page.js").read_text(encoding="utf-8"),
        "BODY": body(comparison),
        "DATA": base64.b64encode(json.dumps(header, indent=2).encode()).decode(),
        "FILE": HEADER,
    }
    page = (here / "page.html").read_text(encoding="utf-8")
    for key, value in replaced.items():
        page = page.replace("{{" + key + "}}", value)
    return page


def subtitle(header: dict) -> str:
    equal = [
        f"{header['parameters']:,} parameters each" if header["parameters"] else "each method's own size",
        f"{header['steps']:,} steps each" if header["steps"] else f"{header['seconds']:g} s each",
        f"{header['seeds']} seeds" if header["seeds"] > 1 else "one seed",
        f"scored on the {header['held_out']:.0%} held out" if header["held_out"] else "",
    ]
    return (
        f"{header['kind']}, {header['signal']}; "
        + ", ".join(part for part in equal if part)
        + f"; on {header['machine']['cpu']}"
    )


def body(comparison: Comparison) -> str:
    """Table, curves and pictures as HTML, for the page and for the studio."""
    lines, measure = curves(comparison)
    target, fits = shown(comparison)
    parts = [table(comparison.header)]
    if lines:
        drawing = chart.svg(lines, "seconds", measure, logarithmic=True)
        parts.append(f"<section><h2>Quality against time</h2><figure>{drawing}</figure></section>")
    if fits:
        parts.append(_viewer(target, fits, worst_places(target, fits)))
    return "\n".join(parts)


def table(header: dict) -> str:
    lines = summary(header)
    heads = columns(header)
    rows = []
    for line in lines:
        cells = []
        for key, _, form in heads:
            value = line["values"].get(key)
            is_best = value is not None and value[0] == best(lines, key)
            cells.append(f"<td{' class=best' if is_best else ''}>{escape(written(value, form))}</td>")
        note = (
            f'<tr class="failed"><td colspan="{len(heads) + 1}">{escape(line["errors"][0])}</td></tr>'
            if line["errors"]
            else ""
        )
        rows.append(f'<tr><th scope="row">{escape(line["method"])}</th>{"".join(cells)}</tr>{note}')
    head = "".join(f'<th scope="col">{escape(title)}</th>' for _, title, _ in heads)
    return (
        f'<section><div class="wide" tabindex="0" role="region" aria-label="Results"><table><thead><tr><th scope="col">method</th>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div></section>"
    )


def _viewer(target: np.ndarray, fits: dict[str, np.ndarray], places: list[tuple[int, int, int]]) -> str:
    height, width = target.shape[:2]
    panes = [_pane("target", target, None)] + [_pane(name, fit, error_map(fit, target)) for name, fit in fits.items()]
    jumps = "".join(
        f'<button type="button" data-jump="{left / width:.5f},{top / height:.5f},{side / width:.5f}">{number}</button>'
        for number, (left, top, side) in enumerate(places, 1)
    )
    return (
        f'<section class="compare-viewer" style="--ratio:{width}/{height}"><h2>Side by side</h2>'
        '<div class="tools"><span role="group" aria-label="What is shown"><button type="button" data-show="fit" aria-pressed="true">fit</button>'
        '<button type="button" data-show="error" aria-pressed="false">error × 10</button></span>'
        f'<span role="group" aria-label="Places">where they err most {jumps}<button type="button" data-jump="all">whole</button></span>'
        '<span class="hint">wheel or + − to zoom, drag or arrows to move: all move together</span></div>'
        f'<div class="panes">{"".join(panes)}</div></section>'
    )


def _pane(name: str, fit: np.ndarray, error: np.ndarray | None) -> str:
    second = (
        f'<img class="error" alt="error of {escape(name)}" src="{_inline(error)}" draggable="false">'
        if error is not None
        else ""
    )
    return (
        f'<figure><div class="pane" tabindex="0" role="group" aria-label="{escape(name)}, zoomable"><img class="fit" alt="{escape(name)}" src="{_inline(fit)}" '
        f'draggable="false">{second}</div><figcaption>{escape(name)}</figcaption></figure>'
    )


def _inline(picture: np.ndarray) -> str:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "webp", quality=93)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()


def _save(path: Path, picture: np.ndarray) -> None:
    from PIL import Image

    with atomic_write(path) as temporary:
        Image.fromarray(picture).save(temporary)
