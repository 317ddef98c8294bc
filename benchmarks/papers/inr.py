"""The plain coordinate networks, `frequency`, `fourier`, `siren`, `finer` and `wire`: one table at equal parameters,
and what is known of each.

The papers, each on images of its own: random Fourier features 25.57 dB, octaves 24.95 dB, neither 19.32 dB on pixels
left out (Tancik et al. 2020, recalled); WIRE 28.78 dB at a rate of 5e-3, 12.58 dB at 2e-2 (from a log of FINER's
authors). Ours: grey images of 256 x 256, 64 units, 12.7 K parameters. `spectrum` rows are mean frequencies of untrained
networks, in cycles, where FINER's first bias is to move them. `kodak` is the mean over the eight images of Kodak's
that are in the shared data, `bach` seven seconds of music (SNR; SIREN's page has it beside ReLU networks, without
parameters).
"""

from __future__ import annotations

from benchmarks.papers.claims import Claim
from benchmarks.papers.fits import bach, fitted, kodak, photograph, psnr_of, summary
from fields.fit.guard import RestartingGuard

# side, images, steps, seeds, FINER's draws
SETTINGS = {
    "quick": (128, ("camera",), 250, 1, 2),
    "small": (256, ("camera", "coins"), 1000, 3, 4),
    "paper": (512, ("camera", "coins", "astronaut"), 5000, 3, 4),
}
BATCH = 4096
FAMILY = {
    "frequency": {"width": 64, "hidden_layers": 4, "octaves": 7, "learning_rate": 1e-3, "optimizer": "adam"},
    "fourier": {
        "width": 64,
        "hidden_layers": 4,
        "frequencies": 32,
        "sigma": 8.0,
        "learning_rate": 3e-3,
        "optimizer": "adam",
    },
    "siren": {"width": 64, "hidden_layers": 4, "first_omega": 30.0, "learning_rate": 1e-3},
    "finer": {"width": 64, "hidden_layers": 4, "first_omega": 30.0, "learning_rate": 1e-3},
    "wire": {"width": 45, "hidden_layers": 4, "omega": 20.0, "scale": 10.0, "learning_rate": 5e-3},
}
# `wire`'s default depth and its rate in short fits.
SHALLOW_WIRE = {"width": 78, "hidden_layers": 2, "omega": 20.0, "scale": 10.0, "learning_rate": 2e-3}
SIGMAS = (2.0, 4.0, 8.0, 10.0, 12.0, 20.0, 32.0)  # half of these on [-1, 1]
RATES = (1e-3, 5e-3, 5e-2)
WIRE_STEPS, KODAK_STEPS, BACH_STEPS = 300, 200, 400  # (complex layers are slow)
CLAIMS = (
    Claim("random features over octaves: 25.57 against 24.95 dB (on pixels left out)", "inr:fourier", "inr:frequency"),
    Claim("the same on Kodak's images", "inr-kodak:fourier", "inr-kodak:frequency"),
    Claim("SIREN over ReLU networks behind octaves", "inr:siren", "inr:frequency", least=1.0),
    Claim("the same on Kodak's images", "inr-kodak:siren", "inr-kodak:frequency", least=1.0),
    Claim(
        "music: SIREN follows a waveform where ReLU networks fail", "inr-bach:siren", "inr-bach:frequency", least=3.0
    ),
    Claim("FINER over SIREN", "inr:finer", "inr:siren"),
    Claim("the same on Kodak's images", "inr-kodak:finer", "inr-kodak:siren"),
    Claim("WIRE over SIREN (its own paper)", "inr:wire", "inr:siren"),
    Claim("WIRE of two layers over the same parameters in four", "inr-wire:2 layers", "inr:wire", least=3.0, ours=True),
    Claim("WIRE: 28.78 dB at a rate of 5e-3, 21.10 at 1e-3", "inr-wire:rate 0.005", "inr-wire:rate 0.001", least=1.0),
    Claim("random features have a best width: too smooth", "inr-fourier:sigma 8", "inr-fourier:sigma 2", least=1.0),
    Claim("and too rough", "inr-fourier:sigma 8", "inr-fourier:sigma 32", least=5.0),
    Claim(
        "FINER's first bias moves the spectrum, k = 1",
        "inr-finer-spectrum:k 1",
        "inr-finer-spectrum:k 0",
        factor=True,
        least=1.1,
    ),
    Claim("k = 3", "inr-finer-spectrum:k 3", "inr-finer-spectrum:k 0", factor=True, least=1.35),
    Claim(
        "WIRE runs away at a rate of 5e-2, and its guard begins anew (beginnings)",
        "inr-wire:rate 0.05",
        bound=1.0,
        field="beginnings",
        least=1.0,
        ours=True,
    ),
    Claim(
        "at 5e-3 it does not (beginnings)",
        "inr-wire:rate 0.005",
        bound=1.0,
        field="beginnings",
        better="lower",
        ours=True,
    ),
    Claim("SIREN: 33.1 dB on camera (a prototype)", "inr-camera:siren", bound=32.0, ours=True),
    Claim(
        "SIREN, twice the batch and half as many steps again: 34.5 dB on camera (a prototype)",
        "inr-siren:larger batch",
        bound=33.5,
        ours=True,
    ),
)


