"""Laws of compilation: op by op, compiled, scanned, split, mapped, sharded, differentiated."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.sharding import PartitionSpec

from tests.cases import rows
from tests.conformance import compared, proves
from tests.interop.table import FEW, kinds
from tests.laws.programs import (
    STEPS,
    assert_bitwise,
    drawn,
    looped,
    optimizer,
    params,
    scan,
    step,
    tree,
    ulps,
    updates,
)

CLOSE = 8  # units in the last place: what fusing and reordering may change; times a row's slack


def over(name):
    """A law over all rows that it applies to."""
    return pytest.mark.parametrize("case", rows(name), ids=lambda case: case.id)


@functools.cache
def stepped(case):
    return looped(case, drawn())


@proves("P17")
@over("P17")
def test_op_by_op(case):
    plain = looped(case, drawn(4), optimizer(case).update)
    compiled = jax.tree.map(lambda u: u[:4], stepped(case))
    assert ulps(compiled, plain) <= CLOSE * case.slack


@proves("P18")
@over("P18")
def test_scan_is_the_loop(case):
    assert ulps(updates(optimizer(case), drawn()), stepped(case)) <= CLOSE * case.slack


@proves("P18")
@over("P18")
def test_a_scan_in_two_halves(case):
    check_split(case, [STEPS // 2])


@pytest.mark.slow
@proves("P18")
@over("P18")
def test_a_scan_split_anywhere(case):
    check_split(case, range(1, STEPS))


def check_split(case, places):
    tx = optimizer(case)
    grads = jax.tree.map(jnp.asarray, tree(drawn()))
    whole = scan(tx)(tx.init(params()), grads)
    for k in places:
        state, first = scan(tx)(tx.init(params()), jax.tree.map(lambda g, k=k: g[:k], grads))
        state, second = scan(tx)(state, jax.tree.map(lambda g, k=k: g[k:], grads))
        joined = jax.tree.map(lambda a, b: jnp.concatenate([a, b]), first, second)
        assert_bitwise((state, joined), whole)


@functools.cache
def members(case):
    """The compiled update of three members."""
    return jax.jit(jax.vmap(optimizer(case).update))


def run_members(case, grads):
    """Updates of three members for gradients [steps, 3, 8]; parameters and states are stacked."""
    theta = jax.tree.map(lambda p: jnp.stack([p] * 3), params())
    state, out = jax.vmap(optimizer(case).init)(theta), []
    for g in grads:
        u, state = members(case)(jax.tree.map(jnp.asarray, tree(g)), state, theta)
        out.append(u)
    return jax.tree.map(lambda *u: np.stack(u, axis=1), *out)


@proves("P19")
@over("P19")
def test_members_are_runs_of_their_own_and_keep_their_nan(case):
    grads = np.stack([drawn(), drawn(seed=1), drawn(seed=2)], axis=1)[:4]
    together = run_members(case, grads)
    own = jax.tree.map(lambda u: u[:4], stepped(case))
    assert ulps(jax.tree.map(lambda u: u[0], together), own) <= CLOSE * case.slack
    grads[1:, 1] = np.nan
    lost = run_members(case, grads)
    for i in (0, 2):
        assert_bitwise(jax.tree.map(lambda u, i=i: u[i], lost),
                       jax.tree.map(lambda u, i=i: u[i], together))  # fmt: skip
    assert all(np.isnan(u[1, 1:]).all() for u in jax.tree.leaves(lost))


@proves("P50")
@over("P50")
def test_equal_members_are_one(case):
    together = run_members(case, np.stack([drawn()] * 3, axis=1)[:4])
    for i in (1, 2):
        assert_bitwise(jax.tree.map(lambda u, i=i: u[i], together),
                       jax.tree.map(lambda u: u[0], together))  # fmt: skip
    own = jax.tree.map(lambda u: u[:4], stepped(case))
    assert ulps(jax.tree.map(lambda u: u[0], together), own) <= CLOSE * case.slack


DTYPES = ["float16", "bfloat16", "float32", "float64", "complex64", "complex128"]


@proves("P16")
@pytest.mark.parametrize("dtype", DTYPES)
@over("P16")
def test_a_state_is_a_carry(case, dtype):
    """What init gives is what update gives back, so cond, scan and while can carry it."""
    with jax.enable_x64(dtype in ("float64", "complex128")):
        theta = params(np.dtype(jnp.dtype(dtype)))
        tx = optimizer(case)
        state = tx.init(theta)

        def move(state):
            return lax.cond(
                state.rate.step < 5, lambda s: tx.update(theta, s, theta)[1], lambda s: s, state
            )

        def loop(state):
            scanned, _ = lax.scan(lambda s, _: (move(s), None), state, length=2)
            return lax.while_loop(lambda s: s.rate.step < 4, lambda s: scanned, scanned)

        after = jax.eval_shape(lambda s: tx.update(theta, s, theta)[1], state)
        assert kinds(after) == kinds(state) == kinds(jax.eval_shape(loop, state))
        compared(len(jax.tree.leaves(state)))


DOUBLE = ("float64", "complex128", "int32", "bool")


@proves("P2")
@over("P2")
def test_in_double_precision_nothing_is_single(case, x64):
    theta = params(np.float64)
    tx = optimizer(case)
    state = tx.init(theta)
    update, after = jax.eval_shape(tx.update, theta, state, theta)
    found = [leaf.dtype.name for leaf in jax.tree.leaves((update, after))]
    compared(len(found))
    assert set(found) <= set(DOUBLE), found


@proves("P20")
@over("P20")
def test_derivatives_through_steps(case, x64):
    """Of the last parameters by the first ones and by the rate: central differences agree."""
    curvature = jnp.asarray(np.linspace(0.5, 2.0, 4))
    shift = jnp.asarray(np.random.default_rng(0).normal(size=(3, 4)))

    def last(theta, rate):
        tx = case.make(rate)
        state = tx.init(theta)
        for k in range(3):
            u, state = tx.update(curvature * theta + shift[k], state, theta)
            theta = theta + u
        return jnp.sum(theta * jnp.arange(1.0, 5.0))

    theta, rate, h = jnp.asarray([0.3, -0.7, 1.1, -0.2]), 0.1, 1e-6
    by_theta, by_rate = jax.grad(last, argnums=(0, 1))(theta, jnp.asarray(rate))
    way = jnp.asarray([0.4, 0.1, -0.3, 0.8])
    want = [(last(theta + h * way, rate) - last(theta - h * way, rate)) / (2 * h),
            (last(theta, rate + h) - last(theta, rate - h)) / (2 * h)]  # fmt: skip
    np.testing.assert_allclose([by_theta @ way, by_rate], want, rtol=1e-3)


SMOOTH_AT_ZERO = [c for c in rows("P20") if c.kwargs.get("initial_accumulator_value") != 0.0]


@proves("P20")
@pytest.mark.parametrize("case", SMOOTH_AT_ZERO, ids=lambda case: case.id)
def test_derivatives_at_zero_are_finite(case, x64):
    """By the gradients, where they are zero: 0/0 must not come back as NaN.

    √v has no derivative at 0, so the methods with `eps_root` need it here, as in Optax.
    """
    more = {"eps_root": 1e-12} if "eps_root" in case.argument_names else {}
    tx, theta = case.make(0.1, **more), jnp.zeros(3)

    def moved(g):
        state, total = tx.init(theta), 0.0
        for _ in range(2):
            u, state = tx.update(g, state, theta)
            total = total + jnp.sum(u)
        return total

    slope = jax.grad(moved)(jnp.zeros(3))
    compared(slope.size)
    assert bool(jnp.isfinite(slope).all()), slope


FIRST = {case.name: case for case in reversed(rows("P21"))}
NEXT = [pytest.param(c, marks=pytest.mark.slow) for c in rows("P21") if c is not FIRST[c.name]]


@proves("P21")
@pytest.mark.parametrize("case", [*FIRST.values(), *NEXT], ids=lambda case: case.id)
def test_remat_and_shard_map(case):
    tx = optimizer(case)
    mesh = jax.make_mesh((1,), ("data",))
    everywhere = PartitionSpec()
    mapped = jax.shard_map(
        jax.checkpoint(tx.update), mesh=mesh, in_specs=everywhere, out_specs=everywhere
    )
    g = jax.tree.map(jnp.asarray, tree(drawn()[0]))
    state = tx.init(params())
    program = jax.make_jaxpr(mapped)(g, state, params())
    assert "callback" not in str(program)
    got, _ = jax.jit(mapped)(g, state, params())
    want = jax.tree.map(lambda u: u[0], stepped(case))
    assert ulps(jax.tree.map(np.asarray, got), want) <= CLOSE * case.slack


@proves("P21")
@pytest.mark.parametrize("case", [c for c in rows("P21") if not c.kwargs and c.name in FEW],
                         ids=lambda c: c.id)  # fmt: skip
def test_pmap(case):
    tx, one = optimizer(case), lambda t: jax.tree.map(lambda x: x[None], t)
    g = jax.tree.map(jnp.asarray, tree(drawn()[0]))
    got, _ = jax.pmap(tx.update)(one(g), one(tx.init(params())), one(params()))
    want = jax.tree.map(lambda u: u[0], stepped(case))
    assert ulps(jax.tree.map(lambda u: np.asarray(u[0]), got), want) <= CLOSE * case.slack


@proves("P22")
@over("P22")
def test_nothing_leaks_and_nothing_is_transferred(case):
    tx = optimizer(case)
    theta, state, g = params(), tx.init(params()), jax.tree.map(jnp.asarray, tree(drawn()[0]))
    with jax.checking_leaks():
        jax.eval_shape(lambda *args: tx.update(*args), g, state, theta)
    step(case)(g, state, theta)
    with jax.transfer_guard("disallow"):
        updates, state = step(case)(g, state, theta)
    assert_bitwise(updates, jax.tree.map(lambda u: u[0], stepped(case)))
