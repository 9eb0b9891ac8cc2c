"""The search by whole trainings, on losses that are known."""

import math

import numpy as np
import pytest

from adaptax.tuning import trials


class Judge:
    """Answers from a function of (share, log10 rate); notes what was asked."""

    def __init__(self, loss):
        self.loss, self.asked = loss, []

    def __call__(self, pairs):
        self.asked += pairs
        return [self.loss(share, math.log10(rate)) for share, rate in pairs]


def search(loss, start=1e-2, low=1e-7, high=10.0, shares=3):
    judge = Judge(loss)
    return judge, *trials.search(judge, start, low, high, shares)


@pytest.mark.parametrize("start", [1e-5, 1e-2, 3.0])
@pytest.mark.parametrize("lowest", [-3.3, -1.1])
@pytest.mark.parametrize("offset", [0.0, -2.0])
def test_the_lowest_loss_is_found_from_any_start(start, lowest, offset):
    judge, best, (first, last), tried = search(
        lambda share, x: 1.0 + (x - lowest) ** 2 + 0.1 * share + offset, start=start
    )
    assert abs(math.log10(best) - lowest) <= 0.26
    assert first <= best <= last
    assert len(judge.asked) == len(set(judge.asked)) <= 60
    assert [trial.rate for trial in tried] == sorted(trial.rate for trial in tried)
    assert sum(len(trial.losses) for trial in tried) == len(judge.asked)


def test_of_a_plateau_the_middle_is_taken():
    _, best, (first, last), _ = search(lambda share, x: 1.0 if -4 <= x <= -1 else 2.0)
    assert abs(math.log10(best) + 2.5) <= 0.26
    assert first <= 2e-4 and last >= 5e-2


def test_a_cliff_is_left_alone():
    _, best, _, tried = search(lambda share, x: math.inf if x > -2.4 else 1.0 - 0.1 * x)
    assert math.log10(best) <= -2.4
    assert any(math.isinf(loss) for trial in tried for loss in trial.losses)


def test_from_divergence_it_goes_down_only():
    judge, best, _, _ = search(lambda share, x: math.inf if x > -4 else 5.0 + x, start=1.0)
    assert best is not None and 1e-7 <= best <= 1e-4
    assert max(rate for _, rate in judge.asked) <= 10**0.5 * 1.001


def test_where_all_diverge_there_is_no_rate():
    for nothing in (math.inf, math.nan):
        judge, best, interval, tried = search(lambda share, x, nothing=nothing: nothing)
        assert best is None and interval is None and tried
        assert max(rate for share, rate in judge.asked if share == 0) < 0.04  # up is no help


@pytest.mark.parametrize(("low", "high"), [(1e-3, 1e-1), (1e-2, 1.1e-2)])
def test_no_rate_outside_the_bounds_is_tried(low, high):
    judge, best, _, _ = search(lambda share, x: 10.0 - x, low=low, high=high)
    assert all(low <= rate * 1.0001 and rate <= high * 1.0001 for _, rate in judge.asked)
    assert best >= high / 1.8


def test_shares_that_disagree_do_not_move_it():
    """A neighbour that one share makes better on average is not taken; one better on all is."""

    def loss(gains):
        return lambda share, x: 1.2 if x < -2.1 else 1.0 - (x > -1.9) * gains[share]

    _, best, _, _ = search(loss([-0.1, -0.1, 0.3]))
    assert best == pytest.approx(1e-2)
    _, best, _, _ = search(loss([-0.1, 0.13, 0.13]))
    assert best > 1.5e-2


def test_the_lattice_is_a_quarter_of_a_decade():
    _, best, _, _ = search(lambda share, x: 1.0 + 20 * (x + 1.8) ** 2)
    assert best == pytest.approx(10**-1.75)


def test_a_rate_that_breaks_down_on_one_share_is_left():
    """The share that the search begins with does not see it."""
    _, best, _, _ = search(lambda share, x: 1 + 0.5 * (x + 1.5) ** 2 + 3.0 * (share and x > -1.9))
    assert best == pytest.approx(1e-2)


def test_one_share_is_enough():
    _, best, _, tried = search(lambda share, x: 1 + (x + 1.5) ** 2, shares=1)
    assert abs(math.log10(best) + 1.5) <= 0.26
    assert all(len(trial.losses) == 1 for trial in tried)


def test_equal_trials_are_equal_values():
    found = [search(lambda share, x: 1 + (x + 2) ** 2)[1:] for _ in range(2)]
    assert found[0] == found[1] and np.isfinite(found[0][0])
