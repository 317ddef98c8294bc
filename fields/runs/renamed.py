"""Options that were renamed since the first run headers were written: today's name for each old one."""

from __future__ import annotations

# Options of methods (the header's `options`).
METHOD_OPTIONS = {
    "fresh_density": "initial_density",
    "products": "matmul_dtype",
}
# Options of loaders (the header's `source.options`).
SOURCE_OPTIONS: dict[str, str] = {}
