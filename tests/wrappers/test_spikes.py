"""Spike control against float64 references, and what it must never do: lock a gradient out."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import adaptax
from adaptax.core import numerics
from adaptax.lab import cost
from tests import reference_spikes
from tests.conformance import compared, proves
from tests.interop.table import assert_same, kinds, make
from tests.spiked import SPIKES, driven
from tests.wrappers.test_guard import some_slow

BOTH = ["clip_by_zscore", "clip_by_average_norm"]
SETTINGS = {
    "zscore": ("clip_by_zscore", {}),
    "zscore, not reciprocal": ("clip_by_zscore", {"reciprocal": False, "threshold": 1.5}),
    "zscore, bounded": ("clip_by_zscore", {"max_norm": 2.0, "warmup": 10, "decay": 0.9}),
    "average": ("clip_by_average_norm", {}),
    "average, short": (
        "clip_by_average_norm",
        {"ratio": 2.0, "decay": 0.9, "warmup": 10, "max_norm": 5.0},
    ),
}
SHAPES = {"a": (4, 3), "b": (5,), "s": ()}


@functools.cache
def stream(n=300):
    """Noise with spikes, a change of level, a growth, and zeros that end."""
    rng = np.random.default_rng(5)
    level = np.exp(0.1 * rng.standard_normal(n))
    level[[3, 60, 61, 155]] *= [30.0, 1e3, 1e6, 1e15]
    level[90:] *= 20.0
    level[200:230] *= np.geomspace(1.0, 4.0, 30)
    gs = {key: rng.standard_normal((n, *shape)) for key, shape in SHAPES.items()}
    gs = {key: g * level.reshape(-1, *[1] * (g.ndim - 1)) for key, g in gs.items()}
    gs["s"][20:150] = 0.0  # an array that gets no gradient, through all of a warm-up
    gs["b"][:30] = 0.0
    return {key: g.astype(np.float32) for key, g in gs.items()}


def run(tx, gs, dtype=None):
    """The clipped gradients of every step."""
    gs = jax.tree.map(lambda g: jnp.asarray(g, dtype), gs)
    first = jax.tree.map(lambda g: g[0], gs)

    def one(state, g):
        u, state = tx.update(g, state)
        return state, u

    return jax.jit(lambda gs: jax.lax.scan(one, tx.init(first), gs))(gs)


@pytest.mark.parametrize("setting", SETTINGS)
def test_it_equals_its_reference(setting):
    name, kwargs = SETTINGS[setting]
    gs = stream()
    reference = getattr(reference_spikes, name)(**kwargs)
    _, got = run(getattr(adaptax, name)(**kwargs), gs)
    clipped = 0
    for k in range(300):
        want = reference([gs[key][k] for key in SHAPES])
        for key, expected in zip(SHAPES, want, strict=True):
            np.testing.assert_allclose(got[key][k], expected, rtol=1e-4, err_msg=f"{key} at {k}")
            clipped += int(np.abs(expected).sum() < 0.99 * np.abs(gs[key][k]).sum())
    assert clipped > 5


def test_welford_and_the_buffer_agree_over_many_orders(x64):
    """In float64 the references' variance and the incremental one are the same to 1e-9."""
    for setting in ("zscore", "average, short"):
        name, kwargs = SETTINGS[setting]
        gs = jax.tree.map(lambda g: g.astype(np.float64), stream())
        reference = getattr(reference_spikes, name)(**kwargs)
        _, got = run(getattr(adaptax, name)(**kwargs), gs)
        for k in range(300):
            want = reference([gs[key][k] for key in SHAPES])
            for key, expected in zip(SHAPES, want, strict=True):
                np.testing.assert_allclose(got[key][k], expected, rtol=1e-9)


