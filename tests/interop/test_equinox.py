"""Equinox: `None` stands where nothing is optimized; a whole model gets a helpful error."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import adaptax
from tests.interop.table import FEW, OPTIMIZERS, kinds, make

eqx = pytest.importorskip("equinox")

X, Y = jnp.asarray(np.random.default_rng(0).normal(size=(2, 8, 2)), jnp.float32)


def model():
    return eqx.nn.MLP(2, 2, width_size=4, depth=1, key=jax.random.key(0))


def arrays(model):
    return eqx.filter(model, eqx.is_inexact_array)


def loss(model):
    return jnp.mean((jax.vmap(model)(X) - Y) ** 2)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_steps_on_a_filtered_model(name):
    tx, m = adaptax.chain(adaptax.clip_by_global_norm(1.0), make(name)), model()
    state = tx.init(arrays(m))
    updates, after = tx.update(arrays(m), state, arrays(m), value=1.0)
    assert jax.tree.structure(updates) == jax.tree.structure(arrays(m))
    assert kinds(after) == kinds(state)
    moved = eqx.apply_updates(m, updates)
    assert bool((moved.layers[0].weight != m.layers[0].weight).all())


@pytest.mark.parametrize("name", FEW)
def test_a_filtered_model_is_trained(name):
    rate = {"adadelta": 10.0, "sgd": 0.1}.get(name, 0.01)
    tx = adaptax.chain(adaptax.clip_by_global_norm(1.0), make(name, rate))
    traced = []

    @eqx.filter_jit
    def step(m, state):
        traced.append(m)
        value, g = eqx.filter_value_and_grad(loss)(m)
        updates, state = tx.update(g, state, arrays(m), value=value)
        return eqx.apply_updates(m, updates), state, value

    m = model()
    state = tx.init(arrays(m))
    before, values = kinds(state), []
    for _ in range(10):
        m, state, value = step(m, state)
        values.append(float(value))
    assert values[-1] < values[0] and len(traced) == 1
    assert kinds(state) == before and m.activation is model().activation


def test_moments_are_none_where_parameters_are():
    state = adaptax.adam(0.1).init(arrays(model()))
    assert state.rule.mu.activation is None
    assert state.rule.mu.layers[0].weight.shape == (4, 2)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_whole_model_is_refused_with_the_remedy(name):
    with pytest.raises(TypeError, match=r"activation.*eqx\.filter\(model, eqx\.is_inexact_array\)"):
        make(name).init(model())


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_whole_model_as_params_of_update_is_refused(name):
    tx, m = make(name), model()
    state = tx.init(arrays(m))
    with pytest.raises(ValueError, match="activation"):
        tx.update(eqx.filter_grad(loss)(m), state, m)


def test_frozen_layers_are_left_out():
    m = model()
    trainable = eqx.filter(m, eqx.is_inexact_array)
    trainable = eqx.tree_at(lambda t: t.layers[0], trainable, replace_fn=lambda _: None)
    tx = adaptax.adamw(0.1)
    state = tx.init(trainable)
    updates, state = tx.update(trainable, state, trainable)
    after = eqx.apply_updates(m, updates)
    assert eqx.tree_equal(after.layers[0], m.layers[0])
    assert not eqx.tree_equal(after.layers[1], m.layers[1])


def test_a_model_is_partitioned_by_labels():
    params = arrays(model())
    labels = jax.tree.map(lambda p: "matrix" if p.ndim == 2 else "vector", params)
    groups = {"matrix": adaptax.adam(0.1), "vector": adaptax.sgd(0.5)}
    # a callable, because Equinox's modules are callable and Optax would call the labels
    tx = optax.partition(groups, lambda _: labels)
    state = tx.init(params)
    state = adaptax.set_learning_rate(state, 0.25, "vector")
    updates, state = tx.update(params, state, params)
    np.testing.assert_allclose(updates.layers[0].bias, -0.25 * params.layers[0].bias, rtol=1e-6)
    rates = {label: float(rate) for label, rate in adaptax.learning_rates(state).items()}
    assert rates == {"matrix": np.float32(0.1), "vector": 0.25}
