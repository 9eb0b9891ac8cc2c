"""Clipping against the references, and where the peers lose the gradient."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import adaptax
from adaptax.core import numerics
from tests import references
from tests.conformance import compared, proves


def clipped(tx, tree, params=None):
    return jax.jit(tx.update)(tree, tx.init(tree), params)[0]


def trees():
    rng = np.random.default_rng(3)
    shapes = {"a": (4, 3), "b": (5,), "c": (2, 3, 3, 4), "s": (), "e": (0, 3)}
    return {k: rng.standard_normal(s) * 2.0 for k, s in shapes.items()}


@proves("P42", row="clipping")
@pytest.mark.parametrize("bound", [0.0, 0.5, 1.0, 100.0])
def test_clip_equals_its_reference(bound):
    tree = trees()
    got = clipped(adaptax.clip(bound), jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), tree))
    want = {k: references.clip(bound)(v, None) for k, v in tree.items()}
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), got, want)


@proves("P42", row="clipping")
@pytest.mark.parametrize("bound", [0.0, 0.5, 1.0, 100.0])
def test_global_norm_equals_its_reference(bound):
    tree = trees()
    got = clipped(
        adaptax.clip_by_global_norm(bound),
        jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), tree),
    )
    want = references.clip_by_global_norm(bound)(list(tree.values()), None)
    for a, b in zip(got.values(), want, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=0)


@proves("P42", row="clipping")
@pytest.mark.parametrize("ratio", [0.01, 0.5, 100.0])
def test_adaptive_clip_equals_its_reference_and_optax(ratio):
    grads, params = trees(), jax.tree.map(lambda x: x[::-1] * 0.1 if x.ndim else x, trees())
    low = [jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), t) for t in (grads, params)]
    got = clipped(adaptax.adaptive_grad_clip(ratio), *low)
    theirs = clipped(optax.adaptive_grad_clip(ratio), *low)
    moved = 0
    for k, g in grads.items():
        want = references.adaptive_grad_clip(ratio)(g, params[k])
        np.testing.assert_allclose(got[k], want, rtol=2e-6)
        np.testing.assert_allclose(got[k], theirs[k], rtol=2e-6)
        moved += int(not np.allclose(g, want))
    assert (moved > 0) == (ratio < 100)


@proves("P42", row="clipping")
@pytest.mark.parametrize(
    ("dtype", "size"),
    [
        ("float16", 300.0),
        ("float16", 6e4),
        ("bfloat16", 1e37),
        ("float32", 2e19),
        ("float32", 3e37),
    ],
)
def test_finite_gradients_have_a_finite_norm(dtype, size):
    """Optax's norm overflows here, and its clip returns zeros."""
    tree = [jnp.full(4, size, dtype), jnp.full((), size, dtype)]
    norm = numerics.tree_norm(tree)
    np.testing.assert_allclose(norm, np.sqrt(5.0) * float(tree[1]), rtol=1e-6)
    got = clipped(adaptax.clip_by_global_norm(1.0), tree)
    np.testing.assert_allclose(np.asarray(got[0], np.float32), 5**-0.5, rtol=4e-3)
    assert got[0].dtype == dtype


@proves("P42", row="clipping")
@pytest.mark.parametrize("size", [1e-36, 1e-30, 1e-20, 1e-12, 1.0, 1e12, 1e19, 1e30, 1e37])
def test_norm_over_the_whole_range(size):
    x = np.float32(size) * np.linspace(-1.0, 1.0, 1001).astype(np.float32)
    want = np.linalg.norm(x.astype(np.float64))
    np.testing.assert_allclose(numerics.tree_norm([jnp.asarray(x)]), want, rtol=2e-6)


@proves("P42", row="clipping")
def test_at_the_end_of_the_range():
    """A norm that float32 cannot hold is the largest float32; clipping stays finite and bounded."""
    tree = [jnp.full(4, 3e38)]
    assert float(numerics.tree_norm(tree)) == float(jnp.finfo(jnp.float32).max)
    got = clipped(adaptax.clip_by_global_norm(1.0), tree)[0]
    compared(got.size)
    assert bool(jnp.isfinite(got).all()) and float(numerics.tree_norm([got])) <= 1.0


