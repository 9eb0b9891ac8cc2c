"""The parameters to evaluate with: found in any nesting, in every library, after every restore."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import adaptax
from tests.interop.table import assert_close, assert_same, kinds, params, steps
from tests.wrappers.test_accumulate import RATE, serialized
from tests.wrappers.test_average import WRAPPERS, rest_slow

KINDS = ["ema", "swa", "lookahead"]


def close(got, want):
    assert_close(got, want, rtol=1e-6, atol=1e-6)


NESTED = {
    "chain": lambda tx: adaptax.chain(adaptax.clip(9.0), tx),
    "named_chain": lambda tx: optax.named_chain(("clip", adaptax.clip(9.0)), ("step", tx)),
    "by_path": lambda tx: adaptax.by_path({"**": tx}),
    "accumulate": lambda tx: adaptax.accumulate(tx, 1),
    "apply_if_finite": lambda tx: optax.apply_if_finite(tx, 3),
    "partition": lambda tx: optax.partition(
        {"x": tx}, lambda tree: jax.tree.map(lambda _: "x", tree)
    ),
}


@pytest.mark.parametrize("nest", rest_slow(NESTED, ["chain", "by_path", "accumulate"]))
@pytest.mark.parametrize("name", ["ema", "lookahead"])
def test_evaluation_params_through_any_nesting(nest, name):
    inner = WRAPPERS[name](adaptax.adamw(RATE))
    theta, state = steps(NESTED[nest](inner), params(), 4)
    plain_theta, plain = steps(inner, params(), 4)
    want = adaptax.evaluation_params(plain, plain_theta)
    close(adaptax.evaluation_params(state, theta), want)
    close(adaptax.evaluation_params(serialized(state), theta), want)
    assert np.max(np.abs(np.asarray(want["a"]) - theta["a"])) > 1e-3


def test_groups_that_are_not_averaged_come_from_params():
    groups = {"a": adaptax.ema_weights(adaptax.sgd(0.1), 0.5), "b/**": adaptax.sgd(0.1)}
    both = {**groups, "b/**": adaptax.swa(adaptax.sgd(0.1), 1)}
    for tx, averaged in ((adaptax.by_path(groups), False), (adaptax.by_path(both), True)):
        theta, state = steps(tx, params(), 4)
        for given in (state, serialized(state)):
            found = adaptax.evaluation_params(given, theta)
            assert jax.tree.structure(found) == jax.tree.structure(theta)
            assert not np.allclose(found["a"], theta["a"])
            assert np.array_equal(found["b"]["c"], theta["b"]["c"]) is not averaged
    masked = optax.masked(groups["a"], {"a": True, "b": False})
    theta, state = steps(masked, params(), 2)
    assert_same(adaptax.evaluation_params(state, theta)["b"], theta["b"])


def test_where_nothing_is_averaged_yet_params_come_back():
    theta = params()
    plain = adaptax.adamw(0.1).init(theta)
    assert adaptax.evaluation_params(plain, theta) is theta
    for name in WRAPPERS:
        assert_same(
            adaptax.evaluation_params(WRAPPERS[name](adaptax.sgd(0.1)).init(theta), theta), theta
        )
    theta, state = steps(adaptax.swa(adaptax.sgd(0.1), 3), theta, 2)
    assert_same(adaptax.evaluation_params(state, theta), theta)
    theta, state = steps(adaptax.swa(adaptax.sgd(0.1), 3), theta, 3)
    close(adaptax.evaluation_params(state, theta), theta)


def test_of_wrappers_within_each_other_the_outermost_counts():
    inner = adaptax.lookahead(adaptax.sgd(0.1), 2)
    theta, state = steps(adaptax.ema_weights(inner, 0.5), params(), 3)
    close(adaptax.evaluation_params(state, theta), state.average)
    close(adaptax.evaluation_params(state.inner_state, theta), state.inner_state.slow)
    beside = optax.chain(inner, adaptax.ema_weights(optax.identity()))
    with pytest.raises(ValueError, match=r"averaged in \[0\] and in \[1\]; pass the state of"):
        adaptax.evaluation_params(beside.init(params()), params())


def test_other_parameters_are_named():
    state = adaptax.ema_weights(adaptax.sgd(0.1)).init(params())
    with pytest.raises(ValueError, match=r"does not have: \n  a\n  b/c"):
        adaptax.evaluation_params(state, {"params": params()})
    with pytest.raises(ValueError, match=r"a has the shape \[2\], but \[3\] in the average"):
        adaptax.evaluation_params(state, {**params(), "a": jnp.ones(2)})


def test_evaluation_keeps_dtypes_and_the_state():
    """What comes back is a copy: the next step may donate the state."""
    theta = {"a": jnp.ones(3, jnp.bfloat16), "b": {"c": jnp.ones(2)}}
    tx = adaptax.ema_weights(adaptax.sgd(0.1), 0.5)
    theta, state = steps(tx, theta, 2)
    found = adaptax.evaluation_params(state, theta)
    assert kinds(found) == kinds(theta)
    pointer = state.average["b"]["c"].unsafe_buffer_pointer()
    assert found["b"]["c"].unsafe_buffer_pointer() != pointer
    close(jax.jit(adaptax.evaluation_params)(state, theta)["b"], found["b"])


@pytest.mark.parametrize("name", rest_slow(KINDS, ["ema"]))
def test_flax_nnx(name):
    nnx = pytest.importorskip("flax.nnx")
    from tests.interop.test_nnx import Training, pure

    training = Training(WRAPPERS[name](adaptax.adamw(0.1)))
    training.run(8)
    assert training.traced == 1 and training.rate == np.float32(0.1)
    present = nnx.state(training.model, nnx.Param)
    found = adaptax.evaluation_params(training.optimizer.opt_state, present)
    saved = nnx.to_pure_dict(nnx.state(training.optimizer))
    assert_same(adaptax.evaluation_params(saved, pure(training.model)), nnx.to_pure_dict(found))
    before = pure(training.model)
    copy = nnx.clone(training.model)
    nnx.update(copy, found)
    assert np.max(np.abs(pure(copy)["a"]["kernel"] - before["a"]["kernel"])) > 1e-3
    assert_same(pure(training.model), before)


def test_flax_linen_and_its_serialization():
    pytest.importorskip("flax")
    from flax import serialization

    from adaptax.flax import TrainState

    tx = adaptax.chain(adaptax.clip(1.0), WRAPPERS["ema"](adaptax.adamw(0.1)))
    state = TrainState.create(apply_fn=None, params=params(), tx=tx)
    for _ in range(3):
        state = state.apply_gradients(grads=params())
    raw = serialization.to_bytes(state)
    fresh = TrainState.create(apply_fn=None, params=params(), tx=tx)
    restored = serialization.from_bytes(fresh, raw)
    assert_same((restored.params, restored.opt_state), (state.params, state.opt_state))
    plain = serialization.msgpack_restore(raw)
    want = adaptax.evaluation_params(state.opt_state, state.params)
    assert_same(adaptax.evaluation_params(plain["opt_state"], state.params), want)


def test_equinox():
    eqx = pytest.importorskip("equinox")
    model = eqx.nn.MLP(3, 2, 4, 1, key=jax.random.key(0))
    tx = adaptax.ema_weights(adaptax.sgd(0.1), 0.5)
    theta = eqx.filter(model, eqx.is_inexact_array)
    state = tx.init(theta)
    for _ in range(2):
        updates, state = tx.update(jax.tree.map(jnp.ones_like, theta), state, theta)
        theta = eqx.apply_updates(theta, updates)
    found = eqx.combine(adaptax.evaluation_params(state, theta), model)
    moved = jax.tree.map(lambda a, b: b - a, theta, eqx.filter(found, eqx.is_inexact_array))
    for x in jax.tree.leaves(moved):
        np.testing.assert_allclose(x, 0.1 / 3, rtol=1e-4)


def test_orbax_continues_bitwise_and_evaluates_without_a_template(tmp_path):
    ocp = pytest.importorskip("orbax.checkpoint")
    tx = adaptax.accumulate(adaptax.ema_weights(adaptax.lookahead(adaptax.adamw(0.1), 2)), 2)
    theta, state = steps(tx, params(), 5)
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(tmp_path / "state", {"params": theta, "opt_state": state})
        checkpointer.wait_until_finished()
        template = jax.eval_shape(lambda: {"params": params(), "opt_state": tx.init(params())})
        restored = checkpointer.restore(tmp_path / "state", template)
        plain = checkpointer.restore(tmp_path / "state")
    after = steps(tx, restored["params"], 3, restored["opt_state"])
    assert_same(after, steps(tx, theta, 3, state))
    want = adaptax.evaluation_params(state, theta)
    assert_same(adaptax.evaluation_params(plain["opt_state"], theta), want)
