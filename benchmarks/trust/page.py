"""Write docs/results/trust.md from the reports that the parts of `benchmarks.trust` stored.

python -m benchmarks.trust.page
"""

import json
from pathlib import Path

STORED = Path(__file__).resolve().parents[1] / "results" / "trust"


def store(report: dict) -> None:
    """Keep the report of a part."""
    STORED.mkdir(parents=True, exist_ok=True)
    name = report["benchmark"].removeprefix("trust-")
    (STORED / f"{name}.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