def family(size: str) -> list[dict]:
    from fields.methods.registry import make_method

    side, names, steps, seeds, _ = SETTINGS[size]
    rows = []
    for method, options in FAMILY.items():
        recipe = make_method(method, options | {"batch": BATCH, "final_rate": 0.02})
        found = {
            name: [psnr_of(photograph(name, side, grey=True), recipe, steps=steps, seed=seed) for seed in range(seeds)]
            for name in names
        }
        how = {"parameters": found[names[0]][0][1], "steps": steps, "side": side}
        rows.append(
            summary(
                f"inr:{method}",
                [psnr for pairs in found.values() for psnr, _ in pairs],
                **how,
                images=" ".join(names),
            )
        )
        rows += [summary(f"inr-{name}:{method}", [psnr for psnr, _ in pairs], **how) for name, pairs in found.items()]
    return rows


def widths(size: str) -> list[dict]:
    """Of random features."""
    from fields.methods.registry import make_method

    side, _, steps, seeds, _ = SETTINGS[size]
    camera, steps = photograph("camera", side, grey=True), min(steps, 400)
    rows = []
    for sigma in SIGMAS:
        recipe = make_method("fourier", FAMILY["fourier"] | {"sigma": sigma, "batch": BATCH, "final_rate": 0.02})
        rows.append(
            summary(
                f"inr-fourier:sigma {sigma:g}",
                [psnr_of(camera, recipe, steps=steps, seed=seed)[0] for seed in range(seeds)],
                steps=steps,
                side=side,
            )
        )
    return rows


def larger_batch(size: str) -> list[dict]:
    from fields.methods.registry import make_method

    side, _, steps, seeds, _ = SETTINGS[size]
    recipe = make_method("siren", FAMILY["siren"] | {"batch": 2 * BATCH, "final_rate": 0.02})
    values = [
        psnr_of(photograph("camera", side, grey=True), recipe, steps=3 * steps // 2, seed=seed)[0]
        for seed in range(seeds)
    ]
    return [summary("inr-siren:larger batch", values, steps=3 * steps // 2, side=side)]


def kodak_pictures(size: str) -> list[dict]:
    from fields.methods.registry import make_method

    side, _, steps, *_ = SETTINGS[size]
    steps = min(steps, KODAK_STEPS)
    images = kodak(side)[: 2 if size == "quick" else None]
    rows = []
    for method, options in FAMILY.items() if images else ():
        recipe = make_method(method, options | {"batch": BATCH, "final_rate": 0.02})
        values = [psnr_of(image, recipe, steps=steps, seed=0)[0] for image in images]
        rows.append(summary(f"inr-kodak:{method}", values, steps=steps, side=side, images=len(images)))
    return rows


def music(size: str) -> list[dict]:
    from fields.methods.registry import make_method

    audio, steps, seeds = bach(), SETTINGS[size][2], min(2, SETTINGS[size][3])
    rows: list[dict] = []
    if audio is None:
        return rows
    for method, options in (
        ("siren", {"first_omega": 3000.0, "learning_rate": 5e-4}),
        ("frequency", {"octaves": 12, "learning_rate": 1e-3}),
    ):
        recipe = make_method(method, options | {"width": 128, "hidden_layers": 4, "batch": 16384})
        found = [fitted(audio, recipe, steps=min(steps, BACH_STEPS), seed=seed) for seed in range(seeds)]
        rows.append(
            summary(
                f"inr-bach:{method}",
                [result.metrics["snr"] for result in found],
                parameters=found[0].field.num_parameters,
                steps=min(steps, BACH_STEPS),
            )
        )
    return rows


def wire(size: str) -> list[dict]:
    """WIRE inside and outside its window of rates, with the guard that goes back."""
    from fields.fit.fit import finish, prepare

    side, _, steps, seeds, _ = SETTINGS[size]
    image, steps, seeds = photograph("camera", side, grey=True), min(steps, WIRE_STEPS), min(2, seeds)
    rows = []
    for rate in RATES:
        options = {"width": 45, "hidden_layers": 3, "batch": BATCH, "learning_rate": rate}
        values, beginnings, rates = [], [], []
        for seed in range(seeds):
            trainer, _ = prepare(image, "wire", steps=steps, seed=seed, settings=options)
            values.append(finish(trainer, None).metrics["psnr"])
            assert isinstance(trainer._guard, RestartingGuard)
            beginnings.append(trainer._guard.restarts + 1)
            rates.append(trainer._guard.rate * rate)
        rows.append(
            summary(
                f"inr-wire:rate {rate:g}",
                values,
                steps=steps,
                rate_in_the_end=sum(rates) / seeds,
                beginnings=sum(beginnings) / seeds,
            )
        )
    return rows


def shallow_wire(size: str) -> list[dict]:
    """WIRE of as many parameters in two layers, on the pictures of the family."""
    from fields.methods.registry import make_method

    side, names, steps, seeds, _ = SETTINGS[size]
    recipe = make_method("wire", SHALLOW_WIRE | {"batch": BATCH, "final_rate": 0.02})
    pairs = [
        psnr_of(photograph(name, side, grey=True), recipe, steps=steps, seed=seed)
        for name in names
        for seed in range(seeds)
    ]
    how = {"parameters": pairs[0][1], "steps": steps, "side": side, "images": " ".join(names)}
    return [summary("inr-wire:2 layers", [psnr for psnr, _ in pairs], **how)]


def spectra(size: str) -> list[dict]:
    side, _, _, _, draws = SETTINGS[size]
    return _finer_spectra(photograph("camera", side, grey=True), draws)


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


PARTS = {
    "family": family,
    "widths": widths,
    "spectra": spectra,
    "larger-batch": larger_batch,
    "wire": wire,
    "shallow-wire": shallow_wire,
    "kodak": kodak_pictures,
    "bach": music,
}
