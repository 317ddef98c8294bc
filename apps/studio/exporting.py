"""Exports of a run for the page: what it can be exported as, how large that will be, and the file itself."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import prod
from pathlib import Path
from typing import Any, Literal

from apps.studio.view_renderer import OpenRun
from fields.export.base import Format, Progress, Source
from fields.export.formats import FOLDER, export, formats_of
from fields.export.outputs import radiance, shape, volume
from fields.export.request import ExportRequest, RenderRequest
from fields.export.splats import SPLATS
from fields.kinds import output_for, viewer_class
from fields.options import OptionInfo, options_of
from fields.runs.run import Run
from scenes.errors import BadInput

# Values of one file. More take so long that the command line should write them.
MAX_VALUES = 100_000_000
# Cells along the longest side of a mesh.
MIN_CELLS = 8
MAX_CELLS = 512
BYTES_PER_CELL = 4
# A splat of 3DGS has 62 float32 values.
BYTES_PER_SPLAT = 62 * 4

# Formats of meshes in which Y is up by definition.
UPRIGHT_ENDINGS = (".glb", ".usdz")

# Options of exports that the page sets itself, or does not offer: its viewer cannot read such meshes, several files are
# no download, and whoever serves the page decides about memory.
NOT_OFFERED = ("resolution", "scale", "size", "rate", "time", "part", "units", "meshopt", "collision", "memory")

Size = Literal["scale", "cells", "fixed"]


@dataclass(frozen=True, kw_only=True)
class ExportChoice:
    """One way of exporting a run.

    `label`: as the page shows it. `size`: the control that sets its size. `options`: what else was asked for, as JSON
    data.
    """

    label: str
    ending: str
    size: Size = "fixed"
    options: Mapping[str, Any] = field(default_factory=dict)

    def offered(self, kind: str) -> list[OptionInfo]:
        """What else may be asked for, of a field of this kind."""
        return []

    def with_options(self, options: Mapping[str, Any]) -> ExportChoice:
        """The same with other options, which the page's controls hold as text. Raises BadInput for wrong ones."""
        return self

    def estimate(self, run: Run, scale: float, cells: int) -> str:
        """How much will be written, for people. `scale`, `cells`: values of the page's controls."""
        raise NotImplementedError

    def write(self, run: Run, out: Path, scale: float, cells: int, progress: Progress) -> None:
        """Write the file `out`. Raises BadInput where that is impossible or too large."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class WeightsChoice(ExportChoice):
    """The file of the run's weights as it is."""

    def estimate(self, run: Run, scale: float, cells: int) -> str:
        return _parameter_estimate(run, run.header.get("bits", 32))

    def write(self, run: Run, out: Path, scale: float, cells: int, progress: Progress) -> None:
        shutil.copyfile(run.weights, out)


@dataclass(frozen=True, kw_only=True)
class RenderChoice(ExportChoice):
    """An image or animation that `render` makes."""

    turntable: bool = False

    def estimate(self, run: Run, scale: float, cells: int) -> str:
        if self.size == "scale":
            side = round(volume.SIDE * scale)
            return f"{side} x {side} pixels"
        return _image_estimate(run, turntable=self.turntable)

    def write(self, run: Run, out: Path, scale: float, cells: int, progress: Progress) -> None:
        request = RenderRequest(turntable=self.turntable, scale=_scale(self, scale))
        output = output_for(run.header["kind"], run.load_field(), run.path)
        output.progress = progress.fraction
        output.render(out, request)


@dataclass(frozen=True, kw_only=True)
class FormatChoice(ExportChoice):
    """A row of the table of export formats. `is_frame`: whether it is one frame of a video."""

    row: Format
    is_frame: bool = False

    def offered(self, kind: str) -> list[OptionInfo]:
        return [
            option
            for option in options_of(ExportRequest)
            if option.name in self.row.options and option.name not in NOT_OFFERED and option.applies_to(kind)
        ]

    def with_options(self, options: Mapping[str, Any]) -> ExportChoice:
        known = {option.name: option for option in options_of(ExportRequest)}
        given = {name: value for name, value in options.items() if name in self.row.options and name not in NOT_OFFERED}
        for name, value in given.items():
            known[name].from_page(value)
        return replace(self, options={name: value for name, value in given.items() if value not in (None, "", False)})

    def estimate(self, run: Run, scale: float, cells: int) -> str:
        if self.row.bits_per_parameter is not None:
            return _parameter_estimate(run, self.row.bits_per_parameter)
        if self.size == "cells":
            megabytes = cells**3 * BYTES_PER_CELL / 1e6
            size = f"{megabytes:,.0f} MB" if megabytes >= 1 else "less than 1 MB"
            return f"up to {cells} cells along the longest side: {size} of values while it is made"
        if self.row.form == "splat":
            return f"up to {SPLATS:,} Gaussians, {SPLATS * BYTES_PER_SPLAT / 1e6:.0f} MB"
        if self.row.form in ("turntable", "views"):
            return _image_estimate(run, turntable=self.row.form == "turntable", views=self.row.form == "views")
        if self.size == "fixed":
            return "one file, whose size is known once it is written"
        shape_of = _scaled_shape(run, scale)
        if self.is_frame:
            return f"{' x '.join(f'{n:,}' for n in shape_of[:2])} pixels, the frame in the middle"
        return f"{' x '.join(f'{n:,}' for n in shape_of)} {viewer_class(run.header['kind']).sample_unit}"

    def write(self, run: Run, out: Path, scale: float, cells: int, progress: Progress) -> None:
        if self.size == "scale":
            _refuse_large(run, scale)
        known = {option.name: option for option in options_of(ExportRequest)}
        given = {name: known[name].from_page(value) for name, value in self.options.items()}
        # Viewers of these formats take Y for up; the poses of a scene mostly have Z up.
        upright = self.ending in UPRIGHT_ENDINGS and run.cameras() and not {"up", "length"} & set(given)
        request = ExportRequest(
            resolution=max(MIN_CELLS, min(MAX_CELLS, cells)) if self.size == "cells" else None,
            scale=_scale(self, scale),
            time=_middle_time(run) if self.is_frame else None,
            units="metres" if upright else None,
            **given,
        )
        # The field is loaded anew, because floaters are removed from that of a scene for some forms.
        export(Source(run, run.load_field(), run.header["kind"]), out, request, self.row.form, progress=progress)


