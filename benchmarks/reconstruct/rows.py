"""The rows of the table of `python -m benchmarks.reconstruct`: what is reconstructed, and what it aims at."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

NERF = Path(__file__).resolve().parents[3] / "shared" / "data" / "nerf"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One reconstruction.

    Attributes:
        scene: a rendered scene (`benchmarks.reconstruct.scenes`), or the folder of a real one.
        seconds: the whole budget, by default.
        aims: the least `psnr` (dB), the largest `chamfer` and the largest `normal_angle` (degrees) that are aimed at.
        inside: whether `psnr` is of the pixels that the mesh covers, where photographs show more than the subject.
        background: behind the mesh and transparent pixels.
        peers: whether Open3D's fusion is measured too.
        more: further arguments of the command.
    """

    scene: str | Path
    seconds: int = 360
    aims: dict[str, float] = field(default_factory=dict)
    inside: bool = False
    background: str = "white"
    peers: bool = False
    more: tuple[str, ...] = ()


MATT = {"psnr": 36.0, "chamfer": 0.0012, "normal_angle": 7.0}
GLOSSY = {"psnr": 29.0, "chamfer": 0.004, "normal_angle": 12.0}

ROWS: dict[str, Row] = {
    "lego": Row(scene=NERF / "lego_200", seconds=480, aims={"psnr": 28.0}, peers=True),
    "spot": Row(scene="spot", aims=MATT, peers=True),
    "koala": Row(scene="koala", aims=MATT, peers=True),
    "duck": Row(scene="duck", aims=MATT),
    "spot_glossy": Row(scene="spot_glossy", aims=GLOSSY, peers=True),
    "koala_glossy": Row(scene="koala_glossy", aims=GLOSSY),
    "spot_12": Row(scene="spot_12"),
    "spot_masked": Row(scene="spot_masked"),
    "spot_grey": Row(scene="spot_grey"),
    "spot_gains": Row(scene="spot_gains"),
    "spot_lens": Row(scene="spot_lens"),
    "spot_posed_by_colmap": Row(scene="spot_posed_by_colmap", seconds=480, inside=True),
    "spot_dark": Row(scene="spot_dark", background="black"),
    "dark_on_black": Row(scene="dark_on_black", background="black"),
    "spot_one_side": Row(scene="spot_one_side"),
    "spot_3": Row(scene="spot_3"),
    "spot_mirror": Row(scene="spot_mirror"),
    "fox": Row(scene=NERF / "fox", seconds=480, aims={"psnr": 22.0}, inside=True),
}
# What a checkout without the shared data has.
WITHOUT_DATA: dict[str, Row] = {"duck": ROWS["duck"], "blob": Row(scene="blob", aims=MATT)}
