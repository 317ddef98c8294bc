"""`step2d-15-bf16-psnr`, `network-METHOD-bf16-psnr`: the cost of rounding. The same fit in bfloat16 and in float32.

Of a grid, scikit-image's astronaut; of networks, one of its photographs at 192 x 192 pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from scenes.signal import Signal

GRID = "step2d-15-bf16-psnr"
GRID_STEPS = 1500
NETWORKS = ("siren", "finer", "wire", "fourier", "frequency", "cam")
NETWORK_STEPS, NETWORK_BATCH = 400, 1024
# Rates that go with small batches, where the method's own suits large ones (`fields.methods.pace`).
NETWORK_RATES = {"siren": 1.3e-4, "finer": 1.3e-4, "wire": 1.2e-4}


def rows(quick: bool, only: str) -> list[dict]:
    """Rows whose id contains `only`: the PSNR of both fits, or the reason why this processor has no bfloat16."""
    return [row for name, fits in _cases(quick) if only in name for row in _compared(name, *fits)]


def _cases(quick: bool) -> Iterator[tuple[str, tuple[Callable[[], Signal], str, int, dict[str, object]]]]:
    """By id: the signal, the method, its steps and its options."""
    import scenes
    from benchmarks.papers.fits import photograph

    part = 5 if quick else 1
    yield GRID, (lambda: scenes.load("skimage:astronaut"), "hashgrid", GRID_STEPS // part, {})
    for method in NETWORKS:
        settings: dict[str, object] = {"batch": NETWORK_BATCH}
        if method in NETWORK_RATES:
            settings["learning_rate"] = NETWORK_RATES[method]
        name = f"network-{method}-bf16-psnr"
        yield name, (lambda: photograph("coffee", 192), method, NETWORK_STEPS // part, settings)


def _compared(
    name: str, signal: Callable[[], Signal], method: str, steps: int, settings: dict[str, object]
) -> list[dict]:
    from fields.fit.fit import fit_field
    from fields.ops.mlp import why_not_matmul_dtype

    if reason := why_not_matmul_dtype("bfloat16"):
        return [{"id": name, "value": None, "unit": "dB", "note": reason}]
    psnr = {
        dtype: fit_field(signal(), method, steps=steps, settings={**settings, "matmul_dtype": dtype}).metrics["psnr"]
        for dtype in ("bfloat16", "float32")
    }
    return [
        {
            "id": name,
            "value": round(psnr["bfloat16"], 3),
            "unit": "dB",
            "against": "float32",
            "against_value": round(psnr["float32"], 3),
            "ratio": round(psnr["bfloat16"] / psnr["float32"], 4),
            "note": f"after {steps} steps; {psnr['bfloat16'] - psnr['float32']:+.3f} dB",
        }
    ]
