"""What the benchmark of distillation makes of its measurements."""

import pytest

from benchmarks.pvd import Ledger, Source, draw, measure, sooner, wants_longer, ways_of


def test_how_much_sooner():
    curve = [(60.0, 20.0), (120.0, 24.0), (240.0, 26.0)]
    assert sooner(curve, 19.0) == 1.0 and sooner(curve, 24.0) == 2.0 and sooner(curve, 27.0) is None
    assert sooner(curve, 25.0) == pytest.approx(2 * 2**0.5, abs=0.01)


def test_what_is_known_is_not_measured_again(tmp_path):
    assert Ledger(tmp_path).row("a", lambda: {"value": 1}) == {"value": 1}
    assert Ledger(tmp_path).row("a", lambda: pytest.fail("measured again")) == {"value": 1}


def test_ways_and_their_plot(tmp_path):
    assert set(ways_of("scene", "hashgrid", "nerf")) == {"", ":shared", ":one-shot", ":at once"}
    assert set(ways_of("scene", "nerf", "hashgrid")) == {""}
    assert set(ways_of("image", "siren", "hashgrid")) == {"", ":one-shot"}
    draw(
        [
            {"id": "image@3:scratch:siren", "unit": "dB", "at_seconds": [3, 6], "values": [20.0, 22.0]},
            {"id": "image@3:hashgrid>siren", "seconds": 3.0, "value": 23.0},
            {"id": "image@3:kplanes>siren:one-shot", "seconds": 3.0, "value": 22.0},
        ],
        tmp_path / "plot.png",
    )
    assert (tmp_path / "plot.png").stat().st_size > 1000


def test_students_and_scratch_have_the_same_rates_and_rows_say_how_long(tmp_path, monkeypatch):
    import fields.distill

    fitted, taught = [], []

    def fit(self, name, seconds, out, factor=1.0):
        fitted.append((name, seconds, factor))
        if out:
            out.mkdir()  # (refuses what a fit that was cut off has left)
            (out / "field.safetensors").write_bytes(b"1")
        return {"value": 20.0 + factor + seconds / 100, "seconds": seconds, "parameters": 1000}

    def distill(folder, into, *, seconds, settings, **rest):
        taught.append((into, seconds, settings["learning_rate"]))
        raise KeyboardInterrupt

    monkeypatch.setattr(Source, "_fitted", fit)
    monkeypatch.setattr(fields.distill, "distill_field", distill)
    (tmp_path / "image@3-teacher-hashgrid").mkdir()
    source = Source("image", Ledger(tmp_path), 3.0)
    with pytest.raises(KeyboardInterrupt):
        source.student("hashgrid", "siren", "")
    assert taught == [("siren", 3.0, pytest.approx(3 * source._options("siren", 1.0)["learning_rate"]))]
    student = {"value": 22.5, "against_teacher": 30.0, "parameters": 900, "steps": 5, "seconds": 3.0, "lost": 1.2}
    for pair in ("hashgrid>siren", "siren>hashgrid"):
        for way in ("", ":one-shot", ":long"):
            source.ledger.rows[f"image@3:{pair}{way}"] = student
    rows = {row["id"]: row for row in measure(source, ["hashgrid", "siren"], ["hashgrid", "siren"], long=True)}
    scratch = rows["image@3:scratch:siren"]
    assert scratch["rates"] == 3.0 and scratch["at_seconds"] == [3.0] and scratch["seconds"] == [3.0]
    assert ("siren", 3.0, 3.0) in fitted and ("siren", 12.0, 1.0) in fitted
    assert rows["image@3:hashgrid>siren"]["against_value"] == scratch["value"] and "image@3:hashgrid>siren:long" in rows


def test_of_the_best_two_rates_the_better_after_all_of_the_time_stays(tmp_path, monkeypatch):
    early, late = {1 / 3: 1.0, 1.0: 2.0, 3.0: 3.0}, {1 / 3: 9.0, 1.0: 5.0, 3.0: 4.0}
    monkeypatch.setattr(
        Source,
        "_fitted",
        lambda self, name, seconds, out, factor=1.0: {"value": (early if seconds < 3 else late)[factor]},
    )
    assert Source("image", Ledger(tmp_path), 3.0).factor("siren") == 1.0


def test_which_pairs_are_given_longer():
    assert wants_longer({"parameters": 1000}, {"parameters": 600, "lost": 1.1})
    assert not wants_longer({"parameters": 1000}, {"parameters": 600, "lost": 0.9})
    assert not wants_longer({"parameters": 1000}, {"parameters": 400, "lost": 3.0})
