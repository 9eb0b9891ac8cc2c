"""Flax linen: adaptax's `TrainState` passes extra arguments on; else it is the stock class."""

import importlib
import subprocess
import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import adaptax
from tests.interop.table import OPTIMIZERS, assert_close, assert_same, grads, make, params, spy

nn = pytest.importorskip("flax.linen")
from flax.linen.fp8_ops import OVERWRITE_WITH_GRADIENT  # noqa: E402
from flax.training import train_state  # noqa: E402

from adaptax.flax import TrainState  # noqa: E402

X, Y = jnp.asarray(np.random.default_rng(0).normal(size=(2, 5, 3)), jnp.float32)
MODEL = nn.Dense(3)


class WithStats(TrainState):
    batch_stats: Any


def create(tx, cls=TrainState, **fields):
    return cls.create(apply_fn=MODEL.apply, params=params(), tx=tx, **fields)


def test_what_is_no_field_reaches_the_optimizer():
    seen = []
    state = create(adaptax.chain(spy(seen), adaptax.adam(0.1)), WithStats, batch_stats=jnp.zeros(2))
    g = grads(state.params)
    state = state.apply_gradients(
        grads=g, value=jnp.asarray(3.0), grad=g, anything="else", batch_stats=jnp.ones(2)
    )
    assert [sorted(extra) for extra in seen] == [["anything", "grad", "value"]]
    assert float(seen[0]["value"]) == 3.0 and seen[0]["anything"] == "else"
    assert_same(state.batch_stats, jnp.ones(2))


def test_a_value_of_none_is_no_argument():
    seen = []
    state = create(adaptax.chain(spy(seen), adaptax.adam(0.1)))
    state.apply_gradients(grads=grads(state.params))
    assert [sorted(extra) for extra in seen] == [["grad"]]


def test_a_field_called_value_is_replaced():
    class WithValue(TrainState):
        value: Any = None

    seen = []
    state = create(adaptax.chain(spy(seen), adaptax.adam(0.1)), WithValue)
    state = state.apply_gradients(grads=grads(state.params), value=2.0)
    assert [sorted(extra) for extra in seen] == [["grad"]] and state.value == 2.0


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_it_equals_the_stock_class(name):
    ours = create(make(name))
    stock = create(make(name), train_state.TrainState)
    for k in range(2):
        ours = ours.apply_gradients(grads=grads(ours.params, k), value=jnp.asarray(1.0))
        stock = stock.apply_gradients(grads=grads(stock.params, k))
    assert_same((ours.params, ours.opt_state), (stock.params, stock.opt_state))
    assert type(ours) is TrainState and ours.step == 2 and ours.tx == make(name)


def test_an_optimizer_without_extra_arguments_gets_none():
    plain = optax.GradientTransformation(*optax.sgd(0.5))
    state = create(plain).apply_gradients(grads=params(), value=jnp.asarray(1.0), name="x")
    assert_close(state.params, jax.tree.map(lambda p: 0.5 * p, params()))
    assert state.tx is plain


def test_gradients_that_overwrite_are_not_optimized():
    scale = {"scale": jnp.ones(3)}
    both = {"params": params(), OVERWRITE_WITH_GRADIENT: scale}
    state = TrainState.create(apply_fn=None, params=both, tx=adaptax.sgd(1.0))
    new = {"scale": jnp.full(3, 7.0)}
    g = {"params": params(), OVERWRITE_WITH_GRADIENT: new}
    state = state.apply_gradients(grads=g, value=jnp.asarray(1.0))
    assert_same(state.params[OVERWRITE_WITH_GRADIENT], new)
    assert_same(state.params["params"], jax.tree.map(jnp.zeros_like, params()))


def test_the_optimizer_is_replaced_by_name():
    state = create(adaptax.sgd(0.5))
    state = state.apply_gradients(grads=params(), tx=adaptax.sgd(0.25))
    assert_close(state.params, jax.tree.map(lambda p: 0.5 * p, params()))
    assert state.tx == adaptax.sgd(0.25)


def traces():
    counted = []

    @jax.jit
    def step(state, x, y):
        counted.append(state.tx)
        value, g = jax.value_and_grad(_loss)(state.params, state.apply_fn, x, y)
        return state.apply_gradients(grads=g, value=value)

    return step, counted


def _loss(params, apply, x, y):
    return jnp.mean((apply({"params": params}, x) - y) ** 2)


def trained(tx):
    variables = MODEL.init(jax.random.key(0), X)
    return TrainState.create(apply_fn=MODEL.apply, params=variables["params"], tx=tx)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimizer_built_again_is_not_traced_again(name):
    step, counted = traces()
    for norm, expected in ((1.0, 1), (1.0, 1), (2.0, 2)):  # another optimizer is another program
        tx = adaptax.chain(adaptax.clip_by_global_norm(norm), make(name))
        step.trace(trained(tx), X, Y)
        assert len(counted) == expected


def test_setting_the_rate_compiles_nothing():
    step, counted = traces()
    state = step(trained(adaptax.sgd(0.5)), X, Y)
    state = state.replace(opt_state=adaptax.set_learning_rate(state.opt_state, 0.125))
    g = jax.grad(_loss)(state.params, MODEL.apply, X, Y)
    after = step(state, X, Y)
    assert_close(after.params, jax.tree.map(lambda p, g: p - 0.125 * g, state.params, g))
    assert len(counted) == 1 and float(adaptax.learning_rate(after.opt_state)) == 0.125


def test_it_serializes_as_the_stock_class():
    from flax import serialization

    state = create(adaptax.adamw(0.1)).apply_gradients(grads=params())
    raw = serialization.to_bytes(state)
    restored = serialization.from_bytes(create(adaptax.adamw(0.1)), raw)
    assert_same((restored.params, restored.opt_state), (state.params, state.opt_state))
    dicts = serialization.msgpack_restore(raw)
    assert float(adaptax.learning_rate(dicts["opt_state"])) == np.float32(0.1)


def test_without_flax_the_error_says_what_to_install(monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[:2] == ["adaptax", "flax"]]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "flax", None)
    with pytest.raises(ImportError, match=r'pip install "adaptax\[flax\]"'):
        importlib.import_module("adaptax.flax")


def test_flax_is_imported_by_name_only():
    code = "import adaptax, sys; sys.exit('flax' in sys.modules or 'adaptax.flax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
