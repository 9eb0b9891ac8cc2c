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
from adaptax.rates.control import Controller, look


class RateState(NamedTuple):
    """State of `scale_by_rate`; the same for a number and for a schedule."""

    learning_rate: jax.Array  # float32[], the latest rate used; before the first, the first
    base: jax.Array  # float32[], what number, schedule or controller gave for that update
    multiplier: jax.Array  # float32[], what the base is multiplied by, 1 until the rate is set
    step: jax.Array  # int32[], the number of updates made
    controller: Any = ()  # what a controller keeps; () for a number and a schedule


@transformation
def scale_by_rate(learning_rate: Any) -> Transformation:
    """Step against the direction: u = −η d. The rate is in the state.

    A controller that looks at gradients gets them as `grad=`, which `adaptax.chain` gives its
    links; without it, the direction is taken for the gradient. A negative value of a schedule
    counts as 0.

    State: `RateState`: `learning_rate`, `base` and `multiplier` float32[] (float64 under x64),
      `step` int32[]; 16 bytes; and what a controller keeps.

    Raises:
      ValueError: a rate that is negative or not finite; a metric that a controller needs and that
        is missing.

    Example::

        >>> import adaptax
        >>> tx = adaptax.scale_by_rate(0.1)
    """

    def init(params: Any) -> RateState:
        return start_rate(learning_rate, params)

    def update(updates: Any, state: RateState, params: Any = None, **extra: Any) -> tuple:
        shown = (updates, updates, 1.0, params, extra)
        rate, state = next_rate(learning_rate, state, shown)
        down = -rate
        u = jax.tree.map(lambda u: _scaled(u, down), updates)
        return share_out(learning_rate, state, u), state

    return Transformation(init, update)


def start_rate(learning_rate: Any, params: Any = None) -> RateState:
    """The state before the first update."""
    start = jnp.zeros((), jnp.int32)
    base = _base(learning_rate, start)
    memory: Any = ()
    if isinstance(learning_rate, Controller):
        memory = learning_rate.init(params)
        base = learning_rate.read(memory, base)
    base = jnp.array(base)  # a copy: a schedule may return an array it holds
    multiplier = jnp.full_like(base, 0.0 if _is_zero(learning_rate) else 1.0)
    return RateState(base * multiplier, base, multiplier, start, memory)


def next_rate(learning_rate: Any, state: RateState, shown: tuple) -> tuple[jax.Array, RateState]:
    """The rate of this update, and the state after it; `shown` is what `look` takes.

    While the base stays, so does the rate, to the bit: a number's is what it was set to.
    """
    base, memory = _base(learning_rate, state.step), state.controller
    if isinstance(learning_rate, Controller):
        memory = learning_rate.absorb(memory, base, look(*shown))
        base = learning_rate.read(memory, base)
    base = jnp.array(base)
    rate = jnp.where(base == state.base, state.learning_rate, base * state.multiplier)
    step = numerics.increment(state.step)
    return rate, RateState(rate, base, state.multiplier, step, memory)


def share_out(learning_rate: Any, state: RateState, updates: Any) -> Any:
    """The updates; multiplied by its share where a controller gives each array its own rate."""
    if not isinstance(learning_rate, Controller):
        return updates
    shares = learning_rate.shares(state.controller)
    return updates if shares is None else jax.tree.map(_scaled, updates, shares)


def _base(learning_rate: Any, step: jax.Array) -> jax.Array:
    """What the multiplier multiplies: a number, a schedule's value, or an array, which
    `optax.inject_hyperparams` gives anew for every update. The number 0 is 0 · 1, so that it can be
    set."""
    if isinstance(learning_rate, Controller):
        learning_rate = learning_rate.base
    if callable(learning_rate):
        # a negative rate would climb
        return jnp.maximum(Step(step).number(learning_rate), 0.0)
    given = 1.0 if _is_zero(learning_rate) else learning_rate
    return jnp.asarray(given).astype(numerics.scalar_dtype())


def _is_zero(learning_rate: Any) -> bool:
    return isinstance(learning_rate, int | float) and learning_rate == 0


def _scaled(u: jax.Array, factor: jax.Array) -> jax.Array:
    return numerics.times(numerics.widen(u), factor).astype(u.dtype)