def test_norm_of_many_bfloat16_scalars():
    """300 leaves of 1: a sum in bfloat16 stops at 256 and gives 16."""
    tree = [jnp.ones((), jnp.bfloat16)] * 300
    np.testing.assert_allclose(numerics.tree_norm(tree), 300**0.5, rtol=1e-6)


def test_norm_in_double_precision(x64):
    tree = [jnp.full(3, 1e200), jnp.full(2, 1e200, jnp.float64)]
    np.testing.assert_allclose(numerics.tree_norm(tree), 5**0.5 * 1e200, rtol=1e-14)
    np.testing.assert_allclose(numerics.tree_norm([jnp.full(4, 1e-200)]), 2e-200, rtol=1e-14)


@proves("P42", row="clipping")
@pytest.mark.parametrize("bound", [0.0, 1.0])
def test_zero_gradients_stay_zero(bound):
    """0/0: Optax gives NaN for a bound of zero (optax#1752)."""
    for tx in (adaptax.clip_by_global_norm(bound), adaptax.clip(bound)):
        compared(3)
        assert not clipped(tx, {"a": jnp.zeros(3), "b": jnp.zeros(())})["a"].any()
    zero = jnp.zeros((3, 2))
    assert not clipped(adaptax.adaptive_grad_clip(0.1), zero, zero).any()


@proves("P42", row="clipping")
def test_bad_entries_stay_where_they_are():
    """One NaN or infinite leaf neither spoils the others nor is hidden."""
    for bad in (jnp.nan, jnp.inf, -jnp.inf):
        tree = {"bad": jnp.asarray([1.0, bad]), "good": jnp.full(3, 5.0)}
        got = clipped(adaptax.clip_by_global_norm(1.0), tree)
        np.testing.assert_array_equal(got["bad"], tree["bad"])
        np.testing.assert_array_equal(got["good"], tree["good"])


@proves("P42", row="clipping")
def test_clipping_keeps_the_direction_and_is_idempotent():
    tree = jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), trees())
    tx = adaptax.clip_by_global_norm(0.7)
    once = clipped(tx, tree)
    np.testing.assert_allclose(numerics.tree_norm(once), 0.7, rtol=1e-6)
    twice = clipped(tx, once)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-7), twice, once)


def test_gradients_go_through_the_clip():
    """Reverse mode through the norm equals finite differences, and is finite at zero."""

    def loss(x):
        return jnp.sum(clipped(adaptax.clip_by_global_norm(1.0), x) * jnp.arange(3.0))

    for x in (jnp.array([0.3, -2.0, 4.0]), jnp.array([0.1, 0.2, 0.3])):
        h = 1e-2
        want = [(loss(x + h * e) - loss(x - h * e)) / (2 * h) for e in jnp.eye(3)]
        np.testing.assert_allclose(jax.grad(loss)(x), want, atol=2e-3)
    assert bool(jnp.isfinite(jax.grad(loss)(jnp.zeros(3))).all())


def test_adaptive_clip_of_small_weights():
    """Below eps a unit counts as eps large."""
    g, p = jnp.array([3.0, 4.0]), jnp.zeros(2)
    for eps in (1e-3, 0.5):
        got = clipped(adaptax.adaptive_grad_clip(0.1, eps=eps), g, p)
        np.testing.assert_allclose(got, 0.1 * eps * g / 5.0, rtol=1e-6)


def test_a_scheduled_bound():
    tx = adaptax.clip(lambda step: jnp.where(step == 0, 1.0, 2.0))
    state = tx.init(jnp.ones(2))
    first, state = tx.update(jnp.full(2, 5.0), state)
    second, state = tx.update(jnp.full(2, 5.0), state)
    assert (first == 1.0).all() and (second == 2.0).all()


def test_adaptive_clip_needs_the_weights_and_a_known_rank():
    tx = adaptax.adaptive_grad_clip(0.1)
    with pytest.raises(ValueError, match=r"update\(updates, state, params\)"):
        tx.update(jnp.ones(3), tx.init(jnp.ones(3)))
    deep = {"w": jnp.ones((2,) * 6)}
    with pytest.raises(ValueError, match=r"\['w'\] has rank 6"):
        tx.update(deep, tx.init(deep), deep)
