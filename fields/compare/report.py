"""The files that people look at, made from what a comparison stores: curves.png, crops.png and one HTML page."""

from __future__ import annotations

import base64
import io
import json
from functools import cache
from pathlib import Path

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from fields.compare import chart
from fields.compare.comparison import HEADER, Comparison
from fields.compare.curve import read_curve
from fields.compare.images import ERROR_GAIN, crop_sheet, error_map, finished_images, save_image, worst_regions
from fields.compare.table import best, columns, format_value, summarize

FOLDER = Path(__file__).parent
# Name of the page in the comparison's folder.
PAGE = "comparison.html"
# What the curves show, by the name under which an objective tells its running quality.
MEASURES = {"psnr": "PSNR of fixed samples, dB", "snr": "SNR of fixed samples, dB", "loss": "loss of fixed samples"}
# Quality of the images in the page, on WebP's scale to 100.
WEBP_QUALITY = 93


def write_report(comparison: Comparison) -> Path:
    """Write the three files into the comparison's folder. Returns the path of the page."""
    from scenes.io.atomic import atomic_write_bytes

    lines, measure = curves(comparison)
    if lines:
        chart.png(lines, "seconds", measure, comparison.path / "curves.png", logarithmic=True)
    target, fits = finished_images(comparison)
    if target is not None:
        save_image(comparison.path / "crops.png", crop_sheet(target, fits, worst_regions(target, fits)))
    page = comparison.path / PAGE
    atomic_write_bytes(page, html(comparison).encode())
    return page


def curves(comparison: Comparison, against: str = "seconds") -> tuple[list[chart.Line], str]:
    """A line of quality against seconds for each fit that has begun, and the title of the quality's axis.

    `against`: "seconds" or "step".
    """
    lines: list[chart.Line] = []
    measure = ""
    for method, seed in comparison.wanted:
        if rows := read_curve(comparison.folder(method, seed) / "curve.jsonl"):
            lines.append(chart.Line(method, [(row[against], row["value"]) for row in rows]))
            name: str = rows[0]["measure"]
            measure = MEASURES.get(name, name)
    return lines, measure


def sizes(comparison: Comparison) -> list[chart.Line]:
    """A point of the last quality against the number of parameters for each finished fit."""
    points = []
    for row in comparison.rows:
        rows = read_curve(comparison.path / row["run"] / "curve.jsonl")
        if row["status"] == "finished" and rows:
            points.append(chart.Line(row["method"], [(row["parameters"], rows[-1]["value"])]))
    return points


def html(comparison: Comparison) -> str:
    """The page. It needs no file and no host besides itself."""
    header = comparison.header
    return render_part(
        "page",
        name=header["source"]["path"].replace("\\", "/").rpartition("/")[2],
        methods=header["methods"],
        subtitle=subtitle(header),
        # The project's own files, which are no values to escape.
        style=Markup((FOLDER / "page.css").read_text(encoding="utf-8")),
        script=Markup((FOLDER / "page.js").read_text(encoding="utf-8")),
        body=body(comparison),
        data=base64.b64encode(json.dumps(header, indent=2).encode()).decode(),
        file=HEADER,
    )


def subtitle(header: dict) -> str:
    """One line about what is compared: the signal, what is equal for all methods, and the machine."""
    equal = [
        f"{header['parameters']:,} parameters each" if header["parameters"] else "each method's own size",
        f"{header['steps']:,} steps each" if header["steps"] else f"{header['seconds']:g} s each",
        f"{header['seeds']} seeds" if header["seeds"] > 1 else "one seed",
        f"scored on the {header['held_out']:.0%} held out" if header["held_out"] else "",
    ]
    shared = ", ".join(part for part in equal if part)
    return f"{header['kind']}, {header['signal']}; {shared}; on {header['machine']['cpu']}"


def body(comparison: Comparison) -> Markup:
    """Table, curves and images of what is finished, as HTML for the page and for the studio."""
    lines, measure = curves(comparison)
    target, fits = finished_images(comparison)
    images: list[dict] = []
    regions: list[str] = []
    height = width = 1
    if target is not None:
        height, width = target.shape[:2]
        images = [{"name": "target", "fit": _data_url(target), "error": None}]
        images += [
            {"name": name, "fit": _data_url(fit), "error": _data_url(error_map(fit, target))}
            for name, fit in fits.items()
        ]
        regions = [
            f"{left / width:.5f},{top / height:.5f},{side / width:.5f}"
            for left, top, side in worst_regions(target, fits)
        ]
    return render_part(
        "body",
        titles=[title for _, title, _ in columns(comparison.header)],
        rows=_table_rows(comparison.header),
        curves=chart.svg(lines, "seconds", measure, logarithmic=True),
        others=[
            (f"Quality against {x}", drawn)
            for x, others in (("steps", curves(comparison, "step")[0]), ("parameters", sizes(comparison)))
            if (drawn := chart.svg(others, x, measure, logarithmic=True))
        ],
        images=images,
        regions=regions,
        width=width,
        height=height,
        gain=ERROR_GAIN,
    )


def _table_rows(header: dict) -> list[dict]:
    """The rows of the table: the name of the method, its cells, the first error of its fits, and notes on results."""
    lines = summarize(header)
    rows = []
    for line in lines:
        cells = []
        for key, _, form in columns(header):
            value = line["values"].get(key)
            cells.append(
                {"text": format_value(value, form), "best": value is not None and value[0] == best(lines, key)}
            )
        error = line["errors"][0] if line["errors"] else ""
        rows.append({"method": line["method"], "cells": cells, "error": error, "notes": line["notes"]})
    return rows


def render_part(template: str, **values: object) -> Markup:
    """Fill in a template. Values are escaped unless they are `Markup`."""
    return Markup(_templates().get_template(f"{template}.html.j2").render(**values))


@cache
def _templates() -> Environment:
    return Environment(
        loader=FileSystemLoader(FOLDER / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _data_url(image: np.ndarray) -> str:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "webp", quality=WEBP_QUALITY)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()
