"""Signals made of formulas: a sum of waves, and solids with cameras around them."""

from scenes.procedural.waves import Waves

__all__ = ["Waves"]
