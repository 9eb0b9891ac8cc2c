"""The optimizers of these tests, and what they share: parameters, gradients, a spy, comparisons."""

import jax
import jax.numpy as jnp
import numpy as np
import optax

import adaptax
from adaptax.core import registry

OPTIMIZERS = registry.names("optimizer")
# one of each kind of state, where a test compiles much: nothing kept, one array, two, three, a rule
# in a file of its own
FEW = ["sgd", "rmsprop", "adamw", "amsgrad", "adadelta"]


def make(name, learning_rate=0.1, **kwargs):
    return getattr(adaptax, name)(learning_rate=learning_rate, **kwargs)


def params():
    return {"a": jnp.arange(1.0, 4.0), "b": {"c": jnp.full((2, 2), -0.5, jnp.float32)}}


def grads(like, k=0):
    """Gradients of the structure of `like`: no two entries and no two steps alike."""
    leaves, treedef = jax.tree.flatten(like)
    made = []
    for i, leaf in enumerate(leaves):
        values = np.random.default_rng([i, k]).normal(size=np.shape(leaf))
        made.append(jnp.asarray(values, dtype=jnp.result_type(leaf)))
    return treedef.unflatten(made)


def steps(tx, params, n=3, state=None, **extra):
    """Parameters and state after n steps."""
    state = tx.init(params) if state is None else state
    for k in range(n):
        updates, state = tx.update(grads(params, k), state, params, **extra)
        params = optax.apply_updates(params, updates)
    return params, state


def spy(seen):
    """A transformation that changes nothing and notes the extra arguments it gets."""

    def update(updates, state, params=None, **extra):
        del params
        seen.append(extra)
        return updates, state

    return optax.GradientTransformationExtraArgs(lambda params: optax.EmptyState(), update)


def strictly(tx):
    """`tx` under strict dtype promotion, for use inside a wrapper that cannot live with it."""
    tx = optax.with_extra_args_support(tx)

    def update(updates, state, params=None, **extra):
        with jax.numpy_dtype_promotion("strict"):
            return tx.update(updates, state, params, **extra)

    return optax.GradientTransformationExtraArgs(tx.init, update)


def kinds(tree):
    """What must not change from step to step: structure, shapes, dtypes, weak types."""
    leaves, treedef = jax.tree.flatten(jax.eval_shape(lambda: tree))
    return treedef, [(leaf.shape, leaf.dtype, leaf.weak_type) for leaf in leaves]


def assert_same(got, expected):
    """Bitwise equal trees of the same structure, with at least one array."""
    pairs = list(zip(*map(jax.tree.leaves, (got, expected)), strict=True))
    assert jax.tree.structure(got) == jax.tree.structure(expected) and pairs
    for x, y in pairs:
        np.testing.assert_array_equal(np.asarray(x), np.asarray(y), strict=True)


def assert_close(got, expected, rtol=1e-6, atol=1e-7):
    pairs = list(zip(*map(jax.tree.leaves, (got, expected)), strict=True))
    assert pairs
    for x, y in pairs:
        np.testing.assert_allclose(np.asarray(x), np.asarray(y), rtol=rtol, atol=atol, strict=True)
