"""What is read from a curve, against plain Python."""

import math

import numpy as np
import pytest

from adaptax.tuning import rules
from adaptax.tuning.range_test import judged
from tests import reference_finder as reference

RATES = 1e-7 * (1e8) ** (np.arange(100) / 99)


def bowl(noise=0.0, seed=0):
    """High, falling around 1e-3, lowest at 1e-1, exploding after."""
    x = np.log10(RATES)
    curve = 2.0 / (1 + np.exp(2 * (x + 3))) + 0.3 + np.exp(4 * (x - 0.0))
    return curve + noise * np.random.default_rng(seed).normal(size=100)


CURVES = {
    "smooth": bowl(),
    "noisy": bowl(0.05),
    "steps": np.repeat(np.linspace(3, 1, 10) ** 2, 10) + np.tile([0.0, 0.1], 50),
    "cut": bowl()[:80],
}


@pytest.mark.parametrize("name", CURVES)
def test_every_rule_equals_its_reference(name):
    losses = CURVES[name]
    rates = RATES[: len(losses)]
    said = rules.suggestions(rates, losses)
    assert said["valley"] == pytest.approx(reference.valley(rates, losses), rel=1e-12)
    assert said["steepest"] == pytest.approx(reference.steepest(rates, losses), rel=1e-12)
    assert said["minimum/10"] == pytest.approx(rates[list(losses).index(min(losses))] / 10)
    apart = 15 * len(rates) // 100
    assert said["slide"] == reference.slide(rates, losses, apart)


def test_the_rules_order_the_parts_of_a_bowl():
    said = rules.suggestions(RATES, bowl())
    lowest = RATES[bowl().argmin()]
    assert 3e-4 < said["steepest"] < 3e-3 and said["minimum/10"] == pytest.approx(lowest / 10)
    assert RATES[0] < said["valley"] < said["steepest"] < lowest


def test_a_rising_curve_has_no_valley_and_no_steepest_fall():
    said = rules.suggestions(RATES, np.linspace(1.0, 2.0, 100))
    assert said["valley"] is None and said["steepest"] is None and said["slide"] is None


@pytest.mark.parametrize("count", [3, 40, 100, 173])
def test_smoothing_is_a_centred_triangle(count):
    losses = np.random.default_rng(1).normal(size=count)
    np.testing.assert_allclose(
        rules.smooth(losses), reference.smooth(losses, rules.window(count)), rtol=1e-12, atol=1e-12
    )
    line = np.linspace(0.0, 1.0, count)
    half = rules.window(count)
    inner = slice(half, count - half)
    np.testing.assert_allclose(rules.smooth(line)[inner], line[inner], atol=1e-12)  # no shift


@pytest.mark.parametrize("name", ["smooth", "noisy", "steps"])
@pytest.mark.parametrize("bad", [None, math.nan, math.inf])
def test_divergence_equals_its_reference(name, bad):
    losses = np.array(CURVES[name])
    if bad is not None:
        losses[60:] = bad
    assert rules.diverged_at(losses) == reference.diverged_at(losses)


def test_one_bad_batch_is_no_divergence_but_nothing_finite_is():
    losses = np.ones(100)
    losses[50] = 10.0
    assert rules.diverged_at(losses) is None
    losses[50:53] = 10.0
    assert rules.diverged_at(losses) == 51
    assert rules.diverged_at(np.full(5, np.nan)) == 0


def test_a_negative_loss_diverges_by_its_own_range():
    losses = np.concatenate([np.linspace(0.0, -5.0, 50), np.linspace(-5.0, 60.0, 50)])
    found = rules.diverged_at(losses)
    assert found is not None and 60 < found < 85  # 15 above the lowest: at 10
    assert rules.diverged_at(np.linspace(0.0, -5.0, 50)) is None


draw = np.random.default_rng(2)
NOISE = 2.0 + 0.5 * draw.normal(size=(3, 100))
VERDICTS = {
    "found": np.stack([bowl(0.05, seed) for seed in range(3)]),
    "flat": np.full((3, 100), 2.0),
    "nearly flat": 2.0 + 1e-4 * draw.normal(size=(3, 100)),
    "noise-dominated": NOISE,
    "noise, then divergence": np.concatenate(
        [NOISE[:, :70], np.tile(np.exp(np.arange(30.0)), (3, 1))], 1
    ),
    "diverges everywhere": np.tile(np.concatenate([[1.0, 1e3], np.full(98, np.inf)]), (3, 1)),
    "diverges late": np.tile(np.concatenate([np.full(50, 1.0), np.full(50, np.nan)]), (3, 1)),
    "still falling": np.tile(np.linspace(3.0, 1.0, 100), (3, 1)),
    "not finite at the start": np.full((3, 100), np.nan),
}
WORDS = {
    "nearly flat": "flat",
    "noise, then divergence": "noise-dominated",
    "diverges late": "diverges everywhere",
}


@pytest.mark.parametrize("name", VERDICTS)
def test_the_verdict_is_one_plain_word(name):
    found = judged(RATES, VERDICTS[name])
    assert found.verdict == WORDS.get(name, name)
    numbered = found.verdict in ("found", "still falling")
    assert (found.recommended is not None) == numbered == (found.interval is not None)
    assert found.reason and found.verdict in str(found)


def test_the_recommendation_is_the_mean_of_the_repeats_and_the_interval_holds_it():
    losses = np.stack([np.roll(bowl(), shift)[: len(RATES)] for shift in (0, 3, 6)])
    losses[1:, :6] = losses[0, 0]
    found = judged(RATES, losses)
    own = [RATES[reference.smooth(each[:cut], cut // 25).argmin()] / 10
           for each in losses for cut in [reference.diverged_at(each) or 100]]  # fmt: skip
    assert found.recommended == pytest.approx(math.exp(np.mean(np.log(own))))
    assert found.interval == pytest.approx((min(own), max(own)))
    assert found.diverged_at == pytest.approx(RATES[min(map(reference.diverged_at, losses))])


def test_a_repeat_that_starts_with_nan_is_named_with_its_rate():
    losses = np.array(VERDICTS["found"])
    losses[1] = np.nan
    found = judged(RATES, losses)
    assert found.verdict == "not finite at the start" and found.recommended is None
    assert "nan at rate 1e-07" in found.reason
