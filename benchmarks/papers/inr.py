"""The plain coordinate networks, `frequency`, `fourier`, `siren`, `finer` and `wire`: one table at equal numbers, and what is known of each.

The papers, each on pictures of its own: random Fourier features 25.57 dB, octaves 24.95 dB, neither 19.32 dB on pixels left out (Tancik et al.
2020, recalled); WIRE 28.78 dB at a rate of 5e-3, 12.58 dB at 2e-2 (from a log of FINER's authors). Ours: grey pictures of 256 x 256, 64 units,
12.7 K numbers. `spectrum` rows are mean frequencies of untrained networks, in cycles, where FINER's first bias is to move them.
"""

from __future__ import annotations

from benchmarks.papers.fits import photograph, psnr_of, summary

# side, pictures, steps, seeds, FINER's draws
SETTINGS = {"quick": (128, ("camera",), 250, 1, 2), "small": (256, ("camera", "coins"), 1000, 1, 4),
            "paper": (512, ("camera", "coins", "astronaut"), 5000, 3, 4)}
BATCH = 4096
FAMILY = {
    "frequency": {"width": 64, "hidden_layers": 4, "octaves": 7, "learning_rate": 1e-3},
    "fourier": {"width": 64, "hidden_layers": 4, "frequencies": 32, "sigma": 8.0, "learning_rate": 3e-3},
    "siren": {"width": 64, "hidden_layers": 4, "first_omega": 30.0, "learning_rate": 1e-3},
    "finer": {"width": 64, "hidden_layers": 4, "learning_rate": 1e-3},
    "wire": {"width": 45, "hidden_layers": 4, "omega": 20.0, "scale": 10.0, "learning_rate": 5e-3},
}
SIGMAS = (2.0, 4.0, 8.0, 10.0, 12.0, 20.0, 32.0)  # half of these on [-1, 1]
RATES = (1e-3, 5e-3, 5e-2)


def measure(size: str) -> list[dict]:
    from fields.methods.registry import make_method

    side, names, steps, seeds, draws = SETTINGS[size]
    images = {name: photograph(name, side, grey=True) for name in names}
    camera = images["camera"]
    rows = []
    for method, options in FAMILY.items():
        recipe = make_method(method, options | {"batch": BATCH, "final_rate": 0.02})
        pairs = [psnr_of(image, recipe, steps=steps, seed=seed) for image in images.values() for seed in range(seeds)]
        rows.append(summary(f"inr:{method}", [psnr for psnr, _ in pairs], numbers=pairs[0][1], steps=steps, side=side, pictures=" ".join(images)))
    swept = {}
    for sigma in SIGMAS:
        recipe = make_method("fourier", FAMILY["fourier"] | {"sigma": sigma, "batch": BATCH, "final_rate": 0.02})
        swept[sigma] = psnr_of(camera, recipe, steps=min(steps, 400), seed=0)[0]
        rows.append(summary(f"inr-fourier:sigma {sigma:g}", [swept[sigma]], steps=min(steps, 400), side=side))
    rows += _finer_spectra(camera, draws)
    if size != "quick":
        recipe = make_method("siren", FAMILY["siren"] | {"batch": 2 * BATCH, "final_rate": 0.02})
        rows.append(summary("inr-siren:larger batch", [psnr_of(camera, recipe, steps=3 * steps // 2, seed=0)[0]], steps=3 * steps // 2, side=side))
        for rate in RATES:
            rows.append(_wire(camera, rate, min(steps, 700)))
    return rows


def _wire(image, rate: float, steps: int) -> dict:
    """WIRE outside its window of rates, with the guard that goes back."""
    from fields.fit.fit import finish, prepare

    options = {"width": 45, "hidden_layers": 3, "batch": BATCH, "learning_rate": rate}
    trainer, _ = prepare(image, "wire", steps=steps, options=options)
    result = finish(trainer, None)
    return summary(f"inr-wire:rate {rate:g}", [result.metrics["psnr"]], steps=steps, rate_in_the_end=trainer._guard.rate * rate,
                   beginnings=trainer._guard.restarts + 1)


def _finer_spectra(image, draws: int) -> list[dict]:
    import torch

    from fields.init.spectrum import centroid, diagonal_spectrum
    from fields.methods.registry import make_method

    axis = (torch.arange(256) + 0.5) / 256
    coords = torch.stack(torch.meshgrid(axis, axis, indexing="ij")[::-1], dim=-1)
    rows = []
    for bias in (0.0, 1.0, 3.0):
        method = make_method("finer", FAMILY["finer"] | {"first_bias": bias}).prepare(image)
        with torch.no_grad():
            fields = [method.build(image.domain, image.channels, seed) for seed in range(draws)]
            found = [centroid(diagonal_spectrum(field(coords).permute(2, 0, 1), 64)) for field in fields]
        rows.append(summary(f"inr-finer-spectrum:k {bias:g}", found) | {"unit": "cycles"})
    return rows
