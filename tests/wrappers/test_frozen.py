"""Frozen parameters keep every bit, and thaw as if training began there but for the rate."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import adaptax
from adaptax.lab import cost
from tests.interop.table import FEW, assert_close, assert_same, grads, kinds, make, spy, steps

SCHEDULE = adaptax.linear(0.5, 0.1, steps=8)
EDGES = [0.0, -0.0, 1.0, -6e4, np.inf, np.nan, 3e-5]


def bits(tree):
    return [np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(tree)]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16", "complex64"])
@pytest.mark.parametrize("compiled", [True, False], ids=["compiled", "eager"])
def test_no_bit_moves_before_the_step(dtype, compiled):
    """Whatever the gradients are, NaN and infinity included."""
    theta = {"a": jnp.asarray(EDGES, dtype), "b": jnp.full((), -0.0, dtype)}
    if dtype == "complex64":
        theta["a"] = jax.lax.complex(jnp.asarray(EDGES), jnp.asarray(EDGES[::-1]))
    tx = adaptax.frozen_until(adaptax.adamw(0.5, weight_decay=0.1), 2)

    def step(theta, state, g):
        updates, state = tx.update(g, state, theta)
        return optax.apply_updates(theta, updates), state

    step = jax.jit(step) if compiled else step
    before, state, moved = bits(theta), tx.init(theta), theta
    for scale in (1.0, np.nan):
        g = jax.tree.map(lambda p, s=scale: jnp.full(p.shape, s, p.dtype), theta)
        moved, state = step(moved, state, g)
        assert bits(moved) == before
    moved, _ = step(moved, state, jax.tree.map(jnp.ones_like, theta))
    assert bits(moved)[1] != before[1] and bool(jnp.isfinite(moved["b"]))


@pytest.mark.parametrize("name", FEW)
def test_it_thaws_as_a_fresh_optimizer_whose_schedule_went_on(name):
    thaw = 3
    tx = adaptax.frozen_until(make(name, SCHEDULE), thaw)
    theta = {"a": jnp.arange(1.0, 4.0), "b": {"c": jnp.full((2, 2), -0.5)}}
    fresh, state = make(name, SCHEDULE).init(theta), tx.init(theta)
    for k in range(thaw):
        _, state = tx.update(grads(theta, k), state, theta)
        inner = state.inner_state
        assert_same(inner._replace(rate=fresh.rate), fresh)
        assert adaptax.learning_rate(state) == SCHEDULE(k) and int(inner.rate.step) == k + 1
    shifted = make(name, lambda k: SCHEDULE(k + thaw))
    expected, here = shifted.init(theta), theta
    for k in range(thaw, 8):
        updates, state = tx.update(grads(theta, k), state, here)
        wanted, expected = shifted.update(grads(theta, k), expected, here)
        assert_same(updates, wanted)
        here = optax.apply_updates(here, updates)
    assert_same(state.inner_state.rule, expected.rule)


@pytest.mark.parametrize(
    "inner",
    [
        adaptax.rmsprop(0.1, initial_scale=1.0),
        adaptax.yogi(0.1),
        adaptax.adam(adaptax.hypergradient(0.1, beta=1e-3)),
        adaptax.adam(0.1, b1=adaptax.linear(0.5, 0.9, 3)),
    ],
    ids=["rmsprop", "yogi", "hypergradient", "scheduled b1"],
)
def test_it_thaws_fresh_whatever_it_starts_from_and_sees(inner):
    """Also after gradients that are not finite."""
    tx, theta = adaptax.frozen_until(inner, 2), {"a": jnp.arange(1.0, 4.0)}
    fresh, state = inner.init(theta), tx.init(theta)
    for bad in (jnp.inf, jnp.nan):
        _, state = tx.update({"a": jnp.full(3, bad)}, state, theta)
    for k in range(3):
        updates, state = tx.update(grads(theta, k), state, theta)
        wanted, fresh = inner.update(grads(theta, k), fresh, theta)
        assert_same(updates, wanted)
    assert_same(state.inner_state.rule, fresh.rule)


def test_zero_steps_change_nothing():
    theta = {"a": jnp.arange(1.0, 4.0)}
    frozen, state = steps(adaptax.frozen_until(adaptax.adamw(0.1), 0), theta)
    plain, expected = steps(adaptax.adamw(0.1), theta)
    assert_same(frozen, plain)
    assert_same(state.inner_state, expected)


def test_optax_s_state_stays_fresh_as_a_whole():
    with jax.numpy_dtype_promotion("standard"):
        inner = optax.adam(optax.linear_schedule(1.0, 0.0, 4))
        tx = adaptax.frozen_until(inner, 2)
        theta = jnp.arange(1.0, 4.0)
        fresh, state = inner.init(theta), tx.init(theta)
        for k in range(2):
            updates, state = tx.update(grads(theta, k), state, theta)
            assert_same(state.inner_state, fresh)
        updates, _ = tx.update(grads(theta, 2), state, theta)
        assert_same(updates, inner.update(grads(theta, 2), fresh, theta)[0])


def test_one_trace_over_the_thaw_in_loops_scans_and_members():
    thaw, n = 2, 5
    tx = adaptax.frozen_until(adaptax.adamw(SCHEDULE), thaw)
    theta = {"a": jnp.arange(1.0, 4.0), "b": jnp.ones((2, 2))}
    traces = []

    def one(carry, g):
        traces.append(1)
        moved, state = carry
        updates, state = tx.update(g, state, moved)
        return (optax.apply_updates(moved, updates), state), moved["a"]

    drawn = [grads(theta, k) for k in range(n)]
    stacked = jax.tree.map(lambda *g: jnp.stack(g), *drawn)
    step = jax.jit(lambda carry, g: one(carry, g)[0], donate_argnums=0)
    # donation is refused where two buffers are one
    carry = (jax.tree.map(jnp.array, theta), tx.init(theta))
    for g in drawn:
        carry = step(carry, g)
    assert len(traces) == 1

    final, path = jax.jit(lambda c: jax.lax.scan(one, c, stacked))((theta, tx.init(theta)))
    assert len(traces) == 2
    assert_close(final, carry)
    assert bits(list(path[: thaw + 1])) == bits([theta["a"]] * (thaw + 1))
    assert bool((path[thaw + 1] != theta["a"]).all())

    both = jax.tree.map(lambda x: jnp.stack([x, x]), (theta, tx.init(theta)))
    many, _ = jax.jit(jax.vmap(lambda c: jax.lax.scan(one, c, stacked)))(both)
    assert_close(many, jax.tree.map(lambda x: jnp.stack([x, x]), final))


def test_the_rate_is_read_and_set_while_frozen():
    tx = adaptax.chain(adaptax.clip(1.0), adaptax.frozen_until(adaptax.sgd(0.5), 1))
    theta = jnp.ones(2)
    _, state = tx.update(theta, tx.init(theta), theta)
    state = adaptax.set_learning_rate(state, 0.25)
    updates, state = tx.update(theta, state, theta)
    np.testing.assert_array_equal(updates, -0.25)
    assert float(adaptax.learning_rate(state)) == 0.25


def test_a_controller_goes_on_and_gets_its_metric():
    seen = []
    rate = adaptax.plateau(0.5, factor=0.5, patience=0)
    tx = adaptax.frozen_until(adaptax.chain(spy(seen), adaptax.sgd(rate)), 9)
    theta = jnp.ones(2)
    state = tx.init(theta)
    for value in (1.0, 2.0, 3.0):
        _, state = tx.update(theta, state, theta, value=value)
    assert float(adaptax.learning_rate(state)) == 0.125
    assert [extra["value"] for extra in seen] == [1.0, 2.0, 3.0]


def test_what_it_keeps():
    tx = adaptax.frozen_until(adaptax.adamw(SCHEDULE), 3)
    theta = {"a": jnp.ones(3, jnp.bfloat16), "n": None}
    state = tx.init(theta)
    assert kinds(tx.update(theta, state, theta)[1]) == kinds(state)
    assert jax.tree.structure(jax.eval_shape(tx.init, theta)) == jax.tree.structure(state)
    plain = cost.state_bytes(adaptax.adamw(0.1))
    assert cost.state_bytes(adaptax.frozen_until(adaptax.adamw(0.1), 3)) == (
        plain[0],
        plain[1] + 4,
    )


def test_what_it_costs():
    """What the docstring says."""
    plain = cost.Subject("plain", adaptax.adamw(1e-3))
    frozen = cost.Subject("frozen", adaptax.frozen_until(adaptax.adamw(1e-3), 100))
    more = cost.equations_per_leaf(frozen, 20, 40) - cost.equations_per_leaf(plain, 20, 40)
    assert 0 < more <= 10
    never = cost.Subject("never", adaptax.frozen_until(adaptax.adamw(1e-3), 0))
    assert cost.equations_per_leaf(never, 20, 40) == cost.equations_per_leaf(plain, 20, 40)
    if jax.default_backend() == "cpu":
        assert cost.kernels_per_leaf(frozen) <= cost.kernels_per_leaf(plain)
        found = cost.temporary_bytes(frozen.lower(cost.tree([(250_000,)])).compile())
        assert found is not None and found < 10_000


def test_gradual_unfreezing_moves_one_group_after_the_other():
    order = {"head/**": 0, "body/**": 1, "embed/**": 3}
    tx = adaptax.gradual_unfreezing(adaptax.adamw(SCHEDULE), order)
    by_hand = adaptax.by_path(
        {pattern: adaptax.frozen_until(adaptax.adamw(SCHEDULE), k) for pattern, k in order.items()}
    )
    assert tx.definition == by_hand.call
    theta = {name: {"w": jnp.ones(2)} for name in ("embed", "body", "head")}
    state, moved = tx.init(theta), []
    assert sorted(adaptax.learning_rates(state)) == sorted(order)
    for k in range(4):
        updates, state = tx.update(grads(theta, k), state, theta)
        moved.append([name for name in theta if updates[name]["w"].any()])
    assert moved == [["head"], ["body", "head"], ["body", "head"], ["embed", "body", "head"]]
    rates = adaptax.learning_rates(state)
    assert {float(rate) for rate in rates.values()} == {float(SCHEDULE(3))}


def test_nnx():
    nnx = pytest.importorskip("flax.nnx")
    model = nnx.Linear(2, 2, rngs=nnx.Rngs(0))
    tx = adaptax.gradual_unfreezing(adaptax.adamw(0.1), {"kernel": 0, "bias": 2})
    optimizer = nnx.Optimizer(model, tx, wrt=nnx.Param)
    traces = []

    @nnx.jit
    def step(model, optimizer):
        traces.append(1)
        optimizer.update(model, jax.tree.map(jnp.ones_like, nnx.state(model, nnx.Param)))

    found = []
    for _ in range(3):
        step(model, optimizer)
        found.append((bool(model.kernel[...].any()), bool(model.bias[...].any())))
    assert found == [(True, False), (True, False), (True, True)]
    assert len(traces) == 1


@pytest.mark.parametrize(
    ("make_it", "message"),
    [
        (lambda: adaptax.frozen_until(adaptax.sgd, 3), "call it first: sgd(...)"),
        (lambda: adaptax.frozen_until(adaptax.sgd(0.1), -1), "frozen_until(step=-1)"),
        (lambda: adaptax.frozen_until(adaptax.sgd(0.1), 1.5), "frozen_until(step=1.5)"),
        (lambda: adaptax.frozen_until(adaptax.sgd(0.1), True), "frozen_until(step=True)"),
        (lambda: adaptax.frozen_until(adaptax.sgd(0.1), 2**31), "a whole number in [0, "),
        (lambda: adaptax.gradual_unfreezing(0.1, {"**": 0}), "gradual_unfreezing: inner is 0.1"),
        (lambda: adaptax.gradual_unfreezing(adaptax.sgd(0.1), 3), "gives a step for each pattern"),
        (lambda: adaptax.gradual_unfreezing(adaptax.sgd(0.1), {"a": -1}), "steps['a']=-1"),
        (lambda: adaptax.gradual_unfreezing(adaptax.sgd(0.1), {"a[": 1}), "open '['"),
    ],
    ids=range(9),
)
def test_bad_arguments(make_it, message):
    with pytest.raises((TypeError, ValueError)) as error:
        make_it()
    assert message in str(error.value)
