"""NeuRBF against a hash grid and an MLP at equal parameters, frozen ones counted, and against itself with a part left
out (Chen et al. 2023).

The paper, images of DIV2K at 4.3 M parameters: 58.56 dB against 47.56 of Instant NGP (35,000 steps); without kernels
42.37, without sines on the kernels 48.19, complete 51.53 dB (3,500 steps). Kernels should pay where detail is sparse;
so there are an image of sparse and one of dense detail (`parts`: both small, with a part left out; `long`: the sparse
one with more steps). Ours are small and short: with them sines go on the kernels only. Of the shape it is the mean
error of distances within 0.02 of the surface (the paper has an angle of normals, 4.93 against 5.70 degrees, at 856 K
against 950 K parameters).
"""

from __future__ import annotations

from benchmarks.papers.claims import Claim
from benchmarks.papers.fits import fitted, summary
from benchmarks.papers.images import named
from benchmarks.papers.shapes import armadillo, near_surface_error, solids

# side, parameters, steps, batch, seeds, images
SETTINGS = {
    "quick": (128, 31_800, 300, 8192, 1, ("sparse",)),
    "small": (256, 128_000, 1500, 16384, 2, ("sparse", "dense", "astronaut", "coffee")),
    "paper": (1024, 2_000_000, 35_000, 1 << 18, 1, ("sparse", "dense", "astronaut", "coffee")),
}
# The same without images, of what is left out.
PARTS_OUT = {"small": (128, 31_800, 600, 8192, 2), "paper": (1024, 2_000_000, 3500, 1 << 18, 1)}
ABLATED = ("sparse", "dense")
ABLATIONS: dict[str, dict] = {
    "complete": {},
    "no sines": {"kernel_sines": False},
    "learned phases": {"kernel_phases": True},
    "sines on the layer too": {"layer_sines": True, "layer_min_frequency": 1.0, "layer_max_frequency": 1000.0},
    "lattice": {"placement": "lattice", "shape": "isotropic"},
    "random": {"placement": "random"},
    "drawn by weight": {"placement": "weighted"},
    "kernels alone": {"grid": False},
}
# parameters, steps, seeds
SHAPE = {"small": (30_000, 1000, 1), "paper": (856_000, 20_000, 1)}
LONG = {"small": (128, 31_800, 1500, 8192, 2), "paper": (1024, 2_000_000, 70_000, 1 << 18, 1)}
CLAIMS = (
    Claim(
        "sparse detail: kernels beside a grid beat the grid alone at equal parameters",
        "neurbf-sparse",
        "neurbf-sparse:hashgrid",
        least=1.5,
    ),
    Claim(
        "the same at 128 x 128 after 600 steps",
        "neurbf-parts-sparse:complete",
        "neurbf-parts-sparse:hashgrid",
        least=1.5,
        ours=True,
    ),
    Claim("the same after 1,500 steps", "neurbf-long:neurbf", "neurbf-long:hashgrid", least=3.0, ours=True),
    Claim(
        "photographs: 58.56 against 47.56 dB (DIV2K, 4.3 M parameters)",
        "neurbf-astronaut",
        "neurbf-astronaut:hashgrid",
        least=1.0,
    ),
    Claim("another photograph", "neurbf-coffee", "neurbf-coffee:hashgrid", least=1.0),
    Claim("dense detail", "neurbf-dense", "neurbf-dense:hashgrid", least=1.0),
    Claim(
        "sines on the kernels: 48.19 without, 51.53 dB with them",
        "neurbf-parts-dense:complete",
        "neurbf-parts-dense:no sines",
        least=3.0,
    ),
    Claim(
        "sines on the first layer too: 48.46 without, 51.53 dB with them",
        "neurbf-parts-dense:sines on the layer too",
        "neurbf-parts-dense:complete",
        least=1.0,
    ),
    Claim(
        "the sines have learned phases (its text; not its code): they help",
        "neurbf-parts-dense:learned phases",
        "neurbf-parts-dense:complete",
        least=0.3,
    ),
    Claim(
        "k-means and fitted shapes over a lattice: 35.24 against 32.73 dB",
        "neurbf-parts-dense:complete",
        "neurbf-parts-dense:lattice",
        least=1.0,
    ),
    Claim("the same where detail is sparse", "neurbf-parts-sparse:complete", "neurbf-parts-sparse:lattice", least=1.0),
    Claim(
        "k-means over drawing by weight: 35.24 against 34.17 dB",
        "neurbf-parts-dense:complete",
        "neurbf-parts-dense:drawn by weight",
        least=0.3,
    ),
    Claim(
        "a grid beside the kernels over kernels alone",
        "neurbf-parts-dense:complete",
        "neurbf-parts-dense:kernels alone",
        least=1.5,
    ),
    Claim(
        "shapes: normals 14 % better than Instant NGP's; here distances of solids",
        "neurbf-solids:neurbf",
        "neurbf-solids:hashgrid",
        better="lower",
        factor=True,
        least=1.05,
    ),
    Claim(
        "and their inside is as right: IoU on 128^3",
        "neurbf-solids:neurbf",
        "neurbf-solids:hashgrid",
        field="iou",
        least=-0.001,
    ),
    Claim(
        "the same on a scan (armadillo)",
        "neurbf-armadillo:neurbf",
        "neurbf-armadillo:hashgrid",
        better="lower",
        factor=True,
        least=1.05,
    ),
)


