"""`step2d-15-bf16-psnr`: the cost of rounding. The same fit of scikit-image's astronaut in bfloat16 and in float32."""

from __future__ import annotations

STEPS = 1500


def rows(quick: bool) -> list[dict]:
    """One row with the PSNR of both fits, or with the reason why this processor has no bfloat16."""
    import scenes
    from fields.fit.fit import fit_field
    from fields.ops.mlp import why_not_matmul_dtype

    name = "step2d-15-bf16-psnr"
    if reason := why_not_matmul_dtype("bfloat16"):
        return [{"id": name, "value": None, "unit": "dB", "note": reason}]
    steps = STEPS // 5 if quick else STEPS
    signal = scenes.load("skimage:astronaut")
    psnr = {
        dtype: fit_field(signal, "hashgrid", steps=steps, settings={"matmul_dtype": dtype}).metrics["psnr"]
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
