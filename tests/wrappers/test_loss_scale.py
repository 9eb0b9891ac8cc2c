"""Loss scaling against a plain state machine, and a floor that is said aloud."""

import functools
import random

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import adaptax
from adaptax.lab import cost
from tests.conformance import proves
from tests.interop.table import (
    assert_close,
    assert_same,
    grads,
    kinds,
    make,
    params,
)
from tests.wrappers.test_guard import some_slow

QUICK = {"initial": 64.0, "every": 3, "floor": 2.0, "ceiling": 256.0}


class Machine:
    """Megatron-LM's scaler, step by step, with a floor that halts and a ceiling."""

    def __init__(self, initial, growth=2.0, backoff=0.5, every=2000, hysteresis=2, floor=1.0,
                 ceiling=2.0**24):  # fmt: skip
        self.scale, self.good, self.left, self.halted = initial, 0, hysteresis, False
        self.growth, self.backoff, self.every = growth, backoff, every
        self.hysteresis, self.floor, self.ceiling = hysteresis, floor, ceiling
        self.skipped = 0

    def step(self, finite):
        if finite:
            self.good += 1
            if self.good == self.every:
                self.scale = min(self.scale * self.growth, self.ceiling)
                self.good, self.left = 0, self.hysteresis
            return
        self.skipped += 1
        self.good = 0
        self.left = max(self.left - 1, 0)
        if self.left == 0:
            self.halted = self.halted or self.scale <= self.floor
            self.scale = max(self.scale * self.backoff, self.floor)


@functools.cache
def scanned(**kwargs):
    tx = adaptax.loss_scale(adaptax.sgd(0.5), **kwargs)

    def one(carry, finite):
        theta, state = carry
        g = jnp.where(finite, 1.0, jnp.inf) * adaptax.loss_scale_of(state) * jnp.ones(2)
        updates, state = tx.update(g, state, theta)
        theta = optax.apply_updates(theta, updates)
        seen = (state.scale, state.good, state.patience, state.halted, state.inner_state.skipped)
        return (theta, state), (seen, theta)

    start = (jnp.zeros(2), tx.init(jnp.zeros(2)))
    return jax.jit(lambda finite: jax.lax.scan(one, start, finite)[1])


@pytest.mark.parametrize(
    ("hysteresis", "factors"),
    [(1, (2.0, 0.5)), (2, (2.0, 0.5)), (4, (4.0, 0.25)), (1, (1.0, 0.5))],
)
def test_it_is_the_plain_state_machine(hysteresis, factors):
    settings = {**QUICK, "hysteresis": hysteresis, "growth": factors[0], "backoff": factors[1]}
    run, rng, raised, lowered, halted = scanned(**settings), random.Random(1), 0, 0, 0
    for seed in range(12):
        chance = rng.random()
        finite = [rng.random() < chance for _ in range(60)]
        (seen, thetas) = run(jnp.asarray(finite))
        machine, good = Machine(**settings), 0
        for k, ok in enumerate(finite):
            before = machine.scale
            machine.step(ok)
            good += ok
            raised, lowered = raised + (machine.scale > before), lowered + (machine.scale < before)
            got = tuple(column[k].item() for column in seen)
            want = (machine.scale, machine.good, machine.left, machine.halted, machine.skipped)
            assert got == want, (seed, k)
            np.testing.assert_array_equal(thetas[k], -0.5 * good)
        halted += machine.halted
    assert lowered > 20 and 0 < halted < 12 and (raised > 10 or factors[0] == 1.0)


@proves("P39", row="loss scale")
@some_slow
def test_scaled_steps_are_the_unscaled_ones_and_overflows_change_no_bit(name):
    """Scales that are powers of two cost no rounding at all."""
    tx = adaptax.loss_scale(make(name), **{**QUICK, "every": 2, "hysteresis": 1})
    update = jax.jit(tx.update)
    theta = {"a": jnp.asarray([-0.0, 1.0]), "b": jnp.full((2, 2), -0.5)}
    expected = tx.init(theta)._replace(scale=jnp.float32(1.0))
    state, scales = tx.init(theta), []
    moved = here = theta
    for k, finite in enumerate((True, True, False, True, False, True)):
        scale = adaptax.loss_scale_of(state)
        scales.append(float(scale))
        g = jax.tree.map(lambda x, s=scale: x * s, grads(theta, k))
        if not finite:
            before = [
                np.asarray(x).tobytes() for x in jax.tree.leaves(state.inner_state.inner_state)
            ]
            updates, state = update(jax.tree.map(lambda x: x / 0, g), state, moved)
            after = [
                np.asarray(x).tobytes() for x in jax.tree.leaves(state.inner_state.inner_state)
            ]
            assert before == after
            assert all(np.signbit(u).all() and not u.any() for u in jax.tree.leaves(updates))
            continue
        updates, state = update(g, state, moved)
        moved = optax.apply_updates(moved, updates)
        expected = expected._replace(scale=jnp.float32(1.0))
        updates, expected = update(grads(theta, k), expected, here)
        here = optax.apply_updates(here, updates)
    assert scales == [64.0, 64.0, 128.0, 64.0, 64.0, 32.0]
    assert_same((moved, state.inner_state.inner_state), (here, expected.inner_state.inner_state))


