"""Schedules multiply, add, take another horizon, branch off, and are sampled and drawn."""

import builtins
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import adaptax
from adaptax import (
    constant,
    cosine,
    cosine_restarts,
    exponential,
    function,
    join,
    linear,
    one_cycle,
    one_cycle_momentum,
    piecewise,
    polynomial,
    product_of,
    rex,
    staircase,
    sum_of,
    triangular,
    warmup,
    warmup_cosine,
    wsd,
)
from adaptax.rates import plot

STEPS = np.arange(40)


def twice(step):
    return 2.0 * (step + 1).astype(np.float32)


def test_operators_make_registered_schedules():
    s, t = cosine(0.1, 10), constant(0.5)
    for made, call in (
        (0.5 * s, product_of(0.5, s)),
        (s * 0.5, product_of(s, 0.5)),
        (s * t, product_of(s, t)),
        (s + t, sum_of(s, t)),
        (1 + s, sum_of(1, s)),
        (s + 1, sum_of(s, 1)),
        (np.float64(0.5) * s, product_of(0.5, s)),
        (s + np.float32(0.5), sum_of(s, 0.5)),
        (twice * s, product_of(twice, s)),
        (sum([s, t]), sum_of(sum_of(0, s), t)),
        (s / 2, product_of(s, 0.5)),
        (s / np.float32(4), product_of(s, 0.25)),
        (s - 0.1, sum_of(s, -0.1)),
        (s - np.float64(0.5), sum_of(s, -0.5)),
        (s - t, sum_of(s, product_of(-1, t))),
        (s - twice, sum_of(s, product_of(-1, twice))),
        (1 - s, sum_of(1, product_of(-1, s))),
        (np.float64(0.5) - s, sum_of(0.5, product_of(-1, s))),
    ):
        assert isinstance(made, adaptax.Schedule) and made == call and repr(made) == repr(call)
    assert 0.5 * s != s * 0.5
    with pytest.raises(TypeError, match=r"product_of\(factors="):
        np.ones(2) * s


def test_values_of_products_and_sums():
    s, t = cosine(0.1, 10), linear(1.0, 3.0, 20)
    a, b = (np.asarray(each(STEPS), np.float64) for each in (s, t))
    np.testing.assert_allclose((s * t)(STEPS), a * b, rtol=1e-6, atol=0)
    np.testing.assert_allclose((s + t)(STEPS), a + b, rtol=1e-6, atol=0)
    np.testing.assert_allclose((2 * s + t * 0.5)(STEPS), 2 * a + b / 2, rtol=1e-6, atol=0)
    np.testing.assert_array_equal((0.5 * s)(STEPS), a.astype(np.float32) / 2)
    np.testing.assert_allclose((s * twice)(STEPS), a * 2 * (STEPS + 1), rtol=1e-6, atol=0)
    np.testing.assert_allclose((s / 3)(STEPS), a / 3, rtol=1e-6, atol=0)
    np.testing.assert_allclose((t - s)(STEPS), b - a, rtol=1e-6, atol=0)
    np.testing.assert_array_equal(product_of(2, 3)(STEPS), np.full(40, 6, np.float32))
    theirs = optax.linear_schedule(0.2, 0.0, 20)
    with jax.numpy_dtype_promotion("standard"):
        got = (s * theirs)(STEPS)
    np.testing.assert_allclose(got, a * np.maximum(0.2 * (1 - STEPS / 20), 0), rtol=1e-5)


def test_a_sum_has_the_same_bits_in_a_program_that_uses_its_terms():
    first, second = 0.3 * adaptax.inverse_time(0.1, 0.7, 9), 0.7 * adaptax.inverse_time(0.2, 0.3, 9)
    total = first + second
    alone = np.asarray(total(STEPS))
    for term in (first, second):
        together = jax.jit(lambda k, term=term: (total(k), term(k)))
        np.testing.assert_array_equal(together(STEPS)[0], alone)
        np.testing.assert_array_equal([together(int(k))[0] for k in STEPS], alone)


def test_traced_factors():
    got = jax.jit(lambda x: (x * cosine(0.1, 10) + x)(5))(jnp.float32(2))
    np.testing.assert_allclose(got, 2.1, rtol=1e-6)
    got = jax.jit(lambda x: (cosine(0.1, 10) / x - x)(5))(jnp.float32(2))
    np.testing.assert_allclose(got, 0.025 - 2, rtol=1e-6)


