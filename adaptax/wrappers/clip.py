"""Clipping: bounds on the size of gradients. Place it before the optimizer.

Norms are float32 or wider and finite for every finite gradient; clipping multiplies by one scalar,
which fuses into whatever comes next, so no clipped copy of the gradients is made.
"""

from typing import Any

import jax
import jax.numpy as jnp

from adaptax.core import numerics, trees
from adaptax.core.link import link
from adaptax.core.transformation import Transformation, transformation


@transformation
def clip(max_delta: Any) -> Transformation:
    """Clip every entry: gᵢ ← min(max(gᵢ, −Δ), Δ). NaN stays NaN.

    State: nothing for a number, `step` int32[] for a schedule.

    Raises:
      ValueError: a negative or non-finite bound.

    Example::

        >>> import adaptax
        >>> tx = adaptax.chain(adaptax.clip(1.0), adaptax.adam(1e-3))
    """

    def apply(updates: Any, params: Any, bound: Any) -> Any:
        del params

        def one(path: Any, g: jax.Array) -> jax.Array:
            g = jnp.asarray(g)
            if jnp.iscomplexobj(g):
                raise TypeError(f"clip: gradient {trees.path_name(path)} is complex, without order")
            limit = jnp.asarray(bound, numerics.wide(g.dtype))
            return jnp.clip(numerics.widen(g), -limit, limit).astype(g.dtype)

        trees.check_inexact(updates, "gradient")
        return jax.tree_util.tree_map_with_path(one, updates)

    return link(max_delta, apply)


@transformation
def clip_by_global_norm(max_norm: Any) -> Transformation:
    """Clip the whole tree: g ← g · min(1, c/‖g‖₂), one multiplication by one scalar.

    The norm costs one pass over the gradients; it neither overflows nor loses small gradients, in
    any dtype. Zero gradients stay zero, also for c = 0; a norm above 8e37·c, where c/‖g‖ leaves the
    normal float32 numbers, gives zero. If the norm is not finite, because an entry
    is NaN or infinite, the gradients pass unchanged: one bad leaf does not spoil the others, and
    nothing hides it.

    State: nothing for a number, `step` int32[] for a schedule.

    Raises:
      ValueError: a negative or non-finite bound.

    Source: Pascanu, Mikolov and Bengio, arXiv 1211.5063, algorithm 1.

    Example::

        >>> import adaptax
        >>> tx = adaptax.chain(adaptax.clip_by_global_norm(1.0), adaptax.adamw(1e-3))
    """

    def apply(updates: Any, params: Any, bound: Any) -> Any:
        del params
        trees.check_inexact(updates, "gradient")
        size = numerics.tree_norm(updates)
        factor = _factor(size, jnp.asarray(bound, size.dtype))
        return jax.tree.map(lambda g: _times(g, factor), updates)

    return link(max_norm, apply)


@transformation
def adaptive_grad_clip(clipping: Any, eps: float = 1e-3, axis: Any = None) -> Transformation:
    """Clip each unit against its weights: gᵤ ← gᵤ · min(1, λ max(‖θᵤ‖, ε)/‖gᵤ‖).

    A unit is a column of a dense kernel, an output filter of a convolution, a whole vector or
    scalar; rank 3 counts as a dense kernel with several heads.

    Args:
      eps: smallest norm of a unit, in units of the weights; a number in [0, inf).
      axis: the axes that a unit extends over, for all leaves; None to infer them from the rank.

    State: nothing for a number, `step` int32[] for a schedule.

    Raises:
      ValueError: no `params` in update; a rank above 5 without `axis`.

    Source: Brock et al., arXiv 2102.06171, equation 3.

    Example::

        >>> import adaptax
        >>> tx = adaptax.chain(adaptax.adaptive_grad_clip(0.01), adaptax.sgd(0.1, momentum=0.9))
    """

    axes = axis if isinstance(axis, tuple | list) else (axis,)
    if axis is not None and not all(isinstance(a, int) and not isinstance(a, bool) for a in axes):
        raise TypeError(
            f"adaptive_grad_clip(axis={axis!r}): axis must be a whole number, several, or None"
        )

    def apply(updates: Any, params: Any, ratio: Any) -> Any:
        if params is None:
            raise ValueError("adaptive_grad_clip: call update(updates, state, params)")
        trees.check_inexact(updates, "gradient")
        trees.check_alike(params, updates, "gradients", "parameters")

        def one(path: Any, g: jax.Array, p: jax.Array) -> jax.Array:
            over = _unit_axes(p, path) if axis is None else tuple(axes)
            size, weight = _unit_norm(g, over), _unit_norm(p, over)
            limit = numerics.times(jnp.maximum(weight, eps), ratio)
            return _times(g, _factor(size, limit))

        return jax.tree_util.tree_map_with_path(one, updates, params)

    return link(clipping, apply)


def _factor(size: jax.Array, limit: jax.Array) -> jax.Array:
    """min(1, limit/size); 1 for a size that is not finite, and for 0/0."""
    large = (size > limit) & jnp.isfinite(size)
    # XLA repeats cheap scalar operations in every loop, but no division: that is the last one
    one = jnp.ones_like(size)
    return jnp.where(large, limit, one) / jnp.where(large, size, one)


def _times(g: jax.Array, factor: jax.Array) -> jax.Array:
    g = jnp.asarray(g)
    return numerics.times(numerics.widen(g), factor).astype(g.dtype)


def _unit_axes(p: jax.Array, path: Any) -> tuple[int, ...]:
    if p.ndim > 5:
        raise ValueError(
            f"adaptive_grad_clip: {trees.path_name(path)} has rank {p.ndim}; "
            "above 5 say with axis= which axes a unit extends over"
        )
    if sum(n > 1 for n in p.shape) <= 1:
        return tuple(range(p.ndim))
    return {2: (0,), 3: (0,), 4: (0, 1, 2), 5: (0, 1, 2, 3)}[p.ndim]


def _unit_norm(x: jax.Array, axes: Any) -> jax.Array:
    """Norms over the given axes, scaled by the largest entry so that no square overflows."""
    size = jnp.abs(numerics.widen(x))
    largest = jnp.max(size, axis=axes, keepdims=True, initial=0.0)
    safe = jnp.where((largest > 0) & jnp.isfinite(largest), largest, jnp.ones_like(largest))
    return safe * jnp.sqrt(jnp.sum(jnp.square(size / safe), axis=axes, keepdims=True))
