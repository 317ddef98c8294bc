"""What the commands of `fit-a-scene` do, as functions. Errors that a person can put right are `BadInput`."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from field_studio.options import (
    CompareOptions,
    DistillOptions,
    ExportOptions,
    FitOptions,
    LoadOptions,
    ReconstructOptions,
    RenderOptions,
)

if TYPE_CHECKING:
    from fields.compare.comparison import Comparison
    from fields.fit.fit import Fit
    from fields.fit.trainer import Trainer
    from fields.methods.base import Method
    from fields.runs.run import Run
    from scenes.signal import Signal

# A path, or a name such as "skimage:astronaut" or "procedural:duck".
Source = str | os.PathLike[str]
# Called with the trainer after each step.
Callback = Callable[["Trainer"], None]


def load(source: Source, kind: str = "auto", **options: Unpack[LoadOptions]) -> Signal:
    """Open a file or folder as a signal: an image, audio, a video, a shape, a volume, or photographs with cameras.

    Args:
        source: a path, "skimage:NAME" or "procedural:NAME".
        kind: "image", "audio", "video", "shape", "volume", "radiance", or "auto" to tell it from the content.
        **options: those of `fit-a-scene fit --help` under "which samples", such as `held_out=0.1` or `part=(10, 20)`.

    Raises BadInput where the source, the kind or an option cannot be used.
    """
    from fields.fit.request import FitRequest

    return FitRequest(source=str(source), kind=kind, **_values(options)).load()


def open_run(path: Source) -> Run:
    """Open a run: its folder, its `run.json`, or the single `.fsq` file that `export` makes of one.

    `run.load_field()` is its field, `run.header` says what was fitted and how, `run.metrics()` its scores.
    Raises BadInput where there is no run.
    """
    from fields.runs.run import Run

    return Run.open(Path(path))


def fit(
    source: Source | Signal,
    method: str | Method | None = None,
    *,
    callbacks: Iterable[Callback] = (),
    **options: Unpack[FitOptions],
) -> Fit:
    """Fit a field to a signal and score it.

        result = fs.fit("photo.jpg", "siren", seconds=10, settings={"width": 128})
        result.field, result.metrics["psnr"]

    Args:
        source: what `load` takes, or what it returns.
        method: a name of `method_names()`, or a config; by default the best method for the kind of signal.
        callbacks: called with the trainer after each step; `trainer.stop()` ends the fit.
        **options: the flags of `fit-a-scene fit`. `out="runs/mine"` keeps the run in a folder.

    Raises BadInput for anything that a person can put right.
    """
    from fields.fit.fit import fit_field
    from scenes.signal import Signal

    given = _values(options)
    if isinstance(source, Signal):
        if loading := [name for name in LoadOptions.__annotations__ if name in given]:
            raise ValueError(f"{', '.join(loading)}: options of `load`; this signal is loaded already")
        return fit_field(source, method, callbacks=callbacks, **given)
    started = time.perf_counter()
    loading = {name: given.pop(name) for name in ("kind", *LoadOptions.__annotations__) if name in given}
    signal = load(source, **loading)
    return fit_field(signal, method, callbacks=callbacks, started=started, **given)


def render(run: Source | Run, out: Source, *, device: str = "auto", **options: Unpack[RenderOptions]) -> dict[str, Any]:
    """Render the field of a run as an image, audio or a video, whose format is that of the ending of `out`.

    Args:
        run: a run, or what `open_run` takes.
        out: the file.
        device: "auto", "cpu" or "cuda".
        **options: the flags of `fit-a-scene render`, such as `scale=4`, `view=2` or `turntable=True`.

    Returns what is to say about the file, such as "notes". Raises BadInput where an option does not suit the kind.
    """
    from fields.export.request import RenderRequest
    from fields.fit.fit import resolve_device
    from fields.kinds import output_for

    opened = _run(run)
    kind = opened.header["kind"]
    output = output_for(kind, opened.load_field(resolve_device(device)), opened.path)
    request = RenderRequest(**_values(options))
    output.check(request, kind)
    return output.render(Path(out), request)


def export(
    run: Source | Run,
    out: Source,
    *,
    form: str | None = None,
    device: str = "auto",
    **options: Unpack[ExportOptions],
) -> dict[str, Any]:
    """Write the field of a run as a file for other programs: a mesh, points, Gaussians, a volume, an image, a graph ...

    Args:
        run: a run, or what `open_run` takes.
        out: the file; its ending is the format. A folder where it has none.
        form: which form, where an ending has several: "mesh", "points", "splat" ... (`fit-a-scene help formats`).
        device: "auto", "cpu" or "cuda".
        **options: the flags of `fit-a-scene export`, such as `resolution=512` or `texture=True`.

    Returns measurements of the result, and "notes". Raises BadInput where the field has no such form.
    """
    from fields.export.base import Source as ExportSource
    from fields.export.formats import export as export_source
    from fields.export.request import ExportRequest
    from fields.fit.fit import resolve_device

    opened = _run(run)
    source = ExportSource(opened, opened.load_field(resolve_device(device)), opened.header["kind"])
    return export_source(source, Path(out), ExportRequest(**_values(options)), form)


def distill(
    run: Source | Run,
    into: str | Method,
    *,
    callbacks: Iterable[Callback] = (),
    **options: Unpack[DistillOptions],
) -> Fit:
    """Convert the field of a run into another method's, without the data that it was fitted to.

    Args:
        run: the teacher: a run, or what `open_run` takes.
        into: the student's method, a name or a config.
        callbacks: called with the trainer after each step.
        **options: the flags of `fit-a-scene distill`, such as `seconds=60` or `params="50k"`; `stages=Stages(...)`.

    The metrics of the result are against the teacher. Raises BadInput for anything that a person can put right.
    """
    from fields.distill.distill import distill_field

    return distill_field(_run(run), into, callbacks=callbacks, **_values(options))


def compare(source: Source, methods: Sequence[str], *, out: Source, **options: Unpack[CompareOptions]) -> Comparison:
    """Fit one signal by several methods, each with the same time or the same number of parameters.

    Args:
        source: a path, "skimage:NAME" or "procedural:NAME".
        methods: names of `method_names()`, each once.
        out: the folder, which gets the runs, curves, crops and a page `comparison.html`. A comparison that was cut off
            is continued there.
        **options: the flags of `fit-a-scene compare`, such as `seconds=20` or `seeds=3`.

    Returns the comparison, whose `rows` are the results. Raises BadInput where a method cannot take the signal.
    """
    from fields.compare.comparison import Comparison
    from fields.compare.report import write_report
    from fields.compare.request import CompareRequest

    request = CompareRequest(source=str(source), methods=tuple(methods), out=Path(out), **_values(options))
    comparison = Comparison.create(request, Path(out))
    comparison.run(request)
    write_report(comparison)
    return comparison


def reconstruct(source: Source, asset: Source, *, out: Source, **options: Unpack[ReconstructOptions]) -> dict[str, Any]:
    """Make a mesh with a texture from photographs, a film, or a scene whose cameras are known.

    Args:
        source: a folder or zip of photographs, a film, or a posed scene.
        asset: the file: .glb, .usdz, .obj, .ply, .stl or .3mf.
        out: folder that keeps the result of every stage; what was cut off is continued there.
        **options: the flags of `fit-a-scene reconstruct`, such as `seconds=480` or `triangles=20_000`.

    Returns a report with the quality and the seconds of each stage. Raises BadInput for what a person can put right.
    """
    from fields.reconstruct.reconstruct import Reconstruction
    from fields.reconstruct.request import ReconstructRequest

    request = ReconstructRequest(source=str(source), asset=Path(asset), out=Path(out), **_values(options))
    return Reconstruction(request).run()


def _values(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options as a request takes them. It parses text itself, which its types do not say."""
    return dict(options)


def _run(run: Source | Run) -> Run:
    from fields.runs.run import Run

    return run if isinstance(run, Run) else Run.open(Path(run))
