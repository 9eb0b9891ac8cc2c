"""Spike control: gradients judged by the gradients before them. Place it before the optimizer.

    guard(chain(clip_by_zscore(), adamw(1e-3)))          one norm of the whole tree
    guard(chain(clip_by_average_norm(), adamw(1e-3)))    one norm for each array

Both let a spike through as a gradient of ordinary size. Neither can be locked in: what is clipped
for as many steps in a row as the warm-up has is a new level and no spike, and is believed.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from adaptax.core import numerics, trees
from adaptax.core.transformation import Transformation, transformation


class ZScoreState(NamedTuple):
    """State of `clip_by_zscore`; scalars."""

    count: jax.Array  # int32[], norms in the statistics since they started
    row: jax.Array  # int32[], steps in a row, up to now, that were clipped
    mean: jax.Array  # float32[], of the norms after clipping
    deviation: jax.Array  # float32[], their standard deviation; its square could overflow


@transformation
def clip_by_zscore(
    threshold: float = 2.5,
    decay: float = 0.97,
    warmup: int = 25,
    reciprocal: bool = True,
    max_norm: float | None = None,
) -> Transformation:
    """Clip the norm of the whole tree where it is many standard deviations above its average.

    z = (‖g‖ − μ)/σ;  where z > ζ:  g ← g · (μ + σζ²/z)/‖g‖, or (μ + σζ)/‖g‖ if not `reciprocal`

    Then, with n = min(‖g‖, its bound): μ ← αμ + (1−α)n, σ² ← ασ² + (1−α)(n − μ)². In the first
    `warmup` steps μ and σ are the mean and deviation of the norms so far, and nothing is clipped
    but by `max_norm`. A σ below 10⁻⁶μ, which is rounding, counts as that much. A spike in the
    warm-up is taken for ordinary; `guard` around it rejects those whose square overflows.

    Unlike in the paper, statistics restart, warm-up included, when `warmup` steps in a row were
    clipped: there, a gradient that returns after zeros is clipped to zero, for ever. Norms that are
    not finite pass, and are not counted. Costs a pass over the gradients for the norm.

    State: `ZScoreState`, 16 bytes.

    Raises:
      ValueError: a number out of range.
      TypeError: a number that is not whole; a gradient that is not floating, with its path.

    Source: Kumar et al., arXiv 2504.02507, section 3 (α 0.97, ζ 2.5, warm-up 25).

    Example::

        >>> import adaptax
        >>> tx = adaptax.guard(adaptax.chain(adaptax.clip_by_zscore(), adaptax.adamw(1e-3)))
    """
    warmup = int(warmup)

    def init(params: Any) -> ZScoreState:
        del params
        zeros = [jnp.zeros((), numerics.scalar_dtype()) for _ in range(2)]
        return ZScoreState(jnp.zeros((), jnp.int32), jnp.zeros((), jnp.int32), *zeros)

    def update(updates: Any, state: ZScoreState, params: Any = None, **extra: Any) -> tuple:
        del params, extra
        trees.check_inexact(updates, "gradient")
        size = numerics.tree_norm(updates)
        warm = state.count < warmup
        distance = size - state.mean
        least = threshold * jnp.maximum(state.deviation, 1e-6 * state.mean)
        # ζ²σ/z = ζσ·(ζσ/distance)
        share = jnp.where(distance > least, least / _safe(distance), jnp.ones_like(size))
        far = least * share if reciprocal else least
        known = ~warm & (state.mean > 0) & jnp.isfinite(size)
        outlier = known & (distance > least)
        bound = jnp.where(outlier, state.mean + far, size)
        if max_norm is not None:
            bound = jnp.where(warm, jnp.minimum(size, max_norm), bound)
        return _scaled(updates, bound, size), _counted(state, size, bound, outlier)

    def _counted(state: ZScoreState, size: Any, bound: Any, outlier: Any) -> ZScoreState:
        warm = state.count < warmup
        x = jnp.where(warm, size, bound)
        count = numerics.increment(state.count)
        weight = jnp.where(warm, 1.0 / count.astype(x.dtype), 1.0 - decay)
        change = x - state.mean
        # Welford's form of the variance of all so far; the paper's of the average
        own = weight * (1.0 - weight) * jnp.where(warm, jnp.ones_like(x), 1.0 - weight)
        spread = _root(1.0 - weight, state.deviation, own, change)
        row = jnp.where(outlier, numerics.increment(state.row), jnp.zeros_like(count))
        seen = ZScoreState(count, row, state.mean + weight * change, spread)
        fresh = jax.tree.map(jnp.zeros_like, seen)
        seen = _either(row >= warmup, fresh, seen)
        return _either(jnp.isfinite(size), seen, state)

    return Transformation(init, update)


def _either(condition: jax.Array, first: Any, second: Any) -> Any:
    return jax.tree.map(lambda a, b: lax.select(condition, a, b), first, second)


def _safe(x: jax.Array) -> jax.Array:
    return jnp.where(x == 0, jnp.ones_like(x), x)


def _root(a: Any, x: jax.Array, b: Any, y: jax.Array) -> jax.Array:
    """√(ax² + by²), where neither square overflows or vanishes."""
    unit = jnp.maximum(jnp.abs(x), jnp.abs(y))
    safe = _safe(unit)
    return unit * jnp.sqrt(a * jnp.square(x / safe) + b * jnp.square(y / safe))


def _scaled(updates: Any, bound: jax.Array, size: jax.Array) -> Any:
    """The tree with the norm `bound` in place of `size`; untouched where they are equal."""
    same = (bound >= size) | ~jnp.isfinite(size)
    factor = jnp.where(same, jnp.ones_like(size), bound) / jnp.where(
        same, jnp.ones_like(size), size
    )
    return jax.tree.map(lambda g: _times(g, factor), updates)


def _times(g: Any, factor: jax.Array) -> jax.Array:
    g = jnp.asarray(g)
    return numerics.times(numerics.widen(g), factor).astype(g.dtype)


class AverageNormState(NamedTuple):
    """State of `clip_by_average_norm`; `()` in the place of the arrays where there are none."""

    count: jax.Array  # int32[], the number of updates made
    norm: Any  # float32[leaves], of each array the average of its norms after clipping
    row: Any  # int32[leaves], steps in a row, up to now, that it was clipped


@transformation
def clip_by_average_norm(
    ratio: float = 1.05,
    decay: float = 0.98,
    warmup: int = 100,
    max_norm: float = 1.0,
) -> Transformation:
    """Clip each array's gradient where its norm is above the average of its own norms.

    gᵢ ← gᵢ · min(1, λγᵢ/‖gᵢ‖);  γᵢ ← βγᵢ + (1−β)‖gᵢ‖, of the clipped gᵢ

    In the first `warmup` steps the whole tree is clipped to `max_norm` instead, and γᵢ is the mean
    of the norms so far. In the paper it is the smallest: then one spike in the warm-up, for which
    all arrays are clipped to nearly nothing, or one zero is the measure from there on.

    Unlike in the paper, too, γᵢ becomes ‖gᵢ‖ when array i was clipped `warmup` steps in a row, and
    while γᵢ is zero nothing is clipped: no array is kept small by its past for longer than that.
    Norms that are not finite pass, and are not counted. Costs a pass over the gradients.

    State: `AverageNormState`, 4 bytes and 8 for each array.

    Raises:
      ValueError: a number out of range.
      TypeError: a number that is not whole; a gradient that is not floating, with its path.

    Source: Wang et al., arXiv 2502.11034, section 3 (λ 1.05, β 0.98, warm-up 100 at norm 1).

    Example::

        >>> import adaptax
        >>> tx = adaptax.guard(adaptax.chain(adaptax.clip_by_average_norm(), adaptax.adamw(1e-3)))
    """
    warmup = int(warmup)

    def init(params: Any) -> AverageNormState:
        n = len(jax.tree.leaves(params))
        norm, row = jnp.zeros((n,), numerics.scalar_dtype()), jnp.zeros((n,), jnp.int32)
        return AverageNormState(jnp.zeros((), jnp.int32), *((norm, row) if n else ((), ())))

    def update(updates: Any, state: AverageNormState, params: Any = None, **extra: Any) -> tuple:
        del params, extra
        trees.check_inexact(updates, "gradient")
        leaves, treedef = jax.tree.flatten(updates)
        count = numerics.increment(state.count)
        if not leaves:
            return updates, AverageNormState(count, (), ())
        size, known = numerics.each_norm(leaves), state.norm > 0
        finite, warm = jnp.isfinite(size), state.count < warmup
        total = numerics.norm([size])
        every = jnp.where(total > max_norm, max_norm / _safe(total), jnp.ones_like(total))
        every = jnp.where(jnp.isfinite(total), every, jnp.ones_like(total))

        over = ~warm & known & finite & (size > ratio * state.norm)
        own = jnp.where(over, ratio * state.norm / _safe(size), jnp.ones_like(size))
        factor = jnp.where(warm, jnp.full_like(size, every), own)
        clipped = jnp.where(finite, size, jnp.zeros_like(size)) * factor

        row = jnp.where(over, jnp.minimum(state.row, warmup) + 1, jnp.zeros_like(state.row))
        anew = ~known | (row >= warmup)
        weight = jnp.where(warm, 1.0 / count.astype(size.dtype), 1.0 - decay)
        average = state.norm + weight * (clipped - state.norm)
        norm = jnp.where(anew, jnp.where(warm, clipped, size), average)
        after = AverageNormState(
            count,
            jnp.where(finite, norm, state.norm),
            jnp.where(finite, jnp.where(anew, jnp.zeros_like(row), row), state.row),
        )
        scaled = [_times(g, factor[i]) for i, g in enumerate(leaves)]
        return treedef.unflatten(scaled), after

    return Transformation(init, update)
