"""The state's laws: arrays only, one structure for ever, buffers of its own, any carry."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax import lax

import adaptax
from tests.conformance import compared, proves
from tests.interop import table
from tests.interop.table import FEW, OPTIMIZERS, assert_close, grads, kinds, make, steps

RATES = {"number": 0.1, "schedule": optax.linear_schedule(0.1, 0.0, 9)}
MASK = {"a": True, "b": False, "f": True}
# settings that keep more than the defaults do
FULL = [
    ("sgd", {"momentum": 0.9, "nesterov": True}),
    ("rmsprop", {"momentum": 0.9, "centered": True}),
    ("adadelta", {"weight_decay": 0.1}),
    ("adam", {"mu_dtype": "bfloat16", "b2": optax.linear_schedule(0.9, 0.99, 9)}),
    ("adamw", {"weight_decay": optax.linear_schedule(0.1, 0.0, 9), "mask": MASK}),
]
CASES = [(name, {}) for name in OPTIMIZERS] + FULL
IDS = [name + ("" if not kwargs else "+") for name, kwargs in CASES]
SCHEDULE = RATES["schedule"]
every_case = pytest.mark.parametrize(("name", "kwargs"), CASES, ids=IDS)


def params():
    return {**table.params(), "f": jnp.float32(0.5)}


@pytest.fixture(params=RATES.values(), ids=RATES)
def rate(request):
    return request.param


@proves("P16")
@every_case
def test_a_state_is_arrays(name, kwargs, rate):
    state = make(name, rate, **kwargs).init(params())
    leaves = jax.tree.leaves(state)
    assert len(leaves) >= 3
    compared(len(leaves))
    for leaf in leaves:
        assert isinstance(leaf, jax.Array) and leaf.size > 0 and not leaf.weak_type


@proves("P16")
@every_case
def test_the_structure_never_changes(name, kwargs, rate):
    tx = make(name, rate, **kwargs)
    state = tx.init(params())
    before = kinds(state)
    _, eager = steps(tx, params(), 2)
    compared(5 * len(jax.tree.leaves(state)))
    assert kinds(eager) == before
    assert kinds(jax.eval_shape(tx.update, params(), state, params())[1]) == before
    assert kinds(adaptax.scale_learning_rate(state, 0.5)) == before
    assert kinds(make(name, 0.1, **kwargs).init(params())) == before  # a number or a schedule


@proves("P24")
@every_case
def test_init_takes_abstract_parameters(name, kwargs, rate):
    tx = make(name, rate, **kwargs)
    abstract = jax.eval_shape(params)
    compared(len(jax.tree.leaves(tx.init(abstract))))
    assert kinds(tx.init(abstract)) == kinds(jax.eval_shape(tx.init, abstract))
    assert kinds(tx.init(abstract)) == kinds(tx.init(params()))


@proves("P23")
@every_case
def test_no_two_arrays_share_a_buffer(name, kwargs, rate):
    theta = params()
    tx = make(name, rate, **kwargs)
    state = tx.init(theta)
    for state_now in (state, adaptax.set_learning_rate(state, 0.05)):
        pointers = [x.unsafe_buffer_pointer() for x in jax.tree.leaves((theta, state_now))]
        compared(len(pointers))
        assert len(set(pointers)) == len(pointers)


@proves("P23")
@every_case
def test_everything_is_donated_from_the_first_step(name, kwargs):
    tx = adaptax.chain(adaptax.clip_by_global_norm(1.0), make(name, SCHEDULE, **kwargs))

    @functools.partial(jax.jit, donate_argnums=(0, 1))
    def step(theta, state, g):
        updates, state = tx.update(g, state, theta)
        return optax.apply_updates(theta, updates), state

    theta, state = params(), tx.init(params())
    for k in range(3):
        state = adaptax.scale_learning_rate(state, 1.0)
        old = jax.tree.leaves((theta, state))
        theta, state = step(theta, state, grads(theta, k))
        assert all(leaf.is_deleted() for leaf in old if leaf.ndim)
    expected, _ = steps(tx, params())
    assert_close(theta, expected, rtol=1e-5, atol=1e-6)
    assert step._cache_size() == 1


def test_a_rate_that_was_read_outlives_the_donated_state():
    tx = adaptax.sgd(0.5)
    state = tx.init(params())
    rate = adaptax.learning_rate(state)
    step = jax.jit(tx.update, donate_argnums=1)
    for _ in range(2):
        _, state = step(params(), state)
    assert float(rate) == 0.5


@proves("P16")
@every_case
def test_a_state_is_carried_by_scan_and_cond(name, kwargs):
    tx = make(name, SCHEDULE, **kwargs)

    def step(carry, g):
        theta, state = carry

        def move(theta, state):
            updates, state = tx.update(g, state, theta)
            return optax.apply_updates(theta, updates), state

        use = g["a"][0] < 1e6
        return lax.cond(use, move, lambda *same: same, theta, state), adaptax.learning_rate(state)

    stacked = jax.tree.map(lambda *g: jnp.stack(g), *[grads(params(), k) for k in range(3)])
    start = (params(), tx.init(params()))
    (theta, state), rates = jax.jit(lambda: lax.scan(step, start, stacked))()
    expected, expected_state = steps(tx, params())
    assert_close(theta, expected, rtol=1e-5, atol=1e-6)
    assert_close(state, expected_state, rtol=1e-5, atol=1e-6)
    assert rates.shape == (3,) and kinds(state) == kinds(expected_state)


@proves("P19")
@every_case
def test_members_of_a_vmap_are_runs_of_their_own(name, kwargs):
    tx = adaptax.chain(adaptax.clip_by_global_norm(1.0), make(name, **kwargs))
    rates = jnp.asarray([0.05, 0.2])
    members = jax.tree.map(lambda p: jnp.stack([p, -2 * p]), params())

    @jax.jit
    def run(theta, rate):
        state = adaptax.set_learning_rate(tx.init(theta), rate)
        return steps(tx, theta, 2, state)

    together, state = jax.vmap(run)(members, rates)
    np.testing.assert_array_equal(adaptax.learning_rate(state), rates)
    for i in range(2):
        alone, _ = run(jax.tree.map(lambda p, i=i: p[i], members), rates[i])
        assert_close(jax.tree.map(lambda p, i=i: p[i], together), alone, rtol=1e-5, atol=1e-6)


@proves("P15")
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_thousand_steps_are_one_program(name):
    traced = []
    tx = make(name)

    @jax.jit
    def step(theta, state, g):
        traced.append(tx)
        updates, state = tx.update(g, state, theta)
        return optax.apply_updates(theta, updates), state

    theta, state, g = params(), tx.init(params()), grads(params())
    for k in range(1000):
        theta, state = step(theta, state, g)
        if k % 250 == 0:
            state = adaptax.set_learning_rate(state, 0.1 / (k + 1))
            state = jax.tree.map(jnp.asarray, jax.device_get(state))  # as a restore gives it
        compared(1)
    assert len(traced) == 1 and step._cache_size() == 1


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_equal_optimizer_is_the_same_static_argument(name):
    traced = []

    @functools.partial(jax.jit, static_argnums=0)
    def step(tx, theta):
        traced.append(tx)
        return tx.update(theta, tx.init(theta), theta)[0]

    def build(norm=1.0):
        return adaptax.chain(adaptax.clip_by_global_norm(norm), make(name))

    step.trace(build(), params()), step.trace(build(), params())
    assert len(traced) == 1 and build() == build() and hash(build()) == hash(build())
    step.trace(build(2.0), params())
    assert len(traced) == 2


def test_an_own_rule_is_the_same_static_argument():
    traced = []

    @functools.partial(jax.jit, static_argnums=0)
    def step(tx, theta):
        traced.append(tx)
        return tx.update(theta, tx.init(theta), theta)[0]

    def build(eps):
        second = adaptax.Rms(adaptax.Debiased(adaptax.Ema(0.999)), eps)
        return adaptax.descend(adaptax.Rule(adaptax.Trace(0.9), second), 0.1)

    step.trace(build(1e-8), params()), step.trace(build(1e-8), params())
    assert len(traced) == 1
    step.trace(build(1e-6), params())
    assert len(traced) == 2


@proves("P22")
@pytest.mark.parametrize("name", FEW)
def test_nothing_leaks_and_nothing_is_transferred(name):
    tx = adaptax.chain(adaptax.clip_by_global_norm(1.0), make(name))
    theta, g = params(), grads(params())
    state = tx.init(theta)
    step = jax.jit(tx.update)
    with jax.checking_leaks():
        _, state = step(g, state, theta)
    with jax.transfer_guard("disallow"):
        _, state = step(g, state, theta)
    np.testing.assert_array_equal(optax.tree.get(state, "step"), 2)
