"""Schedules as values: they print, compare, travel, agree with Optax's and run in an optimizer."""

import copy
import doctest
import importlib
import json
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from adaptax import (
    constant,
    cosine,
    cosine_restarts,
    exp_range,
    exponential,
    inverse_sqrt,
    inverse_time,
    join,
    linear,
    one_cycle,
    one_cycle_momentum,
    piecewise,
    polynomial,
    power_decay,
    rex,
    staircase,
    triangular,
    triangular2,
    warmup,
    warmup_cosine,
    wsd,
)
from adaptax.core import registry
from adaptax.core.config import from_config, to_config
from adaptax.core.text import parse
from adaptax.rates.schedule import Schedule
from tests.conformance import proves

VALUES = {
    "constant(value=0.1)": constant(0.1),
    "linear(start=0.1, end=0, steps=7)": linear(0.1, 0, 7),
    "polynomial(start=0.1, end=-0.5, steps=7, power=2.5)": polynomial(0.1, -0.5, 7, 2.5),
    "exponential(start=1e-30, decay_rate=0.5, steps=7, end=None)": exponential(1e-30, 0.5, 7),
    "staircase(start=0.1, decay_rate=0.5, every=7)": staircase(0.1, 0.5, every=np.int64(7)),
    "piecewise(values=(0.1, 0.5), boundaries=(7,))": piecewise([0.1, np.float64(0.5)], [7]),
    "inverse_time(start=0.1, decay_rate=0.5, steps=7)": inverse_time(0.1, 0.5, 7),
    "cosine(peak=0.1, steps=7, end=0.0)": cosine(0.1, 7),
    "warmup(peak=0.1, steps=7, start=0.0, shape='linear')": warmup(0.1, 7),
    "warmup_cosine(peak=0.1, warmup_steps=3, steps=7, start=0.0, end=0.0, "
    "warmup_shape='linear')": warmup_cosine(0.1, 3, 7),
    "rex(peak=0.1, steps=7, end=0.0)": rex(0.1, 7),
    "power_decay(peak=0.1, warmup_steps=3, exponent=2, start=0.0, "
    "warmup_shape='linear')": power_decay(0.1, 3, 2),
    "inverse_sqrt(peak=0.1, warmup_steps=3, start=0.05, warmup_shape='cosine')": inverse_sqrt(
        0.1, 3, 0.05, "cosine"
    ),
    "wsd(peak=0.1, warmup_steps=3, decay_steps=2, decay_at=None, shape='1-sqrt', start=0.0, "
    "end=0.0, warmup_shape='linear')": wsd(0.1, 3, 2),
    "cosine_restarts(peak=0.1, period=3, growth=1.5, decay=1.0, end=0.0)": cosine_restarts(
        0.1, 3, 1.5
    ),
    "triangular(start=0.1, peak=0.5, rise_steps=3, fall_steps=None)": triangular(0.1, 0.5, 3),
    "triangular2(start=0.1, peak=0.5, rise_steps=3, fall_steps=2)": triangular2(0.1, 0.5, 3, 2),
    "exp_range(start=0.1, peak=0.5, rise_steps=3, decay_rate=0.9, fall_steps=None)": exp_range(
        0.1, 0.5, 3, 0.9
    ),
    "one_cycle(peak=0.1, steps=7, pct_start=0.3, div_factor=25.0, final_div_factor=10000.0, "
    "three_phase=False, shape='cosine')": one_cycle(0.1, 7),
    "one_cycle_momentum(steps=7, base_momentum=0.85, max_momentum=0.95, pct_start=0.3, "
    "three_phase=True, shape='cosine')": one_cycle_momentum(7, three_phase=True),
    "product_of(0.5, constant(value=0.1))": 0.5 * constant(0.1),
    "sum_of(rex(peak=0.1, steps=7, end=0.0), 1)": rex(0.1, 7) + 1,
    "join(schedules=(constant(value=0.5), constant(value=0.1)), boundaries=(3,))": join(
        [constant(0.5), constant(0.1)], [3]
    ),
}


def test_every_schedule_is_tried_here():
    tried = {text.partition("(")[0] for text in VALUES}
    assert tried | {"function"} == set(registry.names("schedule"))  # a function has no text


