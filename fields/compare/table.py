"""The table of a comparison: a line for each method, with mean and standard deviation over its seeds."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean, stdev

from fields.compare.curve import STEEP
from fields.fit.scoring import ScoredPart

# Columns behind the metrics: key, title, format.
SIZES = (
    ("parameters", "parameters", "{:,.0f}"),
    ("bytes", "bytes", "{:,.0f}"),
    ("steps", "steps", "{:,.0f}"),
    ("seconds", "seconds", "{:.1f}"),
    ("memory", "memory, MB", "{:,.0f}"),
)
# Metrics of which smaller values are better.
LOWER_IS_BETTER = ("relative_l2", "spectral_error", "log_spectral_error", "chamfer", "normal_angle")
# Metrics in decibels.
DECIBELS = ("psnr", "psnr_alpha", "snr")
# Names of metrics that are written otherwise than their keys.
METRIC_TITLES = {
    "psnr": "PSNR",
    "psnr_alpha": "PSNR of alpha",
    "ssim": "SSIM",
    "ms_ssim": "MS-SSIM",
    "snr": "SNR",
    "iou": "IoU",
    "chamfer": "Chamfer distance",
    "f_score": "F-score",
}
# Memory is stored in bytes and shown in megabytes.
SCALES = {"memory": 1e-6}


def metric_names(rows: Sequence[dict]) -> list[str]:
    """Names of all metrics in some rows of `comparison.json`, in the order in which the kind reports them."""
    return list(dict.fromkeys(name for row in rows for name in row.get("metrics", {})))


def metric_title(name: str) -> str:
    """A metric as people write it."""
    return METRIC_TITLES.get(name, name.replace("_", " "))


def summarize(header: dict) -> list[dict]:
    """For each method: `seeds` (how many fits are finished), `errors`, `notes` on its results, and `values`.

    `values`: by column a pair of mean and standard deviation; that is None for a single fit.
    """
    return [
        _summary(method, [row for row in header["rows"] if row["method"] == method]) for method in header["methods"]
    ]


def columns(header: dict) -> list[tuple[str, str, str]]:
    """Key, title and format of every column: the metrics, then the sizes."""
    metrics = [
        (
            name,
            metric_title(name) + (", dB" if name in DECIBELS else ""),
            "{:.2f}" if name in DECIBELS else "{:.4g}",
        )
        for name in metric_names(header["rows"])
    ]
    return metrics + list(SIZES)


def format_value(value: tuple[float, float | None] | None, form: str) -> str:
    """A cell of the table: "27.20 ± 0.13", without a deviation "27.20", without a value "–"."""
    if value is None:
        return "–"
    mean, deviation = value
    return form.format(mean) + (f" ± {form.replace('.4g', '.1g').format(deviation)}" if deviation else "")


def best(lines: Sequence[dict], key: str) -> float | None:
    """The best mean of a metric; None for a column that is no metric, and for fewer than two methods."""
    values = [line["values"][key][0] for line in lines if key in line["values"]]
    if len(values) < 2 or key in [name for name, *_ in SIZES]:
        return None
    return min(values) if key in LOWER_IS_BETTER else max(values)


def _summary(method: str, rows: list[dict]) -> dict:
    finished = [row for row in rows if row["status"] == "finished"]
    values = {
        name: _mean_and_deviation([row["metrics"][name] for row in finished if name in row["metrics"]])
        for name in metric_names(finished)
    }
    for name, *_ in SIZES:
        sizes = [row[name] * SCALES.get(name, 1) for row in finished if row[name] is not None]
        if sizes:
            values[name] = _mean_and_deviation(sizes)
    return {
        "method": method,
        "seeds": len(finished),
        "errors": [row["error"] for row in rows if row["status"] == "failed"],
        "notes": _notes(finished),
        "values": values,
    }


def _notes(finished: list[dict]) -> list[str]:
    """What has to be known of the results of a method before they are compared."""
    notes = []
    gains = [row["late_gain"] for row in finished if row.get("late_gain") is not None]
    if gains and fmean(gains) >= STEEP:
        notes.append(f"not converged: + {fmean(gains):.1f} dB in its last quarter; give it more time")
    parts = dict.fromkeys(str(ScoredPart.from_json(row["scored"])) for row in finished if "scored" in row)
    notes.extend(f"scored on {part}: the time did not suffice for more" for part in parts)
    return notes


def _mean_and_deviation(values: Sequence[float]) -> tuple[float, float | None]:
    return fmean(values), stdev(values) if len(values) > 1 else None
