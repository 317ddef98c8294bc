"""All methods that take posed views on one scene, for equal seconds, defaults all over: the rank that the papers' own
parameters give them, and ours.

The papers' are means over the eight scenes of NeRF-Synthetic at 800 x 800 after hours to minutes on a GPU (NeRF 31.01,
Instant NGP 33.18, TensoRF 33.14, K-Planes 32.36, dense grids 31.71 as Plenoxels, NeuRBF 34.62, mip-NeRF with CAM 33.42
dB; those of NeuRBF's and CAM's tables); ours are one scene at 200 x 200 after seconds on a CPU. So it is speed that is
compared: how far each comes in that time.
"""

from __future__ import annotations

from benchmarks.papers.claims import Claim
from benchmarks.papers.fits import summary

# seconds a method, seeds
SETTINGS = {"quick": (8.0, 1), "small": (40.0, 2), "paper": (1800.0, 1)}
# The papers' dB where there is one.
METHODS = {
    "hashgrid": ("hashgrid", {}, 33.18),
    "tensorf": ("tensorf", {}, 33.14),
    "tensorf, lines alone": ("tensorf", {"kind": "cp"}, None),
    "kplanes": ("kplanes", {}, 32.36),
    "densegrid": ("densegrid", {}, 31.71),
    "triplane": ("triplane", {}, None),
    "rbf": ("rbf", {}, None),
    "neurbf": ("neurbf", {}, 34.62),
    "nerf": ("nerf", {"width": 128}, 31.01),
    "cam": ("cam", {"width": 128, "hidden_layers": 4}, 33.42),
}
QUICK = ("hashgrid", "tensorf", "nerf")
CLAIMS = (
    Claim(
        "Instant NGP learns sooner than NeRF's perceptron (minutes against hours)",
        "scenes:hashgrid",
        "scenes:nerf",
        least=3.0,
    ),
    Claim("TensoRF does too (17 minutes)", "scenes:tensorf", "scenes:nerf", least=2.0),
    Claim("K-Planes too (38 minutes)", "scenes:kplanes", "scenes:nerf", least=2.0),
    Claim("TensoRF is as good as Instant NGP (33.14 and 33.18 dB)", "scenes:tensorf", "scenes:hashgrid", least=-0.5),
    Claim("K-Planes is 0.8 dB below it", "scenes:kplanes", "scenes:hashgrid", least=-1.5),
    Claim("planes times lines over lines alone", "scenes:tensorf", "scenes:tensorf, lines alone"),
    Claim("NeuRBF is the best (34.62 dB)", "scenes:neurbf", "scenes:hashgrid", least=0.5),
    Claim("Gaussian units are competitive with an MLP on the same grid", "scenes:rbf", "scenes:hashgrid", least=-0.5),
    Claim(
        "an MLP that is modulated by the direction over NeRF's (33.42 against 31.01 dB)",
        "scenes:cam",
        "scenes:nerf",
        least=0.3,
    ),
)


def measure(size: str) -> list[dict]:
    import fields
    from benchmarks.papers.rays import scene

    signal, name = scene()
    seconds, seeds = SETTINGS[size]
    rows = []
    for label, (method, options, theirs) in METHODS.items():
        if size == "quick" and label not in QUICK:
            continue
        found = [
            fields.fit_field(signal, method, seconds=seconds, seed=seed, settings=options) for seed in range(seeds)
        ]
        row = summary(
            f"scenes:{label}",
            [result.metrics["psnr"] for result in found],
            ssim=round(sum(result.metrics["ssim"] for result in found) / seeds, 3),
            steps=found[0].steps,
            seconds=round(sum(result.seconds for result in found) / seeds, 1),
            parameters=found[0].field.num_parameters,
            scene=name,
        )
        rows.append(row if theirs is None else row | {"paper": theirs})
    return rows