@pytest.mark.parametrize("text", VALUES)
def test_a_schedule_prints_as_its_call_and_travels(text):
    schedule = VALUES[text]
    assert isinstance(schedule, Schedule)
    assert repr(schedule) == text
    ways = {
        "text": parse(text),
        "config": from_config(json.loads(json.dumps(to_config(schedule)))),
        "pickle": pickle.loads(pickle.dumps(schedule)),
        "copy": copy.deepcopy(schedule),
    }
    for way, other in ways.items():
        assert other == schedule and hash(other) == hash(schedule), way
    np.testing.assert_array_equal(ways["config"]([0, 3, 9]), schedule([0, 3, 9]))


def test_different_schedules_differ():
    assert len(set(VALUES.values())) == len(VALUES)
    assert cosine(0.1, 7) != cosine(0.1, 8)
    assert cosine(0.1, 7) != warmup(0.1, 7)


def test_an_equal_schedule_is_the_same_static_argument():
    traced = []

    def ask(schedule, k):
        traced.append(schedule)
        return schedule(k)

    asked = jax.jit(ask, static_argnums=0)
    assert asked(cosine(0.1, 7), 3) == asked(cosine(0.1, 7), 3) == cosine(0.1, 7)(3)
    assert len(traced) == 1


def test_table():
    assert warmup_cosine(0.1, 2, 4).table(range(5)).splitlines() == [
        "step  value",
        "   0  0",
        "   1  0.05",
        "   2  0.1",
        "   3  0.05",
        "   4  0",
    ]


AGREE = [
    (constant(0.1), optax.constant_schedule(0.1)),
    (linear(0.1, 0.02, 50), optax.linear_schedule(0.1, 0.02, 50)),
    (polynomial(0.1, 0.02, 50, 1.5), optax.polynomial_schedule(0.1, 0.02, 1.5, 50)),
    (exponential(0.1, 0.5, 20), optax.exponential_decay(0.1, 20, 0.5)),
    (exponential(0.1, 0.5, 20, 0.02), optax.exponential_decay(0.1, 20, 0.5, end_value=0.02)),
    (exponential(0.1, 2, 20, 0.3), optax.exponential_decay(0.1, 20, 2.0, end_value=0.3)),
    (staircase(0.1, 0.5, 20), optax.exponential_decay(0.1, 20, 0.5, staircase=True)),
    (
        piecewise([0.1, 0.05, 0.01], [20, 30]),
        optax.piecewise_constant_schedule(0.1, {20: 0.5, 30: 0.2}),
    ),
    (cosine(0.1, 50), optax.cosine_decay_schedule(0.1, 50)),
    (cosine(0.1, 50, 0.02), optax.cosine_decay_schedule(0.1, 50, alpha=0.2)),
    (warmup(0.1, 50, 0.02), optax.warmup_constant_schedule(0.02, 0.1, 50)),
    (
        warmup_cosine(0.1, 20, 50, 0.01, 0.02),
        optax.warmup_cosine_decay_schedule(0.01, 0.1, 20, 50, 0.02),
    ),
    (
        join([warmup(0.1, 20), linear(0.3, 0.1, 9)], [20]),
        optax.join_schedules(
            [optax.linear_schedule(0.0, 0.1, 20), optax.linear_schedule(0.3, 0.1, 9)], [20]
        ),
    ),
]


AGREE += [
    (one_cycle(0.1, 100), optax.cosine_onecycle_schedule(100, 0.1)),
    (one_cycle(0.1, 50, 0.5, 10, 100), optax.cosine_onecycle_schedule(50, 0.1, 0.5, 10.0, 100.0)),
    (
        one_cycle(0.1, 100, three_phase=True, shape="linear"),
        # without Optax's own, whose second phase has another length and third another end
        optax.piecewise_interpolate_schedule("linear", 0.004, {30: 25.0, 60: 1 / 25, 100: 1e-4}),
    ),
    (
        cosine_restarts(0.1, 10, 2, 0.5, 0.01),
        optax.sgdr_schedule(
            [
                {
                    "init_value": 0.1 * 0.5**i,
                    "peak_value": 0.1 * 0.5**i,
                    "end_value": 0.01,
                    "warmup_steps": 0,
                    "decay_steps": 10 * 2**i,
                }
                for i in range(4)
            ]
        ),
    ),
    (
        0.5 * (linear(0.1, 0.02, 50) + 0.1),
        lambda k: 0.5 * optax.linear_schedule(0.1, 0.02, 50)(k) + 0.05,
    ),
]


