"""Distillation of a fitted field into one of another architecture, without the data (PVD, Fang et al. 2023)."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fields.distill.distill import distill_field

__all__ = ["distill_field"]


def __getattr__(name: str):
    # On first use, so that the command line can ask for the stages' options without importing torch.
    if name == "distill_field":
        from fields.distill.distill import distill_field

        return distill_field
    raise AttributeError(f"module 'fields.distill' has no attribute {name!r}")
