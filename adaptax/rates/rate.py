"""The rate in the state: scale by it, read it, set it.

`scale_by_rate` keeps the rate that its latest update used where anyone can read it, and a
multiplier that anyone can change. Setting a rate changes arrays only, so nothing is recompiled.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from adaptax.core import numerics
from adaptax.core.step import Step
from adaptax.core.transformation import Transformation, transformation


class RateState(NamedTuple):
    """State of `scale_by_rate`; the same for a number and for a schedule."""

    learning_rate: jax.Array  # float32[], the latest rate used; before the first, the first
    base: jax.Array  # float32[], the number, or what the schedule gave for that update
    multiplier: jax.Array  # float32[], what the base is multiplied by, 1 until the rate is set
    step: jax.Array  # int32[], the number of updates made


@transformation
def scale_by_rate(learning_rate: Any) -> Transformation:
    """Step against the direction: u = −η d. The rate is in the state.

    State: `RateState`: `learning_rate`, `base` and `multiplier` float32[] (float64 under x64),
      `step` int32[]; 16 bytes.

    Raises:
      ValueError: a rate that is negative or not finite.

    Example::

        >>> import adaptax
        >>> tx = adaptax.scale_by_rate(0.1)
    """

    def init(params: Any) -> RateState:
        del params
        return start_rate(learning_rate)

    def update(updates: Any, state: RateState, params: Any = None, **extra: Any) -> tuple:
        del params, extra
        rate, state = next_rate(learning_rate, state)
        down = -rate
        return jax.tree.map(lambda u: _scaled(u, down), updates), state

    return Transformation(init, update)


def start_rate(learning_rate: Any) -> RateState:
    """The state before the first update."""
    start = jnp.zeros((), jnp.int32)
    base = jnp.array(_base(learning_rate, start))  # a copy: a schedule may return an array it holds
    multiplier = jnp.full_like(base, 0.0 if _is_zero(learning_rate) else 1.0)
    return RateState(base * multiplier, base, multiplier, start)


def next_rate(learning_rate: Any, state: RateState) -> tuple[jax.Array, RateState]:
    """The rate of this update, and the state after it.

    While the base stays, so does the rate, to the bit: a number's is what it was set to.
    """
    base = jnp.array(_base(learning_rate, state.step))
    rate = jnp.where(base == state.base, state.learning_rate, base * state.multiplier)
    return rate, RateState(rate, base, state.multiplier, numerics.increment(state.step))


def _base(learning_rate: Any, step: jax.Array) -> jax.Array:
    """What the multiplier multiplies: a number, a schedule's value, or an array, which
    `optax.inject_hyperparams` gives anew for every update. The number 0 is 0 · 1, so that it can be
    set."""
    if callable(learning_rate):
        return Step(step).number(learning_rate)
    given = 1.0 if _is_zero(learning_rate) else learning_rate
    return jnp.asarray(given).astype(numerics.scalar_dtype())


def _is_zero(learning_rate: Any) -> bool:
    return isinstance(learning_rate, int | float) and learning_rate == 0


def _scaled(u: jax.Array, factor: jax.Array) -> jax.Array:
    return numerics.times(numerics.widen(u), factor).astype(u.dtype)
