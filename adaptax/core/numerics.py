"""Dtypes, counters and norms that do not lose what they are given.

Everything that accumulates does so in float32 or wider, whatever the parameters are stored in.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

_MOST = np.iinfo(np.int32).max


def wide(dtype: Any) -> np.dtype:
    """The dtype to compute in: float32 for the 16-bit ones and below, else the dtype itself."""
    dtype = np.dtype(jax.dtypes.canonicalize_dtype(dtype))
    return dtype if dtype.itemsize >= 4 else np.dtype(np.float32)


def real(dtype: Any) -> np.dtype:
    """The dtype of the absolute value."""
    return np.dtype(jnp.finfo(dtype).dtype)


def scalar_dtype() -> np.dtype:
    """The dtype of rates, masses and every other scalar: float64 under x64, else float32."""
    return np.dtype(jnp.float64 if jax.config.read("jax_enable_x64") else jnp.float32)


def widen(x: jax.Array) -> jax.Array:
    """`x` in the dtype to compute in; no operation where it is wide already."""
    x = jnp.asarray(x)  # a Python float has no dtype
    return x.astype(wide(x.dtype))


def full(like: Any, value: float, dtype: Any) -> jax.Array:
    """An array of one value, with the shape and the sharding of `like` and a buffer of its own."""
    return jnp.full_like(like, value, dtype=dtype)


def increment(count: jax.Array) -> jax.Array:
    """The next count; stays at the largest int32 instead of wrapping around."""
    return jnp.minimum(count, _MOST - 1) + 1


def nothing(like: Any, dtype: Any = None) -> jax.Array:
    """What changes no bit where it is added: x + (−0) is x, and x + 0 makes 0 of −0."""
    return lax.full_like(like, complex(-0.0, -0.0) if jnp.iscomplexobj(like) else -0.0, dtype)


def times(x: jax.Array, factor: Any) -> jax.Array:
    """x · factor, where a plain 1 costs nothing and a traced factor takes the dtype of x.

    Here and below `lax` instead of operators, which take longer to trace, once a leaf.
    """
    if isinstance(factor, int | float):
        return x if factor == 1 else lax.mul(x, np.asarray(factor, x.dtype)[()])
    return lax.mul(x, factor.astype(x.dtype))


def plus(x: jax.Array, term: Any) -> jax.Array:
    """x + term, where a plain 0 costs nothing and a traced term takes the dtype of x."""
    if isinstance(term, int | float):
        return x if term == 0 else lax.add(x, np.asarray(term, x.dtype)[()])
    return lax.add(x, term.astype(x.dtype))


def absolute_square(x: jax.Array) -> jax.Array:
    """|x|², which saturates at the largest finite number instead of overflowing.

    An infinite square would stay in an average for ever and, in the incremental form, turn it
    into NaN at the next step.
    """
    if jnp.iscomplexobj(x):
        square = lax.square(x.real) + lax.square(x.imag)
    else:
        square = lax.square(x)
    return lax.min(square, np.asarray(jnp.finfo(square.dtype).max, square.dtype)[()])


def quotient(top: jax.Array, divisor: jax.Array, positive: bool) -> jax.Array:
    """top / divisor, where 0/0 is 0; `positive` promises that the divisor is never 0."""
    divisor = divisor.astype(top.dtype)
    if positive:
        return lax.div(top, divisor)
    zero = divisor == 0
    return jnp.where(zero, jnp.zeros_like(top), top / jnp.where(zero, jnp.ones_like(top), divisor))


def is_positive(eps: Any) -> bool:
    """Whether a plain ε survives in float32; a traced one may be zero."""
    return isinstance(eps, float) and eps > 1e-25


@jax.custom_jvp
def norm(leaves: Sequence[jax.Array]) -> jax.Array:
    """‖(x₁, x₂, …)‖₂ of real arrays as a float32 (or wider) scalar, finite for any finite input.

    A norm beyond the largest number is the largest number. One pass over the data: the sum of
    squares is taken as it is, and only if it overflows or loses its small terms is it taken again
    with the data scaled by a power of two. The loop holds one copy of the sum, where a first
    sum outside of it would be a second one: more to trace and to compile for every leaf.
    """
    dtype = scalar_dtype()
    exponent, least = (80, 1e-30) if dtype == jnp.float32 else (500, 1e-250)
    most = float(jnp.finfo(dtype).max)

    def attempt(carry: tuple) -> tuple:
        scale, _, first, _ = carry
        total = jnp.zeros((), dtype)
        # One copy of the scale for each leaf: leaves of one shape would share one broadcast of it,
        # and XLA:CPU would write that out, an array as large as a leaf, instead of fusing it.
        scales = lax.optimization_barrier((scale,) * len(leaves))
        for x, own in zip(leaves, scales, strict=True):
            total = lax.add(total, jnp.sum(lax.square(lax.mul(x.astype(dtype), own))))
        again = first & ((total > most) | (total < least))
        rescale = jnp.where(total > most, 2.0**-exponent, 2.0**exponent).astype(dtype)
        return jnp.where(again, rescale, scale), total, jnp.zeros((), bool), again

    start = (jnp.ones((), dtype), jnp.zeros((), dtype), jnp.ones((), bool), jnp.ones((), bool))
    scale, total, _, _ = lax.while_loop(lambda carry: carry[3], attempt, start)
    size = jnp.sqrt(total) / scale
    return jnp.where(jnp.isfinite(total), jnp.minimum(size, most), size)


@norm.defjvp
def _norm_jvp(primals: tuple, tangents: tuple) -> tuple[jax.Array, jax.Array]:
    """d‖x‖ = ⟨x, dx⟩ / ‖x‖, and 0 at x = 0: a loop has no reverse mode, the formula has."""
    (leaves,), (changes,) = primals, tangents
    size = norm(leaves)
    safe = jnp.where(size == 0, jnp.ones_like(size), size)
    change = jnp.zeros_like(size)
    for x, dx in zip(leaves, changes, strict=True):
        change = change + jnp.sum(x.astype(size.dtype) / safe * dx.astype(size.dtype))
    return size, change


def tree_norm(tree: Any) -> jax.Array:
    """The norm of all entries of a tree; a complex array counts as its two real ones."""
    leaves: list[jax.Array] = []
    for x in jax.tree.leaves(tree):
        leaves += [x.real, x.imag] if jnp.iscomplexobj(x) else [x]
    return norm(leaves)


def each_norm(leaves: Sequence[jax.Array]) -> jax.Array:
    """The norm of every array, as one vector; finite for any finite array, and no derivative.

    As `norm`, each array with a scale of its own. A second pass is made where one of the arrays is
    zero, or its squares overflow or vanish.
    """
    dtype = scalar_dtype()
    exponent, least = (80, 1e-30) if dtype == jnp.float32 else (500, 1e-250)
    most = float(jnp.finfo(dtype).max)
    arrays = [lax.stop_gradient(jnp.asarray(x)) for x in leaves]
    parts = [[x.real, x.imag] if jnp.iscomplexobj(x) else [x] for x in arrays]

    def attempt(carry: tuple) -> tuple:
        scales, _, first, _ = carry
        totals = []
        for i, own in enumerate(parts):
            squares = (lax.square(lax.mul(x.astype(dtype), scales[i])) for x in own)
            totals.append(sum((jnp.sum(x) for x in squares), jnp.zeros((), dtype)))
        total = jnp.stack(totals)
        large, small = total > most, total < least
        rescale = jnp.where(large, 2.0**-exponent, jnp.where(small, 2.0**exponent, 1.0))
        again = first & jnp.any(large | small)
        return jnp.where(again, rescale.astype(dtype), scales), total, jnp.zeros((), bool), again

    ones = jnp.ones((len(arrays),), dtype)
    start = (ones, jnp.zeros_like(ones), jnp.ones((), bool), jnp.ones((), bool))
    scales, total, _, _ = lax.while_loop(lambda carry: carry[3], attempt, start)
    size = jnp.sqrt(total) / scales
    return jnp.where(jnp.isfinite(total), jnp.minimum(size, most), size)
