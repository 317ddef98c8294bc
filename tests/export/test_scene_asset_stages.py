"""The stages of a scene's asset: what is kept, what is done again, and how the time is divided."""

import numpy as np
import pytest

from fields.export.scene_assets import schedule as schedules
from fields.export.scene_assets.reports import Reports
from fields.export.scene_assets.schedule import STAGES, Schedule
from fields.export.scene_assets.stage_folder import StageFolder, stage_key
from fields.export.scene_assets.stage_runner import Result, StageRunner


class Recorded(Reports):
    def __init__(self):
        self.events = []

    def begin(self, stage, seconds):
        self.events.append(("begin", stage))

    def kept(self, stage):
        self.events.append(("kept", stage))


def run_all(folder, options, log=None):
    """Two stages of which the second needs the first; returns the results and what was reported."""
    reports = Recorded()
    runner = StageRunner(StageFolder(folder), Schedule(100.0), reports, "source")

    def make(number):
        def work(seconds, progress):
            assert 0 < seconds <= 100
            progress(0.5)
            image = np.full((4, 4, 3), number, np.uint8)
            return Result(
                {"vertices": np.full((3, 3), number, np.float64)}, {"color": image}, ["a note"], {"n": number}
            )

        return work

    results = [runner.run("surface", options[0], make(1)), runner.run("texture", options[1], make(2))]
    return results, reports.events


def test_finished_stages_are_kept_with_all_that_they_made(tmp_path):
    first, _ = run_all(tmp_path, ({"resolution": 8}, {"size": 4}))
    again, events = run_all(tmp_path, ({"resolution": 8}, {"size": 4}))
    assert events == [("kept", "surface"), ("kept", "texture")]
    for a, b in zip(first, again):
        assert np.array_equal(a.arrays["vertices"], b.arrays["vertices"])
        assert b.arrays["vertices"].dtype == np.float64
        assert np.array_equal(a.images["color"], b.images["color"])
        assert b.notes == ["a note"] and b.facts["n"] == a.facts["n"]


def test_a_changed_option_repeats_its_stage_and_those_after(tmp_path):
    run_all(tmp_path, ({"resolution": 8}, {"size": 4}))
    _, events = run_all(tmp_path, ({"resolution": 8}, {"size": 8}))
    assert events == [("kept", "surface"), ("begin", "texture")]
    _, events = run_all(tmp_path, ({"resolution": 16}, {"size": 8}))
    assert events == [("begin", "surface"), ("begin", "texture")]


def test_a_stage_that_fails_leaves_the_ones_before(tmp_path):
    runner = StageRunner(StageFolder(tmp_path), Schedule(100.0), Reports(), "source")
    runner.run("surface", {}, lambda *_: Result({"faces": np.arange(3)}))

    def fails(seconds, progress):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        runner.run("texture", {}, fails)
    assert list(StageFolder(tmp_path).stages) == ["surface"]


def test_a_damaged_list_of_stages_counts_as_none(tmp_path):
    folder = StageFolder(tmp_path)
    (folder.path / "stages.json").write_text("{")
    assert folder.stages == {}


def test_keys_depend_on_options_and_on_what_came_before():
    assert stage_key({"a": 1, "b": 2}) == stage_key({"b": 2, "a": 1})
    assert len({stage_key({"a": 1}), stage_key({"a": 2}), stage_key({"a": 1}, "before")}) == 3


@pytest.mark.parametrize("without", [(), ("refine",)])
@pytest.mark.parametrize("seconds", (20.0, 48.0, 480.0, 3600.0))
def test_fit_and_stages_fill_the_budget(seconds, without, monkeypatch):
    now = 0.0
    monkeypatch.setattr(schedules.time, "perf_counter", lambda: now)
    plan = Schedule(seconds, without=without)
    fit = plan.for_fit()
    assert fit >= 0.5 * seconds and (not without or fit > Schedule(seconds).for_fit())
    now += fit
    for name in STAGES:
        share = plan.for_stage(name)
        assert share > 0 or name in ("normals", *without)
        now += share
    assert now == pytest.approx(seconds, rel=1e-6)


def test_time_that_is_left_over_goes_to_later_stages(monkeypatch):
    now = 0.0
    monkeypatch.setattr(schedules.time, "perf_counter", lambda: now)
    plan, usual = Schedule(480.0), STAGES["texture"][0] * 480.0
    now = plan.for_fit()
    now += plan.for_stage("surface")
    # Simplification, refinement and charts took no time.
    assert plan.for_stage("texture") == pytest.approx(1.5 * usual) and now + 1.5 * usual < 480.0


def test_stages_get_less_where_time_is_short(monkeypatch):
    now = 0.0
    monkeypatch.setattr(schedules.time, "perf_counter", lambda: now)
    plan = Schedule(100.0)
    now = plan.for_fit()
    usual = plan.for_stage("texture")
    now = 97.0
    assert 0 < plan.for_stage("texture") < usual / 2
    now = 120.0
    assert plan.for_stage("texture") == 0.0 and plan.left == 0.0
