"""What a run can be taken home as: pictures, sounds, clips and volumes of it, and its weights."""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from apps.studio.looks import Opened
from fields.fit.kinds import output_for
from fields.output.base import Request
from scenes.errors import BadInput

WEIGHTS = "weights and how to build the field again (.safetensors)"
RENDERED = {
    "image": {"picture (.png)": ".png", "picture (.jpg)": ".jpg", "picture (.webp)": ".webp", "picture of floats (.exr)": ".exr", "picture (.tif)": ".tif"},
    "audio": {"sound (.wav)": ".wav", "sound (.flac)": ".flac"},
    "video": {"clip (.mp4)": ".mp4", "clip (.gif)": ".gif"},
    "volume": {"volume (.npy)": ".npy", "projection (.png)": ".png"},
    "shape": {"turntable (.gif)": ".gif", "view (.png)": ".png"},
}
# A picture of so many numbers takes so long that it should be made by the command.
MOST_NUMBERS = 100_000_000


@dataclass(frozen=True)
class Choice:
    """One way of taking a run home."""

    label: str
    ending: str
    scaled: bool


def choices(kind: str) -> list[Choice]:
    rendered = [Choice(label, ending, kind in ("image", "audio", "video", "volume")) for label, ending in RENDERED.get(kind, {}).items()]
    return [*rendered, Choice(WEIGHTS, ".safetensors", False)]


def find(kind: str, label: str) -> Choice:
    for choice in choices(kind):
        if choice.label == label:
            return choice
    raise BadInput(f"a field of the kind {kind} is not exported as {label}")


def estimate(header: dict, choice: Choice, scale: float) -> str:
    """How much there will be, for people."""
    if choice.label == WEIGHTS:
        return f"{header['parameters']:,} numbers, {4 * header['parameters'] / 1e6:.3g} MB"
    if header["kind"] == "shape":
        return "36 pictures of 400 x 400" if choice.ending == ".gif" else "800 x 800 pixels"
    if header["kind"] == "volume" and choice.ending == ".png":
        return f"{round(400 * scale)} x {round(400 * scale)} pixels"
    shape = _scaled(header, scale)
    unit = {"image": "pixels", "audio": "samples", "video": "pixels and frames", "volume": "voxels"}[header["kind"]]
    return f"{' x '.join(f'{n:,}' for n in shape)} {unit}"


def write(opened: Opened, choice: Choice, scale: float) -> Path:
    """The file, in a folder of its own from which the page hands it out."""
    room = Path(os.environ["GRADIO_TEMP_DIR"])
    room.mkdir(parents=True, exist_ok=True)
    out = Path(tempfile.mkdtemp(prefix="export-", dir=room)) / f"{opened.run.path.name}{choice.ending}"
    if choice.label == WEIGHTS:
        shutil.copyfile(opened.run.weights, out)
        return out
    header = opened.run.header
    if choice.scaled:
        numbers = len(header["channels"]["names"])
        for n in _scaled(header, scale):
            numbers *= n
        if numbers > MOST_NUMBERS:
            raise BadInput(f"that is {numbers:,} numbers; at most {MOST_NUMBERS:,} are made here, the command line makes more")
    request = Request(turntable=True if header["kind"] == "shape" and choice.ending == ".gif" else None,
                      scale=scale if choice.scaled and scale != 1 else None)
    output_for(header["kind"], opened.field).render(out, request)
    return out


def _scaled(header: dict, scale: float) -> list[int]:
    axes = header["domain"]["axes"]
    scaled = 2 if header["kind"] == "video" else len(axes)
    return [max(1, round(axis["samples"] * (scale if index < scaled else 1))) for index, axis in enumerate(axes)]