@proves("P42", row="spike clips")
@pytest.mark.parametrize("name", BOTH)
def test_what_is_not_finite_passes_and_is_forgotten(name):
    tx = getattr(adaptax, name)(warmup=3)
    gs = jax.tree.map(lambda g: g[:30], stream())
    hurt = jax.tree.map(np.array, gs)
    hurt["a"] = np.insert(hurt["a"], [2, 20, 25], np.nan, axis=0)
    hurt["a"][20 + 1, 0, 0] = np.inf
    hurt["b"], hurt["s"] = (
        np.insert(hurt[key], [2, 20, 25], hurt[key][:3], axis=0) for key in "bs"
    )
    state, got = run(tx, hurt)
    kept = np.delete(np.arange(33), [2, 21, 27])
    np.testing.assert_array_equal(np.asarray(got["a"])[[2, 27]], np.full((2, 4, 3), np.nan))
    if name == "clip_by_zscore":
        wanted_state, wanted = run(tx, gs)
        assert_same(state, wanted_state)
        for key in SHAPES:
            np.testing.assert_array_equal(got[key][kept], wanted[key])
    assert all(np.isfinite(got[key][kept]).all() for key in SHAPES)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(state))


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize("level", [0.0, 1e-12])
def test_a_gradient_that_comes_late_is_let_in(name, level):
    """The papers' forms clip it to (next to) nothing for ever."""
    gs = np.full((400, 3), level, np.float32)
    gs[200:] = 1.0
    _, got = run(getattr(adaptax, name)(), gs)
    np.testing.assert_allclose(got[320:], 1.0, rtol=1e-4)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
@pytest.mark.parametrize("name", BOTH)
def test_every_dtype_and_the_ends_of_the_range(name, dtype):
    end = float(jnp.finfo(dtype).max)
    gs = np.ones((140, 4), np.float32)
    gs[[50, 120]] = SPIKES[dtype]
    gs[130, 0] = end
    state, got = run(getattr(adaptax, name)(), gs, dtype)
    assert got.dtype == dtype
    got = np.asarray(got, np.float32)
    assert np.isfinite(got).all() and np.abs(got).max() <= 2.1
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(state))
    assert {leaf.dtype for leaf in jax.tree.leaves(state)} == {np.dtype("f4"), np.dtype("i4")}


def test_a_spike_in_the_warm_up_is_ordinary_and_overflows_no_statistic():
    """Its square is beyond float32, its deviation is not."""
    gs = np.ones((25, 1), np.float32)
    gs[10] = 2e19
    state, got = run(adaptax.clip_by_zscore(), gs)
    np.testing.assert_array_equal(got, gs)
    np.testing.assert_allclose(state.mean, gs.astype(np.float64).mean(), rtol=1e-6)
    np.testing.assert_allclose(state.deviation, gs.astype(np.float64).std(), rtol=1e-6)


@proves("P40", row="spike clips")
@some_slow
def test_a_spike_freezes_nothing(name):
    """Of any size, also below what overflows; `guard` rejects nothing here."""
    for clip in (adaptax.clip_by_zscore(), adaptax.clip_by_average_norm()):
        inner = adaptax.chain(clip, make(name, 0.01))
        tx = adaptax.guard(inner, overflow="accept", recompute=False)
        without, _ = driven(tx)
        for spikes in (SPIKES, {"float32": 1e12, "bfloat16": 1.0, "float16": 1.0}):
            got, state = driven(tx, spikes, 40)
            assert all(got[d] >= 0.5 * without[d] > 0 for d in SPIKES), (clip, got, without)
            assert int(state.skipped) == 0
            compared(len(SPIKES))


def test_without_it_a_large_but_ordinary_float_freezes_adam():
    """What it is for: no square of 1e12 overflows, and no guard can tell."""
    tx = adaptax.guard(adaptax.adam(0.01))
    without = driven(tx)[0]["float32"]
    got, state = driven(tx, {"float32": 1e12, "bfloat16": 1.0, "float16": 1.0}, 40)
    assert got["float32"] < 0.2 * without and int(state.skipped) == 0


