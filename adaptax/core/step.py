"""The moment of one update: its number, and the scalars that all arrays share.

A rule is written for one array; a `Step` makes each scalar of it (a decay's complement, the mass
of an average) once, in float32 or wider, however many arrays there are.
"""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from adaptax.core import numerics


class Step:
    """One update, as the parts of a rule see it. Lives during a trace, never in a state.

    Args:
      index: int32[], 0 at the first update: what schedules are asked.
      carried: the masses of scheduled averages after the previous update, in order of request.

    Attributes:
      count: the number of gradients absorbed, this one included, as a scalar.
      carrying: the same masses after this update.
    """

    def __init__(self, index: jax.Array, carried: tuple[jax.Array, ...] | None = None):
        self.dtype = numerics.scalar_dtype()
        self.index = index
        self.count = numerics.increment(index).astype(self.dtype)
        self.carrying: list[jax.Array] = []
        self._carried = carried
        self._made: dict[Any, Any] = {}
        self._owners: list[Any] = []
        self._decays: dict[Any, Any] = {}

    def once(self, owner: Any, name: Any, compute: Callable[[], Any]) -> Any:
        """`compute()`, the first time that `owner` asks for `name` in this update."""
        key = (id(owner), name)
        if key not in self._made:
            self._made[key] = compute()
            self._owners.append(owner)  # alive as long as its id is used
        return self._made[key]

    def number(self, hyper: Any) -> Any:
        """A hyperparameter as it is now: a number or a scalar array."""
        if callable(hyper):
            return self.once(hyper, "now", lambda: self._scalar(hyper(self.index)))
        if isinstance(hyper, int | float):
            return float(hyper)
        return self._scalar(hyper)

    def _scalar(self, value: Any) -> jax.Array:
        value = jnp.asarray(value)
        if value.shape:
            raise ValueError(f"a schedule or number must be a scalar; got shape {value.shape}")
        return value.astype(self.dtype)

    def complement(self, decay: Any) -> Any:
        """1 − decay; taken in float64 where the decay is a plain number."""
        return 1.0 - self.number(decay)

    def absorbed(self, decay: Any) -> Any:
        """The mass of an average with this decay: 1 − decayᵗ, or 1 − ∏ decayᵢ of a schedule."""
        return self.once(self._same(decay), "mass", lambda: self._absorbed(decay))

    def _same(self, decay: Any) -> Any:
        """One object for equal decays, so that equal rules carry equally many masses."""
        try:
            return self._decays.setdefault(decay, decay)
        except TypeError:  # an array or tracer, which is only equal to itself
            return decay

    def _absorbed(self, decay: Any) -> Any:
        if not callable(decay):
            return -jnp.expm1(self.count * log(self.number(decay)))
        place = len(self.carrying)
        before = self._carried[place] if self._carried is not None else jnp.zeros((), self.dtype)
        before = before.astype(self.dtype)
        self.carrying.append(before + self.complement(decay) * (1.0 - before))
        return self.carrying[place]


def log(decay: Any) -> Any:
    """log(decay), on the host in float64 where it can be; log(0) is taken as a very small one."""
    if isinstance(decay, float):
        return math.log(decay) if decay > 0 else -1e30
    return jnp.log(jnp.maximum(decay, np.finfo(np.float32).tiny))
