"""What a run can be taken home as: what `render` and `export` write of it, and its weights."""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from apps.studio.view_renderer import Opened
from fields.export import base, formats
from fields.export.capabilities import can
from fields.export.outputs import radiance, shape
from fields.export.request import ExportRequest, RenderRequest
from fields.kinds import output_for
from fields.runs.run import Run
from scenes.errors import BadInput

WEIGHTS = "weights, and how to build the field again (.safetensors)"
# What `render` makes besides what the table of exports has.
RENDERED = {
    "volume": {"projection (.png)": ".png"},
    "shape": {"turntable (.gif)": ".gif", "view (.png)": ".png"},
    "radiance": {"view (.png)": ".png"},
}
TURNTABLE_SIZE = (400, 400)  # of shapes; scenes have their cameras'
# Forms that hold every number of the field, in so many bits.
WHOLE = {"small": 8, "weights": 32, "network": 32, "program": 32}
# What takes more numbers than this takes so long that it should be made by the command.
MAX_VALUES = 100_000_000
MAX_CELLS = 512
BYTES_A_CELL = 4
BYTES_A_SPLAT = 62 * 4


@dataclass(frozen=True)
class Choice:
    """One way of taking a run home; `by` says which program part writes it, `size` what its size is set by."""

    label: str
    ending: str
    by: str  # "render", "export" or "copy"
    size: str = ""  # "scale", "cells" or nothing
    form: str = ""
    moment: bool = False  # whether it is one moment of a clip: its middle


def choices(opened: Opened) -> list[Choice]:
    """What fits this field, the usual form of its kind first."""
    kind = opened.run.header["kind"]
    rendered = [
        Choice(label, ending, "render", "scale" if kind == "volume" else "")
        for label, ending in RENDERED.get(kind, {}).items()
    ]
    able = can(base.Source(opened.run, opened.field, kind))
    rows = {
        (row.ending, row.form): row for row in reversed(formats.FORMATS) if row.needs in able
    }  # (`export` takes the first that fits)
    exported = [
        Choice(
            _label(row),
            row.ending,
            "export",
            "scale" if "scale" in row.takes else "cells" if "resolution" in row.takes else "",
            row.form,
            kind == "video" and "time" in row.takes,
        )
        for row in reversed(rows.values())
    ]
    return [*exported, *rendered, Choice(WEIGHTS, ".safetensors", "copy")]


def _label(row: base.Format) -> str:
    ending = "folder, zipped" if row.ending == "/" else row.ending
    return f"{row.form} ({ending})" + ("" if row.description == f"a {row.form}" else f": {row.description}")


def find(opened: Opened, label: str) -> Choice:
    for choice in choices(opened):
        if choice.label == label:
            return choice
    raise BadInput(f"a field of the kind {opened.run.header['kind']} is not exported as {label}")


def estimate(run: Run, choice: Choice, scale: float, cells: int) -> str:
    """How much there will be, for people."""
    header = run.header
    if choice.by == "copy" or choice.form in WHOLE:
        return f"{header['parameters']:,} numbers, about {header['parameters'] * WHOLE.get(choice.form, header.get('bits', 32)) / 8e6:.3g} MB"
    if choice.size == "cells":
        return f"up to {cells} cells along the longest side: {cells**3 * BYTES_A_CELL / 1e6:,.0f} MB of values while it is made"
    if choice.form == "splat":
        from fields.export.splats import SPLATS

        return f"up to {SPLATS:,} Gaussians, {SPLATS * BYTES_A_SPLAT / 1e6:.0f} MB"
    if choice.size != "scale":
        return _rendered(run, choice)
    if header["kind"] == "volume" and choice.ending == ".png":
        return f"{round(400 * scale)} x {round(400 * scale)} pixels"
    if choice.moment:
        return f"{' x '.join(f'{n:,}' for n in _scaled(header, scale)[:2])} pixels, the frame in the middle"
    unit = {"image": "pixels", "audio": "samples", "video": "pixels and frames", "volume": "voxels"}[header["kind"]]
    return f"{' x '.join(f'{n:,}' for n in _scaled(header, scale))} {unit}"


def _rendered(run: Run, choice: Choice) -> str:
    """Of what `render` makes of a shape or a scene: pixels, and how many pictures."""
    turntable = (choice.form or choice.label).startswith("turntable")
    if run.header["kind"] == "shape":
        (width, height), count = (TURNTABLE_SIZE, shape.FRAMES) if turntable else (shape.SIZE, 1)
    else:
        cameras = run.cameras()
        if not cameras:
            return "as large as its cameras' pictures, which the run does not know"
        width, height = cameras[0].intrinsics.width, cameras[0].intrinsics.height
        count = radiance.FRAMES if turntable else len(cameras) if choice.form == "views" else 1
    return f"{width} x {height} pixels" + (
        f", {count} pictures, {width * height * count / 1e6:,.1f} million pixels" if count > 1 else ""
    )


def write(run: Run, choice: Choice, scale: float, cells: int) -> Path:
    """The file, in a folder of its own from which the page hands it out."""
    out = room("export-") / f"{run.path.name}{'' if choice.ending == '/' else choice.ending}"
    header = run.header
    if choice.by == "copy":
        shutil.copyfile(run.weights, out)
    elif choice.by == "export":
        if choice.size == "scale":
            _refuse_large(header, scale)
        request = ExportRequest(
            resolution=max(8, min(MAX_CELLS, int(cells))) if choice.size == "cells" else None,
            scale=scale if choice.size == "scale" and scale != 1 else None,
            time=_middle(header) if choice.moment else None,
        )
        # (of a field of its own: that of a scene is cleared for meshes, splats and densities)
        formats.export(base.Source(run, run.load_field(), header["kind"]), out, request, choice.form)
        beside = list(out.parent.iterdir())
        if out.is_dir() or len(beside) > 1:  # (an OBJ has its materials and pictures beside it)
            packed = out.parent.with_suffix(".zip")
            shutil.make_archive(str(packed.with_suffix("")), "zip", out.parent)
            return packed.rename(out.parent / f"{run.path.name}.zip")
    else:
        turntable = choice.label.startswith("turntable")
        request = RenderRequest(
            turntable=turntable,
            size=TURNTABLE_SIZE if turntable else None,
            scale=scale if choice.size == "scale" and scale != 1 else None,
        )
        output_for(header["kind"], run.load_field(), run.path).render(out, request)
    return out


def room(prefix: str) -> Path:
    """A new folder where Gradio finds files that it may hand out."""
    folder = Path(os.environ["GRADIO_TEMP_DIR"])
    folder.mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(prefix=prefix, dir=folder))


def _refuse_large(header: dict, scale: float) -> None:
    numbers = len(header["channels"]["names"])
    for n in _scaled(header, scale):
        numbers *= n
    if numbers > MAX_VALUES:
        raise BadInput(
            f"that is {numbers:,} numbers; at most {MAX_VALUES:,} are made here, the command line makes more"
        )


def _middle(header: dict) -> float:
    axis = header["domain"]["axes"][2]
    return (axis["lower"] + axis["upper"]) / 2


def _scaled(header: dict, scale: float) -> list[int]:
    axes = header["domain"]["axes"]
    scaled = 2 if header["kind"] == "video" else len(axes)
    return [max(1, round(axis["samples"] * (scale if index < scaled else 1))) for index, axis in enumerate(axes)]
