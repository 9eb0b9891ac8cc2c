"""The rate in the state: read, set and scaled, without recompiling."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import adaptax
from adaptax.core import registry

PARAMS = {"a": jnp.ones(3), "b": jnp.ones(2)}
GRADS = jax.tree.map(lambda p: 0.5 * p, PARAMS)
NESTED = {
    "plain": lambda tx: tx,
    "chain": lambda tx: adaptax.chain(adaptax.clip(1.0), tx),
    "optax chain": lambda tx: optax.chain(optax.clip(1.0), optax.chain(tx)),
    "named chain": lambda tx: optax.named_chain(("clip", optax.clip(1.0)), ("step", tx)),
    "masked": lambda tx: optax.masked(tx, {"a": True, "b": False}),
    "partition": lambda tx: optax.partition(
        {"x": tx, "y": optax.set_to_zero()}, {"a": "x", "b": "y"}
    ),
    "MultiSteps": lambda tx: optax.MultiSteps(tx, 1).gradient_transformation(),
    "apply_if_finite": lambda tx: optax.apply_if_finite(tx, 3),
}


def stepper(tx):
    traces = []

    @jax.jit
    def step(state):
        traces.append(1)
        return tx.update(GRADS, state, PARAMS)

    return step, traces


@pytest.mark.parametrize("name", registry.names("optimizer"))
@pytest.mark.parametrize("rate", [0.25, adaptax.constant(0.25)], ids=["number", "schedule"])
def test_the_rate_scales_the_step(name, rate):
    tx = getattr(adaptax, name)(rate)
    state = tx.init(PARAMS)
    assert float(adaptax.learning_rate(state)) == 0.25
    updates, after = tx.update(GRADS, state, PARAMS)
    doubled, _ = tx.update(GRADS, adaptax.set_learning_rate(state, 0.5), PARAMS)
    jax.tree.map(lambda u, d: np.testing.assert_allclose(2 * u, d, rtol=1e-6), updates, doubled)
    assert float(adaptax.learning_rate(after)) == 0.25


@pytest.mark.parametrize("nest", NESTED.values(), ids=NESTED)
def test_setting_through_any_nesting_without_a_new_trace(nest):
    with jax.numpy_dtype_promotion("standard"):  # Optax's wrappers need it
        tx = nest(adaptax.sgd(0.5))
        step, traces = stepper(tx)
        state = tx.init(PARAMS)
        updates, state = step(state)
        np.testing.assert_array_equal(updates["a"], -0.25)
        structure = jax.tree.structure(state)
        state = adaptax.set_learning_rate(state, 0.125)
        assert float(adaptax.learning_rate(state)) == 0.125
        assert jax.tree.structure(state) == structure
        updates, state = step(state)
        np.testing.assert_array_equal(updates["a"], -0.0625)
        state = adaptax.scale_learning_rate(state, 4.0)
        updates, state = step(state)
        np.testing.assert_array_equal(updates["a"], -0.25)
        assert float(adaptax.learning_rate(state)) == 0.5
    assert len(traces) == 1


def test_a_set_constant_is_exact():
    """To the bit: the rate is kept, not the product of base and multiplier."""
    tx = adaptax.sgd(0.1)
    state, step = tx.init(PARAMS), jax.jit(tx.update)
    for value in (0.0, 1e-7, *np.random.default_rng(0).uniform(0.0, 1.0, 50)):
        state = adaptax.set_learning_rate(state, value)
        for _ in range(2):
            _, state = step(GRADS, state)
            assert adaptax.learning_rate(state) == np.float32(value)


def test_the_rate_read_is_the_rate_of_the_latest_update():
    tx = adaptax.sgd(lambda k: 1.0 / (1.0 + k.astype(jnp.float32)))
    state = tx.init(PARAMS)
    assert float(adaptax.learning_rate(state)) == 1.0
    for k in range(4):
        updates, state = tx.update(GRADS, state)
        assert adaptax.learning_rate(state) == np.float32(1.0 / (1 + k))
        np.testing.assert_allclose(updates["a"], -0.5 / (1 + k), rtol=1e-6)


def test_setting_rescales_the_rest_of_a_schedule():
    schedule = adaptax.linear(1.0, 0.0, 10)
    tx = adaptax.sgd(schedule)
    state = tx.init(PARAMS)
    for _ in range(4):
        _, state = tx.update(GRADS, state)
    state = adaptax.set_learning_rate(state, 0.07)
    assert adaptax.learning_rate(state) == np.float32(0.07)
    for k in range(4, 10):
        _, state = tx.update(GRADS, state)
        want = float(schedule(k)) * 0.07 / float(schedule(3))
        np.testing.assert_allclose(adaptax.learning_rate(state), want, rtol=1e-6)


def test_scaling_lasts_for_the_rest_of_a_schedule():
    schedule = adaptax.linear(1.0, 0.0, 10)
    tx = adaptax.sgd(schedule)
    _, state = tx.update(GRADS, tx.init(PARAMS))
    state = adaptax.scale_learning_rate(state, 0.25)
    assert adaptax.learning_rate(state) == 0.25
    for k in range(1, 10):
        updates, state = tx.update(GRADS, state)
        want = 0.25 * float(schedule(k))
        np.testing.assert_allclose(adaptax.learning_rate(state), want, rtol=1e-6)
        np.testing.assert_allclose(updates["a"], -0.5 * want, rtol=1e-6)


def test_a_schedule_at_zero_cannot_be_rescaled():
    tx = adaptax.sgd(adaptax.warmup(1.0, 10))
    state = tx.init(PARAMS)
    with pytest.raises(ValueError, match="the schedule or controller is at 0"):
        adaptax.set_learning_rate(state, 0.1)
    traced = jax.jit(lambda s: adaptax.set_learning_rate(s, 0.1))(state)
    assert bool(jnp.isnan(traced.rate.multiplier))
    zero = adaptax.sgd(0.0)
    assert adaptax.learning_rate(adaptax.set_learning_rate(zero.init(PARAMS), 0.1)) == np.float32(
        0.1
    )


def groups():
    txs = {"fast": adaptax.sgd(0.5), "slow": adaptax.adam(adaptax.constant(0.125))}
    return optax.partition(txs, {"a": "fast", "b": "slow"})


def test_groups_by_label():
    tx = groups()
    state = tx.init(PARAMS)
    rates = {k: float(v) for k, v in adaptax.learning_rates(state).items()}
    assert rates == {"fast": 0.5, "slow": 0.125}
    with pytest.raises(ValueError, match="2 rates, of 'fast', 'slow'"):
        adaptax.learning_rate(state)
    with pytest.raises(ValueError, match="name one with label="):
        adaptax.set_learning_rate(state, 0.1)
    with pytest.raises(ValueError, match="did you mean 'slow'"):
        adaptax.set_learning_rate(state, 0.1, label="slwo")
    changed = adaptax.learning_rates(adaptax.set_learning_rate(state, 1.0, label="slow"))
    assert {k: float(v) for k, v in changed.items()} == {"fast": 0.5, "slow": 1.0}
    halved = adaptax.learning_rates(adaptax.scale_learning_rate(state, 0.5))
    assert {k: float(v) for k, v in halved.items()} == {"fast": 0.25, "slow": 0.0625}


def test_two_of_one_label_are_told_apart():
    tx = optax.chain(adaptax.scale_by_rate(1.0), adaptax.scale_by_rate(0.5))
    assert sorted(map(float, adaptax.learning_rates(tx.init(PARAMS)).values())) == [0.5, 1.0]


def test_after_a_restore_without_a_template():
    """A checkpoint gives NamedTuples back as dicts, and tuples as lists."""

    def plain(node):
        if hasattr(node, "_asdict"):
            return {k: plain(v) for k, v in node._asdict().items()}
        if isinstance(node, tuple):
            return [plain(v) for v in node]
        return {k: plain(v) for k, v in node.items()} if isinstance(node, dict) else node

    state = plain(adaptax.chain(adaptax.clip(1.0), adaptax.adam(0.5)).init(PARAMS))
    assert float(adaptax.learning_rate(state)) == 0.5
    assert float(adaptax.learning_rate(adaptax.set_learning_rate(state, 0.25))) == 0.25


@pytest.mark.parametrize("value", [-1.0, np.nan, np.inf, "x", None])
def test_bad_values(value):
    state = adaptax.sgd(0.1).init(PARAMS)
    for change in (adaptax.set_learning_rate, adaptax.scale_learning_rate):
        with pytest.raises((ValueError, TypeError), match=change.__name__):
            change(state, value)


def test_a_state_without_a_rate():
    for state in (optax.adam(0.1).init(PARAMS), (), None):
        with pytest.raises(ValueError, match="no learning rate of adaptax"):
            adaptax.learning_rate(state)


def test_inside_compiled_code_and_over_members():
    tx = adaptax.sgd(0.5)

    @jax.jit
    def halve(state):
        return adaptax.set_learning_rate(state, adaptax.learning_rate(state) / 2)

    assert float(adaptax.learning_rate(halve(tx.init(PARAMS)))) == 0.25
    many = jax.vmap(lambda _: tx.init(PARAMS))(jnp.arange(3))
    rates = adaptax.learning_rate(adaptax.set_learning_rate(many, 0.25))
    np.testing.assert_array_equal(rates, [0.25] * 3)
    swept = jax.vmap(adaptax.set_learning_rate, in_axes=(0, 0))(many, jnp.array([0.1, 0.2, 0.3]))
    np.testing.assert_allclose(adaptax.learning_rate(swept), [0.1, 0.2, 0.3], rtol=1e-7)


def test_double_precision(x64):
    tx = adaptax.sgd(0.1)
    params = jnp.ones(2, jnp.float64)
    updates, state = tx.update(params, tx.init(params))
    assert adaptax.learning_rate(state).dtype == jnp.float64
    np.testing.assert_array_equal(updates, -0.1)
