"""The table of a comparison: a line a method, mean and spread over its seeds."""

from __future__ import annotations

from statistics import fmean, stdev

# (key, heading, how it is written); metrics come after the method, in the order in which the kind reports them.
SIZES = (
    ("parameters", "parameters", "{:,.0f}"),
    ("bytes", "bytes", "{:,.0f}"),
    ("steps", "steps", "{:,.0f}"),
    ("seconds", "seconds", "{:.1f}"),
    ("memory", "memory, MB", "{:,.0f}"),
)
LOWER_IS_BETTER = ("relative_l2", "spectral_error", "log_spectral_error", "chamfer", "normal_angle")
DECIBELS = ("psnr", "psnr_alpha", "snr")


def metric_names(rows: list[dict]) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row.get("metrics", {})))


def summary(header: dict) -> list[dict]:
    """For each method: `seeds` (how many are finished), `errors`, and `values`: name → (mean, standard deviation or None)."""
    lines = []
    for method in header["methods"]:
        rows = [row for row in header["rows"] if row["method"] == method]
        done = [row for row in rows if row["status"] == "finished"]
        values = {}
        for name in metric_names(done):
            values[name] = _spread([row["metrics"][name] for row in done if name in row["metrics"]])
        for name, *_ in SIZES:
            scale = 1e-6 if name == "memory" else 1
            if numbers := [row[name] * scale for row in done if row[name] is not None]:
                values[name] = _spread(numbers)
        lines.append(
            {
                "method": method,
                "seeds": len(done),
                "errors": [row["error"] for row in rows if row["status"] == "failed"],
                "values": values,
            }
        )
    return lines


def columns(header: dict) -> list[tuple[str, str, str]]:
    """`(key, heading, format)` of every column of numbers."""
    metrics = [
        (
            name,
            name.replace("_", " ") + (", dB" if name in DECIBELS else ""),
            "{:.2f}" if name in DECIBELS else "{:.4g}",
        )
        for name in metric_names(header["rows"])
    ]
    return metrics + list(SIZES)


def written(value: tuple[float, float | None] | None, form: str) -> str:
    if value is None:
        return "–"
    mean, deviation = value
    return form.format(mean) + (f" ± {form.replace('.4g', '.1g').format(deviation)}" if deviation else "")


def best(lines: list[dict], key: str) -> float | None:
    """The best mean of a metric; None for what is no metric, or where there is nothing to choose."""
    values = [line["values"][key][0] for line in lines if key in line["values"]]
    if len(values) < 2 or key in [name for name, *_ in SIZES]:
        return None
    return min(values) if key in LOWER_IS_BETTER else max(values)


def _spread(numbers: list[float]) -> tuple[float, float | None]:
    return fmean(numbers), stdev(numbers) if len(numbers) > 1 else None
