"""Optax: adaptax goes inside its wrappers, takes its schedules, and is found by its tree tools."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import adaptax
from tests.conformance import proves
from tests.interop.table import (
    OPTIMIZERS,
    assert_close,
    assert_same,
    grads,
    make,
    params,
    spy,
    steps,
    strictly,
)


@pytest.fixture
def standard():
    """Standard promotion, for wrappers of Optax that cannot live without it."""
    with jax.numpy_dtype_promotion("standard"):
        yield


def floats(rates):
    return {label: float(rate) for label, rate in rates.items()}


def everything(params):
    return jax.tree.map(lambda _: True, params)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_transformation_is_optax_s_pair(name):
    tx = make(name)
    init, update = tx
    assert isinstance(tx, optax.GradientTransformationExtraArgs)
    assert_same(init(params()), tx.init(params()))
    state = tx.init(params())
    by_name = update(updates=grads(params()), state=state, params=params(), value=1.0, other="x")
    assert_same(by_name, tx.update(grads(params()), state, params()))


@proves("P50")
@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize(
    "wrap",
    [
        lambda tx: optax.chain(optax.identity(), tx),
        lambda tx: optax.named_chain(("first", optax.identity()), ("second", tx)),
        lambda tx: optax.masked(tx, everything),
        lambda tx: optax.partition({"all": tx}, lambda p: jax.tree.map(lambda _: "all", p)),
    ],
    ids=["chain", "named_chain", "masked", "partition"],
)
def test_a_wrapper_that_changes_nothing_changes_nothing(name, wrap):
    wrapped, state = steps(wrap(make(name)), params(), 2)
    plain, _ = steps(make(name), params(), 2)
    assert_same(wrapped, plain)
    assert float(adaptax.learning_rate(state)) == np.float32(0.1)


@pytest.mark.parametrize("name", ["sgd", "adamw", "adadelta"])
@pytest.mark.parametrize(
    "wrap",
    [
        lambda tx: optax.apply_if_finite(tx, 3),
        lambda tx: optax.conditionally_transform(tx, lambda step: step >= 0),
    ],
    ids=["apply_if_finite", "conditionally"],
)
def test_a_branch_changes_nothing(name, wrap):
    wrapped, state = steps(wrap(make(name)), params(), 2)
    plain, _ = steps(make(name), params(), 2)
    assert_close(wrapped, plain)  # not bitwise: a compiled branch may fuse and round otherwise
    assert float(adaptax.learning_rate(state)) == np.float32(0.1)


@pytest.mark.parametrize("name", ["sgd", "adamw", "adadelta"])
def test_multi_steps_is_one_step_of_the_mean(name, standard):
    tx = optax.MultiSteps(strictly(make(name)), 2)
    state, theta = tx.init(params()), params()
    for k in range(2):
        updates, state = tx.update(grads(params(), k), state, theta, value=1.0)
        theta = optax.apply_updates(theta, updates)
    mean = jax.tree.map(lambda a, b: (a + b) / 2, grads(params(), 0), grads(params(), 1))
    updates, _ = make(name).update(mean, make(name).init(params()), params())
    assert_close(theta, optax.apply_updates(params(), updates), rtol=1e-5, atol=1e-6)
    state = adaptax.set_learning_rate(state, 0.25)
    assert floats(adaptax.learning_rates(state)) == {"learning_rate": 0.25}


@proves("P49")
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_inject_hyperparams_is_obeyed(name):
    tx = optax.inject_hyperparams(getattr(adaptax, name))(learning_rate=0.1)
    state, plain = tx.init(params()), make(name).init(params())
    updates, state = tx.update(grads(params()), state, params())
    expected, plain = make(name).update(grads(params()), plain, params())
    assert_close(updates, expected, rtol=1e-5, atol=1e-6)
    state.hyperparams["learning_rate"] = jnp.asarray(0.025)
    updates, state = tx.update(grads(params(), 1), state, params())
    plain = adaptax.set_learning_rate(plain, 0.025)
    expected, _ = make(name).update(grads(params(), 1), plain, params())
    assert_close(updates, expected, rtol=1e-5, atol=1e-6)
    assert float(adaptax.learning_rate(state)) == pytest.approx(0.025)


@proves("P49", row="adamw")
def test_inject_hyperparams_obeys_schedules():
    schedule = optax.linear_schedule(1.0, 0.0, 4)
    tx = optax.inject_hyperparams(adaptax.adamw)(learning_rate=schedule, b1=0.8)
    injected, state = steps(tx, params(), 3)
    plain, _ = steps(adaptax.adamw(schedule, b1=0.8), params(), 3)
    assert_close(injected, plain, rtol=1e-5, atol=1e-6)
    assert float(adaptax.learning_rate(state)) == pytest.approx(0.5)


def test_a_schedule_that_was_set_to_zero_is_set_back():
    tx = adaptax.sgd(optax.linear_schedule(0.5, 0.0, 8))
    _, state = steps(tx, params(), 1)
    for value in (0.0, 0.25):
        state = adaptax.set_learning_rate(state, value)
        _, state = steps(tx, params(), 1, state)
    assert float(adaptax.learning_rate(state)) == pytest.approx(0.25 * 0.75 / 0.875)


def test_lookahead(standard):
    start = optax.LookaheadParams.init_synced(params())
    tx = optax.lookahead(strictly(adaptax.adam(0.1)), sync_period=2, slow_step_size=0.5)
    state, theta = tx.init(start), start
    for k in range(2):
        updates, state = tx.update(grads(params(), k), state, theta)
        theta = optax.apply_updates(theta, updates)
    fast, _ = steps(adaptax.adam(0.1), params(), 2)
    assert_close(theta.slow, jax.tree.map(lambda s, f: (s + f) / 2, params(), fast), rtol=1e-5)
    assert floats(adaptax.learning_rates(state)) == {"learning_rate": np.float32(0.1)}


def test_a_schedule_free_base(standard):
    tx = optax.contrib.schedule_free(strictly(adaptax.adam(0.1, b1=0.0)), 0.1)
    theta, state = steps(tx, params(), 3)
    assert all(bool(jnp.isfinite(x).all()) for x in jax.tree.leaves(theta))
    assert float(adaptax.learning_rate(state)) == np.float32(0.1)


GROUPS = {"matrix": adaptax.adam(0.125), "vector": adaptax.sgd(0.5, momentum=0.9)}


def by_rank(params):
    return jax.tree.map(lambda p: "matrix" if p.ndim == 2 else "vector", params)


@proves("P50", row="groups")
def test_partition_is_each_group_by_itself():
    theta, _ = steps(optax.partition(GROUPS, by_rank), params(), 3)
    vector, _ = steps(GROUPS["vector"], params(), 3)
    matrix, _ = steps(GROUPS["matrix"], params(), 3)
    assert_same(theta["a"], vector["a"])
    assert_same(theta["b"], matrix["b"])


@pytest.mark.parametrize(
    "wrap",
    [
        lambda tx: tx,
        lambda tx: optax.chain(adaptax.clip_by_global_norm(1.0), tx),
        lambda tx: optax.apply_if_finite(optax.chain(tx, optax.identity()), 3),
    ],
    ids=["bare", "chain", "apply_if_finite"],
)
def test_one_label_of_a_partition_is_set(wrap):
    tx = wrap(optax.partition(GROUPS, by_rank))
    state = tx.init(params())
    assert floats(adaptax.learning_rates(state)) == {"matrix": 0.125, "vector": 0.5}
    before, _ = tx.update(grads(params()), state, params())
    state = adaptax.set_learning_rate(state, 0.25, label="vector")
    assert floats(adaptax.learning_rates(state)) == {"matrix": 0.125, "vector": 0.25}
    after, _ = tx.update(grads(params()), state, params())
    assert_close(after["a"], before["a"] / 2)
    assert_same(after["b"], before["b"])
    state = adaptax.scale_learning_rate(state, 2.0)
    assert floats(adaptax.learning_rates(state)) == {"matrix": 0.25, "vector": 0.5}


@proves("P31", row="labels")
def test_several_groups_need_a_label():
    state = optax.partition(GROUPS, by_rank).init(params())
    with pytest.raises(ValueError, match=r"'matrix', 'vector'.*label="):
        adaptax.set_learning_rate(state, 0.25)
    with pytest.raises(ValueError, match=r"'matrix', 'vector'.*learning_rates\(\)"):
        adaptax.learning_rate(state)
    with pytest.raises(ValueError, match=r"'vectr'; did you mean 'vector'"):
        adaptax.set_learning_rate(state, 0.25, label="vectr")


@pytest.mark.parametrize("labels", [("rate", "inner_state"), (0, 1)])
def test_any_label_of_a_partition_is_a_label(labels):
    first, second = labels
    tx = optax.partition(
        {first: adaptax.sgd(0.5), second: adaptax.adam(0.25)}, {"a": first, "b": second}
    )
    rates = floats(adaptax.learning_rates(tx.init(params())))
    assert rates == {str(first): 0.5, str(second): 0.25}


def test_two_rates_in_a_chain_are_told_apart_by_position():
    state = adaptax.chain(adaptax.sgd(0.5), adaptax.scale_by_rate(0.25)).init(params())
    assert floats(adaptax.learning_rates(state)) == {"0/rate": 0.5, "1": 0.25}
    state = adaptax.set_learning_rate(state, 0.125, label="1")
    assert floats(adaptax.learning_rates(state)) == {"0/rate": 0.5, "1": 0.125}


def test_a_state_of_another_library_has_no_rate():
    with pytest.raises(ValueError, match="no learning rate of adaptax"):
        adaptax.learning_rate(optax.adam(0.1).init(params()))


@proves("P30", row="the rate")
@pytest.mark.parametrize(
    ("value", "error"),
    [(-0.1, ValueError), (np.nan, ValueError), (np.inf, ValueError), ("0.1", TypeError),
     (None, TypeError), (True, TypeError), ([0.1, 0.2], TypeError)],
)  # fmt: skip
def test_a_bad_rate_is_refused_by_name(value, error):
    state = adaptax.sgd(0.5).init(params())
    with pytest.raises(error, match=r"set_learning_rate\(value=.*\[0, inf\)"):
        adaptax.set_learning_rate(state, value)
    with pytest.raises(error, match=r"scale_learning_rate\(factor=.*\[0, inf\)"):
        adaptax.scale_learning_rate(state, value)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float32, jnp.int32])
@pytest.mark.parametrize(
    "rate", [0.5, optax.linear_schedule(0.5, 0.0, 1000)], ids=["number", "schedule"]
)
def test_the_rate_is_set_to_a_traced_number_of_any_dtype(dtype, rate):
    state = adaptax.sgd(rate).init(params())
    state = jax.jit(adaptax.set_learning_rate)(state, jnp.asarray(2, dtype))
    _, state = adaptax.sgd(rate).update(params(), state)
    assert float(adaptax.learning_rate(state)) == 2.0
    assert adaptax.learning_rate(state).dtype == jnp.float32


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_map_params_sees_the_moments_and_nothing_else(name):
    tx = adaptax.chain(adaptax.clip(1.0), make(name))
    state = tx.init(params())
    seen = []
    marked = optax.tree.map_params(
        tx,
        lambda leaf, own: seen.append(leaf.shape) or own,
        state,
        jax.tree.map(lambda p: p.shape, params()),
        transform_non_params=lambda leaf: "scalar",
        is_leaf=lambda x: isinstance(x, tuple) and all(isinstance(n, int) for n in x) and x != (),
    )
    leaves = jax.tree.leaves(state)
    arrays = [leaf.shape for leaf in leaves if leaf.shape]
    assert sorted(seen) == sorted(arrays)
    scalars = [x for x in jax.tree.leaves(marked) if isinstance(x, str)]
    assert len(scalars) == len(leaves) - len(arrays) >= 3


@pytest.mark.parametrize("name", ["adam", "adamw", "nadamw", "radam"])
@pytest.mark.parametrize("rate", [0.1, optax.linear_schedule(0.1, 0.0, 9)], ids=["0.1", "linear"])
def test_tree_get_finds_the_names_of_optax(name, rate):
    tx = adaptax.chain(adaptax.clip_by_global_norm(1.0), make(name, rate))
    _, state = steps(tx, params(), 2)
    assert int(optax.tree.get(state, "count")) == 2
    assert_same(optax.tree.get(state, "learning_rate"), adaptax.learning_rate(state))
    assert jax.tree.structure(optax.tree.get(state, "mu")) == jax.tree.structure(params())
    assert jax.tree.structure(optax.tree.get(state, "nu")) == jax.tree.structure(params())


def test_the_state_of_adam_is_found_by_optax_s_class():
    state = adaptax.adamw(0.1).init(params())
    assert isinstance(state.rule, optax.ScaleByAdamState)


def test_extra_arguments_pass_through_and_on():
    seen = []
    tx = adaptax.chain(adaptax.clip(1.0), make("adamw"), spy(seen), adaptax.scale_by_rate(1.0))
    tx = optax.masked(optax.chain(tx, adaptax.add_decayed_weights(0.1)), everything)
    tx.update(grads(params()), tx.init(params()), params(), value=1.0, name="x")
    assert sorted(seen[0]) == ["grad", "name", "value"] and seen[0]["value"] == 1.0
    assert_same(seen[0]["grad"], grads(params()))  # as it came to the chain


def test_a_transformation_in_the_place_of_a_rule_gets_them_too():
    seen = []
    tx = adaptax.descend(spy(seen), 0.1)
    tx.update(grads(params()), tx.init(params()), params(), value=1.0)
    assert seen == [{"value": 1.0}]
