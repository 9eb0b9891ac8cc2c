"""Lookahead: slow weights that follow the fast ones of any optimizer.

lookahead(adamw(1e-3), sync_every=6, slow_step=0.5)
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from adaptax.core import branches, numerics, trees
from adaptax.core.transformation import Transformation, transformation
from adaptax.wrappers.average import become, check_params, copied, towards
from adaptax.wrappers.groups import check_transformation


class LookaheadState(NamedTuple):
    """State of `lookahead`; `evaluation_params` reads the slow weights."""

    step: jax.Array  # int32[], the number of updates made
    slow: Any  # the slow weights, float32 or wider
    inner_state: Any


@transformation
def lookahead(inner: Any, sync_every: int = 6, slow_step: float = 0.5) -> Transformation:
    """Let slow weights follow every k steps, and let the fast ones start again from there.

    θ ← θ + u, k times;  φ ← φ + α (θ − φ);  θ ← φ

    The model's parameters are the fast weights θ; the slow ones φ are in the state. The last of k
    updates is the one that leads to φ, so a plain `optax.apply_updates` does all. The state of
    `inner` goes on over it. The slow weights do not see how θ = φ is rounded: in 16 bits θ is φ
    rounded to nearest wherever the step is no longer than the weight, and close to it elsewhere.

    The wrapper sees the updates that leave it: put it outermost, but inside of `accumulate` and of
    `ema_weights`.

    Args:
      inner: the transformation that makes the fast steps; Optax's or ours.

    State: `LookaheadState`: 4 bytes a parameter and 4 more, and the state of `inner`; between two
      slow steps the slow weights are neither read nor written.

    Raises:
      TypeError: not a transformation; a parameter that is not floating.
      ValueError: a number out of range; no `params` in update; updates that do not match them.

    Source: Zhang et al., arXiv 1907.08610, algorithm 1. Optax: `lookahead`, whose parameters are
    pairs of fast and slow weights.

    Example::

        >>> import adaptax, jax.numpy as jnp
        >>> tx = adaptax.lookahead(adaptax.sgd(1.0), sync_every=2, slow_step=0.5)
        >>> params = jnp.asarray(0.0)
        >>> state = tx.init(params)
        >>> for _ in range(2):
        ...     updates, state = tx.update(jnp.asarray(-1.0), state, params)
        ...     params = params + updates
        ...     print(params, adaptax.evaluation_params(state, params))
        1.0 0.0
        1.0 1.0
    """
    check_transformation("lookahead", "inner", inner)
    inner = optax.with_extra_args_support(inner)

    def init(params: Any) -> LookaheadState:
        trees.check_inexact(params)
        slow = jax.tree.map(copied, params)
        return LookaheadState(jnp.zeros((), jnp.int32), slow, inner.init(params))

    def update(
        updates: Any, state: LookaheadState, params: Any = None, **extra: Any
    ) -> tuple[Any, LookaheadState]:
        check_params("lookahead", state.slow, params)
        u, inner_state = inner.update(updates, state.inner_state, params, **extra)
        trees.check_alike(params, u, "updates", "parameters")
        step = numerics.increment(state.step)

        def synchronize() -> tuple[Any, Any]:
            slow = towards(state.slow, become(params, u), slow_step)
            leaves, structure = jax.tree.flatten(u)
            columns = jax.tree.leaves(slow), jax.tree.leaves(params)
            back = [_to(s, p, x) for s, p, x in zip(*columns, leaves, strict=True)]
            return structure.unflatten(back), slow

        def go_on() -> tuple[Any, Any]:
            return u, state.slow

        u, slow = branches.either(step % sync_every == 0, synchronize, go_on)
        return u, LookaheadState(step, slow, inner_state)

    return Transformation(init, update)


def _to(slow: jax.Array, p: Any, like: jax.Array) -> jax.Array:
    """The update that leads from p to the slow weight.

    The difference of two numbers of one format, of which none is twice the other, has no rounding
    error: from p to the slow weight as p's dtype holds it, the step is exact.
    """
    p = jnp.asarray(p)
    there = numerics.widen(slow.astype(p.dtype))
    return (there - numerics.widen(p)).astype(like.dtype)