def test_what_no_schedule_is_divided_by():
    for divisor, error, message in (
        (0, ValueError, "the divisor must not be 0"),
        (np.float32(0), ValueError, "the divisor must not be 0"),
        (1e-320, ValueError, r"product_of\(factors=inf\)"),
        (constant(2.0), TypeError, "divided by a number only"),
        (twice, TypeError, "divided by a number only"),
        ("2", TypeError, r"product_of\(factors='2'\)"),
        (True, TypeError, r"product_of\(factors=True\)"),
    ):
        with pytest.raises(error, match=message):
            constant(0.1) / divisor
    with pytest.raises(TypeError, match=r"product_of\(factors='2'\)"):
        constant(0.1) - "2"


def test_controllers_are_no_factors():
    control = adaptax.plateau(0.1)
    for combine in (
        lambda: control * constant(0.5),
        lambda: constant(0.5) + control,
        lambda: constant(0.5) - control,
        lambda: constant(0.5) / control,
        lambda: 0.5 * control,
        lambda: control * 0.5,
        lambda: np.float64(0.5) * control,
        lambda: 0.5 + control,
        lambda: control + 0.5,
        lambda: control / 2,
        lambda: 2 / control,
        lambda: control - 0.5,
        lambda: 0.5 - control,
    ):
        with pytest.raises(TypeError, match=r"a controller has a memory.*as its base"):
            combine()
    assert adaptax.plateau(0.5 * cosine(0.1, 10)).base == 0.5 * cosine(0.1, 10)


def test_a_function_is_itself_alone():
    one, other = (lambda step: 0.1), (lambda step: 0.1)
    assert function(one) == function(one) != function(other)
    assert hash(function(one)) == hash(function(one))
    assert pickle.loads(pickle.dumps(function(twice))) == function(twice)
    assert function(twice)(3) == 8 and function(twice)([1, 2]).shape == (2,)
    assert function(twice)(np.zeros((2, 0), int)).shape == (2, 0)
    assert function(twice).table([0, 1]).splitlines()[1:] == ["   0  2", "   1  4"]
    with pytest.raises(TypeError, match=r"function\(of=\.\.\.\)"):
        adaptax.to_config(function(twice))
    with pytest.raises(ValueError, match=r"shape \(3,\) at one step"):
        function(lambda step: jnp.ones(3))(0)


def test_a_function_of_one_step_is_asked_one_at_a_time():
    asked = []

    def shape_of(step):
        asked.append(step.shape)
        return jax.lax.cond(step > 2, lambda: 0.1, lambda: 0.2)

    np.testing.assert_array_equal(
        function(shape_of)(np.arange(5)), np.float32([0.2, 0.2, 0.2, 0.1, 0.1])
    )
    assert set(asked) == {()}


# The horizon.

STRETCHED = [
    (linear(0.1, 0.2, 20), linear(0.1, 0.2, 31)),
    (polynomial(0.1, 0.0, 20, 2), polynomial(0.1, 0.0, 31, 2)),
    (cosine(0.1, 20, 0.01), cosine(0.1, 31, 0.01)),
    (rex(0.1, 20), rex(0.1, 31)),
    (warmup_cosine(1, 5, 20, 0.1, 0.2, "cosine"), warmup_cosine(1, 5, 31, 0.1, 0.2, "cosine")),
    (one_cycle(1, 20, 0.4, 9, 8, True, "linear"), one_cycle(1, 31, 0.4, 9, 8, True, "linear")),
    (one_cycle_momentum(20, 0.8, 0.9), one_cycle_momentum(31, 0.8, 0.9)),
    (wsd(0.1, 5, 4, 16), wsd(0.1, 5, 4, 27)),
    (wsd(0.1, 5, 4), wsd(0.1, 5, 4, 27)),
    (join([warmup(0.1, 5), cosine(0.1, 15)], [5]), join([warmup(0.1, 5), cosine(0.1, 26)], [5])),
    (0.5 * cosine(0.1, 20), 0.5 * cosine(0.1, 31)),
    (warmup(1.0, 5) * (cosine(0.1, 20) + 0.01), warmup(1.0, 5) * (cosine(0.1, 31) + 0.01)),
    (cosine(0.1, 15) + linear(0.1, 0, 20), cosine(0.1, 31) + linear(0.1, 0, 31)),
]  # fmt: skip


@pytest.mark.parametrize(("schedule", "longer"), STRETCHED, ids=range(len(STRETCHED)))
def test_another_horizon_is_another_call(schedule, longer):
    assert schedule.horizon == (None if schedule == wsd(0.1, 5, 4) else 20)
    made = schedule.with_horizon(31)
    assert made == longer and repr(made) == repr(longer) and made.horizon == 31
    np.testing.assert_array_equal(made(STEPS), longer(STEPS))
    at_end, beyond = np.asarray(longer([31, 1000]))
    assert at_end == beyond


