"""Tests of comparisons: the rows they store, continuing, the page, and what they refuse."""

import json

import numpy as np
import pytest

from apps.cli.main import main
from fields.compare.comparison import Comparison
from fields.compare.curve import late_gain, read_curve
from fields.compare.images import crop_sheet, error_map, worst_regions
from fields.compare.report import html, write_report
from fields.compare.request import CompareRequest
from fields.compare.table import best, columns, format_value, summarize
from scenes.errors import BadInput
from scenes.io.atomic import append_line

METHODS = ("hashgrid", "siren")


def request(photograph, methods=METHODS, **changes):
    return CompareRequest(**{"source": str(photograph), "methods": methods, "steps": 12, "params": 6000, **changes})


def test_every_method_and_seed_is_a_row_with_equal_parameters(photograph, tmp_path):
    comparison = Comparison.create(request(photograph, seeds=2), tmp_path / "c")
    assert comparison.run(request(photograph, seeds=2)) and not comparison.missing
    rows = Comparison.open(tmp_path / "c").rows
    assert [(row["method"], row["seed"]) for row in rows] == [(m, s) for s in (0, 1) for m in METHODS]
    for row in rows:
        assert row["status"] == "finished" and row["steps"] == 12 and row["seconds"] > 0 and row["metrics"]["psnr"] > 5
        assert abs(row["parameters"] - 6000) <= 180 and row["memory"] is not None
    lines = summarize(comparison.header)
    psnr = [row["metrics"]["psnr"] for row in rows if row["method"] == "siren"]
    assert lines[1]["values"]["psnr"] == (pytest.approx(np.mean(psnr)), pytest.approx(np.std(psnr, ddof=1)))
    assert best(lines, "psnr") == max(line["values"]["psnr"][0] for line in lines) and best(lines, "seconds") is None


def test_curves_score_all_methods_on_the_same_samples(photograph, tmp_path):
    comparison = Comparison.create(request(photograph), tmp_path / "c")
    comparison.run(request(photograph))
    for method in METHODS:
        rows = read_curve(comparison.folder(method, 0) / "curve.jsonl")
        assert rows[0]["step"] == 1 and rows[-1]["step"] == 12 and rows[0]["measure"] == "psnr"
        assert [row["seconds"] for row in rows] == sorted(row["seconds"] for row in rows)
        final = next(row for row in comparison.rows if row["method"] == method)["metrics"]["psnr"]
        # So small an image has no more samples than the fixed ones.
        assert rows[-1]["value"] == pytest.approx(final, abs=0.3)


def test_continues_a_stopped_comparison_and_keeps_finished_fits(photograph, tmp_path):
    whole = Comparison.create(request(photograph), tmp_path / "whole")
    whole.run(request(photograph))

    comparison = Comparison.create(request(photograph), tmp_path / "c")

    def begin(trainer, run):
        def stop(trainer):
            if run.header["method"] == "siren" and trainer.index == 5:
                comparison.stop()

        return [stop]

    assert not comparison.run(request(photograph), begin)
    assert comparison.missing == [("siren", 0)]
    first = comparison.folder("hashgrid", 0) / "field.safetensors"
    kept = first.stat().st_mtime_ns
    again = Comparison.create(request(photograph), tmp_path / "c")
    assert again.run(request(photograph))
    assert first.stat().st_mtime_ns == kept
    assert [row["metrics"] for row in again.rows] == [row["metrics"] for row in whole.rows]
    steps = [row["step"] for row in read_curve(again.folder("siren", 0) / "curve.jsonl")]
    assert steps == sorted(set(steps)) and steps[-1] == 12


def test_adds_methods_to_a_comparison_and_refuses_another_one_in_its_folder(photograph, tmp_path):
    first = request(photograph, ("hashgrid",), steps=4)
    Comparison.create(first, tmp_path / "c").run(first)
    more = request(photograph, ("siren",), steps=4)
    comparison = Comparison.create(more, tmp_path / "c")
    assert comparison.missing == [("siren", 0)]
    with pytest.raises(BadInput, match="other steps"):
        Comparison.create(request(photograph, ("siren",), steps=5), tmp_path / "c")
    with pytest.raises(BadInput, match="compares another signal"):
        Comparison.create(request("skimage:coffee", ("siren",), steps=4), tmp_path / "c")


def test_refuses_unusable_methods_and_folders_before_the_first_fit(photograph, tmp_path):
    for methods, message in ((("hashgrid", "nerv"), "nerv"), (("hashgrid", "hashgrd"), "did you mean hashgrid")):
        with pytest.raises(BadInput, match=message):
            Comparison.create(request(photograph, methods, steps=4, params=None), tmp_path / "c")
        assert not (tmp_path / "c").exists()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").write_text("mine")
    with pytest.raises(BadInput, match="not an empty folder"):
        Comparison.create(request(photograph), tmp_path / "full")


