"""Tests of the plan: progress of a schedule whose number of steps is decided again and again."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fields.fit.plan import Plan, StepCost

DECISIONS = st.lists(st.tuples(st.integers(1, 50), st.integers(0, 200)), min_size=1, max_size=8)

# Generating is slow on a busy machine, which says nothing.
unhurried = settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=50)


def plan_of(parts):
    plan, step = Plan(), 0
    for more, left in parts:
        step += more
        plan.decide(step, step + left)
    return plan


def test_known_number_of_steps_is_told_as_it_is():
    plan = Plan([(0, 300)])
    assert plan.even and plan.total == 300
    assert {plan.total_at(step) for step in range(300)} == {300}
    assert plan.progress(0) == 0 and plan.progress(150) == 0.5 and plan.progress(300) == 1


def test_nothing_is_told_before_the_first_decision():
    plan = Plan()
    assert plan.total is None and plan.total_at(5) is None and plan.progress(5) == 0
    plan.decide(10, 100)
    assert plan.total_at(9) is None and plan.total_at(10) == 100 and not plan.even


def test_progress_goes_on_from_where_it_is():
    plan = Plan([(10, 100), (50, 450)])
    assert plan.progress(50) == 0.5
    assert plan.progress(250) == pytest.approx(0.75)
    assert plan.total_at(250) == round(250 / 0.75)
    assert plan.progress(30) == pytest.approx(0.3) and plan.total_at(30) == 100


@unhurried
@given(DECISIONS)
def test_progress_never_falls_and_ends_at_one(parts):
    plan = plan_of(parts)
    first, last = plan.decisions[0][0], plan.total
    progress = [plan.progress(step) for step in range(first, last + 1)]
    assert all(a <= b + 1e-12 for a, b in zip(progress, progress[1:]))
    assert progress[-1] == 1.0
    for step in range(first, last + 1):
        assert step <= plan.total_at(step)


@unhurried
@given(DECISIONS)
def test_replayed_decisions_tell_the_same(parts):
    plan = plan_of(parts)
    again = Plan(plan.decisions)
    steps = range(plan.total + 1)
    assert again.decisions == plan.decisions
    assert [again.total_at(step) for step in steps] == [plan.total_at(step) for step in steps]


def test_what_was_told_before_a_decision_does_not_change_by_it():
    plan = Plan([(10, 100), (40, 60)])
    before = [plan.total_at(step) for step in range(50)]
    plan.decide(50, 500)
    assert [plan.total_at(step) for step in range(50)] == before


def test_cost_of_steps_is_smoothed_by_time():
    cost = StepCost(memory=4.0)
    assert not cost.known
    cost.measure(1.0, 10)
    assert cost.value == pytest.approx(0.1)
    cost.measure(0.4, 1)
    assert 0.1 < cost.value < 0.15
    for _ in range(100):
        cost.measure(0.4, 1)
    assert cost.value == pytest.approx(0.4, rel=0.01)
