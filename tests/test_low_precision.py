"""Low precision: where the peers lose the second moment, step by NaN, or clip to zero."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import adaptax
from tests.cases import CASES, IDS
from tests.conformance import compared, proves

HALVES = [jnp.bfloat16, jnp.float16]


def feed(tx, params, grads):
    """The updates for a list of gradients, and the last state."""
    state, step = tx.init(params), jax.jit(tx.update)
    out = []
    for g in grads:
        u, state = step(g, state, params)
        out.append(u)
    return out, state


DTYPES = ["float16", "bfloat16", "float32", "complex64"]


def check_zero(case, dtypes):
    params = {dtype: jnp.zeros(3, dtype) for dtype in dtypes}
    updates, state = feed(case.make(0.1), params, [params] * 3)
    start = case.name == "yogi"  # its first moment starts from a value, so it moves
    for u in jax.tree.leaves(updates):
        compared(u.size)
        assert bool(jnp.isfinite(u).all())
        assert start or not u.any(), (u.dtype, u)
    assert jax.tree.map(lambda u: u.dtype, updates[0]) == jax.tree.map(lambda p: p.dtype, params)
    assert all(bool(jnp.isfinite(leaf).all()) for leaf in jax.tree.leaves(state))


@proves("P13")
@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_zero_gradient_gives_exactly_zero(case):
    """Optax gives NaN for eight of fourteen in float16 (optax#1754, #1784)."""
    check_zero(case, DTYPES)


@proves("P13")
@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_zero_gradient_gives_exactly_zero_in_double_precision(case, x64):
    check_zero(case, ["float32", "float64"])


# AdaDelta cannot start without ε
WITHOUT = [c for c in CASES if "eps" in c.argument_names and c.name != "adadelta"]


@proves("P13")
@pytest.mark.parametrize("case", WITHOUT, ids=lambda c: c.id)
def test_zero_gradient_with_no_epsilon(case):
    """0/0 is 0."""
    zeros = {name: 0.0 for name in ("eps", "eps_root") if name in case.argument_names}
    start = {"initial_accumulator_value": 0.0} if case.name in ("adagrad", "yogi") else {}
    params = jnp.zeros(3)
    updates, _ = feed(case.make(0.1, **zeros, **start), params, [params] * 2)
    compared(sum(u.size for u in updates))
    assert not any(u.any() for u in updates), updates


@proves("P32", row="adam")
@pytest.mark.parametrize("dtype", HALVES)
def test_second_moment_decays(dtype):
    """0.999 is 1.0 in bfloat16: Optax's second moment then never decays (optax#1552)."""
    params = jnp.zeros(2, dtype)
    ones, zeros = jnp.ones(2, dtype), jnp.zeros(2, dtype)
    _, state = feed(adaptax.adam(1e-3), params, [ones] * 5 + [zeros] * 2000)
    nu = optax.tree.get(state, "nu")
    assert nu.dtype == jnp.float32
    np.testing.assert_allclose(nu, (1 - 0.999**5) * 0.999**2000, rtol=1e-4)


@proves("P32", row="adam")
@pytest.mark.parametrize("dtype", HALVES)
def test_constant_gradient_gives_steps_of_the_rate(dtype):
    """Optax's second moment sticks at half in bfloat16, and its steps are 1.4 times too long."""
    params = jnp.zeros(2, dtype)
    updates, _ = feed(adaptax.adam(1.0), params, [jnp.ones(2, dtype)] * 3000)
    np.testing.assert_allclose(np.asarray(updates[-1], np.float32), -1.0, rtol=4e-3)


@proves("P33")
@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_bfloat16_follows_float32_to_its_last_bit(case):
    """Same gradients, both precisions: the bfloat16 update is the float32 one, rounded once."""
    drawn = np.random.default_rng(0).standard_normal((20, 16))
    grads = [jnp.asarray(g, jnp.bfloat16) for g in drawn]
    params = {"low": jnp.zeros(16, jnp.bfloat16), "high": jnp.zeros(16)}
    both = [{"low": g, "high": g.astype(jnp.float32)} for g in grads]
    for u in feed(case.make(0.1), params, both)[0]:
        np.testing.assert_array_equal(u["low"], u["high"].astype(jnp.bfloat16))


@proves("P32", row="adagrad")
def test_accumulators_do_not_stall():
    """A bfloat16 sum of ones sticks at 256; the true one goes on (D9 of Optax's list)."""
    params = jnp.zeros(1, jnp.bfloat16)
    tx = adaptax.adagrad(0.1, initial_accumulator_value=0.0)
    _, state = feed(tx, params, [jnp.ones(1, jnp.bfloat16)] * 3000)
    np.testing.assert_array_equal(optax.tree.get(state, "sum_of_squares"), 3000)


def test_injected_bfloat16_decays_are_refused():
    """Optax's wrapper casts β₂ to the parameters' bfloat16, to 1, and steps by NaN (optax#1414)."""
    tx = optax.inject_hyperparams(adaptax.adam)(1e-2)
    for init in (tx.init, jax.jit(tx.init)):
        with pytest.raises(TypeError, match=r"adam\(b1=...\).*hyperparam_dtype=jnp.float32"):
            init(jnp.zeros(2, jnp.bfloat16))


@proves("P33", row="adam")
def test_injected_hyperparameters_in_float32():
    """What the refusal above asks for works."""
    with jax.numpy_dtype_promotion("standard"):
        tx = optax.inject_hyperparams(adaptax.adam, hyperparam_dtype=jnp.float32)(1e-2)
        params = jnp.zeros(2, jnp.bfloat16)
        updates, _ = feed(tx, params, [jnp.ones(2, jnp.bfloat16)])
    np.testing.assert_allclose(np.asarray(updates[0], np.float32), -1e-2, rtol=4e-3)


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_small_gradients_do_not_overflow(case):
    """ε = 1e-8 is zero in float16, so Optax divides by nothing for gradients of 1e-4 (D3)."""
    sizes = (1e-7, 1e-4, 1e-3)
    grads = {
        f"{d}{s}": jnp.full(2, s, d) for d in ("float16", "bfloat16", "float32") for s in sizes
    }
    params = jax.tree.map(jnp.ones_like, grads)
    updates, _ = feed(case.make(0.1), params, [grads] * 3)
    assert len(jax.tree.leaves(updates)) == 27
    assert all(bool(jnp.isfinite(u).all()) for u in jax.tree.leaves(updates)), updates


@proves("P40")
@pytest.mark.parametrize("case", [c for c in CASES if c.average], ids=lambda c: c.id)
def test_an_overflowing_square_stays_finite_and_decays(case):
    """2e19² overflows float32. Optax's second moment is infinite from then on, for ever."""
    params = jnp.zeros(2)
    grads = [jnp.full(2, 2e19)] + [jnp.ones(2)] * 50
    updates, state = feed(case.make(0.1), params, grads)
    compared(sum(u.size for u in updates))
    assert all(bool(jnp.isfinite(leaf).all()) for leaf in jax.tree.leaves(state)), state
    assert all(bool(jnp.isfinite(u).all()) for u in updates)


def test_mu_dtype_and_nu_dtype_are_how_moments_are_stored():
    params = jnp.zeros(4)
    for name in (
        "adam",
        "adamw",
        "nadam",
        "nadamw",
        "amsgrad",
        "radam",
        "adabelief",
        "yogi",
        "adamax",
        "adamaxw",
    ):
        tx = getattr(adaptax, name)(1e-3, mu_dtype=jnp.bfloat16, nu_dtype="float16")
        assert tx == getattr(adaptax, name)(1e-3, mu_dtype="bfloat16", nu_dtype=jnp.float16)
        _, state = feed(tx, params, [jnp.ones(4)] * 2)
        assert optax.tree.get(state, "mu").dtype == jnp.bfloat16, name
        assert optax.tree.get(state, "nu").dtype == jnp.float16, name
    state = adaptax.sgd(0.1, momentum=0.9, accumulator_dtype="bfloat16").init(params)
    assert optax.tree.get(state, "trace").dtype == jnp.bfloat16