def test_page_needs_no_other_file_and_escapes_text(photograph, tmp_path):
    comparison = Comparison.create(request(photograph), tmp_path / "c")
    comparison.run(request(photograph))
    text = write_report(comparison).read_text()
    assert 'src="http' not in text and 'href="http' not in text and "url(" not in text and "{{" not in text
    assert text.count('class="pane"') == 3 and '<svg class="chart"' in text
    for name in ("curves.png", "crops.png", "target.png"):
        assert (comparison.path / name).read_bytes()[:4] == b"\x89PNG"
    assert "<script>alert" not in html(
        Comparison(comparison.path, {**comparison.header, "signal": "<script>alert(1)</script>"})
    )


def test_worst_regions_hold_the_largest_errors_and_do_not_overlap():
    target = np.zeros((64, 96, 3), np.uint8)
    fit = target.copy()
    fit[40:44, 70:74] = 200
    fit[5:8, 5:8] = 100
    regions = worst_regions(target, {"a": fit}, 2)
    (x0, y0, side), (x1, y1, _) = regions
    assert x0 <= 70 and x0 + side >= 74 and y0 <= 40 and y0 + side >= 44
    assert x1 <= 5 and y1 <= 5 and (abs(x0 - x1) >= side or abs(y0 - y1) >= side)
    assert crop_sheet(target, {"a": fit}, regions).shape[1] == 2 * 200 + 6
    assert error_map(fit, target)[41, 71].tolist() == [255] * 3


def test_formats_values_with_their_deviation():
    assert (
        format_value((27.204, 0.131), "{:.2f}") == "27.20 ± 0.13"
        and format_value((5.0, None), "{:,.0f}") == "5"
        and format_value(None, "{}") == "–"
    )
    assert [key for key, *_ in columns({"rows": []})] == ["parameters", "bytes", "steps", "seconds", "memory"]


def test_compare_command_keeps_finished_fits_and_refuses_wrong_options(photograph, tmp_path, capsys):
    call = [
        "compare",
        str(photograph),
        "--methods",
        "hashgrid,siren",
        "--steps",
        "3",
        "--params",
        "6k",
        "--out",
        str(tmp_path / "c"),
        "--json",
    ]
    assert main(call) == 0
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert len(report["rows"]) == 2 and (tmp_path / "c" / "comparison.html").is_file()
    assert main(call) == 0
    assert "2 fits are finished already" in capsys.readouterr().err
    assert main([*call, "--seconds", "3"]) == 2
    assert main(["compare", str(photograph), "--methods", "hashgrid,hashgrid"]) == 2
    assert "each once" in capsys.readouterr().err


def test_fit_that_still_rises_is_said_not_to_have_converged():
    def curve(values):
        return [{"step": n, "seconds": n + 1.0, "measure": "psnr", "value": v} for n, v in enumerate(values)]

    assert late_gain(curve([10, 20, 22, 24])) == pytest.approx(2.0)
    assert late_gain(curve([10, 20, 20, 20])) == pytest.approx(0.0)
    assert late_gain(curve([10])) is None
    losses = [{"step": n, "seconds": n + 1.0, "measure": "loss", "value": v} for n, v in enumerate([1, 1, 1, 0.1])]
    assert late_gain(losses) == pytest.approx(10.0)
    row = {"method": "siren", "seed": 0, "status": "finished", "metrics": {"psnr": 20.0}}
    row |= {"parameters": 1, "bytes": 4, "steps": 1, "seconds": 1.0, "memory": None}
    part = {"scored": {"fraction": 0.4, "of": "pixels"}}
    header = {"methods": ["siren", "wire"], "rows": [row | {"late_gain": 2.5}, row | part | {"method": "wire"}]}
    rising, partial = (line["notes"] for line in summarize(header))
    assert rising == ["not converged: + 2.5 dB in its last quarter; give it more time"]
    assert partial == ["scored on 40 % of the pixels: the time did not suffice for more"]


def test_page_shows_quality_against_time_steps_and_parameters(photograph, tmp_path):
    comparison = Comparison.create(request(photograph), tmp_path / "c")
    comparison.run(request(photograph))
    text = html(comparison)
    for title in ("time", "steps", "parameters"):
        assert f"Quality against {title}" in text
    assert text.count('<svg class="chart"') == 3
    assert all(isinstance(row["late_gain"], float) for row in comparison.rows)


def test_a_full_disk_is_no_fault_of_a_method(photograph, tmp_path, monkeypatch):
    from fields.runs.run import Run

    comparison = Comparison.create(request(photograph), tmp_path / "c")
    with monkeypatch.context() as patch:
        # Nothing can be appended to a path below a file.
        patch.setattr(Run, "log", lambda self, row: append_line(photograph / "history.jsonl", "{}"))
        with pytest.raises(BadInput, match="a part of the path is a file"):
            comparison.run(request(photograph))
    again = Comparison.create(request(photograph), tmp_path / "c")
    assert again.rows == [] and again.run(request(photograph))
    assert {row["status"] for row in again.rows} == {"finished"}