@proves("P45", row="schedules")
@pytest.mark.parametrize(("ours", "theirs"), AGREE, ids=[str(ours) for ours, _ in AGREE])
def test_agrees_with_optax(ours, theirs):
    steps = jnp.arange(120, dtype=jnp.int32)
    with jax.numpy_dtype_promotion("standard"):
        expected = jnp.broadcast_to(jax.vmap(theirs)(steps), steps.shape)
    # Optax's cosine cancels near its end: there the error is that of the highest value.
    np.testing.assert_allclose(ours(steps), expected, rtol=1e-5, atol=1e-8)


def test_join_takes_functions_from_elsewhere():
    parts = [optax.linear_schedule(0.0, 0.1, 10), lambda k: 0.5, lambda k: k * 2, cosine(0.1, 10)]
    joined = join(parts, [10, 20, 30])
    got = joined([0, 5, 9, 10, 19, 20, 29, 30, 35, 40])
    np.testing.assert_allclose(got, [0, 0.05, 0.09, 0.5, 0.5, 0, 18, 0.1, 0.05, 0], rtol=1e-6)
    assert got.dtype == jnp.float32 and not got.weak_type
    assert join([lambda k: 0.5], [])([1, 2]).shape == (2,)
    assert joined == join(parts, [10, 20, 30])
    with pytest.raises(TypeError, match=r"join\(schedules=\.\.\.\)"):
        to_config(joined)


def test_join_of_numbers_of_another_dtype(x64):
    joined = join([lambda k: jnp.float32(0.5), constant(0.1)], [10])
    assert joined(3).dtype == jnp.float64 and joined(3) == 0.5
    assert joined(10) == 0.1


@proves("P46", row="schedules")
def test_joins_nest():
    inner = join([warmup(0.1, 4), constant(0.2)], [6])
    outer = join([constant(0.5), inner], [10])
    np.testing.assert_array_equal(outer(np.arange(10, 20)), inner(np.arange(10)))


def test_a_schedule_drives_an_optimizer():
    schedule = warmup_cosine(0.1, 2, 6)
    tx = optax.sgd(schedule)
    state = tx.init(jnp.zeros(()))
    update = jax.jit(tx.update)
    for k in range(8):
        change, state = update(jnp.ones(()), state)
        assert change == -schedule(k)


@pytest.mark.parametrize(
    "name",
    ["schedule", "schedules", "joins", "warmups", "cycles", "one_cycle", "arithmetic", "units"],
)
def test_the_examples_run(name):
    module = importlib.import_module(f"adaptax.rates.{name}")
    with jax.numpy_dtype_promotion("standard"):
        result = doctest.testmod(module)
    assert result.attempted and not result.failed


def test_boundaries_in_an_array_are_those_in_a_list():
    ends = np.cumsum([3, 4])
    parts = [constant(0.3), constant(0.2), constant(0.1)]
    for made, listed in (
        (piecewise([0.3, 0.2, 0.1], ends), piecewise([0.3, 0.2, 0.1], [3, 7])),
        (piecewise(np.array([0.3, 0.2, 0.1]), ends), piecewise([0.3, 0.2, 0.1], [3, 7])),
        (join(parts, ends.astype(np.uint8)), join(parts, [3, 7])),
    ):
        assert made == listed and hash(made) == hash(listed) and repr(made) == repr(listed)
        assert from_config(to_config(made)) == listed
        np.testing.assert_array_equal(made(np.arange(9)), listed(np.arange(9)))
    for wrong, error in (
        (np.array([[3, 7]]), TypeError),
        (np.array(3), TypeError),
        (np.array([3, 7.5]), TypeError),
        (np.array([False, True]), TypeError),
        (np.array([7, 3]), ValueError),
    ):
        with pytest.raises(error, match=r"piecewise\(boundaries="):
            piecewise([0.3, 0.2, 0.1], wrong)
