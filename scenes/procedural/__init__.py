"""Signals from formulas: a sum of waves, and solid scenes with cameras around them."""

from scenes.procedural.waves import Waves

__all__ = ["Waves"]
