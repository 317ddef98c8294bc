"""Every option of a fit, each described once. Command line, studio, run headers and comparisons are derived from here.

To add an option: add one field to `FitRequest` (or to the base that holds the options shared with distillation and
comparison), and the code that obeys it. It then is a flag of `fit`, a control of the studio and an entry of the run's
header, and is taken over by `fit run.json` and refused by `fit --resume`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import model_validator

import scenes
from fields.options import (
    ByteSize,
    Count,
    Fraction,
    FractionOnOrOff,
    FractionOrAll,
    Natural,
    PathText,
    Positive,
    Request,
    Settings,
    TimeSpan,
    option,
    options_of,
)

if TYPE_CHECKING:
    from scenes.signal import Signal

# Time of a fit for which neither steps nor seconds are given.
DEFAULT_SECONDS = 30.0
# The section whose options go to the loader of the signal.
SAMPLES = "samples"


class TrainingRequest(Request):
    """Options of everything that trains: fits, distillations and comparisons."""

    sections: ClassVar[Mapping[str, str]] = {
        "source": "source",
        "method": "method",
        "budget": "budget",
        SAMPLES: "which samples",
        "result": "output",
    }

    params: Count | None = option(
        None,
        section="method",
        label="Parameters",
        metavar="N",
        hint="such as 200k; else the method's own size",
        header=None,
        help="Size of the field: number of parameters, such as 200k, met to within 3 %. More parameters give more "
        "detail and a larger file. By default the method's own size.",
    )
    steps: Count | None = option(
        None,
        section="budget",
        metavar="N",
        hint="instead of a time; such as 2000",
        help="Train for this many steps instead of a time. Use it where results have to be the same on every machine.",
    )
    seconds: Positive | None = option(
        None,
        section="budget",
        metavar="S",
        help="Be done in this many seconds, loading and evaluation included (default 30). Give more for more quality.",
    )
    device: Literal["auto", "cpu", "cuda", "mps"] = option(
        "auto",
        section="budget",
        label="Processor",
        recipe=False,
        help="Where to compute; auto is an NVIDIA GPU where one can be used. mps is Apple's, in plain torch and slow.",
    )
    out: Path | None = option(
        None, section="result", metavar="DIR", recipe=False, help="Folder of the result. By default runs/NAME."
    )

    @model_validator(mode="after")
    def _one_budget(self) -> Self:
        if self.steps and self.seconds:
            raise ValueError("`steps` and `seconds`: give one of the two")
        return self

    @property
    def budget(self) -> dict[str, Any]:
        """`steps` and `seconds`, of which one is None; 30 seconds where neither was given."""
        return {"steps": self.steps, "seconds": None if self.steps else self.seconds or DEFAULT_SECONDS}


class RunRequest(TrainingRequest):
    """Options of what makes one run: a fit or a distillation."""

    settings: Settings = option(
        {},
        section="method",
        flag="--set",
        metavar="KEY=VALUE",
        repeated=True,
        header="options",
        help="Set options of the method; may be repeated, or take several.",
    )
    bits: int = option(
        32,
        section="method",
        label="Weight precision (bits)",
        choices=(8, 16, 32),
        help="Bits per stored weight. 8 makes the file a quarter as large; training then takes the rounding into "
        "account.",
    )
    seed: Natural = option(
        0,
        section="budget",
        metavar="N",
        hint="0",
        help="Seed of all random numbers. The same seed gives the same result; change it to see how much chance "
        "matters.",
    )
    resume: bool = option(
        False,
        section="result",
        recipe=False,
        help="Continue the run in the folder of the result from its last checkpoint.",
    )


class SignalRequest(TrainingRequest):
    """Options of what is fitted to a signal: a fit or a comparison."""

    source: PathText | None = option(
        None,
        section="source",
        metavar="SOURCE",
        positional=True,
        recipe=False,
        help="The file to fit, skimage:NAME for a photograph of scikit-image, or an earlier run to repeat.",
    )
    kind: str = option(
        "auto",
        section="source",
        choices=("auto", *scenes.LOADERS),
        recipe=False,
        header="kind",
        help="What SOURCE is; auto tells from the content. Change it where that is wrong.",
    )
    held_out: Fraction | None = option(
        None,
        section=SAMPLES,
        label="Held-out samples",
        metavar="FRACTION",
        hint="such as 0.1",
        kinds=("image", "audio", "volume", "video", "radiance"),
        header=None,
        help="Never train on this fraction of the samples, and score on them: shows how well the field generalizes.",
    )

    def loader_options(self) -> dict[str, Any]:
        """The options that go to the loader of the signal: those of its section that were set."""
        own = [o for o in options_of(type(self)) if o.section == SAMPLES and not o.hidden]
        return {o.name: value for o in own if (value := getattr(self, o.name)) != o.default}

    def load(self) -> Signal:
        """The signal. Raises BadInput where there is no source, or an option does not apply to its kind."""
        if self.source is None:
            raise ValueError("a request without a source cannot be loaded")
        kind = scenes.recognise(self.source)[0] if self.kind == "auto" else self.kind
        options = self.loader_options()
        if "seconds" in scenes.loader_options(kind):
            # How much of a large signal is worth preparing depends on the budget.
            options["seconds"] = self.budget["seconds"]
        return scenes.load(self.source, kind, **options)


class FitRequest(SignalRequest, RunRequest):
    """Every option of a fit.

    In Python the signal and the method may also be objects: see `fields.fit.fit.fit_field`.
    """

    first: ClassVar[tuple[str, ...]] = ("source", "method")

    method: str | None = option(
        None,
        section="method",
        metavar="NAME",
        help="How the signal is fitted. By default the best method for its kind.",
    )
    init: Literal["default", "fresh"] = option(
        "default",
        section="method",
        label="Initialization",
        header=None,
        help="fresh chooses the method's frequency option from the signal's spectrum before training (FreSh). Try it "
        "where a frequency-based method gives a blurred or noisy result.",
    )
    start: Path | None = option(
        None,
        section="method",
        flag="--from",
        label="Start from a run",
        metavar="RUN",
        header="from",
        help="Begin with the weights of this run, of the same method and size. Useful for a similar signal.",
    )
    keep_fraction: FractionOrAll = option(
        1.0,
        section="method",
        flag="--keep",
        label="Fraction of weights to keep",
        metavar="FRACTION",
        hint="such as 0.5",
        header="keep",
        help="Keep only this fraction of the weights, the largest; the others become zero during training, and a "
        "compressed export is smaller.",
    )
    between: FractionOnOrOff | None = option(
        None,
        section="method",
        label="Points between samples",
        metavar="on|off|FRACTION",
        hint="on, off, or a fraction such as 0.5",
        kinds=("image", "audio", "video", "volume"),
        help="Also train at points between the samples, on what interpolation gives there, so that the field can be "
        "enlarged with less grain: a fraction of each batch in the first 60 % of the steps (on: 0.75). By default "
        "off, as hard edges such as text are met less closely by it.",
    )
    part: TimeSpan | None = option(
        None,
        section=SAMPLES,
        label="Part (seconds)",
        metavar="START,END",
        kinds=("audio", "video"),
        header=None,
        help="Fit only this part, in seconds. Use it for long files.",
    )
    rate: Positive | None = option(
        None,
        section=SAMPLES,
        label="Frame rate",
        metavar="N",
        kinds=("video",),
        header=None,
        help="Frames per second; by default as the file says, and 24 for a folder of frames.",
    )
    mask: PathText | None = option(
        None,
        section=SAMPLES,
        metavar="FILE",
        kinds=("image",),
        header=None,
        help="Fit only where this image of the same size is white; the field fills in the rest.",
    )
    refuse_invalid: bool = option(
        False,
        section=SAMPLES,
        label="Refuse NaN and infinite samples",
        kinds=("image", "audio", "volume"),
        header=None,
        help="Refuse files with NaN or infinite samples. By default these are holes in an image, background in a "
        "volume and silence in a sound.",
    )
    layer: str | None = option(
        None,
        section=SAMPLES,
        label="Layer or page",
        metavar="NAME",
        hint="such as ViewLayer.AO, or 2",
        kinds=("image", "volume"),
        header=None,
        help="Which picture or volume of a file that has several: the layer or part of an EXR file by its name, a "
        "page, a frame or a volume of a series by its number from 1. By default the finished picture, or the first.",
    )
    keep_fields: bool = option(
        False,
        section=SAMPLES,
        label="Interlaced frames as they are stored",
        kinds=("video",),
        header=None,
        help="Take the frames of an interlaced film as they are stored, instead of joining each pair of fields.",
    )
    ignore_profile: bool = option(
        False,
        section=SAMPLES,
        label="Colors as they are stored",
        kinds=("image", "video"),
        header=None,
        help="Take the values of an image or a film as stored, without color profile, gamma, HDR curve or primaries.",
    )
    max_pixels: Count | None = option(
        None,
        section=SAMPLES,
        metavar="N",
        kinds=("image", "volume", "video", "radiance"),
        recipe=False,
        help="Refuse larger files unread, against decompression bombs: pixels of an image (default 200M), of all "
        "images of a video or scene together (2,000M), voxels of a volume (1,074M). Raise it for a large file that you "
        "trust.",
    )
    memory: ByteSize | None = option(
        None,
        section=SAMPLES,
        metavar="SIZE",
        kinds=("image", "video"),
        recipe=False,
        help="Decoded samples beyond this size lie in a temporary file instead of RAM (default 256M).",
    )
    quantity: Literal["signed", "unsigned", "occupancy"] | None = option(
        None,
        section=SAMPLES,
        label="Quantity to fit",
        kinds=("shape",),
        header=None,
        help="What is fitted of a shape. By default the signed distance, and the unsigned one where the shape has no "
        "inside.",
    )
    nested: Literal["cavities", "solid"] | None = option(
        None,
        section=SAMPLES,
        label="Shells inside of shells",
        kinds=("shape",),
        header=None,
        help="What closed shells inside of others are: cavities (default), or filled.",
    )
    max_points: Count | None = option(
        None,
        section=SAMPLES,
        label="Points used at most",
        metavar="N",
        kinds=("shape",),
        header=None,
        help="Points of a cloud that are used; of more, an even selection is taken (by default 2,500 for each second "
        "of the budget, from 10k to 100k).",
    )
    background: Literal["white", "black"] | None = option(
        None,
        section=SAMPLES,
        kinds=("radiance",),
        header=None,
        help="Color that transparent pixels of the views show (default white).",
    )
    unbounded: bool | None = option(
        None,
        section=SAMPLES,
        label="Bounds of the scene",
        kinds=("radiance",),
        switches={"bounded": False, "unbounded": True},
        header=None,
        help="bounded fits only what the cameras look at, unbounded what is behind it too. By default told from "
        "the views' transparency.",
    )
    orientation: Literal["stored", "upright"] | None = option(
        None,
        section=SAMPLES,
        label="Pixels of photographs",
        kinds=("radiance",),
        header=None,
        help="Whether the poses belong to the photographs' pixels as they are stored, or turned upright as EXIF says. "
        "By default as sizes tell, else stored, as COLMAP reads them.",
    )
    pose_convention: Literal["opengl", "opencv", "w2c", "w2c-opencv"] | None = option(
        None,
        section=SAMPLES,
        kinds=("radiance",),
        header=None,
        help="Convention of the poses in a transforms file or NPZ: camera to world with OpenGL's or OpenCV's axes, or "
        "world to camera (w2c). By default opengl, unless the cameras look at one place only as w2c.",
    )
    loading: dict[str, Any] = option(
        {}, section=SAMPLES, hidden=True, help="Further options of the signal's loader, by name."
    )
    plan: list[tuple[int, int]] = option(
        [],
        section="budget",
        hidden=True,
        header="plan",
        help="Decisions on the number of steps that an earlier run made as its time passed (`fields.fit.plan`).",
    )
    tensorboard: bool = option(
        False,
        section="result",
        recipe=False,
        help="Also log curves and images for TensorBoard, in the run's folder.",
    )

    @model_validator(mode="after")
    def _one_beginning(self) -> Self:
        if self.start and (self.method or self.params):
            raise ValueError("`start` takes the method and size of that run; leave out `method` and `params`")
        if self.start and self.init == "fresh":
            raise ValueError("`init=fresh` chooses what `start` brings along; give one of them")
        return self

    @classmethod
    def from_header(cls, header: Mapping[str, Any], **changes: Any) -> Self:
        """The request that repeats a run exactly, from the header of its `run.json`; `changes` are options to replace.

        Sizes and frequencies that the run solved for are taken as they came out, and the number of steps as it was.
        """
        values = cls.values_in_header(header)
        if values.get("steps"):
            values["seconds"] = None
        values.setdefault("between", 0.0)  # (older runs have no such points)
        if values.get("start"):  # (a run brings its method along; the options stay, where they were changed)
            values["method"] = None
        known = {o.name for o in options_of(cls) if o.section == SAMPLES and not o.hidden}
        loading = dict(header["source"].get("options", {}))
        values |= {name: loading.pop(name) for name in list(loading) if name in known}
        return cls(**{**values, "source": header["source"]["path"], "loading": loading, **changes})

    def loader_options(self) -> dict[str, Any]:
        """The options that go to the loader of the signal: those of its section that were set."""
        return {**self.loading, **super().loader_options()}
