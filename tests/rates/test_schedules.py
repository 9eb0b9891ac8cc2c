"""Every schedule is its closed form, written here in plain float64, at every step there is."""

import math
from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import adaptax
from adaptax import (
    constant,
    cosine,
    cosine_restarts,
    exp_range,
    exponential,
    function,
    inverse_sqrt,
    inverse_time,
    join,
    linear,
    one_cycle,
    one_cycle_momentum,
    parse,
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
from tests import references
from tests.conformance import compared, proves

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


def _sinking_cosine(T, k):
    return -(math.sin(math.pi * min(k, T) / (2 * T)) ** 2) if k < T else -1.0


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
    "cosine below": (lambda T: cosine(0, T, -1), _sinking_cosine),
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
# Rows whose closed form is in the references: the name there and the arguments of a length T.
REFERRED = {
    "warmup cosine": ("warmup", lambda T: (0.1, T, 0.02, "cosine")),
    "warmup cosine from 0": ("warmup", lambda T: (0.1, T, 0.0, "cosine")),
    "warmup exponential": ("warmup", lambda T: (0.1, T, 1e-6, "exponential")),
    "warmup_cosine exponential": (
        "warmup_cosine",
        lambda T: (0.1, T // 3, T, 1e-3, 0.01, "exponential"),
    ),
    "rex": ("rex", lambda T: (0.1, T)),
    "rex to": ("rex", lambda T: (0.1, T, 0.02)),
    "inverse_sqrt": ("inverse_sqrt", lambda T: (0.1, T)),
    "inverse_sqrt none": ("inverse_sqrt", lambda T: (0.1, 0)),
    "power_decay": ("power_decay", lambda T: (0.1, T // 2, 2.7, 0.01, "cosine")),
    "power_decay steep": ("power_decay", lambda T: (0.1, T, 30.5, 1e-5, "exponential")),
    "power_decay flat": ("power_decay", lambda T: (0.1, T, 0.0)),
    "wsd open": ("wsd", lambda T: (0.1, T // 3, T)),
    "wsd root": ("wsd", lambda T: (0.1, T // 3, T, T // 2, "1-sqrt", 0.02, 0.01)),
    "wsd root to 0": ("wsd", lambda T: (0.1, 0, T, T)),
    "wsd linear": ("wsd", lambda T: (0.1, T, T // 2, T, "linear", 0.0, 0.0, "cosine")),
    "wsd cosine": ("wsd", lambda T: (0.1, 0, T, T // 2, "cosine", 0.0, 1e-3)),
    "wsd exponential": ("wsd", lambda T: (0.1, 1, T, T, "exponential", 0.0, 1e-4)),
    "cosine_restarts": ("cosine_restarts", lambda T: (0.1, T)),
    "cosine_restarts decay": ("cosine_restarts", lambda T: (0.1, T, 1, 0.999, 0.01)),
    "cosine_restarts decay to 0": ("cosine_restarts", lambda T: (0.1, T, 1, 0.9)),
    "cosine_restarts double": ("cosine_restarts", lambda T: (0.1, T, 2, 0.7, 1e-3)),
    "cosine_restarts grow": ("cosine_restarts", lambda T: (0.1, T, 1.3, 0.99)),
    "cosine_restarts huge": ("cosine_restarts", lambda T: (0.1, T, 1e9)),
    "triangular": ("triangular", lambda T: (0.01, 0.1, T)),
    "triangular from 0": ("triangular", lambda T: (0.0, 0.1, T, (T + 1) // 2)),
    "triangular2": ("triangular2", lambda T: (0.01, 0.1, T)),
    "triangular2 from 0": ("triangular2", lambda T: (0.0, 0.1, (T + 1) // 2, T)),
    "exp_range": ("exp_range", lambda T: (0.01, 0.1, T, 0.9999)),
    "exp_range from 0": ("exp_range", lambda T: (0.0, 0.1, T, 1 - 1e-8, (T + 1) // 2)),
    "one_cycle": ("one_cycle", lambda T: (0.1, T)),
    "one_cycle linear": ("one_cycle", lambda T: (0.1, T, 0.25, 10.0, 1e6, False, "linear")),
    "one_cycle phases": ("one_cycle", lambda T: (0.1, T, 0.4, 25.0, 1e4, True)),
    "one_cycle factors": ("one_cycle", lambda T: (0.1, T, 0.5, 3, 7, True, "exponential")),
    "one_cycle at once": ("one_cycle", lambda T: (0.1, T, 0.0)),
    "one_cycle_momentum": ("one_cycle_momentum", lambda T: (T,)),
    "one_cycle_momentum phases": (
        "one_cycle_momentum",
        lambda T: (T, 0.8, 0.9, 0.2, True, "linear"),
    ),
}
for _case, (_name, _arguments) in REFERRED.items():
    CASES[_case] = (
        lambda T, name=_name, arguments=_arguments: getattr(adaptax, name)(*arguments(T)),
        lambda T, k, name=_name, arguments=_arguments: getattr(references, name)(*arguments(T))(k),
    )
CASES |= {
    "product_of": (
        lambda T: 0.5 * warmup(1.0, T) * cosine(0.1, T, 0.01),
        lambda T, k: 0.5 * _line(0, 1, T, k) * _cosine(0.1, T, k, 0.01),
    ),
    "sum_of": (
        lambda T: 0.3 * inverse_time(0.1, 0.7, T) + linear(0.2, 0.1, T) * 0.7 + 0.05,
        lambda T, k: 0.03 / (1 + 0.7 * k / T) + _line(0.2, 0.1, T, k) * 0.7 + 0.05,
    ),
    "function": (
        lambda T: function(lambda k: jnp.where(k < T, 0.1, 0.2)),
        lambda T, k: 0.1 if k < T else 0.2,
    ),
    "function in all": (
        lambda T: join([(lambda k: 0.5) * cosine(0.1, T), warmup(0.1, 3) + 0.1], [T]),
        lambda T, k: 0.5 * _cosine(0.1, T, k) if k < T else 0.1 + _line(0, 0.1, 3, k - T),
    ),
}
for _power in (0.5, 2.7, 100.5):
    for _start, _end in ((0.1, 0.0), (0.1, 0.01), (0.0, 0.1)):
        CASES[f"polynomial {_power} {_start} {_end}"] = (
            lambda T, p=_power, a=_start, b=_end: polynomial(a, b, T, p),
            lambda T, k, p=_power, a=_start, b=_end: _polynomial(a, b, T, p, k),
        )
# What does not depend on the numbers is asked of one case of each schedule, and slowly of all.
TRIED = {
    *("constant", "linear up", "polynomial 2.7 0.1 0.01", "exponential slow", "staircase"),
    *("piecewise", "inverse_time", "cosine to", "rex to", "warmup exponential", "warmup_cosine"),
    *("join", "power_decay", "inverse_sqrt", "wsd root", "cosine_restarts decay"),
    *("cosine_restarts grow", "triangular", "triangular2", "exp_range", "one_cycle phases"),
    *("one_cycle_momentum", "product_of", "sum_of", "function in all"),
}
DISTINCT = [case if case in TRIED else pytest.param(case, marks=pytest.mark.slow) for case in CASES]
assert TRIED <= set(CASES)


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


def _lengths(often, seldom):
    """All cases with all lengths; those are run by default that `often` or, if tried, `seldom`."""
    return [
        pytest.param(
            case, T, marks=() if T in often or (T in seldom and case in TRIED) else pytest.mark.slow
        )
        for case in CASES
        for T in LENGTHS
    ]


@proves("P45", row="schedules")
@pytest.mark.parametrize(("case", "T"), _lengths({10**9}, {7}))
def test_closed_form(case, T):
    _check(case, T, np.float32, 1e-6)


@proves("P45", row="schedules")
@pytest.mark.parametrize(("case", "T"), _lengths((), {10**9}))
def test_closed_form_in_double_precision(case, T, x64):
    _check(case, T, np.float64, 1e-12)


@proves("P45", row="schedules")
@pytest.mark.parametrize(
    ("schedule", "start", "end"),
    [
        (linear(0.1, 0.3, 7), 0.1, 0.3),
        (polynomial(0.1, 0.3, 12345, 100.5), 0.1, 0.3),
        (cosine(0.1, 7, 0.03), 0.1, 0.03),
        (warmup(0.7, 10**9, 0.1), 0.1, 0.7),
        (warmup_cosine(0.3, 3, 7, 0.1, 0.01), 0.1, 0.01),
        (warmup_cosine(0.3, 0, 7, 0.1, 0.01), 0.3, 0.01),
        (warmup(0.7, 12345, 0.1, "exponential"), 0.1, 0.7),
        (warmup(0.7, 12345, 0.1, "cosine"), 0.1, 0.7),
        (warmup(0.7, 0, 0.0, "exponential"), 0.7, 0.7),
        (rex(0.1, 7, 0.03), 0.1, 0.03),
        (wsd(0.3, 7, 3, 10, "cosine", 0.1, 0.01), 0.1, 0.01),
        (wsd(0.3, 0, 3, 10, "exponential", 0.1, 0.01), 0.3, 0.01),
        (one_cycle(0.5, 1), 0.5 / 25, 0.5 / 25 / 1e4),
        (one_cycle(0.5, 3, three_phase=True), 0.5 / 25, 0.5 / 25 / 1e4),
        (one_cycle_momentum(3, 0.8, 0.9), 0.9, 0.9),
    ],
    ids=str,
)
def test_the_ends_are_the_numbers_given(schedule, start, end):
    compared(2)
    assert schedule(0) == np.float32(start)
    assert schedule(LAST) == np.float32(end)


def test_peaks_are_the_numbers_given():
    for schedule, step in (
        (inverse_sqrt(0.3, 7), 7),
        (inverse_sqrt(0.3, 0), 0),
        (power_decay(0.3, 0, 2.7), 0),
        (wsd(0.3, 7, 7), 8),
        (cosine_restarts(0.3, 7, 2), 21),
        (triangular(0.1, 0.3, 7), 21),
        (one_cycle(0.3, 3), 1),
        (one_cycle(0.3, 1000), 300),
    ):
        assert schedule(step) == np.float32(0.3), schedule


def test_one_cycle_of_few_steps_starts_low():
    """Also where pct_start · steps is below 1, for which Optax starts at the peak."""
    for steps in (1, 2, 3, 4, 11):
        for three_phase in (False, True):
            values = np.asarray(one_cycle(1.0, steps, three_phase=three_phase)(np.arange(12)))
            assert values[0] == np.float32(0.04) and values[steps] == np.float32(4e-6)
            assert steps == 1 or values.max() == 1


def test_curves_keep_between_their_ends_and_turn_only_where_they_should():
    steps = np.arange(3000)
    for schedule, low, high, turns in (
        (rex(0.1, 1000, 0.01), 0.01, 0.1, 0),
        (inverse_sqrt(0.1, 100, 0.01), 0.0, 0.1, 1),
        (wsd(0.1, 100, 500, 1500, start=0.01, end=0.02), 0.01, 0.1, 1),
        (one_cycle(0.1, 2000), 4e-7, 0.1, 1),
        (one_cycle_momentum(2000), 0.85, 0.95, 1),
        (triangular(0.01, 0.1, 500), 0.01, 0.1, 5),
        (cosine_restarts(0.1, 500, 2, 0.5, 0.01), 0.01, 0.1, 2),
        (warmup(0.1, 1000, 1e-6, "exponential"), 1e-6, 0.1, 0),
    ):
        values = np.asarray(schedule(steps), np.float64)
        assert values.min() >= np.float32(low) * (1 - 1e-6), schedule
        assert values.max() <= np.float32(high) * (1 + 1e-6), schedule
        ways = np.sign(np.diff(values) * (np.abs(np.diff(values)) > 1e-6 * values[1:]))
        ways = ways[ways != 0]
        found = np.count_nonzero(np.diff(ways))
        assert found == (turns if schedule.call.name != "cosine_restarts" else 2 * turns), schedule


# What a step may be.


@proves("P46", row="schedules")
@pytest.mark.parametrize("case", DISTINCT)
def test_a_step_gives_the_same_bits_however_it_is_asked(case):
    schedule = CASES[case][0](7)
    steps = np.array([*range(12), 20, 1000])
    together = np.asarray(schedule(steps))
    inside = jax.jit(lambda k: (schedule(k), schedule(k) * 3 + 1))
    # a loop that is begun anew at any of its steps
    loop = jax.jit(lambda first: jax.lax.scan(lambda k, _: (k + 1, schedule(k)), first, length=12))
    resumed = [loop(jnp.int32(0))[1][:5], loop(jnp.int32(5))[1][:7], together[12:]]
    ways = {
        "alone": [schedule(int(k)) for k in steps],
        "jit": [inside(jnp.int32(k))[0] for k in steps],
        "vmap in jit": jax.jit(jax.vmap(schedule))(jnp.asarray(steps, jnp.int32)),
        "resumed": np.concatenate(resumed),
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
        (np.ones((2, 3), int), (2, 3)),
        ([1, 2], (2,)),
    ):
        value = jax.eval_shape(lambda step=step: schedule(step))
        assert value.shape == shape and value.dtype == jnp.float32 and not value.weak_type
    value = schedule([1, 2])
    assert value.shape == (2,) and value.dtype == jnp.float32 and not value.weak_type
    assert not jax.eval_shape(schedule, 3).weak_type


@proves("P44", "P45", row="schedules")
def test_any_integer_is_a_step_and_the_counter_saturates():
    schedule = exponential(1.0, 0.5, 10**9)
    at_three = schedule(3)
    for step in (np.uint8(3), np.int64(3), jnp.uint32(3), jnp.int8(3), np.array(3)):
        compared(1)
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
    "warmup cosine": lambda x: warmup(x, 10, x / 2, "cosine"),
    "warmup exponential": lambda x: warmup(x, 10, x / 2, "exponential"),
    "rex": lambda x: rex(x, 10, x / 3),
    "power_decay": lambda x: power_decay(x, 3, x),
    "inverse_sqrt": lambda x: inverse_sqrt(x, 3, x / 2),
    "wsd": lambda x: wsd(x, 3, 5, 4, "1-sqrt", x / 2, x / 3),
    "wsd exponential": lambda x: wsd(x, 3, 5, 4, "exponential", x / 2, x / 3),
    "cosine_restarts": lambda x: cosine_restarts(x, 3, 1.5, x, x / 9),
    "triangular": lambda x: triangular(x / 2, x, 3),
    "triangular2": lambda x: triangular2(x / 2, x, 3),
    "exp_range": lambda x: exp_range(x / 2, x, 3, x),
    "one_cycle": lambda x: one_cycle(x, 10, div_factor=1 / x, final_div_factor=2 / x),
    "one_cycle_momentum": lambda x: one_cycle_momentum(10, x / 2, x),
    "product_of": lambda x: x * cosine(x, 10),
    "sum_of": lambda x: cosine(x, 10) + x,
    "function": lambda x: function(lambda k: jnp.where(k < 4, x, x / 2)),
}


@pytest.mark.parametrize("case", TRACED)
def test_traced_hyperparameters(case):
    steps = np.array([0, 3, 5, 11])
    numbers = jnp.array([0.1], jnp.float32)
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
    ("cosine(0.1, 5, 1)", ValueError, "cosine(end=1, peak=0.1): end must be at most peak"),
    ("rex(0.1, 5, 1)", ValueError, "rex(end=1, peak=0.1): end must be at most peak"),
    ("warmup(0.1, 5, 1)", ValueError, "warmup(start=1, peak=0.1): start must be at most peak"),
    ("warmup_cosine(0.1, 2, 5, 1)", ValueError, "warmup_cosine(start=1, peak=0.1): start must be"),
    ("warmup_cosine(0.1, 2, 5, end=1)", ValueError, "warmup_cosine(end=1, peak=0.1): end must be"),
    ("power_decay(0.1, 2, 1, 1)", ValueError, "power_decay(start=1, peak=0.1): start must be"),
    ("inverse_sqrt(0.1, 2, 1)", ValueError, "inverse_sqrt(start=1, peak=0.1): start must be"),
    ("wsd(0.1, 2, 5, start=1)", ValueError, "wsd(start=1, peak=0.1): start must be at most peak"),
    ("wsd(0.1, 2, 5, end=1)", ValueError, "wsd(end=1, peak=0.1): end must be at most peak"),
    (
        "warmup(0.1, -1)",
        ValueError,
        "warmup(steps=-1): steps must be a whole number in [0, 2147483648)",
    ),
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
    ("warmup(0.1, 5, shape='cos')", ValueError, "warmup(shape='cos'): shape must be 'linear' or"),
    ("warmup(0.1, 5, shape=3)", TypeError, "warmup(shape=3): shape must be 'linear' or"),
    ("warmup(0.1, 0, shape='x')", ValueError, "warmup(shape='x'): shape must be 'linear' or"),
    (
        "warmup(0.1, 5, shape='exponential')",
        ValueError,
        "warmup(shape='exponential'): between 0.0 and 0.1 lies 0, which no factor",
    ),
    (
        "warmup_cosine(0.1, 2, 5, -0.1, warmup_shape='exponential')",
        ValueError,
        "warmup_cosine(warmup_shape='exponential'): between -0.1 and 0.1 lies 0",
    ),
    ("rex(0.1, 0)", ValueError, "rex(steps=0): steps must be a whole number in [1, "),
    ("rex(0.1, 5, nan)", ValueError, "rex(end=nan): end must be a number"),
    ("inverse_sqrt(0.1, -1)", ValueError, "inverse_sqrt(warmup_steps=-1): warmup_steps must be"),
    ("inverse_sqrt(0.1, 2.5)", TypeError, "inverse_sqrt(warmup_steps=2.5): warmup_steps must be"),
    ("inverse_sqrt('x', 2)", TypeError, "inverse_sqrt(peak='x'): peak must be a number"),
    ("power_decay(0.1, 5, -1)", ValueError, "power_decay(exponent=-1): exponent must be a number"),
    ("power_decay(0.1, 5, inf)", ValueError, "power_decay(exponent=inf): exponent must be"),
    ("wsd(0.1, -1, 5)", ValueError, "wsd(warmup_steps=-1): warmup_steps must be a whole number"),
    ("wsd(0.1, 1, -5)", ValueError, "wsd(decay_steps=-5): decay_steps must be a whole number"),
    ("wsd(0.1, 1, 5, 1.5)", TypeError, "wsd(decay_at=1.5): decay_at must be a whole number"),
    ("wsd(0.1, 10, 5, 9)", ValueError, "wsd(decay_at=9, warmup_steps=10): decay_at must be at"),
    ("wsd(0.1, 1, 5, shape='sqrt')", ValueError, "wsd(shape='sqrt'): shape must be '1-sqrt' or"),
    ("wsd(0.1, 1, 5, shape='exponential')", ValueError, "between 0.1 and 0.0 lies 0"),
    ("wsd(0.1, 1, 5, end=inf)", ValueError, "wsd(end=inf): end must be a number"),
    ("cosine_restarts(0.1, 0)", ValueError, "cosine_restarts(period=0): period must be a whole"),
    ("cosine_restarts(0.1, 2.5)", TypeError, "cosine_restarts(period=2.5): period must be a whole"),
    ("cosine_restarts(0.1, 5, 0.5)", ValueError, "cosine_restarts(growth=0.5): growth must be"),
    ("cosine_restarts(0.1, 5, 1.0001)", ValueError, "growth must be 1 or at least 1.001"),
    ("cosine_restarts(0.1, 5, nan)", ValueError, "cosine_restarts(growth=nan): growth must be"),
    ("cosine_restarts(0.1, 5, 2, 1.5)", ValueError, "cosine_restarts(decay=1.5): decay must be"),
    ("cosine_restarts(0.1, 5, 2, 0)", ValueError, "cosine_restarts(decay=0): decay must be"),
    ("cosine_restarts(0.1, 5, end=1)", ValueError, "(end=1, peak=0.1): end must be at most peak"),
    ("triangular(0.1, 0.3, 0)", ValueError, "triangular(rise_steps=0): rise_steps must be a whole"),
    ("triangular(0.1, 0.3, 5, 0)", ValueError, "triangular(fall_steps=0): fall_steps must be"),
    ("triangular(0.3, 0.1, 5)", ValueError, "(start=0.3, peak=0.1): start must be at most peak"),
    (
        "triangular2(0.1, 0.3, 2147483647)",
        ValueError,
        "triangular2(rise_steps + fall_steps=4294967294): rise_steps + fall_steps must be",
    ),
    ("exp_range(0.1, 0.3, 5, 1.5)", ValueError, "exp_range(decay_rate=1.5): decay_rate must be"),
    ("exp_range(0.1, 0.3, 5, 0)", ValueError, "exp_range(decay_rate=0): decay_rate must be"),
    ("one_cycle(0.0, 5)", ValueError, "one_cycle(peak=0.0): peak must be a number in (0, "),
    ("one_cycle(0.1, 0)", ValueError, "one_cycle(steps=0): steps must be a whole number in [1, "),
    ("one_cycle(0.1, 5, 1.5)", ValueError, "one_cycle(pct_start=1.5): pct_start must be"),
    ("one_cycle(0.1, 5, 0.6, three_phase=True)", ValueError, "pct_start must be at most 0.5"),
    ("one_cycle(0.1, 5, three_phase=1)", TypeError, "one_cycle(three_phase=1): three_phase must"),
    ("one_cycle(0.1, 5, div_factor=0.5)", ValueError, "one_cycle(div_factor=0.5): div_factor must"),
    ("one_cycle(0.1, 5, final_div_factor=0)", ValueError, "one_cycle(final_div_factor=0): final"),
    ("one_cycle(0.1, 5, shape='cos')", ValueError, "one_cycle(shape='cos'): shape must be"),
    ("one_cycle_momentum(0)", ValueError, "one_cycle_momentum(steps=0): steps must be"),
    ("one_cycle_momentum(5, 0.9, 1.0)", ValueError, "one_cycle_momentum(max_momentum=1.0): max_"),
    ("one_cycle_momentum(5, 0.9, 0.8)", ValueError, "base_momentum must be at most max_momentum"),
    ("product_of()", ValueError, "product_of(): factors must be at least one schedule or number"),
    ("product_of('x')", TypeError, "product_of(factors='x'): factors must be a number"),
    ("product_of(nan, constant(1))", ValueError, "product_of(factors=nan): factors must be"),
    ("product_of(True, constant(1))", TypeError, "product_of(factors=True): factors must be"),
    ("sum_of()", ValueError, "sum_of(): terms must be at least one schedule or number"),
    ("sum_of(constant(1), None)", TypeError, "sum_of(terms=None): terms must be a number"),
    ("product_of(2, plateau(0.1))", TypeError, "a controller has a memory and is no function of"),
    ("sum_of(constant(1), plateau(0.1))", TypeError, "a controller has a memory"),
    ("function(3)", TypeError, "function(of=3): of must be a function of the step; a number is"),
    (
        "join([constant(1), constant(2)], [-1])",
        ValueError,
        "join(boundaries=-1): boundaries must be",
    ),
]


@proves("P30", row="schedules")
@pytest.mark.parametrize(("text", "error", "message"), WRONG, ids=[text for text, _, _ in WRONG])
def test_wrong_arguments_are_named(text, error, message):
    with pytest.raises(error) as caught:
        parse(text)
    assert message in str(caught.value)


def test_a_traced_length_is_refused():
    with pytest.raises(TypeError, match=r"cosine\(steps=.*must be known"):
        jax.jit(lambda steps: cosine(0.1, steps)(3))(10)


@pytest.mark.parametrize(
    "make",
    [
        lambda x: cosine_restarts(0.1, 10, x),
        lambda x: one_cycle(0.1, 10, pct_start=x),
        lambda x: wsd(0.1, x, 10),
        lambda x: wsd(0.1, 1, 10, x),
        lambda x: triangular(0.1, 0.2, x),
    ],
    ids=["growth", "pct_start", "warmup_steps", "decay_at", "rise_steps"],
)
def test_what_shapes_a_curve_is_never_traced(make):
    with pytest.raises(TypeError, match="must be known"):
        jax.jit(lambda x: make(x)(3))(2)
