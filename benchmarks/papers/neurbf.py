"""NeuRBF against a hash grid and an MLP at equal numbers, frozen ones counted, and against itself with a part left out (Chen et al. 2023).

The paper, pictures of DIV2K at 4.3 M numbers: 58.56 dB against 47.56 of Instant NGP (35,000 steps); without kernels 42.37, without sines
on the kernels 48.19, complete 51.53 dB (3,500 steps). Kernels should pay where detail is sparse; so there are a picture of sparse and one of dense detail.
Ours are small and short: with them sines go on the kernels only. Of the shape it is the mean error of distances within 0.02 of the surface
(the paper has an angle of normals, 4.93 against 5.70 degrees, at 856 K against 950 K numbers).
"""

from __future__ import annotations

from benchmarks.papers.fits import fitted, summary
from benchmarks.papers.pictures import named

# side, numbers, steps, batch, seeds, pictures; seeds of the ablation
SETTINGS = {"quick": (128, 31_800, 300, 8192, 1, ("sparse",), 1),
            "small": (128, 31_800, 600, 8192, 1, ("sparse", "dense", "astronaut", "coffee"), 1),
            "paper": (1024, 2_000_000, 35_000, 1 << 18, 1, ("sparse", "dense", "astronaut", "coffee"), 1)}
ABLATED = ("sparse", "dense")
ABLATIONS = {
    "no sines": {"kernel_sines": False},
    "sines on the layer too": {"layer_sines": True, "layer_lowest": 1.0, "layer_highest": 1000.0},
    "lattice": {"placement": "lattice", "shape": "isotropic"},
    "random": {"placement": "random"},
    "drawn by weight": {"placement": "weighted"},
    "kernels alone": {"grid": False},
}
SHAPE = {"small": (30_000, 500), "paper": (856_000, 20_000)}


def measure(size: str) -> list[dict]:
    from fields.methods.registry import make_method

    side, numbers, steps, batch, seeds, names, ablation_seeds = SETTINGS[size]

    def scores(image, name: str, options: dict, seeds: int) -> tuple[list[float], int]:
        method = make_method(name, {"batch": batch} | options).prepare(image).sized(2, len(image.channels), numbers)
        found = [fitted(image, method, steps=steps, seed=seed) for seed in range(seeds)]
        return [result.metrics["psnr"] for result in found], found[0].field.stored_numbers

    rows = []
    for name in names:
        image = named(name, side)
        rival, count = scores(image, "hashgrid", {}, seeds)
        rows.append(summary(f"neurbf-{name}:hashgrid", rival, numbers=count, steps=steps, side=side))
        ours, count = scores(image, "neurbf", {}, seeds)
        against = sum(rival) / seeds
        rows.append(summary(f"neurbf-{name}", ours, numbers=count, steps=steps, side=side, against="hashgrid", against_value=round(against, 2),
                            ratio=round(sum(ours) / seeds / against, 3), gain=round(sum(ours) / seeds - against, 2)))
    for name in ABLATED if size != "quick" else ():
        for variant, options in ABLATIONS.items():
            found, count = scores(named(name, side), "neurbf", options, ablation_seeds)
            rows.append(summary(f"neurbf-{name}:{variant}", found, numbers=count, steps=steps, side=side))
    if size in SHAPE:
        rows += shape(*SHAPE[size])
    return rows


def shape(numbers: int, steps: int) -> list[dict]:
    """A torus and a turned box in one: round and sharp."""
    import torch
    import trimesh

    from fields.fit.fit import prepare
    from fields.methods.registry import make_method
    from scenes.shape import Shape

    torus = trimesh.creation.torus(0.6, 0.2, major_sections=128, minor_sections=64)
    box = trimesh.creation.box((0.5, 0.5, 1.2), trimesh.transformations.rotation_matrix(0.6, (1, 0.5, 0.2)))
    both = trimesh.util.concatenate([torus, box])
    rows: list[dict] = []
    for name in ("hashgrid", "neurbf"):
        signal = Shape.from_mesh(both.vertices, both.faces, samples=1 << 18)
        method = make_method(name, {"batch": 8192}).prepare(signal).sized(3, 1, numbers)
        trainer, _ = prepare(signal, method, steps=steps)
        trainer.run()
        coords, distances, _ = (torch.from_numpy(array) for array in signal.batch(0, 1 << 16, 99))
        near = distances[:, 0].abs() < 0.02
        with torch.no_grad():
            error = float((trainer.field(coords[near]) - distances[near]).abs().mean())
        row = {"id": f"neurbf-shape:{name}", "value": float(f"{error:.3g}"), "unit": "unit cubes", "numbers": trainer.field.stored_numbers, "steps": steps}
        if rows:
            row |= {"against": "hashgrid", "against_value": rows[0]["value"], "ratio": round(rows[0]["value"] / row["value"], 3)}
        rows.append(row)
    return rows
