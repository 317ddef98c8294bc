"""NSTR against its control and against SIREN, at equal parameters (our design, inspired by a paper that was withdrawn
and is unverified).

The control has the same learned waves and the same network of sines, and no states: what is gained over it is the
states' doing. `split` is half a blurred photograph, half gravel; `chirp` has waves of 2 to 50 cycles. `explained` is
the share of the states' changes from node to node that the transport network predicts; `correlation` (chirp only) that
of the frequency map with the true frequency. There are no figures of the paper to compare with: the margins are those
of a prototype (256 x 256, one to two seeds).
"""

from __future__ import annotations

import numpy as np

from benchmarks.papers.claims import Claim
from benchmarks.papers.fits import fitted, summary
from benchmarks.papers.images import named

# side, units, steps by image, seeds
SETTINGS = {
    "quick": (128, 56, {"split": 400, "chirp": 300}, 1),
    "small": (256, 56, {"split": 700, "camera": 1000, "chirp": 800}, 3),
    "paper": (512, 256, {"camera": 5000, "split": 5000, "chirp": 5000, "astronaut": 5000}, 3),
}
OMEGA = {"camera": 60.0, "split": 80.0, "chirp": 30.0, "astronaut": 60.0}
BATCH = 4096
PLAIN = ("split",)  # where every variant is shown
CLAIMS = (
    Claim(
        "split: states gain over the same network without them (prototype: 1.1 dB)",
        "nstr-split:nstr",
        "nstr-split:control",
        least=0.4,
        ours=True,
    ),
    Claim("split: and over SIREN (1.0 dB)", "nstr-split:nstr", "nstr-split:siren", least=0.4, ours=True),
    Claim("photograph: over the control (0.8 dB)", "nstr-camera:nstr", "nstr-camera:control", least=0.2, ours=True),
    Claim("photograph: over SIREN (0.5 to 0.9 dB)", "nstr-camera:nstr", "nstr-camera:siren", least=0.2, ours=True),
    Claim("chirp: over SIREN (2.4 dB)", "nstr-chirp:nstr", "nstr-chirp:siren", least=1.0, ours=True),
    Claim(
        "the map of frequencies follows the chirp's (correlation)",
        "nstr-chirp:nstr",
        bound=0.0,
        field="correlation",
        least=0.7,
        ours=True,
    ),
    Claim(
        "the transport explains how the states change (share)",
        "nstr-camera:nstr",
        bound=0.0,
        field="explained",
        least=0.7,
        ours=True,
    ),
    Claim(
        "the transport costs nothing: the paper has it in the loss",
        "nstr-camera:nstr",
        "nstr-camera:without transport",
        least=-0.4,
    ),
    Claim(
        "the formula as summaries of the paper print it, one number a point, is enough",
        "nstr-split:literal",
        "nstr-split:nstr",
        least=-1.0,
    ),
    Claim("it is not: it fails by more than 5 dB", "nstr-split:nstr", "nstr-split:literal", least=5.0, ours=True),
    Claim(
        "jets, where the transport is the state's slope, are as good",
        "nstr-split:jets",
        "nstr-split:nstr",
        least=-0.4,
        ours=True,
    ),
    Claim(
        "states that also move the waves gain nothing clear",
        "nstr-split:nstr",
        "nstr-split:phases",
        least=-0.4,
        ours=True,
    ),
)


def measure(size: str) -> list[dict]:
    from fields.methods.registry import make_method

    side, units, steps_of, seeds = SETTINGS[size]
    rate = 2e-3 if units < 100 else 5e-4
    common = {"batch": BATCH, "learning_rate": rate, "hidden_layers": 3, "final_rate": 0.02}
    base = {
        **common,
        "waves": units,
        "width": units,
        "nodes": 8,
        "state_size": 8,
        "min_frequency": 4.0,
        "max_frequency": 120.0 * side / 256,
    }
    rows = []
    for name, steps in steps_of.items():
        image = named(name, side, grey=True)
        wider = round(units * 15 / 14)  # as many parameters without states
        variants = {
            "siren": ("siren", {**common, "width": wider, "hidden_layers": 4, "first_omega": OMEGA[name]}),
            "control": ("nstr", base | {"mode": "control", "waves": wider, "width": wider}),
            "without transport": ("nstr", base | {"transport": "observe"}),
            "nstr": ("nstr", base),
        }
        if name in PLAIN:
            variants |= {
                "literal": ("nstr", base | {"mode": "literal"}),
                "jets": ("nstr", base | {"transport": "jet"}),
                "phases": ("nstr", base | {"phases": True}),
            }
        scores: dict[str, list[float]] = {}
        for variant, (method, options) in variants.items():
            more: dict[str, object] = {}
            for seed in range(seeds):
                result = fitted(image, make_method(method, options), steps=steps, seed=seed)
                scores.setdefault(variant, []).append(result.metrics["psnr"])
                more = {"parameters": result.field.num_parameters, "steps": steps, "side": side}
                if "transport_explained" in result.metrics:
                    more["explained"] = round(result.metrics["transport_explained"], 2)
                if name == "chirp" and variant == "nstr":
                    more["correlation"] = round(_correlation(result.field, side), 2)
            if variant == "nstr":
                ours, control, siren = (float(np.mean(scores[v])) for v in ("nstr", "control", "siren"))
                more |= {
                    "against": "control",
                    "against_value": round(control, 2),
                    "ratio": round(ours / control, 3),
                    "over_control": round(ours - control, 2),
                    "over_siren": round(ours - siren, 2),
                }
            rows.append(summary(f"nstr-{name}:{variant}", scores[variant], **more))
    return rows


def _correlation(field, side: int) -> float:
    """Of the frequency map's column means with 2 + 48 u, the chirp's frequency."""
    import torch

    axis = (torch.arange(side) + 0.5) / side
    coords = torch.stack(torch.meshgrid(axis, axis, indexing="ij")[::-1], dim=-1)
    columns = field.frequency(coords).mean(0)
    return float(torch.corrcoef(torch.stack([columns, 2 + 48 * axis]))[0, 1])
