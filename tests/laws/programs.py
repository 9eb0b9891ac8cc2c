"""Programs that several laws share: compiled once for a case, fed with the same small tree."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from tests.measure import gradients, normalised

STEPS, CUT = 12, 3
RATE = 0.1


def drawn(steps=STEPS, seed=0):
    """Gradients float32[steps, 8]."""
    return gradients(steps, 8, seed).astype(np.float32)


def tree(x):
    """The same entries as one leaf and as two, so that one run serves a leaf and its parts."""
    return {"whole": x, "left": x[..., :CUT], "right": x[..., CUT:]}


def params(dtype=np.float32):
    """Zero, so that weight decay adds nothing."""
    return jax.tree.map(jnp.asarray, tree(np.zeros(8, dtype)))


@functools.cache
def optimizer(case, **more):
    return case.make(RATE, **more)


@functools.cache
def step(case):
    """The compiled update."""
    return jax.jit(optimizer(case).update)


@functools.cache
def scan(tx):
    """(state, gradients of all steps) -> (state, updates of all steps), compiled."""

    def run(state, grads):
        def body(state, g):
            updates, state = tx.update(g, state, params())
            return state, updates

        return jax.lax.scan(body, state, grads)

    return jax.jit(run)


def updates(tx, grads):
    """All updates for gradients [steps, 8], as NumPy arrays."""
    _, out = scan(tx)(tx.init(params()), jax.tree.map(jnp.asarray, tree(grads)))
    return jax.tree.map(np.asarray, out)


def looped(case, grads, update=None):
    """The same, step by step; `update` is the compiled one or the plain one."""
    tx = optimizer(case)
    update, state, out = update or step(case), tx.init(params()), []
    for g in grads:
        u, state = update(jax.tree.map(jnp.asarray, tree(g)), state, params())
        out.append(u)
    return jax.tree.map(lambda *u: np.stack(u), *out)


def assert_bitwise(got, want):
    pairs = list(zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True))
    assert pairs
    for a, b in pairs:
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b), strict=True)


def ulps(got, want):
    """|got − want| / (|want| + rms/10) in units of float32's last place, the largest.

    Sums of gradients of both signs cancel: their rounding is that of what is summed.
    """
    got, want = (np.concatenate([np.ravel(x) for x in jax.tree.leaves(t)]) for t in (got, want))
    assert got.dtype == want.dtype == np.float32
    error = normalised(got.astype(np.float64), want.astype(np.float64), unit=False)
    return float(error.max() / np.finfo(np.float32).eps)
