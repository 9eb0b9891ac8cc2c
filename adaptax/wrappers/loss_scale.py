"""Loss scaling: small float16 gradients made large enough to be held, and small again in float32.

tx = loss_scale(adamw(1e-3))
scale = loss_scale_of(opt_state)
scaled, grads = jax.value_and_grad(lambda p: loss_fn(p) * scale)(params)
updates, opt_state = tx.update(grads, opt_state, params, value=scaled / scale)
"""

from typing import Any, NamedTuple

import jax
import jax.core
import jax.numpy as jnp
import optax

from adaptax.core import numerics, trees
from adaptax.core.transformation import Transformation, transformation
from adaptax.wrappers.groups import check_transformation
from adaptax.wrappers.guard import GuardState, Limits, guarded, start


class LossScaleState(NamedTuple):
    """State of `loss_scale`; scalars, and the guard's state."""

    scale: jax.Array  # float32[], what the loss is to be multiplied by
    good: jax.Array  # int32[], steps with finite gradients since the scale last changed
    patience: jax.Array  # int32[], how many overflows more until the scale is lowered
    halted: jax.Array  # bool[], whether gradients overflowed at the lowest scale
    inner_state: GuardState


@transformation
def loss_scale(
    inner: Any,
    initial: float = 2.0**15,
    growth: float = 2.0,
    backoff: float = 0.5,
    every: int = 2000,
    hysteresis: int = 2,
    floor: float = 1.0,
    ceiling: float = 2.0**24,
    max_consecutive: int = 50,
) -> Transformation:
    """Divide the gradients of a scaled loss by the scale, guard the step, and adapt the scale.

    u ← inner(g / S), rejected as `guard` does if g/S or u is not finite

    S ← max(S·backoff, floor) at the `hysteresis`-th overflow and each one after it; after `every`
    steps in a row without one S ← min(S·growth, ceiling), and `hysteresis` are tolerated again.

    The loss is to be multiplied by `loss_scale_of(opt_state)` in float32, as 2¹⁶ is no float16;
    metrics are of the loss without it. `inner` gets gradients in float32 or wider. A gradient that
    overflows at S = floor sets `halted`, and `check_health` raises: from there the scale cannot
    help. Until then each overflow costs a step, not more. bfloat16 has float32's range and needs
    none of this.

    Args:
      inner: the whole optimizer, clipping included: clipping before it would see scaled gradients.

    State: `LossScaleState(scale, good, patience, halted, inner_state)`, with a `GuardState` in it;
      42 bytes more than that of `inner`.

    Raises:
      TypeError: not a transformation; a number that is not whole.
      ValueError: a number out of range; `floor ≤ initial ≤ ceiling` does not hold.

    Source: Micikevicius et al., arXiv 1710.03740, section 3.2; the hysteresis is Megatron-LM's.

    Example::

        >>> import adaptax, jax.numpy as jnp
        >>> tx = adaptax.loss_scale(adaptax.sgd(1.0), initial=8.0)
        >>> params = jnp.ones(2)
        >>> tx.update(jnp.full(2, 16.0), tx.init(params), params)[0].tolist()
        [-2.0, -2.0]
    """
    check_transformation("loss_scale", "inner", inner)
    traced = any(isinstance(x, jax.core.Tracer) for x in (floor, initial, ceiling))
    if not traced and not floor <= initial <= ceiling:
        raise ValueError(
            f"loss_scale(initial={initial!r}, floor={floor!r}, ceiling={ceiling!r}): "
            "floor <= initial <= ceiling must hold"
        )
    inner, limits = optax.with_extra_args_support(inner), Limits(int(max_consecutive), "reject")

    def init(params: Any) -> LossScaleState:
        scale = jnp.full((), initial, numerics.scalar_dtype())
        good, left = jnp.zeros((), jnp.int32), jnp.full((), int(hysteresis), jnp.int32)
        return LossScaleState(scale, good, left, jnp.zeros((), bool), start(inner.init(params)))

    def update(
        updates: Any, state: LossScaleState, params: Any = None, **extra: Any
    ) -> tuple[Any, LossScaleState]:
        trees.check_inexact(updates, "gradient")
        share = 1.0 / state.scale
        g = jax.tree.map(lambda x: numerics.times(numerics.widen(x), share), updates)
        if "grad" in extra:
            extra["grad"] = g

        def run() -> tuple[Any, Any]:
            u, kept = inner.update(g, state.inner_state.inner_state, params, **extra)
            # before the test: a float16 can overflow where the float32 did not
            return trees.cast_like(u, updates), kept

        u, watch, measured = guarded(run, g, state.inner_state, limits, recompute=True)
        return u, _adapted(state, measured)._replace(inner_state=watch)

    def _adapted(state: LossScaleState, measured: jax.Array) -> LossScaleState:
        patience = jnp.where(measured, state.patience, jnp.maximum(state.patience - 1, 0))
        lower = ~measured & (patience == 0)
        good = jnp.where(measured, numerics.increment(state.good), jnp.zeros_like(state.good))
        raised = good == int(every)
        scale = jnp.where(lower, jnp.maximum(state.scale * backoff, floor), state.scale)
        scale = jnp.where(raised, jnp.minimum(state.scale * growth, ceiling), scale)
        return LossScaleState(
            scale,
            jnp.where(raised, jnp.zeros_like(good), good),
            jnp.where(raised, jnp.full_like(patience, int(hysteresis)), patience),
            state.halted | (lower & (state.scale <= floor)),
            state.inner_state,
        )

    return Transformation(init, update)
