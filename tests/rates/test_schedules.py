"""Every schedule is its closed form, written here in plain float64, at every step there is."""

import math
from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.core.text import parse
from adaptax.rates.joins import join, piecewise, warmup, warmup_cosine
from adaptax.rates.schedules import (
    constant,
    cosine,
    exponential,
    inverse_time,
    linear,
    polynomial,
    staircase,
)

LAST = 2**31 - 1
LENGTHS = [1, 2, 7, 1000, 10**9]


# The closed forms. Distances to the end are integers, so that nothing cancels.


def _line(start, end, T, k):
    k = min(k, T)
    return float((Fraction(start) * (T - k) + Fraction(end) * k) / T)


def _polynomial(start, end, T, power, k):
    k = min(k, T)
    top = ((T - k) / T) ** power
    done = -math.expm1(power * math.log1p(-k / T)) if 2 * k < T else 1 - top
    return start * top + end * done


def _exponential(start, rate, T, k, end=None):
    try:
        value = start * rate ** (k / T)
    except OverflowError:
        value = math.inf
    if end is None:
        return value
    return max(value, end) if rate < 1 else min(value, end)


def _cosine(peak, T, k, end=0.0):
    k = min(k, T)
    return end + (peak - end) * math.sin(math.pi * (T - k) / (2 * T)) ** 2 if k < T else end


def _rising_cosine(T, k):
    return math.sin(math.pi * min(k, T) / (2 * T)) ** 2 if k < T else 1.0


def _warmup_cosine(peak, rise, T, start, end, k):
    if k < rise:
        return _line(start, peak, rise, k)
    return _cosine(peak, T - rise, k - rise, end) if T > rise else end


def _pieces(values, boundaries, k):
    for value, boundary in zip(values, boundaries, strict=False):
        if k < boundary:
            return value
    return values[-1]


def _joined(T, k):
    if k < T:
        return _line(0.0, 0.3, T, k)
    return 0.3 / (1 + 0.7 * (k - T) / T) if k < 2 * T else 0.1 * 0.5 ** ((k - 2 * T) / T)


