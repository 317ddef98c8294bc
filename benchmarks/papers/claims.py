"""What a paper says, put so that our rows confirm it or do not.

The page of an experiment is written from these, and cannot say more than was measured.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Claim:
    """`says` is the paper's statement with its figures. It is about the row `of`: its `field` against that of the row
    `over`, or against `bound`.

    A difference (a quotient where `factor`) of at least `least` confirms it; `better="lower"` turns the comparison
    round. Statements of the kind "no worse than" have a negative `least`. `ours`: who says it is not the paper but our
    own specification.
    """

    says: str
    of: str
    over: str | None = None
    bound: float = 0.0
    field: str = "value"
    least: float = 0.0
    better: Literal["higher", "lower"] = "higher"
    factor: bool = False
    ours: bool = False

    def judged(self, rows: list[dict]) -> tuple[str, str] | None:
        """What was measured and the verdict; None where the stored rows have not what it takes."""
        by_id = {row["id"]: row for row in rows}
        row = by_id.get(self.of)
        rival = by_id.get(self.over) if self.over else {self.field: self.bound}
        if row is None or rival is None or self.field not in row or self.field not in rival:
            return None
        ours, theirs = float(row[self.field]), float(rival[self.field])
        unit = row["unit"] if self.field == "value" else ""
        gain = ours / theirs if self.factor else ours - theirs
        least = self.least
        if self.better == "lower":
            gain = theirs / ours if self.factor else -gain
        noise = (
            0.0
            if self.factor or self.field != "value"
            else (row.get("spread", 0.0) ** 2 + rival.get("spread", 0.0) ** 2) ** 0.5
        )
        neutral = 1.0 if self.factor else 0.0
        if gain >= least:
            verdict = "confirmed"
        elif gain > neutral:
            verdict = "the same direction, but less"
        else:
            verdict = (
                "**not confirmed**"
                if abs(gain) <= noise
                else "**the opposite was measured**"
                if least > neutral
                else "**not confirmed**"
            )
        if noise > 0 and abs(gain - neutral) < noise:
            verdict += " (within the spread of the seeds)"
        found = f"{ours:.4g} {unit}".strip()
        if self.over:
            found += f" against {theirs:.4g}"
        return found, verdict


def statements(claims: tuple[Claim, ...], rows: list[dict]) -> str:
    """A table of the claims that the rows speak to; the others are named as not measured."""
    lines = ["| what is claimed | what we measured | |", "|---|---|---|"]
    open_claims = []
    for claim in claims:
        judged = claim.judged(rows)
        if judged is None:
            open_claims.append(claim.says)
            continue
        lines.append(f"| {'(our own) ' if claim.ours else ''}{claim.says} | {judged[0]} | {judged[1]} |")
    text = "\n".join(lines) + "\n" if len(lines) > 2 else ""
    if open_claims:
        text += "\nNot among the stored rows yet: " + "; ".join(open_claims) + ".\n"
    return text
