"""How errors are measured, and how an optimizer is run, in every test."""

import jax
import jax.numpy as jnp
import numpy as np

from tests.conformance import compared


def gradients(steps, size, seed=0, dtype=np.float64):
    """Seeded normal gradients, the same numbers in every precision (float32's)."""
    drawn = np.random.default_rng(seed).standard_normal((steps, size)).astype(np.float32)
    return drawn.astype(dtype)


def weights(size):
    return np.linspace(-1.0, 1.0, size).astype(np.float32)


def run(tx, grads, params, **extra):
    """All updates of a transformation on one array, parameters held fixed, as float64."""
    params = jnp.asarray(params)

    def body(state, g):
        updates, state = tx.update(g, state, params, **extra)
        return state, updates

    out = jax.jit(lambda s, g: jax.lax.scan(body, s, g)[1])(tx.init(params), jnp.asarray(grads))
    return np.asarray(out).astype(np.float64)


def run_reference(step, grads, params):
    params = np.asarray(params, np.float64)
    return np.array([step(g, params) for g in np.asarray(grads, np.float64)])


def normalised(got, want, unit):
    """|u − r| / (0.1·s + |r|): s is 1 for steps of unit size, else the rms of r."""
    assert got.shape == want.shape and got.size > 0, (got.shape, want.shape)
    compared(got.size)
    assert np.isfinite(want).all(), "the reference itself is not finite"
    size = 1.0 if unit else float(np.sqrt(np.mean(want**2)))
    assert size > 0, "nothing moved"
    error = np.abs(got - want) / (0.1 * size + np.abs(want))
    return np.where(np.isfinite(error), error, np.inf)


def report(error, case):
    where = np.unravel_index(np.argmax(error), error.shape)
    return f"{case}: error {error.max():.2e} at {where} of {error.size} comparisons"