def choices(opened: OpenRun) -> list[ExportChoice]:
    """Every way of exporting this field, the usual form of its kind first."""
    source = Source(opened.run, opened.field, opened.kind)
    # Of rows with the same ending and form the first counts, as in `export`.
    rows = {(row.ending, row.form): row for row in reversed(formats_of(source))}
    exports = [_format_choice(row) for row in reversed(rows.values())]
    output = output_for(opened.kind, opened.field, opened.run.path)
    renders = [
        RenderChoice(
            label=f"{name} ({ending})",
            ending=ending,
            size="scale" if "scale" in output.options else "fixed",
            turntable=name == "turntable",
        )
        for name, ending in output.render_forms.items()
    ]
    weights = WeightsChoice(label="weights, and how to build the field again (.safetensors)", ending=".safetensors")
    return [*exports, *renders, weights]


def find(opened: OpenRun, label: str) -> ExportChoice:
    """The choice with this label. Raises BadInput where the field has none."""
    for choice in choices(opened):
        if choice.label == label:
            return choice
    raise BadInput(f"a field of the kind {opened.kind} is not exported as {label}")


def write(
    run: Run, choice: ExportChoice, scale: float, cells: int, folder: Path, progress: Progress | None = None
) -> Path:
    """Write an export into a folder that exists, and return the file; several files are packed into one archive."""
    with tempfile.TemporaryDirectory(prefix=".writing-", dir=folder) as temporary:
        inside = Path(temporary)
        out = inside / f"{run.path.name}{'' if choice.ending == FOLDER else choice.ending}"
        choice.write(run, out, scale, cells, progress or Progress())
        # An OBJ has its materials and images beside it.
        if not out.is_dir() and len(list(inside.iterdir())) == 1:
            return out.replace(folder / out.name)
        archive = folder / f".{run.path.name}"
        return Path(shutil.make_archive(str(archive), "zip", inside)).replace(folder / f"{run.path.name}.zip")


def new_folder(prefix: str) -> Path:
    """A new folder from which Gradio may hand out files."""
    folder = Path(os.environ["GRADIO_TEMP_DIR"])
    folder.mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(prefix=prefix, dir=folder))


def _format_choice(row: Format) -> FormatChoice:
    ending = "folder, zipped" if row.ending == FOLDER else row.ending
    description = "" if row.description in (f"a {row.form}", f"an {row.form}", row.form) else f": {row.description}"
    size: Size = "scale" if "scale" in row.options else "cells" if "resolution" in row.options else "fixed"
    return FormatChoice(
        label=f"{row.form} ({ending}){description}",
        ending=row.ending,
        size=size,
        row=row,
        is_frame=size == "scale" and "time" in row.options,
    )


def _parameter_estimate(run: Run, bits: int) -> str:
    count = run.header["parameters"]
    return f"{count:,} parameters, about {count * bits / 8e6:.3g} MB"


def _image_estimate(run: Run, *, turntable: bool, views: bool = False) -> str:
    """Size of images of a shape or scene. `turntable`, `views`: whether they are an animation, or one per camera."""
    cameras = run.cameras()
    if cameras:
        width, height = cameras[0].intrinsics.width, cameras[0].intrinsics.height
        count = radiance.FRAMES if turntable else len(cameras) if views else 1
    elif viewer_class(run.header["kind"]).needs_cameras:
        return "as large as its cameras' images, which the run does not have"
    else:
        (width, height), count = (shape.TURNTABLE_SIZE, shape.FRAMES) if turntable else (shape.SIZE, 1)
    total = f", {count} images, {width * height * count / 1e6:,.1f} million pixels" if count > 1 else ""
    return f"{width} x {height} pixels{total}"


def _scale(choice: ExportChoice, scale: float) -> float | None:
    return scale if choice.size == "scale" and scale != 1 else None


def _refuse_large(run: Run, scale: float) -> None:
    values = len(run.header["channels"]["names"]) * prod(_scaled_shape(run, scale))
    if values > MAX_VALUES:
        raise BadInput(
            f"that is {values:,} values; at most {MAX_VALUES:,} are written here, the command line writes more"
        )


def _scaled_shape(run: Run, scale: float) -> list[int]:
    """Samples along each axis of the domain at `scale` times the size of the original."""
    axes, scaled = run.header["domain"]["axes"], viewer_class(run.header["kind"]).scaled_axes
    scaled = len(axes) if scaled is None else scaled
    return [max(1, round(axis["samples"] * (scale if index < scaled else 1))) for index, axis in enumerate(axes)]


def _middle_time(run: Run) -> float:
    axis = run.header["domain"]["axes"][2]
    return (axis["lower"] + axis["upper"]) / 2
