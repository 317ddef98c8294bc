"""FreSh against the default and against a full sweep, with its cost (Kania et al. 2025, experiments).

The paper: results comparable to extensive sweeps at marginal extra cost. Ours: for each picture and method the default's PSNR, FreSh's pick,
the best of the sweep, and the seconds of the selection and of one training; gravel and brick are textures, where the guard halves the pick.
"""

from __future__ import annotations

import time

from benchmarks.papers.fits import photograph, psnr_of, summary

# side, width, hidden layers, steps, batch, seeds, pictures
SETTINGS = {"quick": (256, 64, 4, 200, 4096, 1, ("camera",)), "small": (256, 64, 4, 400, 4096, 2, ("camera", "moon", "coins", "gravel", "brick")),
            "paper": (1024, 256, 4, 15000, 65536, 1, ("astronaut", "retina", "camera"))}
SWEEPS = {"siren": ("first_omega", (10, 20, 30, 40, 60, 90, 140, 200), {"learning_rate": 1e-3}),
          "fourier": ("sigma", (2, 4, 8, 12, 20, 32), {"learning_rate": 3e-3})}
DEFAULTS = {"siren": 30.0, "fourier": 2.0}  # the paper's baselines; its sigma of 1 is per unit of [-1, 1]


def measure(size: str) -> list[dict]:
    from fields.fit.fresh import apply_fresh
    from fields.methods.registry import make_method

    side, width, layers, steps, batch, seeds, names = SETTINGS[size]
    rows = []
    for name in names:
        image = photograph(name, side, grey=True)
        for method, (option, sweep, rates) in SWEEPS.items():
            options = {"width": width, "hidden_layers": layers, "batch": batch, **rates}
            if method == "fourier":
                options["frequencies"] = width // 2

            def score(value: float) -> list[float]:
                recipe = make_method(method, {**options, option: float(value)})  # noqa: B023
                return [psnr_of(image, recipe, steps=steps, seed=seed)[0] for seed in range(seeds)]  # noqa: B023

            prepared = make_method(method, options).prepare(image)
            begun = time.perf_counter()
            _, report, _ = apply_fresh(prepared, image)
            selection = time.perf_counter() - begun
            begun = time.perf_counter()
            default = score(DEFAULTS[method])
            training = (time.perf_counter() - begun) / seeds
            swept = {float(value): score(value) for value in sweep}
            best = max(swept, key=lambda value: sum(swept[value]))  # noqa: B023
            best_value = sum(swept[best]) / seeds
            chosen = score(report["value"])
            ours = sum(chosen) / seeds
            rows.append(summary(f"fresh-{method}:{name}:default", default, **{option: DEFAULTS[method]}))
            rows.append(summary(f"fresh-{method}:{name}", chosen, against="the best of the sweep", against_value=round(best_value, 2),
                                ratio=round(ours / best_value, 3), **{option: report["value"]}, best_of_sweep=best,
                                over_default=round(ours - sum(default) / seeds, 2), selection_seconds=round(selection, 1),
                                training_seconds=round(training, 1), remark=report["remark"] or ""))
    return rows
