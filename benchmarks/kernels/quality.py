"""`step2d-15-bf16-psnr`: what rounding costs. The same fit of scikit-image's astronaut with products of bfloat16 and of float32."""

from __future__ import annotations

STEPS = 1500


def rows(quick: bool) -> list[dict]:
    import scenes
    from fields.fit.fit import fit_field
    from fields.ops.mlp import why_not_matmul_dtype

    name = "step2d-15-bf16-psnr"
    if reason := why_not_matmul_dtype("bfloat16"):
        return [{"id": name, "value": None, "unit": "dB", "note": reason}]
    steps = STEPS // 5 if quick else STEPS
    signal = scenes.load("skimage:astronaut")
    found = {
        matmul_dtype: fit_field(signal, "hashgrid", steps=steps, settings={"matmul_dtype": matmul_dtype}).metrics[
            "psnr"
        ]
        for matmul_dtype in ("bfloat16", "float32")
    }
    return [
        {
            "id": name,
            "value": round(found["bfloat16"], 3),
            "unit": "dB",
            "against": "float32",
            "against_value": round(found["float32"], 3),
            "ratio": round(found["bfloat16"] / found["float32"], 4),
            "note": f"after {steps} steps; {found['bfloat16'] - found['float32']:+.3f} dB",
        }
    ]