@pytest.mark.parametrize("name", BOTH)
def test_its_state_is_fixed_and_small(name):
    tx = getattr(adaptax, name)()
    theta = {"a": jnp.ones(3), "b": jnp.ones((2, 2), jnp.bfloat16), "n": None}
    state = tx.init(theta)
    assert (
        kinds(tx.update(theta, state)[1]) == kinds(state) == kinds(jax.eval_shape(tx.init, theta))
    )
    assert cost.state_bytes(tx) == (0.0, 16 if name == "clip_by_zscore" else 12)
    updates, after = tx.update({}, tx.init({}))
    assert updates == {} and all(leaf.size for leaf in jax.tree.leaves(after))
    one = jax.vmap(tx.init)(jnp.ones((2, 3)))
    many, _ = jax.jit(jax.vmap(tx.update))(jnp.ones((2, 3)), one)
    alone, _ = tx.update(jnp.ones(3), tx.init(jnp.ones(3)))
    np.testing.assert_allclose(many, jnp.stack([alone, alone]), rtol=1e-6)


@pytest.mark.parametrize("name", BOTH)
def test_complex_gradients_and_derivatives(name):
    tx = getattr(adaptax, name)(warmup=1)
    g = jnp.asarray([3.0 + 4.0j, 0.0])
    _, state = tx.update(g, tx.init(g))
    updates, _ = tx.update(100 * g, state)
    assert jnp.abs(updates[0]) < 10 and jnp.angle(updates[0]) == jnp.angle(g[0])

    def loss(x):
        return jnp.sum(tx.update(x, tx.init(x))[0])

    assert bool(jnp.isfinite(jax.grad(loss)(jnp.ones(3))).all())
    with pytest.raises(TypeError, match="gradient"):
        tx.update(jnp.ones(3, jnp.int32), tx.init(jnp.ones(3)))


def test_what_it_costs():
    plain = cost.Subject("plain", adaptax.adamw(1e-3))
    more = {}
    for name in BOTH:
        tx = adaptax.chain(getattr(adaptax, name)(), adaptax.adamw(1e-3))
        subject = cost.Subject(name, tx)
        more[name] = cost.equations_per_leaf(subject, 10, 20) - cost.equations_per_leaf(
            plain, 10, 20
        )
    assert more == {"clip_by_zscore": 5, "clip_by_average_norm": 10}


@pytest.mark.parametrize("size", [1e-36, 1e-20, 1.0, 1e19, 1e37])
def test_norms_of_every_array(size):
    rng = np.random.default_rng(1)
    arrays = [rng.standard_normal(shape) for shape in ((7,), (2, 3), ())]
    arrays = [arrays[0] * size, arrays[1], arrays[2] * 0.0]
    got = numerics.each_norm([jnp.asarray(a, jnp.float32) for a in arrays])
    want = [reference_spikes.norm([np.asarray(a, np.float32)]) for a in arrays]
    np.testing.assert_allclose(got, want, rtol=2e-6)
    assert float(numerics.each_norm([jnp.full(4, 3e38)])[0]) == float(jnp.finfo(jnp.float32).max)


BAD_CALLS = [
    (
        lambda: adaptax.clip_by_zscore(threshold=0.0),
        ValueError,
        "threshold must be a number in (0,",
    ),
    (lambda: adaptax.clip_by_zscore(decay=1.0), ValueError, "decay must be a number in [0, 1)"),
    (lambda: adaptax.clip_by_zscore(warmup=0), ValueError, "warmup must be a whole number in [1,"),
    (lambda: adaptax.clip_by_zscore(reciprocal=1), TypeError, "reciprocal must be True or False"),
    (lambda: adaptax.clip_by_average_norm(ratio=0.5), ValueError, "ratio must be a number in [1,"),
    (lambda: adaptax.clip_by_average_norm(max_norm=None), TypeError, "max_norm must be a number"),
    (lambda: adaptax.clip_by_average_norm(warmup=1.5), TypeError, "warmup must be a whole number"),
]


@pytest.mark.parametrize(("call", "kind", "message"), BAD_CALLS, ids=range(len(BAD_CALLS)))
def test_bad_calls(call, kind, message):
    with pytest.raises(kind) as error:
        call()
    assert message in str(error.value), error.value


def test_in_a_loop_with_optax():
    tx = optax.chain(adaptax.clip_by_zscore(warmup=2), optax.sgd(1.0))
    with jax.numpy_dtype_promotion("standard"):
        state = tx.init(jnp.ones(2))
        for size in (1.0, 1.1, 50.0):
            updates, state = jax.jit(tx.update)(jnp.full(2, size), state)
    assert jnp.abs(updates).max() < 1.2
