"""The learning rate's way over a run, and over one that is trained longer."""

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from groundup.recipe.schema import Train
from groundup.train.schedule import factor

KINDS = ("cosine", "wsd", "linear", "constant")
ULP = 1e-12


@st.composite
def plans(draw: st.DrawFn) -> tuple[Train, int, float]:
    """A schedule, and where it begins: at step 0, or after an earlier run's steps at some factor."""
    start = draw(st.just(0) | st.integers(1, 500))
    steps = start + draw(st.integers(1, 500))
    plan = Train(
        steps=steps,
        schedule=draw(st.sampled_from(KINDS)),
        warmup=draw(st.just(0) | st.integers(0, 600)),
        decay=draw(st.floats(0.001, 1)),
        final_learning_rate=draw(st.sampled_from([0.0, 0.1, 1.0]) | st.floats(0, 1)),
    )
    return plan, start, draw(st.floats(0.001, 1)) if start else 0.0


def course(plan: Train, start: int = 0, start_factor: float = 0.0) -> list[float]:
    return [factor(step, plan, start, start_factor) for step in range(start, plan.steps)]


@given(plans())
@settings(max_examples=300, deadline=None)
def test_the_factor_is_never_above_the_peak_nor_below_zero(case: tuple[Train, int, float]) -> None:
    plan, start, start_factor = case
    peak = 1.0 if plan.warmup or not start else start_factor
    assert all(0 <= value <= peak for value in course(*case))


@given(plans())
@settings(max_examples=300, deadline=None)
def test_the_peak_is_reached_exactly_when_warm_up_ends_and_the_final_rate_exactly_at_the_last_step(
    case: tuple[Train, int, float],
) -> None:
    plan, start, start_factor = case
    peak = 1.0 if plan.warmup or not start else start_factor
    values = course(*case)
    if len(values) >= plan.warmup:
        assert values[max(0, plan.warmup - 1)] == peak or len(values) == 1
    if len(values) > plan.warmup + 1 and plan.schedule != "constant":
        assert values[-1] == min(plan.final_learning_rate, peak)
    if plan.schedule == "constant":
        assert set(values[plan.warmup :]) <= {peak}


@given(plans())
@settings(max_examples=300, deadline=None)
def test_the_factor_never_jumps(case: tuple[Train, int, float]) -> None:
    """From the earlier run's factor to the last step it goes up in warm-up, then down, in steps of the slope."""
    plan, start, start_factor = case
    values = course(*case)
    before = start_factor if start or plan.warmup else values[0]
    warm, after = plan.warmup, len(values) - plan.warmup - 1
    rise = (1 - start_factor) / warm if warm else 0.0
    span = min(after, max(1, round(plan.decay * len(values)))) if plan.schedule == "wsd" else after
    steepest = math.pi / 2 if plan.schedule == "cosine" else 1.0
    fall = steepest / span if span > 0 and plan.schedule != "constant" else 0.0
    for step, value in enumerate(values):
        change, before = value - before, value
        assert -ULP <= change <= rise + ULP if step < warm else -fall - ULP <= change <= ULP


@given(plans())
@settings(max_examples=200, deadline=None)
def test_each_schedule_is_its_closed_form(case: tuple[Train, int, float]) -> None:
    plan, start, start_factor = case
    peak = 1.0 if plan.warmup or not start else start_factor
    floor, last = min(plan.final_learning_rate, peak), plan.steps - 1
    begin = start + plan.warmup
    for step, value in enumerate(course(*case), start):
        if step < begin:
            expected = start_factor + (1 - start_factor) * (step + 1 - start) / plan.warmup
        elif plan.schedule == "constant" or begin >= last:
            expected = peak
        elif plan.schedule == "cosine":
            expected = floor + (peak - floor) * (1 + math.cos(math.pi * (step - begin) / (last - begin))) / 2
        elif plan.schedule == "linear":
            expected = peak + (floor - peak) * (step - begin) / (last - begin)
        else:
            span = min(last - begin, max(1, round(plan.decay * (plan.steps - start))))
            expected = peak if step <= last - span else floor + (peak - floor) * (last - step) / span
        assert value == pytest.approx(expected, abs=1e-9)


def plan(**values: Any) -> Train:
    return Train(**{"steps": 2000, "warmup": 0, "final_learning_rate": 0.0} | values)


def test_a_run_in_its_stable_phase_trained_longer_is_the_longer_run() -> None:
    whole = course(plan(schedule="wsd", warmup=50, decay=0.1))
    longer = course(plan(schedule="wsd", decay=0.2), start=1000, start_factor=whole[999])
    assert longer == pytest.approx(whole[1000:])


@pytest.mark.parametrize("kind", KINDS)
def test_a_finished_run_trained_longer_stays_where_it_was_or_goes_down_from_there(kind: str) -> None:
    values = course(plan(schedule=kind, decay=0.5), start=1000, start_factor=0.3)
    assert values[0] == 0.3 and values[-1] == (0.3 if kind == "constant" else 0.0)
    assert (values[400] == 0.3) == (kind in ("wsd", "constant"))


def test_a_finished_run_trained_longer_can_be_warmed_up_again() -> None:
    values = course(plan(schedule="linear", warmup=100), start=1000, start_factor=0.1)
    assert values[0] == pytest.approx(0.1 + 0.9 / 100) and values[99] == 1.0 and values[-1] == 0.0


def test_no_schedule_stays_at_zero() -> None:
    assert factor(1000, plan(schedule="constant"), start=1000, start_factor=0.0) == 1.0
