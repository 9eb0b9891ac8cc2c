"""Guards: bad steps change no bit, are counted and named, and good ones are applied as before."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import adaptax
from adaptax.lab import cost
from tests.conformance import compared, proves
from tests.interop.table import (
    FEW,
    OPTIMIZERS,
    assert_close,
    assert_same,
    grads,
    kinds,
    make,
    params,
    spy,
)
from tests.spiked import SPIKES, driven

SCHEDULE = adaptax.linear(0.1, 0.01, 9)
every_optimizer = pytest.mark.parametrize("name", OPTIMIZERS)
some_slow = pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if name in ("sgd", "adamw") else [pytest.mark.slow])
        for name in OPTIMIZERS
    ],
)


def bits(tree):
    return [np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(tree)]


def stepper(tx):
    """One compiled step: u, and what it leads to."""

    @jax.jit
    def step(theta, state, g):
        updates, state = tx.update(g, state, theta)
        return optax.apply_updates(theta, updates), state, updates

    return step


def bad(g, entry, leaf="b"):
    """Gradients with one bad entry."""
    broken = dict(g)
    broken[leaf] = jax.tree.map(lambda x: x.ravel().at[-1].set(entry).reshape(x.shape), g[leaf])
    return broken


def poison():
    """A link that turns updates to NaN when it is told to by `value=`."""

    def update(updates, state, params=None, *, value, **extra):
        del params, extra
        return jax.tree.map(lambda u: jnp.where(value > 0, jnp.nan, u), updates), state

    return optax.GradientTransformationExtraArgs(lambda params: optax.EmptyState(), update)


@proves("P39", row="guard")
@every_optimizer
def test_a_bad_step_changes_no_bit_and_the_others_are_as_without(name):
    tx = adaptax.guard(make(name, SCHEDULE))
    step = stepper(tx)
    theta = {"a": jnp.asarray([-0.0, 1.0, -2.0]), "b": {"c": jnp.full((2, 2), -0.5, jnp.float32)}}
    good = [grads(theta, k) for k in range(3)]
    state, expected, without = tx.init(theta), theta, tx.init(theta)
    for g, entry in zip(good, (np.nan, np.inf, -np.inf), strict=True):
        before = bits((theta, state.inner_state))
        theta, state, updates = step(theta, state, bad(g, entry))
        assert bits((theta, state.inner_state)) == before, entry
        assert int(state.reason) == 1
        assert all(np.signbit(u).all() and not u.any() for u in jax.tree.leaves(updates))
        theta, state, _ = step(theta, state, g)
        expected, without, _ = step(expected, without, g)
    assert_same((theta, state.inner_state), (expected, without.inner_state))
    assert int(without.skipped) == 0
    assert (int(state.step), int(state.skipped), int(state.last)) == (6, 3, 4)
    assert int(state.consecutive) == 0 and not state.halted and int(state.overflowed) == 0
    assert adaptax.guard_report(state, theta) == (
        "3 of 6 steps skipped (0 in a row), the latest at step 4: the gradient of b/c is not finite"
    )


@pytest.mark.parametrize("name", FEW)
def test_good_steps_are_those_without_it(name):
    plain, theta = make(name, SCHEDULE), params()
    gs = [grads(theta, k) for k in range(3)]
    guarded, state = run(adaptax.guard(plain), theta, gs)
    assert_same((guarded, state.inner_state), run(plain, theta, gs))


@proves("P39", row="guard")
@pytest.mark.parametrize("recompute", [True, False])
@pytest.mark.parametrize("compiled", [True, False], ids=["compiled", "eager"])
def test_updates_that_are_not_finite_are_rejected_and_the_metric_gets_there(recompute, compiled):
    seen = []
    inner = adaptax.chain(spy(seen), adaptax.adamw(0.1), poison())
    tx = adaptax.guard(inner, recompute=recompute)
    update = jax.jit(tx.update) if compiled else tx.update
    theta = params()
    state = tx.init(theta)
    updates, state = update(grads(theta), state, theta, value=jnp.float32(-1.0), other=3)
    assert set(seen[0]) == {"grad", "value", "other"} and updates["a"].all()
    before = bits(state.inner_state)
    updates, state = update(grads(theta, 1), state, theta, value=jnp.float32(1.0), other=3)
    assert bits(state.inner_state) == before and not updates["a"].any()
    compared(len(before) + 1)
    assert int(state.skipped) == 1
    assert "the update of a is not finite, though the gradients are" in adaptax.guard_report(
        state, theta
    )


def test_inner_transformations_that_hide_infinity_are_still_guarded():
    """A clipped infinity is finite; the step is as wrong as before."""
    tx = adaptax.guard(adaptax.chain(adaptax.clip(1.0), adaptax.sgd(0.1)))
    theta = params()
    updates, state = tx.update(bad(grads(theta), np.inf), tx.init(theta), theta)
    assert int(state.skipped) == 1 and not updates["a"].any()


@proves("P40", row="guard")
@pytest.mark.parametrize("dtype", SPIKES)
def test_overflowing_squares_are_counted_and_rejected_or_let_through(dtype):
    theta = {"a": jnp.ones(3, dtype), "b": jnp.ones((), dtype)}
    ordinary = jax.tree.map(jnp.ones_like, theta)
    below = {"a": ordinary["a"], "b": jnp.asarray(250.0 if dtype == "float16" else 1.8e19, dtype)}
    spike = {"a": ordinary["a"], "b": jnp.asarray(-SPIKES[dtype], dtype)}
    for overflow, skipped in (("reject", 1), ("accept", 0)):
        tx = adaptax.guard(adaptax.adam(0.1), overflow=overflow)
        state = tx.init(theta)
        for g in (ordinary, below, spike, ordinary):
            _, state = tx.update(g, state, theta)
        np.testing.assert_array_equal((state.overflowed, state.skipped), (1, skipped))
        report = adaptax.guard_report(state, theta)
        assert "squares of finite gradients overflowed in 1" in report
        assert ("the square of the gradient of b overflows" in report) == bool(skipped)


@proves("P40", row="guard")
def test_large_gradients_that_stay_are_no_spike():
    """They are applied after max_consecutive, in a row, until they cease; NaN never is."""
    tx = adaptax.guard(adaptax.sgd(1e-20), max_consecutive=3)
    theta = jnp.ones(2)
    large, state, moved = jnp.full(2, 2e19), tx.init(theta), []
    for g in (large, large, large, large, large, large * jnp.nan, large, theta, large):
        updates, state = tx.update(g, state, theta)
        moved.append(bool(updates.any()))
    wanted = [False, False, False, True, True, False, True, True, False]
    np.testing.assert_array_equal(moved, wanted)
    assert int(state.overflowed) == 7 and int(state.skipped) == 5 and bool(state.halted)


@proves("P41", row="guard")
def test_it_never_gives_up_and_says_so_until_it_is_cleared():
    tx = adaptax.guard(adaptax.adam(0.1), max_consecutive=3)
    theta, flags = params(), []
    step, state = stepper(tx), tx.init(theta)
    fresh = bits((theta, state.inner_state))
    for _ in range(8):
        theta, state, _ = step(theta, state, bad(grads(theta), np.nan))
        flags.append(bool(state.halted))
        assert bits((theta, state.inner_state)) == fresh
    assert flags == [False, False] + [True] * 6 and int(state.consecutive) == 8
    moved, state, _ = step(theta, state, grads(theta))
    assert bits(moved) != fresh[: len(bits(moved))] and int(state.consecutive) == 0
    assert bool(state.halted)
    with pytest.raises(FloatingPointError, match=r"halted: 8 of 9 steps .* of b/c .*clear_halted"):
        adaptax.check_health(state, params())
    cleared = adaptax.clear_halted(state)
    assert kinds(cleared) == kinds(state) and not cleared.halted and int(cleared.skipped) == 8
    adaptax.check_health(cleared)
    assert_same(cleared.inner_state, state.inner_state)


@proves("P44", row="guard")
def test_counters_saturate():
    tx = adaptax.guard(adaptax.sgd(0.1))
    state = tx.init(jnp.ones(2))
    most = jnp.asarray(np.iinfo(np.int32).max, jnp.int32)
    state = state._replace(step=most, skipped=most, consecutive=most)
    _, state = tx.update(jnp.full(2, jnp.nan), state)
    np.testing.assert_array_equal((state.step, state.skipped, state.consecutive), most)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "complex64"])
def test_every_dtype(dtype):
    theta = {
        "a": jnp.asarray([1.5, -0.0, 0.0], dtype),
        "none": None,
        "empty": jnp.ones((0, 2), dtype),
    }
    tx = adaptax.guard(adaptax.adam(0.1))
    step, state = stepper(tx), tx.init(theta)
    before = bits((theta, state.inner_state))
    for entry in (jnp.nan, jnp.inf) + ((complex(1.0, jnp.nan),) if dtype == "complex64" else ()):
        g = {**theta, "a": jnp.asarray([1.0, entry, 1.0], dtype)}
        theta, state, updates = step(theta, state, g)
        assert bits((theta, state.inner_state)) == before and updates["a"].dtype == dtype
    theta, state, _ = step(theta, state, jax.tree.map(jnp.ones_like, theta))
    assert bits(theta) != before[: len(bits(theta))]


def test_the_norms_of_a_tree_without_arrays():
    tx = adaptax.guard(adaptax.adam(0.1))
    updates, state = jax.jit(tx.update)({}, tx.init({}), {})
    assert updates == {} and int(state.skipped) == 0 and int(state.step) == 1


def run(tx, theta, gs, state=None):
    state = tx.init(theta) if state is None else state
    for g in gs:
        updates, state = tx.update(g, state, theta)
        theta = optax.apply_updates(theta, updates)
    return theta, state


def drawn(theta, n=4, entry=np.nan):
    gs = [grads(theta, k) for k in range(n)]
    return [*gs[:2], bad(gs[2], entry), *gs[2:]]


@functools.cache
def finished(name):
    return run(adaptax.guard(make(name)), params(), drawn(params()))


@pytest.mark.parametrize(("name", "recompute"), [*((name, True) for name in FEW), ("adamw", False)])
def test_scans_and_members_and_donated_steps_do_the_same(name, recompute):
    tx, traces = adaptax.guard(make(name), recompute=recompute), []
    theta, gs = params(), drawn(params())
    stacked = jax.tree.map(lambda *g: jnp.stack(g), *gs)

    def one(carry, g):
        traces.append(1)
        moved, state = carry
        updates, state = tx.update(g, state, moved)
        return (optax.apply_updates(moved, updates), state), None

    final = jax.jit(lambda c: jax.lax.scan(one, c, stacked)[0])((theta, tx.init(theta)))
    assert_close(final, finished(name), rtol=1e-5, atol=1e-6)
    step = jax.jit(lambda c, g: one(c, g)[0], donate_argnums=0)
    carry = (jax.tree.map(jnp.array, theta), tx.init(theta))
    for g in gs:
        carry = step(carry, g)
    assert_close(carry, finished(name), rtol=1e-5, atol=1e-6)
    assert len(traces) == 2 and kinds(carry[1]) == kinds(tx.init(theta))


@proves("P39", row="guard")
def test_a_bad_member_leaves_the_others_as_they_are():
    tx = adaptax.guard(adaptax.adamw(0.1))
    theta, g = jnp.stack([jnp.arange(3.0)] * 3), jnp.ones((3, 3))
    state = jax.vmap(tx.init)(theta)
    step = jax.jit(jax.vmap(tx.update))
    good, _ = step(g, state, theta)
    updates, after = step(g.at[1, 0].set(jnp.nan), state, theta)
    np.testing.assert_array_equal(updates[::2], good[::2])
    assert not updates[1].any() and after.skipped.tolist() == [0, 1, 0]
    report = adaptax.guard_report(after, theta[0])
    assert report.startswith("member 1: 1 of 1 steps skipped") and "\n" not in report


WRAPPED = {
    "chain": lambda tx: adaptax.chain(adaptax.clip_by_global_norm(1.0), tx),
    "masked": lambda tx: optax.masked(tx, {"a": True, "b": True}),
    "partition": lambda tx: optax.partition({"x": adaptax.sgd(0.1), "y": tx}, {"a": "x", "b": "y"}),
    "by_path": lambda tx: adaptax.by_path({"a": adaptax.sgd(0.1), "b/**": tx}),
    "MultiSteps": lambda tx: optax.MultiSteps(tx, 1).gradient_transformation(),
    "named_chain": lambda tx: optax.named_chain(("first", tx)),
    "guard": lambda tx: adaptax.chain(optax.identity(), adaptax.guard(tx, overflow="accept")),
}


@pytest.mark.parametrize("wrap", WRAPPED)
def test_it_is_found_and_named_in_any_nesting(wrap):
    tx = WRAPPED[wrap](adaptax.guard(adaptax.adamw(0.1), max_consecutive=1))
    theta = params()
    g = bad(grads(theta), np.nan)
    if wrap == "guard":  # the outer one sees it first
        g = bad(grads(theta), 2e19)
    with jax.numpy_dtype_promotion("standard"):
        _, state = jax.jit(tx.update)(g, tx.init(theta), theta)
    report = adaptax.guard_report(state, theta)
    assert "1 of 1 steps skipped" in report and "of b/c" in report
    assert adaptax.learning_rates(state)
    adaptax.check_health(adaptax.clear_halted(state))
    if wrap == "named_chain":  # whose state msgpack does not know
        return
    plain = serialized(state)
    assert adaptax.guard_report(plain, theta).count("of b/c") == report.count("of b/c")
    assert adaptax.learning_rates(plain)
    with pytest.raises(FloatingPointError):
        adaptax.check_health(plain)
    adaptax.check_health(adaptax.clear_halted(plain))


def serialized(state):
    serialization = pytest.importorskip("flax.serialization")
    return serialization.msgpack_restore(serialization.to_bytes(state))


@proves("P51", row="guard")
def test_restored_states_continue_bitwise(tmp_path):
    serialization = pytest.importorskip("flax.serialization")
    ocp = pytest.importorskip("orbax.checkpoint")
    tx, theta, gs = adaptax.guard(adaptax.adamw(0.1)), params(), drawn(params())
    theta, state = run(tx, theta, gs[:3])
    expected = run(tx, theta, gs[3:], state)
    raw = serialization.from_bytes(tx.init(theta), serialization.to_bytes(state))
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(tmp_path / "state", state)
        checkpointer.wait_until_finished()
        restored = checkpointer.restore(tmp_path / "state", jax.eval_shape(tx.init, theta))
    assert_same(run(tx, theta, gs[3:], jax.tree.map(jnp.asarray, raw)), expected)
    assert_same(run(tx, theta, gs[3:], restored), expected)


def test_a_bad_micro_batch_is_skipped_around_multisteps():
    inner = optax.MultiSteps(adaptax.sgd(1.0), 2).gradient_transformation()
    tx, theta = adaptax.guard(inner), jnp.zeros(2)
    step, state = stepper(tx), tx.init(theta)
    with jax.numpy_dtype_promotion("standard"):
        for g in (1.0, np.nan, 3.0):
            theta, state, _ = step(theta, state, jnp.full(2, g))
    np.testing.assert_array_equal(theta, -2.0)
    assert int(state.skipped) == 1


def test_nnx():
    nnx = pytest.importorskip("flax.nnx")
    model = nnx.Linear(2, 2, rngs=nnx.Rngs(0))
    optimizer = nnx.Optimizer(model, adaptax.guard(adaptax.adamw(0.1)), wrt=nnx.Param)
    traces = []

    @nnx.jit
    def step(model, optimizer, x):
        traces.append(1)
        _, g = nnx.value_and_grad(lambda m: jnp.sum(jnp.square(m(x))))(model)
        optimizer.update(model, g)

    found = []
    for x in (1.0, np.nan, 1.0):
        step(model, optimizer, jnp.full((1, 2), x))
        found.append(np.asarray(model.kernel[...]))
    np.testing.assert_array_equal(found[0], found[1])
    assert np.isfinite(found[2]).all() and (found[2] != found[1]).any() and len(traces) == 1
    report = adaptax.guard_report(optimizer.opt_state, nnx.state(model, nnx.Param))
    assert report.startswith("1 of 3 steps skipped") and "gradient of bias is" in report
    assert adaptax.clear_halted(optimizer.opt_state) is not None


SHARDED = """
import jax, jax.numpy as jnp, numpy as np, adaptax
from jax.sharding import AxisType, NamedSharding, PartitionSpec
kind = "%s"
mesh = jax.make_mesh((8,), ("data",), axis_types=(getattr(AxisType, kind),))
place = NamedSharding(mesh, PartitionSpec("data"))
with jax.set_mesh(mesh):
    theta = jax.device_put(jnp.arange(16.0), place)
    tx = adaptax.guard(adaptax.chain(adaptax.clip_by_average_norm(), adaptax.adamw(0.1)))
    state, g = tx.init(theta), jnp.ones(16).at[13].set(jnp.nan)
    step = jax.jit(tx.update)
    updates, after = step(jax.device_put(g, place), state, theta)
    assert int(after.skipped) == 1 and not updates.any()
    updates, after = step(jax.device_put(jnp.ones(16), place), after, theta)
    assert updates.all() and updates.sharding.is_equivalent_to(place, 1), updates.sharding
    assert after.inner_state[1].rule.mu.sharding.is_equivalent_to(place, 1)
