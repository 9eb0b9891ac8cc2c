"""Orbax: a state is saved and restored, with its classes and without."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import adaptax
from tests.conformance import proves
from tests.interop.table import FEW, assert_same, make, params, steps

ocp = pytest.importorskip("orbax.checkpoint")


@pytest.fixture
def checkpointer():
    with ocp.StandardCheckpointer() as made:
        yield made


def saved(checkpointer, path, tree):
    checkpointer.save(path, tree)
    checkpointer.wait_until_finished()
    return path


@proves("P51")
@pytest.mark.parametrize("name", FEW)
def test_training_continues_bitwise(name, checkpointer, tmp_path):
    tx = adaptax.chain(adaptax.clip_by_global_norm(1.0), make(name))
    theta, state = steps(tx, params(), 2)
    path = saved(checkpointer, tmp_path / "state", {"params": theta, "opt_state": state})

    template = jax.eval_shape(lambda: {"params": params(), "opt_state": tx.init(params())})
    restored = checkpointer.restore(path, template)
    assert_same(restored, {"params": theta, "opt_state": state})
    expected = steps(tx, theta, 2, state)
    assert_same(steps(tx, restored["params"], 2, restored["opt_state"]), expected)

    plain = checkpointer.restore(path)
    assert float(adaptax.learning_rate(plain)) == np.float32(0.1)
    half = adaptax.set_learning_rate(plain, 0.05)
    assert float(adaptax.learning_rate(half)) == np.float32(0.05)
    assert jax.tree.structure(half) == jax.tree.structure(plain)


def test_labels_survive_without_the_classes(checkpointer, tmp_path):
    groups = {"matrix": adaptax.adam(0.125), "vector": adaptax.sgd(0.5)}
    labels = {"a": "vector", "b": "matrix"}
    tx = optax.MultiSteps(optax.chain(adaptax.clip(1.0), optax.partition(groups, labels)), 2)
    path = saved(checkpointer, tmp_path / "state", tx.init(params()))
    plain = adaptax.set_learning_rate(checkpointer.restore(path), 0.25, label="vector")
    rates = {label: float(rate) for label, rate in adaptax.learning_rates(plain).items()}
    assert rates == {"matrix": 0.125, "vector": 0.25}


@proves("P51", row="nadamw")
def test_a_set_rate_is_saved(checkpointer, tmp_path):
    tx = adaptax.nadamw(optax.linear_schedule(0.5, 0.0, 8))
    theta, state = steps(tx, params(), 2)
    state = adaptax.set_learning_rate(state, 0.25)
    path = saved(checkpointer, tmp_path / "state", state)
    restored = checkpointer.restore(path, jax.eval_shape(lambda: tx.init(params())))
    assert_same(steps(tx, theta, 1, restored), steps(tx, theta, 1, state))


@proves("P51", row="adam")
def test_mixed_dtypes_are_kept(checkpointer, tmp_path):
    theta = {"b": jnp.ones(3, jnp.bfloat16), "f": jnp.ones((2, 2))}
    tx = adaptax.adam(0.1, mu_dtype="bfloat16")
    _, state = steps(tx, theta, 2)
    path = saved(checkpointer, tmp_path / "state", state)
    assert_same(checkpointer.restore(path, jax.eval_shape(lambda: tx.init(theta))), state)
