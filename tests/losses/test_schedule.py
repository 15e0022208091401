"""Schedules: the share of the student's steps at each point of a run, and which steps they are."""

import math
from itertools import pairwise

import numpy as np
import pytest
from fdistill.losses.schedule import Schedule


def steps(schedule, count, seed=0):
    return [schedule.is_student_step(t, schedule.share(t / count), seed) for t in range(count)]


def test_every_second_step():
    assert steps(Schedule(0.5, "alternating"), 6) == [False, True] * 3


@pytest.mark.parametrize("share", [0.0, 0.1, 0.3, 0.35, 0.7, 0.995, 1.0])
def test_an_alternating_share_is_spread_evenly(share):
    """Every stretch of n steps has n · share of them, rounded down or up; ten tenths are one."""
    chosen = steps(Schedule(share, "alternating"), 1000)
    totals = np.cumsum([0, *chosen])
    for length in (1, 7, 10, 333):
        found = {int(totals[i + length] - totals[i]) for i in range(1000 - length)}
        assert found <= {math.floor(length * share), math.ceil(length * share - 1e-9)}, length
    assert totals[10] == math.floor(10 * share + 1e-9)


def test_random_steps_are_a_function_of_seed_and_step():
    schedule = Schedule(0.3)
    chosen = steps(schedule, 4000)
    assert chosen == steps(schedule, 4000) and chosen != steps(schedule, 4000, seed=1)
    assert sum(chosen) == pytest.approx(1200, abs=4 * math.sqrt(4000 * 0.3 * 0.7))
    after = [later for earlier, later in pairwise(chosen) if earlier]  # independent of the step before
    assert sum(after) / len(after) == pytest.approx(0.3, abs=4 * math.sqrt(0.21 / len(after)))
    grown = [schedule.is_student_step(t, 0.6, 0) for t in range(4000)]
    assert all(later for earlier, later in zip(chosen, grown, strict=True) if earlier)


@pytest.mark.parametrize("t", [0, 1, 60, 119, 120])
def test_courses(t):
    """The exponential one is ImitKD's: the data's share is 200^(-t/N)."""
    assert Schedule(0.0, course="exponential", end_share=0.995).share(t / 120) == pytest.approx(1 - 200 ** (-t / 120))
    assert Schedule(0.2, course="linear", end_share=0.8).share(t / 120) == pytest.approx(0.2 + 0.6 * t / 120)
    assert Schedule(0.9, course="exponential", end_share=0.1).share(t / 120) == pytest.approx(1 - 0.1 * 9 ** (t / 120))
    assert Schedule(0.4).share(t / 120) == 0.4


def test_an_adaptive_share_grows_up_to_1():
    adaptive = Schedule(0.7, course="adaptive", growth=0.1)
    assert [adaptive.share(0.5, growths) for growths in range(5)] == pytest.approx([0.7, 0.8, 0.9, 1.0, 1.0])


def test_the_mean_share_of_a_run():
    assert Schedule(0.2, course="linear", end_share=0.8).mean_share == pytest.approx(0.5)
    decaying = Schedule(0.0, course="exponential", end_share=0.995).mean_share
    assert decaying == pytest.approx(1 - (1 - 1 / 200) / math.log(200), abs=1e-4)