def _scores(
    image, name: str, options: dict, seeds: int, parameters: int, steps: int, batch: int
) -> tuple[list[float], int]:
    from fields.methods.registry import make_method

    method = make_method(name, {"batch": batch} | options).prepare(image).sized(2, len(image.channels), parameters)
    found = [fitted(image, method, steps=steps, seed=seed) for seed in range(seeds)]
    return [result.metrics["psnr"] for result in found], found[0].field.num_parameters


def images(size: str) -> list[dict]:
    side, parameters, steps, batch, seeds, names = SETTINGS[size]
    rows = []
    for name in names:
        image = named(name, side)
        rival, count = _scores(image, "hashgrid", {}, seeds, parameters, steps, batch)
        rows.append(summary(f"neurbf-{name}:hashgrid", rival, parameters=count, steps=steps, side=side))
        ours, count = _scores(image, "neurbf", {}, seeds, parameters, steps, batch)
        against = sum(rival) / seeds
        rows.append(
            summary(
                f"neurbf-{name}",
                ours,
                parameters=count,
                steps=steps,
                side=side,
                against="hashgrid",
                against_value=round(against, 2),
                ratio=round(sum(ours) / seeds / against, 3),
                gain=round(sum(ours) / seeds - against, 2),
            )
        )
    return rows


def ablations(size: str) -> list[dict]:
    rows = []
    for name in ABLATED if size in PARTS_OUT else ():
        side, parameters, steps, batch, seeds = PARTS_OUT[size]
        for variant, options in {"hashgrid": {}, **ABLATIONS}.items():
            found, count = _scores(
                named(name, side),
                "hashgrid" if variant == "hashgrid" else "neurbf",
                options,
                seeds,
                parameters,
                steps,
                batch,
            )
            rows.append(summary(f"neurbf-parts-{name}:{variant}", found, parameters=count, steps=steps, side=side))
    return rows


def long(size: str) -> list[dict]:
    rows = []
    for name in ("hashgrid", "neurbf") if size in LONG else ():
        side, parameters, steps, batch, seeds = LONG[size]
        found, count = _scores(named("sparse", side), name, {}, seeds, parameters, steps, batch)
        rows.append(summary(f"neurbf-long:{name}", found, parameters=count, steps=steps, side=side))
    return rows


def shape(size: str) -> list[dict]:
    """A torus and a box, and the armadillo where it is there."""
    rows: list[dict] = []
    if size not in SHAPE:
        return rows
    parameters, steps, seeds = SHAPE[size]
    for label, signal in (("solids", solids()), ("armadillo", armadillo())):
        if signal is None:
            continue
        rival: float | None = None
        for name in ("hashgrid", "neurbf"):
            found = [
                near_surface_error(signal, name, {"batch": 1 << 14}, parameters, steps, seed) for seed in range(seeds)
            ]
            row = summary(
                f"neurbf-{label}:{name}",
                [near.error for near in found],
                parameters=found[0].parameters,
                steps=steps,
                iou=round(sum(near.iou for near in found) / seeds, 4),
                seconds=round(sum(near.seconds for near in found) / seeds, 1),
            ) | {"unit": "unit cubes"}
            error = float(row["value"])
            if rival is not None:
                row |= {"against": "hashgrid", "against_value": rival, "ratio": round(rival / error, 3)}
            rival = error
            rows.append(row)
    return rows


PARTS = {"images": images, "ablations": ablations, "long": long, "shape": shape}
