"""What a search draws from: read from text and values, checked before any training."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import adaptax
from adaptax.core import registry
from adaptax.lab import Choices, Interval
from adaptax.lab.searched import searched
from adaptax.lab.space import _searchable, grid, short, space

RATE = Interval(1e-5, 1.0, log=True)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, {}),
        ("b1=0.8..0.95", {"b1": Interval(0.8, 0.95)}),
        (["weight_decay=log:1e-5..1e-1"], {"weight_decay": Interval(1e-5, 0.1, log=True)}),
        (["eps=1e-8,1e-6", " b2 = 0.9 , 0.99 "], {"eps": (1e-8, 1e-6), "b2": (0.9, 0.99)}),
        ({"b1": (0.8, 0.9), "eps": [1e-8, 1e-6]}, {"b1": Interval(0.8, 0.9), "eps": (1e-8, 1e-6)}),
        ({"b1": "0.8..0.95"}, {"b1": Interval(0.8, 0.95)}),
        ({"b1": Choices((0.8, 0.9))}, {"b1": (0.8, 0.9)}),
        ({"learning_rate": (0.01, 0.1)}, {"learning_rate": Interval(0.01, 0.1, log=True)}),
        (["b1=0.8,0.9", "learning_rate=0.1,0.2"], {"b1": (0.8, 0.9), "learning_rate": (0.1, 0.2)}),
    ],
    ids=range(9),
)  # fmt: skip
def test_a_space_is_read_and_prints_as_it_is_read(given, expected):
    expected = {k: Choices(v) if isinstance(v, tuple) else v for k, v in expected.items()}
    found = space("adamw", {}, given)
    assert found == {"learning_rate": RATE, **expected}
    assert next(iter(found)) == "learning_rate"
    assert space("adamw", {}, [f"{name}={axis}" for name, axis in found.items()]) == found


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("b3=0.8..0.9", r"adamw\(\) has no argument 'b3'; did you mean 'b"),
        ("nesterov=0..1", "nesterov is not a number of adamw; these can be searched: learn"),
        ("mu_dtype=1,2", "mu_dtype is not a number"),
        ("b1=0.8..1.5", r"adamw\(b1=1.5\): b1 must be a number in \[0, 1\)"),
        ("b1=0.8..1", r"adamw\(b1=1.0\)"),
        ("eps=-1e-8,1e-8", r"adamw\(eps=-1e-08\)"),
        ("b1=nan,0.9", r"adamw\(b1=nan\)"),
        ("learning_rate=1..inf", "the low end must be below the high end"),
        ("b1=0.9..0.8", "the low end must be below the high end"),
        ("learning_rate=0..1", "must be above 0"),
        ("weight_decay=log:0..1", "must be above 0"),
        ("weight_decay=log:0.1,0.2", "log: is for an interval"),
        ("b1=0.9", "at least two different numbers"),
        ("b1=0.9,0.9", "at least two different numbers"),
        ("b1=low..high", "not read as numbers; write 0.8..0.95"),
        ("b1", "'b1' is not NAME=RANGE; write 0.8..0.95"),
        (["b1=0.8..0.9", "b1=0.8,0.9"], "b1 is given twice"),
        ("b2=0.8..0.9", r"adamw\(b2=...\) fixes it already"),
        ("b1=\x1b[31m,2", r"\\x1b\[31m"),
    ],
    ids=range(19),
)  # fmt: skip
def test_a_bad_space_is_refused(given, message):
    with pytest.raises(ValueError, match=message):
        space("adamw", {"b2": 0.99}, given)


@pytest.mark.parametrize("value", [True, 0.5, (0.1, 0.2, 0.3), (True, 2), ["a"], None], ids=repr)
def test_a_value_that_is_no_range_is_refused(value):
    with pytest.raises(TypeError, match="an Interval or Choices is needed"):
        space("adamw", {}, {"b1": value})


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.0123456, 0.01235),
        (123456.0, 123500.0),
        (0.99987654, 0.9998765),
        (0.9, 0.9),
        (1.23456, 1.235),
        (1.234567e-9, 1.235e-9),
        (0.0, 0.0),
        (1.0, 1.0),
    ],
)
def test_four_digits(value, expected):
    assert short(value) == expected


def test_rounding_stays_in_the_interval():
    axis = Interval(0.123449, 0.123451)
    assert axis.used(0.1234499) == 0.123449 and axis.used(0.1234509) == 0.123451


def test_a_grid_has_as_many_points_as_the_trials_allow():
    axes = space(
        "adamw", {}, {"learning_rate": (1e-4, 1e-1), "b1": (0.8, 0.9), "eps": [1e-8, 1e-6]}
    )
    assert grid(axes, 31) == {
        "learning_rate": [1e-4, 0.003162, 0.1],
        "b1": [0.8, 0.85, 0.9],
        "eps": [1e-8, 1e-6],
    }
    with pytest.raises(
        ValueError, match="trials=7: the smallest grid over this space has 8 points"
    ):
        grid(axes, 7)
    assert grid({"eps": Choices((1.0, 2.0))}, 100) == {"eps": [1.0, 2.0]}


@pytest.mark.parametrize("name", registry.names("optimizer"))
def test_every_number_of_every_optimizer_can_be_an_array_in_a_traced_step(name):
    # a state of one trial is taken by the step of another: same structure, shapes and dtypes
    numbers = {"threshold": 5.0}
    arguments = {k: numbers.get(k, 0.01) for k in _searchable(name)}
    tx = searched(registry.lookup(name), {}, arguments)
    params = {"w": jnp.ones((2, 3)), "b": jnp.ones(3)}
    state = jax.eval_shape(tx.init, params)
    updates, after = jax.eval_shape(lambda p, s: tx.update(p, s, p, value=0.5), params, state)
    assert jax.tree.map(lambda x: (x.shape, x.dtype), after) == jax.tree.map(
        lambda x: (x.shape, x.dtype), state
    )
    assert jax.tree.structure(updates) == jax.tree.structure(params)


def test_the_numbers_come_from_the_state_and_not_from_the_program():
    def make(rate, b1):
        return searched(adaptax.adam, {"eps": 1e-3}, {"learning_rate": rate, "b1": b1})

    traces = []

    @jax.jit
    def step(grads, state):
        traces.append(1)
        return make(1.0, 0.5).update(grads, state)

    grads = [np.array([0.3, -2.0]), np.array([-1.0, 0.5])]
    for rate, b1 in [(0.1, 0.9), (0.02, 0.3)]:
        state, m, v = make(rate, b1).init(jnp.zeros(2)), 0.0, 0.0
        for t, g in enumerate(grads, start=1):
            u, state = step(jnp.asarray(g, jnp.float32), state)
            m, v = b1 * m + (1 - b1) * g, 0.999 * v + 0.001 * g**2
            expected = -rate * (m / (1 - b1**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-3)
            np.testing.assert_allclose(u, expected, rtol=2e-6)
    assert len(traces) == 1