@pytest.mark.parametrize(
    ("schedule", "horizon", "span"),
    [
        (exponential(0.1, 0.5, 10) + cosine(0.1, 100), None, 100),
        (exponential(0.1, 0.5, 40) + cosine(0.1, 100), None, 160),
        (cosine_restarts(0.1, 100) + linear(0.1, 0, 50), None, 300),
        (triangular(0.0, 1.0, 10) * cosine(0.1, 50), None, 60),
        (twice * cosine(0.1, 50), None, 50),
        (wsd(0.1, 5, 4) * exponential(0.1, 0.5, 10), None, 40),
        (cosine(0.1, 100) + linear(0.1, 0, 50), 100, 100),
        (2 * constant(0.5) * cosine(0.1, 50), 50, 50),
        (warmup(0.1, 60) * cosine(0.1, 50, 0.05), 60, 60),
        (wsd(0.1, 60, 4) * cosine(0.1, 50, 0.05), 60, 60),
        (piecewise([0.1, 0.2], [70]) + cosine(0.1, 50), 70, 70),
        (join([warmup(1.0, 30), constant(2.0)], [80]) * cosine(0.1, 50, 0.05), 80, 80),
        (join([warmup(1.0, 30), warmup(1.0, 10)], [30]) * cosine(0.1, 50), 50, 50),
        (join([constant(1.0), twice], [30]) * cosine(0.1, 50), None, 90),
    ],
    ids=range(14),
)
def test_nothing_changes_after_the_horizon(schedule, horizon, span):
    assert (schedule.horizon, schedule.span) == (horizon, span)
    if horizon is not None:
        values = np.asarray(schedule(np.arange(horizon - 1, horizon + 60)))
        assert values[0] != values[1] and np.all(values[1:] == values[1])


def test_every_part_with_a_horizon_gets_the_new_one():
    endless = exponential(0.1, 0.5, 10)
    made = (endless + cosine(0.1, 20)).with_horizon(31)
    assert made == endless + cosine(0.1, 31) and made.horizon is None


def test_the_phases_of_one_cycle_are_parts_of_the_whole():
    rate, momentum = (each.with_horizon(20) for each in (one_cycle(1, 10), one_cycle_momentum(10)))
    assert int(np.argmax(rate(STEPS))) == int(np.argmin(momentum(STEPS))) == 6
    assert "one_cycle_momentum` are parts of the whole" in adaptax.Schedule.with_horizon.__doc__


ENDLESS = [
    constant(0.1),
    warmup(0.1, 10),
    exponential(0.1, 0.5, 10),
    piecewise([0.1, 0.2], [10]),
    cosine_restarts(0.1, 10),
    triangular(0.1, 0.2, 10),
    function(twice),
    2 * constant(0.1),
    join([cosine(0.1, 10), constant(0.1)], [10]),
]


@pytest.mark.parametrize("schedule", ENDLESS, ids=range(len(ENDLESS)))
def test_without_a_horizon(schedule):
    assert schedule.horizon is None
    with pytest.raises(ValueError, match="has no horizon to change"):
        schedule.with_horizon(10)


@pytest.mark.parametrize(
    ("schedule", "steps", "error", "message"),
    [
        (cosine(0.1, 10), 0, ValueError, r"with_horizon\(steps=0\)"),
        (cosine(0.1, 10), 2.5, TypeError, r"with_horizon\(steps=2.5\)"),
        (warmup_cosine(0.1, 10, 20), 9, ValueError, "warmup_steps must be at most steps"),
        (wsd(0.1, 10, 5), 14, ValueError, "take 10 and 5 steps"),
        (join([warmup(0.1, 5), cosine(0.1, 9)], [5]), 5, ValueError, "starts at step 5"),
    ],
    ids=range(5),
)
def test_impossible_horizons(schedule, steps, error, message):
    with pytest.raises(error, match=message):
        schedule.with_horizon(steps)


@pytest.mark.parametrize("shape", ["1-sqrt", "linear", "cosine", "exponential"])
def test_a_branch_is_equal_to_the_bit_before_it(shape):
    trunk = wsd(0.1, 7, 10, shape=shape, end=1e-3, warmup_shape="cosine")
    branch = trunk.decay_from(20)
    assert branch == wsd(0.1, 7, 10, 20, shape, end=1e-3, warmup_shape="cosine")
    values = np.asarray(branch(STEPS))
    np.testing.assert_array_equal(values[:21], trunk(STEPS[:21]))
    assert np.all(np.diff(values[20:31]) < 0) and np.all(values[30:] == np.float32(1e-3))
    assert branch.decay_from(15) == trunk.decay_from(15) and branch.decay_from(20) == branch
    np.testing.assert_array_equal(branch.decay_from(15)(STEPS[:16]), branch(STEPS[:16]))
    with pytest.raises(ValueError, match=r"decay_from\(step=25\): the decay starts at 20 already"):
        branch.decay_from(25)
    assert branch.with_horizon(50) == trunk.with_horizon(50)
    assert (0.5 * trunk).decay_from(20) == 0.5 * branch


