"""Controllers of gradients, directions and weights against float64, and by what they promise."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import adaptax
from tests import reference_controllers as references

SIZE, STEPS = 5, 40
CURVATURE = np.linspace(0.5, 2.0, SIZE)
START = np.linspace(-1.0, 1.5, SIZE).astype(np.float32)


def loss(theta):
    return 0.5 * jnp.sum(jnp.asarray(CURVATURE, theta.dtype) * theta**2) + 0.25


def trained(tx, steps=STEPS, params=START):
    """Rates and parameters of a run on a quadratic."""

    def step(carry, _):
        params, state = carry
        value, grads = jax.value_and_grad(loss)(params)
        updates, state = tx.update(grads, state, params, value=value)
        return (optax.apply_updates(params, updates), state), (
            adaptax.learning_rate(state),
            params,
        )

    params = jnp.asarray(params)
    carry, (rates, path) = jax.lax.scan(step, (params, tx.init(params)), None, length=steps)
    return np.asarray(rates, np.float64), np.asarray(path, np.float64), carry


HYPER = [
    {"beta": 0.01, "rule": "additive", "floor": 0.0, "ceiling": None},
    {"beta": 0.5, "rule": "additive", "floor": 0.02, "ceiling": 0.2},
    {"beta": 0.05, "rule": "multiplicative", "floor": 0.0, "ceiling": None},
    {"beta": 0.9, "rule": "multiplicative", "floor": 0.04, "ceiling": 0.5},
]


@pytest.mark.parametrize("kwargs", HYPER, ids=range(4))
@pytest.mark.parametrize("base", [0.05, adaptax.linear(0.02, 0.1, 20)], ids=["number", "schedule"])
def test_hypergradient_with_sgd(kwargs, base):
    rates, path, _ = trained(adaptax.sgd(adaptax.hypergradient(base, **kwargs)))
    machine, theta = references.Hypergradient(**kwargs), START.astype(np.float64)
    want = []
    for k in range(STEPS):
        g = CURVATURE * theta
        now = base if isinstance(base, float) else 0.02 + 0.08 * min(k / 20, 1)
        want.append(machine.step(now, list(g), list(g)))
        np.testing.assert_allclose(path[k], theta, rtol=1e-4, atol=1e-6)
        theta = theta - want[-1] * g
    np.testing.assert_allclose(rates, want, rtol=2e-5, atol=0)
    assert np.ptp(want) > 0.01


@pytest.mark.parametrize("kwargs", HYPER[::2], ids=["additive", "multiplicative"])
def test_hypergradient_with_adam_looks_at_the_previous_direction(kwargs):
    b1, b2, eps = 0.9, 0.99, 1e-8
    tx = adaptax.adam(adaptax.hypergradient(0.05, **kwargs), b1=b1, b2=b2, eps=eps)
    rates, _, _ = trained(tx)
    machine, theta = references.Hypergradient(**kwargs), START.astype(np.float64)
    m, v, want = np.zeros(SIZE), np.zeros(SIZE), []
    for t in range(1, STEPS + 1):
        g = CURVATURE * theta
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2
        direction = (m / (1 - b1**t)) / (np.sqrt(v / (1 - b2**t)) + eps)
        want.append(machine.step(0.05, list(g), list(direction)))
        theta = theta - want[-1] * direction
    np.testing.assert_allclose(rates, want, rtol=1e-4, atol=0)


def test_hypergradient_is_minus_the_derivative_of_the_loss_by_the_rate():
    rate = 0.07
    tx = adaptax.sgd(adaptax.hypergradient(rate, beta=1.0))
    rates, path, _ = trained(tx, 2)
    theta = jnp.asarray(path[0], jnp.float32)
    slope = jax.grad(lambda eta: loss(theta - eta * jax.grad(loss)(theta)))(jnp.float32(rate))
    np.testing.assert_allclose(rates[1] - rates[0], -slope, rtol=1e-4)


@pytest.mark.parametrize(
    ("rule", "beta", "gradients"),
    [("additive", 0.1, [1.0, 1.0, 1.0, 1.0, -1.0]), ("multiplicative", 0.5, [1.0] * 6 + [-1.0])],
)
def test_hypergradient_turns_at_once_at_its_ceiling(rule, beta, gradients):
    tx = adaptax.sgd(adaptax.hypergradient(0.1, beta=beta, rule=rule, ceiling=0.25))
    state, rates = tx.init(jnp.ones(1)), []
    for g in gradients:
        _, state = tx.update(jnp.full(1, g), state, jnp.ones(1))
        rates.append(float(adaptax.learning_rate(state)))
    assert rates[-2] == pytest.approx(0.25)
    want = 0.15 if rule == "additive" else 0.125
    assert rates[-1] == pytest.approx(want)


def test_hypergradient_forgets_a_nan():
    tx = adaptax.sgd(adaptax.hypergradient(0.1, beta=0.01))
    state = tx.init(jnp.ones(2))
    for gradient in (1.0, jnp.nan, 1.0, 1.0):
        _, state = tx.update(jnp.full(2, gradient), state, jnp.ones(2))
    assert float(adaptax.learning_rate(state)) == pytest.approx(0.1 + 0.01 * 2)


def test_polyak_reaches_the_minimum_of_a_sphere_in_one_step():
    tx = adaptax.sgd(adaptax.polyak(10.0))
    theta = jnp.asarray([3.0, 4.0])
    updates, state = tx.update(theta, tx.init(theta), theta, value=0.5 * jnp.sum(theta**2))
    np.testing.assert_allclose(updates, -theta, rtol=1e-6)
    assert float(adaptax.learning_rate(state)) == pytest.approx(1.0)


@pytest.mark.parametrize("c", [0.5, 1.0])
@pytest.mark.parametrize("cap", [0.3, 100.0])
def test_polyak_with_sgd_and_with_a_rule(c, cap):
    control = adaptax.polyak(cap, c=c, lower_bound=0.25)
    steps = 6  # later the loss is its lower bound but for rounding
    rates, _, _ = trained(adaptax.sgd(control), steps)
    theta, want = START.astype(np.float64), []
    for _ in range(steps):
        g, value = CURVATURE * theta, 0.5 * np.sum(CURVATURE * theta**2) + 0.25
        want.append(references.polyak(cap, c, 0.25, value, list(g), list(g)))
        theta = theta - want[-1] * g
    np.testing.assert_allclose(rates, want, rtol=1e-4)
    tx = adaptax.rmsprop(control)
    g = jnp.asarray(CURVATURE * START, jnp.float32)
    value = 0.5 * float(np.sum(CURVATURE * START**2)) + 0.25
    _, state = tx.update(g, tx.init(g), jnp.asarray(START), value=value)
    direction = np.asarray(g, np.float64) / np.sqrt(0.1 * np.asarray(g, np.float64) ** 2 + 1e-8)
    want = references.polyak(cap, c, 0.25, value, list(np.asarray(g, float)), list(direction))
    assert float(adaptax.learning_rate(state)) == pytest.approx(want, rel=1e-5)


def test_polyak_at_its_edges():
    tx = adaptax.sgd(adaptax.polyak(0.5), momentum=0.9)
    theta, state = jnp.ones(2), tx.init(jnp.ones(2))

    def rate_after(gradient, value):
        nonlocal state
        _, state = tx.update(jnp.full(2, gradient), state, theta, value=value)
        return float(adaptax.learning_rate(state))

    assert rate_after(0.0, 1.0) == 0.5  # nothing to divide by: the cap
    assert rate_after(4.0, 1.0) == pytest.approx(1 / (0.5 * 32))
    assert rate_after(4.0, jnp.nan) == pytest.approx(1 / (0.5 * 32))  # as before
    assert rate_after(4.0, jnp.inf) == pytest.approx(1 / (0.5 * 32))
    assert rate_after(-1.0, 1.0) == 0.0  # momentum still leads uphill
    assert rate_after(4.0, -1.0) == 0.0  # below the lower bound


TREE = {"a": jnp.asarray([3.0, 4.0]), "b": {"c": jnp.full((2, 3), 0.5), "zero": jnp.zeros(4)}}
GRADS = {"a": jnp.asarray([0.1, 0.7]), "b": {"c": jnp.full((2, 3), -2.0), "zero": jnp.ones(4)}}


def norm(tree):
    return float(
        np.sqrt(sum(np.sum(np.asarray(x, np.float64) ** 2) for x in jax.tree.leaves(tree)))
    )


@pytest.mark.parametrize("name", ["sgd", "adam", "rmsprop", "nadam"])
def test_the_whole_step_has_the_ratio(name):
    tx = getattr(adaptax, name)(adaptax.update_ratio(0.02))
    state = tx.init(TREE)
    for _ in range(3):
        updates, state = tx.update(GRADS, state, TREE)
        assert norm(updates) / norm(TREE) == pytest.approx(0.02, rel=1e-5)


@pytest.mark.parametrize("name", ["sgd", "adam", "rmsprop"])
def test_each_array_has_the_ratio(name):
    eps = 0.01
    tx = getattr(adaptax, name)(adaptax.update_ratio(0.02, per_leaf=True, eps=eps))
    updates, state = tx.update(GRADS, tx.init(TREE), TREE)
    pairs = zip(*map(jax.tree.leaves, (updates, TREE)), strict=True)
    for u, p in pairs:
        want = references.update_ratio(
            0.02, eps, list(np.asarray(p, float).ravel()), [1.0]
        )  # of a unit direction: the size of the step
        assert norm(u) == pytest.approx(want, rel=1e-5)
    assert float(adaptax.learning_rate(state)) == pytest.approx(0.02)
    half = adaptax.scale_learning_rate(tx.init(TREE), 0.5)
    updates_of_half, _ = tx.update(GRADS, half, TREE)
    jax.tree.map(lambda u, h: np.testing.assert_allclose(u / 2, h), updates, updates_of_half)


@pytest.mark.parametrize("per_leaf", [False, True])
@pytest.mark.parametrize("size", [0.0, 1e-30, 1e30])
def test_a_ratio_of_extreme_directions_is_finite(per_leaf, size):
    tx = adaptax.sgd(adaptax.update_ratio(0.02, per_leaf=per_leaf))
    grads = jax.tree.map(lambda p: jnp.full_like(p, size), TREE)
    updates, _ = tx.update(grads, tx.init(TREE), TREE)
    assert all(bool(jnp.isfinite(u).all()) for u in jax.tree.leaves(updates))
    if size == 0:
        assert norm(updates) == 0
    elif not per_leaf:
        assert norm(updates) / norm(TREE) == pytest.approx(0.02, rel=1e-4)


def test_a_schedule_is_the_target_of_a_ratio():
    tx = adaptax.adam(adaptax.update_ratio(adaptax.linear(0.0, 0.1, 4)))
    state = tx.init(TREE)
    for k in range(6):
        updates, state = tx.update(GRADS, state, TREE)
        assert norm(updates) / norm(TREE) == pytest.approx(min(k, 4) * 0.025, rel=1e-5)


def test_weights_are_asked_for_by_name():
    tx = adaptax.sgd(adaptax.update_ratio(0.1))
    with pytest.raises(ValueError, match=r"update_ratio: params are needed"):
        tx.update(TREE, tx.init(TREE))


@pytest.mark.parametrize("kind", ["hypergradient", "polyak", "update_ratio"])
def test_a_rule_of_optax_is_steered_by_scale_by_rate(kind):
    """In a chain the gradient comes as grad=; the rates are those of the whole optimizer."""
    control = getattr(adaptax, kind)(0.05)
    ours = adaptax.adam(control)
    chained = adaptax.chain(optax.scale_by_adam(), adaptax.scale_by_rate(control))
    states = [ours.init(jnp.asarray(START)), chained.init(jnp.asarray(START))]
    for k in range(4):
        g = jnp.asarray(np.random.default_rng(k).normal(size=SIZE), jnp.float32)
        extra = {"value": jnp.float32(1.0), "grad": g}
        _, states[0] = ours.update(g, states[0], jnp.asarray(START), **extra)
        with jax.numpy_dtype_promotion("standard"):
            _, states[1] = chained.update(g, states[1], jnp.asarray(START), **extra)
        rates = [float(adaptax.learning_rate(state)) for state in states]
        assert rates[0] == pytest.approx(rates[1], rel=3e-5)  # Optax's Adam is off by 1e-5


@pytest.mark.parametrize(
    "call",
    [
        lambda: adaptax.hypergradient(0.1, beta=-1.0),
        lambda: adaptax.hypergradient(0.1, beta=1.0, rule="multiplicative"),
        lambda: adaptax.hypergradient(0.1, rule="sum"),
        lambda: adaptax.hypergradient(0.1, floor=0.5, ceiling=0.2),
        lambda: adaptax.polyak(1.0, c=0.0),
        lambda: adaptax.polyak(-1.0),
        lambda: adaptax.update_ratio(-1e-3),
        lambda: adaptax.update_ratio(1e-3, eps=-1.0),
    ],
)
def test_bad_arguments_are_refused(call):
    with pytest.raises(ValueError, match=r"\w+\(\w+="):
        call()


def test_polyak_behind_a_clip_sees_the_gradient_of_the_loss():
    theta = {"a": jnp.asarray([3.0, 4.0])}
    loss_now = 0.5 * jnp.sum(theta["a"] ** 2)
    for link in (adaptax.clip_by_global_norm(1.0), optax.scale(0.1)):
        tx = adaptax.chain(link, adaptax.sgd(adaptax.polyak(100.0)))
        updates, _ = tx.update(theta, tx.init(theta), theta, value=loss_now)
        # (f − f*)/(½ ⟨g, d⟩) along d is the minimum on the line, here the origin
        np.testing.assert_allclose(updates["a"], -theta["a"], rtol=1e-5)


@pytest.mark.parametrize("control", [adaptax.polyak(0.1), adaptax.hypergradient(0.1)], ids=repr)
def test_a_group_sees_its_own_gradients(control):
    tx = adaptax.chain(
        adaptax.clip(10.0), adaptax.by_path({"a": adaptax.adam(control), "**": adaptax.sgd(0.1)})
    )
    alone = adaptax.adam(control)
    state, own = tx.init(TREE), alone.init(TREE["a"])
    for _ in range(3):
        updates, state = tx.update(GRADS, state, TREE, value=2.0)
        want, own = alone.update(GRADS["a"], own, TREE["a"], value=2.0)
    np.testing.assert_array_equal(updates["a"], want)


def test_a_gradient_of_another_structure_is_refused():
    tx = adaptax.sgd(adaptax.polyak(0.1))
    with pytest.raises(ValueError, match="grad= has another structure"):
        tx.update(TREE, tx.init(TREE), TREE, value=1.0, grad={"a": TREE["a"]})


@pytest.mark.parametrize(
    "rate",
    [adaptax.linear(0.1, -0.1, 4), optax.linear_schedule(0.1, -0.1, 4)],
    ids=["ours", "optax"],
)
def test_a_negative_schedule_does_not_climb(rate):
    for tx in (adaptax.sgd(rate), adaptax.sgd(adaptax.plateau(rate))):
        state = tx.init(jnp.ones(1))
        for _ in range(6):
            updates, state = tx.update(jnp.ones(1), state, jnp.ones(1), value=1.0)
            assert float(updates[0]) <= 0
        assert float(adaptax.learning_rate(state)) == 0