"""


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["Auto", "Explicit"])
def test_sharded_parameters(kind):
    import os
    import subprocess
    import sys

    flags = "--xla_force_host_platform_device_count=8"
    environment = {**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(
        [sys.executable, "-c", SHARDED % kind], env=environment, capture_output=True, text=True,
        check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]


def test_what_it_keeps_and_costs():
    tx = adaptax.guard(adaptax.adamw(1e-3))
    plain = cost.Subject("plain", adaptax.adamw(1e-3))
    theta = {"a": jnp.ones(3, jnp.bfloat16), "n": None}
    assert kinds(tx.update(theta, tx.init(theta), theta)[1]) == kinds(tx.init(theta))
    assert kinds(jax.eval_shape(tx.init, theta)) == kinds(tx.init(theta))
    grows, fixed = cost.state_bytes(plain.tx)
    assert cost.state_bytes(tx) == (grows, fixed + 29)
    once, twice = (
        cost.Subject("guard", adaptax.guard(adaptax.adamw(1e-3), recompute=r))
        for r in (False, True)
    )
    more = [cost.equations_per_leaf(s, 10, 20) - cost.equations_per_leaf(plain, 10, 20)
            for s in (once, twice)]  # fmt: skip
    assert more == [8, 19]
    if jax.default_backend() == "cpu":
        leaf = 1_000_000
        found = [cost.temporary_bytes(s.lower(cost.tree([(250_000,)])).compile())
                 for s in (once, twice)]  # fmt: skip
        assert found[1] < 1.01 * leaf < 2 * leaf < found[0], found


@proves("P40", row="guard")
@some_slow
def test_an_overflowing_spike_freezes_nothing(name):
    """Parameters go at least half as far after it as without it, whenever it comes."""
    tx = adaptax.guard(make(name, 0.01), recompute=False)
    without, state = driven(tx)
    assert int(state.overflowed) == 0
    for at in (0, 40):
        got, state = driven(tx, SPIKES, at)
        assert all(got[d] >= 0.5 * without[d] > 0 for d in SPIKES), (at, got, without)
        compared(len(SPIKES))
        assert int(state.overflowed) == int(state.skipped) == 1


def test_without_it_a_spike_freezes_adam():
    """What the guard is for: v remembers it for thousands of steps."""
    tx = adaptax.adam(0.01)
    without, got = driven(tx)[0], driven(tx, SPIKES, 40)[0]
    assert got["float32"] < 0.2 * without["float32"], (got, without)


BAD_CALLS = [
    (lambda: adaptax.guard(adaptax.adam), TypeError, "call it first: adam"),
    (lambda: adaptax.guard(3), TypeError, "not a transformation"),
    (lambda: adaptax.guard(adaptax.sgd(1.0), 0), ValueError, "max_consecutive=0"),
    (lambda: adaptax.guard(adaptax.sgd(1.0), 2.5), TypeError, "a whole number"),
    (lambda: adaptax.guard(adaptax.sgd(1.0), overflow="clip"), ValueError, "'reject' or 'accept'"),
    (lambda: adaptax.guard_report(adaptax.sgd(1.0).init(1.0)), ValueError, "no guard"),
    (lambda: adaptax.check_health(()), ValueError, "check_health: the state holds no guard"),
    (lambda: adaptax.clear_halted(()), ValueError, "clear_halted: the state holds no guard"),
]


@pytest.mark.parametrize(("call", "kind", "message"), BAD_CALLS, ids=range(len(BAD_CALLS)))
def test_bad_calls(call, kind, message):
    with pytest.raises(kind) as error:
        call()
    assert message in str(error.value), error.value


def test_reports_are_for_the_host():
    tx = adaptax.guard(adaptax.sgd(0.1))
    state = tx.init(jnp.ones(2))
    with pytest.raises(TypeError, match="outside of jit"):
        jax.jit(lambda s: adaptax.guard_report(s))(state)
    _, state = tx.update(jnp.full(2, jnp.nan), state)
    assert "give params to name it" in adaptax.guard_report(state)
    assert "not in params" in adaptax.guard_report(state, {"x": jnp.ones(2)})
    assert "gradient of the array is" in adaptax.guard_report(state, jnp.ones(2))
