"""Accumulation in every loop: jitted and donated, scanned, mapped, in Flax, after a restore."""

import functools
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import adaptax
from tests.interop.table import assert_close, assert_same
from tests.wrappers.test_accumulate import NAN, RATE, drawn, rate, serialized, tree


def step_of(tx, traces):
    @functools.partial(jax.jit, donate_argnums=(0, 1))
    def step(theta, state, g, value):
        traces.append(1)
        updates, state = tx.update(g, state, theta, value=value)
        return optax.apply_updates(theta, updates), state

    return step


STEERED = adaptax.accumulate(
    adaptax.chain(
        adaptax.clip_by_global_norm(1.0),
        adaptax.adamw(adaptax.plateau(RATE, patience=0, factor=0.5)),
    ),
    2,
)
LOSSES = np.float32([3.0, NAN, 4.0, 6.0, 5.0, 2.0])


@functools.cache
def looped():
    """Six donated micro-steps from a Python loop, with a pickled state in the middle."""
    traces = []
    step = step_of(STEERED, traces)
    theta = jax.tree.map(jnp.array, tree())
    state = STEERED.init(theta)
    for k, value in enumerate(LOSSES):
        if k == 3:
            raw = pickle.dumps(jax.device_get((theta, state)))
            theta, state = jax.tree.map(jnp.asarray, pickle.loads(raw))
        theta, state = step(theta, state, stacked(k), jnp.asarray(value))
    return theta, state, len(traces)


def stacked(k=slice(None)):
    return {"a": jnp.asarray(drawn(6)[k]), "b": jnp.asarray(drawn(6, seed=1, shape=(2, 2))[k])}


def test_one_trace_donated_from_the_first_step_over_a_restore():
    _, state, traces = looped()
    assert traces == 1 and int(state.gradient_step) == 3
    assert float(adaptax.learning_rate(state)) < rate(2)  # it was reduced
    plain = serialized(state)
    assert float(adaptax.learning_rate(plain)) == float(adaptax.learning_rate(state))


def scanned(theta, gradients, losses):
    def one(carry, given):
        theta, state = carry
        g, value = given
        updates, state = STEERED.update(g, state, theta, value=value)
        return (optax.apply_updates(theta, updates), state), None

    return jax.lax.scan(one, (theta, STEERED.init(theta)), (gradients, losses))[0]


def test_scan_and_vmap_do_as_the_loop():
    """Members of a vmap have windows, and bad micro-batches, of their own."""
    theta, state, _ = looped()
    gradients, losses = stacked(), jnp.asarray(LOSSES)
    assert_close(jax.jit(scanned)(tree(), gradients, losses), (theta, state), atol=1e-6)
    other = jax.tree.map(lambda g: g.at[2].set(np.nan), gradients)
    both = jax.tree.map(lambda *x: jnp.stack(x), gradients, other)
    many = jax.jit(jax.vmap(scanned, in_axes=(None, 0, None)))(tree(), both, losses)
    for i, alone in enumerate((gradients, other)):
        assert_close(
            jax.tree.map(lambda x, i=i: x[i], many),
            jax.jit(scanned)(tree(), alone, losses),
            rtol=1e-5,
            atol=1e-6,
        )
    assert many[1].skipped.tolist() == [0, 1]


def test_in_groups_each_has_its_own_window():
    groups = {"a": adaptax.accumulate(adaptax.sgd(1.0), 2), "**": adaptax.sgd(1.0)}
    tx = adaptax.by_path(groups)
    theta = tree()
    g = jax.tree.map(jnp.ones_like, theta)
    state = tx.init(theta)
    first, state = jax.jit(tx.update)(g, state, theta)
    second, state = jax.jit(tx.update)(g, state, theta)
    assert not first["a"].any() and (second["a"] == -1).all()
    assert (first["b"] == -1).all() and (second["b"] == -1).all()
    assert set(adaptax.learning_rates(state)) == {"a", "**"}


def test_flax_nnx():
    pytest.importorskip("flax.nnx")
    from tests.interop.test_nnx import Training, pure

    training = Training(adaptax.accumulate(adaptax.adamw(0.1), 2))
    start = pure(training.model)
    training.run(1)
    assert_same(pure(training.model), start)
    assert not training.optimizer.opt_state.emitted.get_value()
    training.run(1)
    plain = Training(adaptax.adamw(0.1))
    plain.run(1)  # two equal micro-batches are one
    assert_close(pure(training.model), pure(plain.model), atol=1e-6)
    training.set_rate(0.5)
    training.run(2)
    assert training.traced == 1 and training.rate == 0.5


def test_flax_linen():
    pytest.importorskip("flax")
    from flax import serialization

    from adaptax.flax import TrainState

    state = TrainState.create(apply_fn=None, params=tree(), tx=STEERED)
    for k in range(3):
        state = state.apply_gradients(grads=stacked(k), value=jnp.asarray(LOSSES[k]))
    raw = serialization.to_bytes(state)
    fresh = TrainState.create(apply_fn=None, params=tree(), tx=STEERED)
    assert_same(serialization.from_bytes(fresh, raw).opt_state, state.opt_state)
    plain = serialization.msgpack_restore(raw)["opt_state"]
    assert adaptax.learning_rate(plain) == adaptax.learning_rate(state.opt_state)