CASES = {
    "constant": (lambda T: constant(0.1), lambda T, k: 0.1),
    "linear up": (lambda T: linear(0.1, 0.3, T), lambda T, k: _line(0.1, 0.3, T, k)),
    "linear to 0": (lambda T: linear(0.3, 0, T), lambda T, k: _line(0.3, 0, T, k)),
    "linear through 0": (lambda T: linear(-0.1, 0.3, T), lambda T, k: _line(-0.1, 0.3, T, k)),
    "linear from -1": (lambda T: linear(1, -1, T), lambda T, k: _line(1, -1, T, k)),
    "exponential": (lambda T: exponential(0.1, 0.5, T), lambda T, k: _exponential(0.1, 0.5, T, k)),
    "exponential far": (
        lambda T: exponential(1e30, 1e-60, T),
        lambda T, k: _exponential(1e30, 1e-60, T, k),
    ),
    "exponential slow": (
        lambda T: exponential(0.3, 0.9999, T, 1e-5),
        lambda T, k: _exponential(0.3, 0.9999, T, k, 1e-5),
    ),
    "exponential up": (
        lambda T: exponential(1e-3, 1.001, T, 0.1),
        lambda T, k: _exponential(1e-3, 1.001, T, k, 0.1),
    ),
    "exponential over": (lambda T: exponential(0.1, 3, T), lambda T, k: _exponential(0.1, 3, T, k)),
    "staircase": (
        lambda T: staircase(0.1, 0.97, T),
        lambda T, k: 0.1 * 0.97 ** (k // T),
    ),
    "piecewise": (
        lambda T: piecewise([0.3, 0.1, 0.2], [T, 2 * T]),
        lambda T, k: _pieces([0.3, 0.1, 0.2], [T, 2 * T], k),
    ),
    "inverse_time": (
        lambda T: inverse_time(0.1, 0.7, T),
        lambda T, k: 0.1 / (1 + 0.7 * k / T),
    ),
    "cosine": (lambda T: cosine(0.1, T), lambda T, k: _cosine(0.1, T, k)),
    "cosine to": (lambda T: cosine(0.1, T, 0.01), lambda T, k: _cosine(0.1, T, k, 0.01)),
    "cosine up": (lambda T: cosine(0, T, 1), _rising_cosine),
    "warmup": (lambda T: warmup(0.1, T), lambda T, k: _line(0, 0.1, T, k)),
    "warmup from": (lambda T: warmup(0.1, T, 0.01), lambda T, k: _line(0.01, 0.1, T, k)),
    "warmup none": (lambda T: warmup(0.1, 0, 0.01), lambda T, k: 0.1),
    "warmup_cosine": (
        lambda T: warmup_cosine(0.1, T // 3, T, 0.02, 0.01),
        lambda T, k: _warmup_cosine(0.1, T // 3, T, 0.02, 0.01, k),
    ),
    "warmup_cosine no cosine": (
        lambda T: warmup_cosine(0.1, T, T, end=0.01),
        lambda T, k: _warmup_cosine(0.1, T, T, 0.0, 0.01, k),
    ),
    "join": (
        lambda T: join(
            [warmup(0.3, T), inverse_time(0.3, 0.7, T), exponential(0.1, 0.5, T)], [T, 2 * T]
        ),
        _joined,
    ),
}
for _power in (0.5, 2.7, 100.5):
    for _start, _end in ((0.1, 0.0), (0.1, 0.01), (0.0, 0.1)):
        CASES[f"polynomial {_power} {_start} {_end}"] = (
            lambda T, p=_power, a=_start, b=_end: polynomial(a, b, T, p),
            lambda T, k, p=_power, a=_start, b=_end: _polynomial(a, b, T, p, k),
        )
# What does not depend on the numbers is asked of one polynomial only.
DISTINCT = [case for case in CASES if "polynomial" not in case or case.endswith("2.7 0.1 0.01")]


def _steps(T):
    """The ends, many steps between them, and many close to each end."""
    rng = np.random.default_rng(T)
    close = np.exp(rng.uniform(0, math.log(T + 1), 400)).astype(np.int64)
    ends = [0, T - 1, T, T + 1, 2 * T - 1, 2 * T, LAST]
    steps = [ends, rng.integers(0, T + 1, 1000), close, T - close, rng.integers(0, LAST, 300)]
    return np.unique(np.clip(np.concatenate(steps), 0, LAST))


def _check(case, T, dtype, rtol):
    make, closed = CASES[case]
    steps = _steps(T)
    expected = np.array([closed(T, int(k)) for k in steps])
    got = make(T)(steps)
    assert got.dtype == dtype and got.shape == steps.shape
    got = np.asarray(got, np.float64)
    limits = np.finfo(dtype)
    over, under = np.abs(expected) > limits.max, np.abs(expected) < limits.tiny
    np.testing.assert_array_equal(got[over], np.inf)
    assert np.all(np.abs(got[under]) <= limits.tiny)
    fits = ~(over | under)
    np.testing.assert_allclose(got[fits], expected[fits], rtol=rtol, atol=0)
    np.testing.assert_array_equal(got[expected == 0], 0)


@pytest.mark.parametrize("T", LENGTHS)
@pytest.mark.parametrize("case", CASES)
def test_closed_form(case, T):
    _check(case, T, np.float32, 1e-6)


@pytest.mark.parametrize("T", [1, 7, 10**9])
@pytest.mark.parametrize("case", CASES)
def test_closed_form_in_double_precision(case, T, x64):
    _check(case, T, np.float64, 1e-12)


@pytest.mark.parametrize(
    ("schedule", "start", "end"),
    [
        (linear(0.1, 0.3, 7), 0.1, 0.3),
        (polynomial(0.1, 0.3, 12345, 100.5), 0.1, 0.3),
        (cosine(0.1, 7, 0.03), 0.1, 0.03),
        (warmup(0.7, 10**9, 0.1), 0.1, 0.7),
        (warmup_cosine(0.3, 3, 7, 0.1, 0.01), 0.1, 0.01),
    ],
    ids=str,
)
def test_the_ends_are_the_numbers_given(schedule, start, end):
    assert schedule(0) == np.float32(start)
    assert schedule(LAST) == np.float32(end)


# What a step may be.


@pytest.mark.parametrize("case", DISTINCT)
def test_a_step_gives_the_same_bits_however_it_is_asked(case):
    schedule = CASES[case][0](7)
    steps = np.array([0, 1, 2, 3, 6, 7, 8, 11, 20, 1000])
    together = np.asarray(schedule(steps))
    inside = jax.jit(lambda k: (schedule(k), schedule(k) * 3 + 1))
    ways = {
        "alone": [schedule(int(k)) for k in steps],
        "jit": [inside(jnp.int32(k))[0] for k in steps],
        "vmap": jax.vmap(schedule)(jnp.asarray(steps, jnp.int32)),
        "jit of array": jax.jit(schedule)(jnp.asarray(steps, jnp.int32)),
        "matrix": np.ravel(schedule(steps.reshape(2, 5))),
    }
    for way, values in ways.items():
        np.testing.assert_array_equal(np.asarray(values), together, err_msg=way)


@pytest.mark.parametrize("case", DISTINCT)
def test_values_are_strong_scalars_of_the_shape_of_the_step(case):
    schedule = CASES[case][0](7)
    for step, shape in (
        (3, ()),
        (np.int64(3), ()),
        (np.zeros((2, 0), int), (2, 0)),
        ([1, 2], (2,)),
    ):
        value = schedule(step)
        assert value.shape == shape and value.dtype == jnp.float32 and not value.weak_type
    assert not jax.eval_shape(schedule, 3).weak_type


def test_any_integer_is_a_step_and_the_counter_saturates():
    schedule = exponential(1.0, 0.5, 10**9)
    at_three = schedule(3)
    for step in (np.uint8(3), np.int64(3), jnp.uint32(3), jnp.int8(3), np.array(3)):
        assert schedule(step) == at_three
    for step in (2**40, 2**70, np.int64(2**40), np.uint32(2**32 - 1), jnp.uint32(2**32 - 1)):
        assert schedule(step) == schedule(LAST)


@pytest.mark.parametrize("case", DISTINCT)
def test_before_the_first_step_is_the_first(case):
    schedule = CASES[case][0](7)
    for step in (-1, -(2**31), -(2**70), np.int64(-(2**40)), jnp.int8(-3)):
        assert schedule(step) == schedule(0)


@pytest.mark.parametrize("step", [3.0, True, np.float32(3), jnp.array(True), "3", None, [0.5]])
@pytest.mark.parametrize("schedule", [constant(0.1), join([constant(0.1)], [])], ids=str)
def test_other_steps_are_refused(schedule, step):
    with pytest.raises(TypeError, match="whole step"):
        schedule(step)


# Hyperparameters that are traced.

TRACED = {
    "constant": lambda x: constant(x),
    "linear": lambda x: linear(x, 0.3, 10),
    "linear end": lambda x: linear(0.0, x, 10),
    "polynomial": lambda x: polynomial(x, 0.3, 10, x),
    "polynomial ends": lambda x: polynomial(x, x / 2, 10, 2),
    "exponential": lambda x: exponential(x, 0.5, 10, x / 2),
    "exponential rate": lambda x: exponential(0.3, x, 10, 0.1),
    "staircase": lambda x: staircase(x, x, 3),
    "piecewise": lambda x: piecewise([x, 0.3], [4]),
    "inverse_time": lambda x: inverse_time(x, x, 10),
    "cosine": lambda x: cosine(x, 10, x / 3),
    "warmup": lambda x: warmup(x, 10, x / 2),
    "warmup none": lambda x: warmup(x, 0),
    "warmup_cosine": lambda x: warmup_cosine(x, 3, 10, x / 2, x / 3),
    "join": lambda x: join([warmup(x, 3), cosine(x, 10)], [3]),
}


@pytest.mark.parametrize("case", TRACED)
def test_traced_hyperparameters(case):
    steps = np.array([0, 3, 5, 11])
    numbers = jnp.array([0.1, 0.25], jnp.float32)
    with jax.checking_leaks():
        got = jax.jit(jax.vmap(lambda x: TRACED[case](x)(steps)))(numbers)
    expected = [np.asarray(TRACED[case](float(x))(steps)) for x in numbers]
    assert got.dtype == jnp.float32
    np.testing.assert_allclose(got, expected, rtol=2e-6, atol=0)


# Wrong arguments.

WRONG = [
    ("linear(0.1, 0.3, 0)", ValueError, "linear(steps=0): steps must be a whole number in [1, "),
    ("linear(0.1, 0.3, -5)", ValueError, "linear(steps=-5): steps must be a whole number in [1, "),
    ("linear(0.1, 0.3, 2.5)", TypeError, "linear(steps=2.5): steps must be a whole number in [1, "),
    (
        "linear(0.1, 0.3, inf)",
        ValueError,
        "linear(steps=inf): steps must be a whole number in [1, ",
    ),
    (
        "linear(0.1, 0.3, nan)",
        ValueError,
        "linear(steps=nan): steps must be a whole number in [1, ",
    ),
    (
        "linear(0.1, 0.3, True)",
        TypeError,
        "linear(steps=True): steps must be a whole number in [1, ",
    ),
    ("linear(0.1, 0.3, 2147483648)", ValueError, "linear(steps=2147483648): steps must be"),
    ("linear(nan, 0.3, 5)", ValueError, "linear(start=nan): start must be a number"),
    ("linear('a', 0.3, 5)", TypeError, "linear(start='a'): start must be a number"),
    ("linear(0.1, inf, 5)", ValueError, "linear(end=inf): end must be a number"),
    ("linear(0.1, None, 5)", TypeError, "linear(end=None): end must be a number"),
    ("constant(inf)", ValueError, "constant(value=inf): value must be a number"),
    ("polynomial(0.1, 0, 5, 0)", ValueError, "polynomial(power=0): power must be a number in (0, "),
    ("polynomial(0.1, nan, 5, 1)", ValueError, "polynomial(end=nan): end must be a number"),
    ("polynomial(0.1, 0, 0, 1)", ValueError, "polynomial(steps=0): steps must be"),
    (
        "exponential(0.1, 0, 5)",
        ValueError,
        "exponential(decay_rate=0): decay_rate must be a number",
    ),
    ("exponential(0.1, 0.5, 0)", ValueError, "exponential(steps=0): steps must be"),
    ("exponential(0.1, 0.5, 5, inf)", ValueError, "exponential(end=inf): end must be a number"),
    (
        "exponential(0.1, 0.5, 5, 0.2)",
        ValueError,
        "end=0.2): the value falls, so end must be at most",
    ),
    (
        "exponential(0.1, 2, 5, 0.05)",
        ValueError,
        "end=0.05): the value grows, so end must be at least",
    ),
    ("staircase(0.1, -1, 5)", ValueError, "staircase(decay_rate=-1): decay_rate must be a number"),
    (
        "staircase(0.1, 0.5, 0)",
        ValueError,
        "staircase(every=0): every must be a whole number in [1, ",
    ),
    ("inverse_time(0.1, -1, 5)", ValueError, "inverse_time(decay_rate=-1): decay_rate must be"),
    ("inverse_time(0.1, 1, 0)", ValueError, "inverse_time(steps=0): steps must be"),
    ("cosine(nan, 5)", ValueError, "cosine(peak=nan): peak must be a number"),
    ("cosine(0.1, 0)", ValueError, "cosine(steps=0): steps must be"),
    ("cosine(0.1, 5, nan)", ValueError, "cosine(end=nan): end must be"),
    ("warmup(0.1, -1)", ValueError, "warmup(steps=-1): steps must be a whole number in [0, "),
    ("warmup(0.1, 5, nan)", ValueError, "warmup(start=nan): start must be"),
    (
        "warmup_cosine(0.1, 6, 5)",
        ValueError,
        "(warmup_steps=6, steps=5): warmup_steps must be at most",
    ),
    (
        "warmup_cosine(0.1, -1, 5)",
        ValueError,
        "warmup_cosine(warmup_steps=-1): warmup_steps must be",
    ),
    ("warmup_cosine(0.1, 0, 0)", ValueError, "warmup_cosine(steps=0): steps must be"),
    ("warmup_cosine(0.1, 0, 5, end=inf)", ValueError, "warmup_cosine(end=inf): end must be"),
    ("piecewise([1], [3])", ValueError, "piecewise(): 1 boundaries need 2 values, not 1"),
    ("piecewise([1, 2, 3], [3, 3])", ValueError, "(boundaries=(3, 3)): boundaries must increase"),
    ("piecewise([1, 2, 3], [3, 2])", ValueError, "(boundaries=(3, 2)): boundaries must increase"),
    ("piecewise([1, 2], [-1])", ValueError, "piecewise(boundaries=-1): boundaries must be"),
    ("piecewise([1, 2], [1.5])", TypeError, "piecewise(boundaries=1.5): boundaries must be"),
    ("piecewise([1, 2], 5)", TypeError, "piecewise(boundaries=5): boundaries must be a list"),
    ("piecewise(5, [1])", TypeError, "piecewise(values=5): values must be a list"),
    ("piecewise([1, nan], [1])", ValueError, "piecewise(values=nan): values must be a number"),
    ("join([constant(1)], [3])", ValueError, "join(): 1 boundaries need 2 schedules, not 1"),
    ("join([constant(1), 2], [3])", TypeError, "join(schedules=...): 2 cannot be called"),
    (
        "join(constant(1), [])",
        TypeError,
        "join(schedules=constant(value=1)): schedules must be a list",
    ),
    (
        "join([constant(1), constant(2)], [-1])",
        ValueError,
        "join(boundaries=-1): boundaries must be",
    ),
]


@pytest.mark.parametrize(("text", "error", "message"), WRONG, ids=[text for text, _, _ in WRONG])
def test_wrong_arguments_are_named(text, error, message):
    with pytest.raises(error) as caught:
        parse(text)
    assert message in str(caught.value)


def test_a_traced_length_is_refused():
    with pytest.raises(TypeError, match=r"cosine\(steps=.*must be known"):
        jax.jit(lambda steps: cosine(0.1, steps)(3))(10)
