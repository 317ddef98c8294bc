"""Every option of a comparison, each described once. See `fields.fit.request`, which holds the shared ones."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

from fields.fit.request import FitRequest, SignalRequest
from fields.options import Count, Names, option


class CompareRequest(SignalRequest):
    """Every option of a comparison. `params`, `seconds` and `steps` are those of each fit."""

    first: ClassVar[tuple[str, ...]] = ("source", "methods")

    methods: Names = option(
        ...,
        section="method",
        metavar="A,B,...",
        help="The methods to compare, each once.",
    )
    seeds: Count = option(
        1,
        section="budget",
        metavar="N",
        help="Fit each method with this many seeds. More seeds show which differences are chance.",
    )

    def fit(self, method: str, seed: int, out: Path) -> FitRequest:
        """The request of one fit of the comparison, into the folder `out`."""
        shared = {name: getattr(self, name) for name in type(self).model_fields if name in FitRequest.model_fields}
        return FitRequest(**{**shared, "method": method, "seed": seed, "out": out})

    @classmethod
    def from_header(cls, header: Mapping[str, Any], **changes: Any) -> Self:
        """The request that a comparison was made by, from its `comparison.json`; `changes` are options to replace."""
        values = {
            "source": header["source"]["path"],
            "methods": header["methods"],
            "kind": header["kind"],
            "params": header["parameters"],
            "seconds": None if header["steps"] else header["seconds"],
            "steps": header["steps"],
            "seeds": header["seeds"],
            "held_out": header["held_out"],
        }
        return cls(**{**values, **changes})
