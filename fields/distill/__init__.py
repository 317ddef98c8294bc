"""Progressive volume distillation: a fitted field into a field of another architecture, without the data (Fang et al. 2023)."""

from fields.distill.distill import distill_field

__all__ = ["distill_field"]