def test_float16_training_needs_it():
    """Gradients of 1e-8 are zero in float16; scaled and divided in float32 they are exact."""

    def loss(theta, x):
        half = theta.astype(jnp.float16) * x
        return jnp.sum(half.astype(jnp.float32)) * 1e-8

    tx, theta, x = adaptax.loss_scale(adaptax.sgd(1.0)), jnp.ones(3), jnp.ones(3, jnp.float16)
    state = tx.init(theta)
    assert not jax.grad(loss)(theta, x).any()
    g = jax.grad(lambda p: loss(p, x) * adaptax.loss_scale_of(state))(theta)
    updates, state = tx.update(g, state, theta)
    np.testing.assert_allclose(updates, -1e-8, rtol=5e-4)
    for _ in range(12):
        big = jax.grad(lambda p, s=state: loss(p, x) * 1e13 * adaptax.loss_scale_of(s))(theta)
        updates, state = tx.update(big, state, theta)
    assert bool(jnp.isfinite(updates).all()) and adaptax.loss_scale_of(state) < 2**15


def test_the_gradients_dtype_comes_back_and_an_update_that_overflows_it_is_rejected():
    theta = {"h": jnp.ones(2, jnp.float16), "f": jnp.ones(2)}
    tx = adaptax.loss_scale(adaptax.sgd(1e4), initial=1.0)
    state = tx.init(theta)
    updates, state = tx.update(theta, state, theta)
    assert updates["h"].dtype == jnp.float16 and updates["h"][0] == -1e4
    updates, state = tx.update(jax.tree.map(lambda x: x * 100, theta), state, theta)
    assert not updates["h"].any() and not updates["f"].any()
    assert adaptax.loss_scale_of(state) == 1.0 and int(state.patience) == 2
    assert "the update of h is not finite" in adaptax.guard_report(state, theta)


def test_float16_gradients_are_divided_in_float32():
    """In float16 0.01/2^24 would be zero."""
    tx, theta = adaptax.loss_scale(adaptax.sgd(1e6), initial=2.0**24), jnp.ones(2, jnp.float16)
    updates, _ = tx.update(theta * 0.01, tx.init(theta), theta)
    np.testing.assert_allclose(updates.astype(jnp.float32), -1e4 / 2.0**24, rtol=1e-3)


def test_the_floor_is_said_aloud_and_cleared():
    tx = adaptax.loss_scale(adaptax.sgd(1.0), initial=4.0, floor=1.0, hysteresis=1)
    theta, state = {"w": jnp.ones(2)}, None
    state, flags = tx.init(theta), []
    for _ in range(4):
        _, state = tx.update({"w": jnp.full(2, jnp.inf)}, state, theta)
        flags.append(bool(state.halted))
    assert flags == [False, False, True, True] and adaptax.loss_scale_of(state) == 1.0
    with pytest.raises(FloatingPointError, match=r"at its floor, 1, .* floor=.*clear_halted"):
        adaptax.check_health({"opt": state}, theta)
    report = adaptax.guard_report(state, theta)
    assert "4 of 4 steps skipped" in report and "of w is" in report and "at its floor" in report
    state = adaptax.clear_halted(state)
    assert adaptax.check_health(state) is None and float(state.scale) == 1.0
    updates, state = tx.update(theta, state, theta)
    assert updates["w"].all() and adaptax.check_health(state) is None


@pytest.mark.parametrize(
    "wrap",
    [
        lambda tx: tx,
        lambda tx: optax.chain(optax.identity(), tx),
        lambda tx: adaptax.guard(tx),
        lambda tx: optax.masked(tx, {"a": True, "b": True}),
    ],
    ids=["alone", "chain", "guard", "masked"],
)
def test_the_scale_and_the_rate_are_found(wrap):
    serialization = pytest.importorskip("flax.serialization")
    tx = wrap(adaptax.loss_scale(adaptax.adamw(0.25), initial=32.0))
    state = tx.init(params())
    _, after = jax.jit(tx.update)(grads(params()), state, params())
    assert kinds(after) == kinds(state) == kinds(jax.eval_shape(tx.init, params()))
    plain = serialization.msgpack_restore(serialization.to_bytes(after))
    for found in (after, plain, adaptax.clear_halted(after), adaptax.clear_halted(plain)):
        assert float(adaptax.loss_scale_of(found)) == 32.0
        assert float(adaptax.learning_rate(found)) == 0.25
    assert float(jax.jit(adaptax.loss_scale_of)(after)) == 32.0
    assert adaptax.guard_report(after) is None and adaptax.guard_report(plain) is None
    assert_same(serialization.from_bytes(state, serialization.to_bytes(after)), after)


