"""Rates for another batch size: numbers and schedules, by two rules."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import adaptax
from adaptax import scaled_for_batch

RULES = {"linear": lambda ratio: ratio, "sqrt": lambda ratio: ratio**0.5}


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize(("size", "base"), [(256, 256), (1024, 256), (64, 256), (3, 7), (2**40, 1)])
def test_numbers(rule, size, base):
    found = scaled_for_batch(0.1, size, base, rule)
    assert isinstance(found, float)
    np.testing.assert_allclose(found, 0.1 * RULES[rule](size / base), rtol=1e-15)
    assert scaled_for_batch(found, base, size, rule) == pytest.approx(0.1, rel=1e-15)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize(
    "schedule",
    [adaptax.cosine(0.1, 10), optax.linear_schedule(0.1, 0.0, 10)],
    ids=["ours", "optax"],
)
def test_schedules(rule, schedule):
    scaled = scaled_for_batch(schedule, 1024, 128, rule)
    assert isinstance(scaled, adaptax.Schedule)
    for k in (0, 3, 10):
        want = float(schedule(k)) * RULES[rule](8)
        np.testing.assert_allclose(scaled(k), want, rtol=2e-7, atol=2e-8)
        assert jax.jit(scaled)(k) == scaled(k) and scaled(k).dtype == jnp.float32


def test_in_an_optimizer_it_is_what_the_number_is():
    g, updates = jnp.ones(3), []
    for rate in (adaptax.constant(0.125), 0.125):
        tx = adaptax.adamw(scaled_for_batch(rate, 4, 1, "sqrt"))
        state = tx.init(g)
        assert float(adaptax.learning_rate(state)) == 0.25
        updates.append(tx.update(g, state, g)[0])
    np.testing.assert_array_equal(*updates)


def test_a_scaled_schedule_is_a_product_and_keeps_its_horizon():
    scaled = scaled_for_batch(adaptax.cosine(0.1, 100), 512, 256, "linear")
    assert scaled == 2.0 * adaptax.cosine(0.1, 100) and scaled.horizon == 100
    assert adaptax.parse(repr(scaled)) == adaptax.from_config(adaptax.to_config(scaled)) == scaled


def test_traced_numbers():
    found = jax.jit(lambda rate: scaled_for_batch(rate, 4, 1, "sqrt"))(0.1)
    np.testing.assert_allclose(found, 0.2, rtol=1e-7)


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ((0.1, 2**60, 256, "sqrt"), ValueError, "batch_size=1152921504606846976"),
        ((0.1, 0, 256, "sqrt"), ValueError, "scaled_for_batch(batch_size=0): batch_size must be"),
        ((0.1, 1.5, 256, "sqrt"), TypeError, "batch_size=1.5"),
        ((0.1, 256, -1, "sqrt"), ValueError, "base_batch_size=-1"),
        ((0.1, 256, True, "sqrt"), TypeError, "base_batch_size=True"),
        ((0.1, 256, 256, "square"), ValueError, "rule must be 'linear' or 'sqrt'"),
        ((0.1, 256, 256, None), TypeError, "rule must be 'linear' or 'sqrt'"),
        ((0.1, 256, 256), TypeError, "missing 1 required positional argument: 'rule'"),
        ((-0.1, 256, 256, "sqrt"), ValueError, "rate=-0.1"),
        ((float("nan"), 256, 256, "sqrt"), ValueError, "rate=nan"),
        (("0.1", 256, 256, "sqrt"), TypeError, "rate='0.1'"),
        ((adaptax.plateau(0.1), 256, 64, "sqrt"), TypeError, "of a controller, scale the base"),
    ],
    ids=range(12),
)
def test_bad_arguments(arguments, kind, message):
    with pytest.raises(kind) as error:
        scaled_for_batch(*arguments)
    assert message in str(error.value)


def test_the_base_of_a_controller_is_scaled():
    rate = adaptax.plateau(scaled_for_batch(0.1, 1024, 256, "linear"))
    assert float(adaptax.learning_rate(adaptax.sgd(rate).init(jnp.ones(1)))) == np.float32(0.4)
