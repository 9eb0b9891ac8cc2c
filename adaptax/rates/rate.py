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
    multiplier: jax.Array  # float32[], the number itself, or what a schedule is multiplied by
    step: jax.Array  # int32[], the number of updates made


@transformation
def scale_by_rate(learning_rate: Any) -> Transformation:
    """Step against the direction: u = −η d. The rate is in the state.

    State: `RateState`: `learning_rate` and `multiplier` float32[] (float64 under x64), `step`
      int32[]; 12 bytes.

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
    number = 1.0 if callable(learning_rate) else learning_rate
    multiplier = jnp.array(number, numerics.scalar_dtype())
    return RateState(_base(learning_rate, start) * multiplier, multiplier, start)


def next_rate(learning_rate: Any, state: RateState) -> tuple[jax.Array, RateState]:
    """The rate of this update, and the state after it."""
    rate = _base(learning_rate, state.step) * state.multiplier
    return rate, RateState(rate, state.multiplier, numerics.increment(state.step))


def _base(learning_rate: Any, step: jax.Array) -> jax.Array:
    """What the multiplier multiplies: a schedule's value, or one."""
    if callable(learning_rate):
        return Step(step).number(learning_rate)
    return jnp.ones((), numerics.scalar_dtype())


def _scaled(u: jax.Array, factor: jax.Array) -> jax.Array:
    return numerics.times(numerics.widen(u), factor).astype(u.dtype)