@pytest.mark.parametrize("name", ["rmsprop"])
def test_donated_and_in_members(name):
    tx, traces = adaptax.loss_scale(make(name), **QUICK), []

    def step(theta, state, g):
        traces.append(1)
        g = jax.tree.map(lambda x: x * adaptax.loss_scale_of(state), g)
        updates, state = tx.update(g, state, theta)
        return optax.apply_updates(theta, updates), state

    one = jax.jit(step, donate_argnums=(0, 1))
    many = jax.jit(jax.vmap(step))
    theta = jax.tree.map(jnp.array, params())
    both = jax.tree.map(lambda x: jnp.stack([x, x]), theta)
    state, states = tx.init(theta), jax.vmap(tx.init)(both)
    for k in range(5):
        g = grads(theta, k)
        bad = jax.tree.map(lambda x: jnp.stack([x, x * jnp.nan]), g)
        theta, state = one(theta, state, g)
        both, states = many(both, states, bad)
    assert len(traces) == 2
    assert_close(jax.tree.map(lambda x: x[0], (both, states)), (theta, state), rtol=1e-5, atol=1e-6)
    assert states.scale.tolist() == [128.0, 4.0]
    assert_same(jax.tree.map(lambda x: x[1], both), params())


def test_nnx_keeps_it():
    nnx = pytest.importorskip("flax.nnx")
    model = nnx.Linear(2, 2, rngs=nnx.Rngs(0))
    tx = adaptax.loss_scale(adaptax.adamw(0.1), initial=8.0, hysteresis=1)
    optimizer = nnx.Optimizer(model, tx, wrt=nnx.Param)

    @nnx.jit
    def step(model, optimizer, x):
        scale = adaptax.loss_scale_of(optimizer.opt_state)
        _, g = nnx.value_and_grad(lambda m: scale * jnp.sum(jnp.square(m(x))))(model)
        optimizer.update(model, g)

    for x in (1.0, np.inf, 1.0):
        step(model, optimizer, jnp.full((1, 2), x))
    assert float(adaptax.loss_scale_of(optimizer.opt_state)) == 4.0
    adaptax.check_health(optimizer.opt_state)
    assert bool(jnp.isfinite(model.kernel[...]).all())


def test_what_it_keeps_and_costs():
    tx = adaptax.loss_scale(adaptax.adamw(1e-3))
    grows, fixed = cost.state_bytes(adaptax.adamw(1e-3))
    assert cost.state_bytes(tx) == (grows, fixed + 42)
    if jax.default_backend() == "cpu":
        found = cost.temporary_bytes(cost.Subject("", tx).lower(cost.tree([(250_000,)])).compile())
        assert found is not None and found < 2.01 * 1_000_000


BAD_CALLS = [
    (lambda: adaptax.loss_scale(adaptax.adam), TypeError, "call it first: adam"),
    (lambda: adaptax.loss_scale(adaptax.sgd(1.0), initial=0.0), ValueError, "initial must be"),
    (lambda: adaptax.loss_scale(adaptax.sgd(1.0), initial=0.5), ValueError, "floor <= initial"),
    (lambda: adaptax.loss_scale(adaptax.sgd(1.0), growth=0.5), ValueError, "growth must be"),
    (lambda: adaptax.loss_scale(adaptax.sgd(1.0), backoff=1.0), ValueError, "backoff must be"),
    (lambda: adaptax.loss_scale(adaptax.sgd(1.0), every=0), ValueError, "every must be a whole"),
    (lambda: adaptax.loss_scale(adaptax.sgd(1.0), hysteresis=0), ValueError, "hysteresis must be"),
    (lambda: adaptax.loss_scale_of(adaptax.sgd(1.0).init(1.0)), ValueError, "no loss scales"),
]


@pytest.mark.parametrize(("call", "kind", "message"), BAD_CALLS, ids=range(len(BAD_CALLS)))
def test_bad_calls(call, kind, message):
    with pytest.raises(kind) as error:
        call()
    assert message in str(error.value), error.value