def test_no_decay_to_branch_off():
    with pytest.raises(ValueError, match=r"holds no decay back; wsd\("):
        cosine(0.1, 10).decay_from(5)
    with pytest.raises(ValueError, match=r"decay_at=3, warmup_steps=7"):
        wsd(0.1, 7, 10).decay_from(3)
    for step, error in ((8.5, TypeError), (-1, ValueError)):
        with pytest.raises(error, match=rf"decay_from\(step={step}\): step must be a whole number"):
            wsd(0.1, 7, 10, 9).decay_from(step)


# Samples, tables and pictures.


def test_tables_without_steps():
    assert piecewise([0.1, 0.2], [40]).table().splitlines()[5:7] == ["  20  0.1", "  26  0.1"]
    steps = [int(line.split()[0]) for line in warmup_cosine(0.1, 7, 100).table().splitlines()[1:]]
    assert steps == [0, 7, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100]
    assert len(cosine(0.1, 2**31 - 1).table().splitlines()) == 12
    assert cosine(0.1, 1).table().splitlines()[1:] == ["   0  0.1", "   1  0"]
    for schedule in (*ENDLESS, cosine_restarts(0.1, 10, 1e30), staircase(0.1, 0.5, 2**31 - 1)):
        assert len(schedule.table().splitlines()) > 4


def test_samples_hold_both_sides_of_a_jump():
    steps = piecewise([0.1, 0.2, 0.3], [17, 33]).sampled(5, 50, before=1)
    assert steps == [0, 10, 16, 17, 20, 30, 32, 33, 40, 50]
    assert join([warmup(0.1, 3), warmup(0.1, 4)], [9]).sampled(1, 20) == [0, 3, 9, 13, 20]
    with pytest.raises(ValueError, match=r"steps=0"):
        constant(0.1).sampled(5, 0)


def test_a_plot_is_the_curve():
    schedule = piecewise([0.1, 0.2], [40])
    (axes,) = schedule.plot(80).axes
    (line,) = axes.get_lines()
    x, y = np.asarray(line.get_xdata()), np.asarray(line.get_ydata())
    assert x[0] == 0 and x[-1] == 80 and {39, 40} <= set(x)
    np.testing.assert_array_equal(y, np.asarray(schedule(x.astype(int)), np.float64))
    assert "step" in axes.get_xlabel() and "per update" in axes.get_ylabel()
    assert line.get_label() == repr(schedule)


def test_a_plot_in_a_file(tmp_path):
    for ending, start in (("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")):
        path = tmp_path / f"curve.{ending}"
        assert cosine(0.1, 10).plot(path=str(path)) == path
        assert path.read_bytes().startswith(start)
    before = path.read_bytes()
    with pytest.raises(ValueError, match=r"must be one of png, svg, pdf"):
        cosine(0.1, 10).plot(path=tmp_path / "curve.jpg")
    with pytest.raises(TypeError, match=r"steps=2.5"):
        cosine(0.1, 10).plot(2.5, path)
    with pytest.raises(OSError, match="missing"):
        cosine(0.1, 10).plot(path=tmp_path / "missing" / "curve.png")
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(OSError, match=r"folder\.png"):
        cosine(0.1, 10).plot(path=tmp_path / "folder.png")
    (tmp_path / "folder.png").rmdir()
    assert path.read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["curve.pdf", "curve.png", "curve.svg"]


def test_twelve_curves_can_be_told_apart():
    figure = plot.draw([constant(0.01 * (n + 1)) for n in range(12)])
    lines = figure.axes[0].get_lines()
    assert len({(line.get_color(), line.get_linestyle()) for line in lines}) == 12


def test_without_matplotlib(monkeypatch):
    true_import = builtins.__import__

    def refuse(name, *rest):
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return true_import(name, *rest)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(ImportError, match=r'pip install "adaptax\[lab\]"'):
        cosine(0.1, 10).plot()


def test_the_momentum_of_one_cycle_reaches_the_optimizer():
    rate, momentum = one_cycle(0.1, 8), one_cycle_momentum(8)
    tx = adaptax.sgd(rate, momentum=momentum)
    state, kept = tx.init(jnp.zeros(())), 0.0
    update = jax.jit(tx.update)
    for k in range(9):
        change, state = update(jnp.ones(()), state)
        kept = float(momentum(k)) * kept + 1.0
        np.testing.assert_allclose(change, -float(rate(k)) * kept, rtol=1e-5)
