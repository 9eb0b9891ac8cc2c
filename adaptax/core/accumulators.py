"""Accumulators: what one array keeps of its history.

Every accumulator has the same verbs. `slots(name)` names the arrays it keeps, `init(like, dtype)`
makes them, `absorb(kept, x, step)` takes a value in, `read(kept, x, step)` gives the accumulated
value, `correction(step)` is what a reading must still be divided by, and `mass(step)` how much
weight has been absorbed. `kept` is a tuple with one array for each slot.

Laws (the tests quote them):
  - the debiased reading of a constant stream is that constant;
  - `Newest` keeps `()` and costs nothing;
  - absorbing ones from zero leaves `mass`.

Three compositions: momentum is `Trace(0.9)`; Adam's first moment is `Debiased(Ema(0.9))`; AMSGrad's
second is `Largest(Debiased(Ema(0.999)))`.
"""

from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jax import lax

from adaptax.core import numerics
from adaptax.core.calls import part, registered
from adaptax.core.step import Step

Kept = tuple[jax.Array, ...]
Number = Any  # a number, a schedule, or a scalar array


@runtime_checkable
class Accumulator(Protocol):
    """The verbs that every accumulator and every reading of one has."""

    def slots(self, name: str) -> tuple[str, ...]: ...
    def init(self, like: Any, dtype: Any) -> Kept: ...
    def absorb(self, kept: Kept, x: jax.Array, step: Step) -> Kept: ...
    def read(self, kept: Kept, x: jax.Array, step: Step) -> jax.Array: ...
    def correction(self, step: Step) -> Any: ...
    def mass(self, step: Step) -> Any: ...


class OneArray:
    """What accumulators of a single array share: they keep it, and read it as it is."""

    def slots(self, name: str) -> tuple[str, ...]:
        return (name,)

    def init(self, like: Any, dtype: Any) -> Kept:
        return (numerics.full(like, getattr(self, "start", 0.0), dtype),)

    def read(self, kept: Kept, x: jax.Array, step: Step) -> jax.Array:
        del x, step
        return kept[0]

    def correction(self, step: Step) -> Any:
        del step
        return 1.0


@registered
@part
class Newest:
    """Keeps nothing; reads as the newest value. Mass 1."""

    def slots(self, name: str) -> tuple[str, ...]:
        del name
        return ()

    def init(self, like: Any, dtype: Any) -> Kept:
        del like, dtype
        return ()

    def absorb(self, kept: Kept, x: jax.Array, step: Step) -> Kept:
        del x, step
        return kept

    def read(self, kept: Kept, x: jax.Array, step: Step) -> jax.Array:
        del kept, step
        return x

    def correction(self, step: Step) -> Any:
        del step
        return 1.0

    def mass(self, step: Step) -> Any:
        del step
        return 1.0


@registered
@part
class Ema(OneArray):
    """Exponential moving average: m ← m + (1−β)(x − m). Mass 1 − βᵗ (∏ over a scheduled β).

    The incremental form loses less than βm + (1−β)x when β is close to 1.
    """

    decay: Number
    start: float = 0.0

    def absorb(self, kept: Kept, x: jax.Array, step: Step) -> Kept:
        (mean,) = kept
        change = numerics.times(lax.sub(x, mean), step.complement(self.decay))
        return (lax.add(mean, change),)

    def mass(self, step: Step) -> Any:
        return step.absorbed(self.decay)

    def gains(self, step: Step) -> tuple[Any, Any]:
        """(a, b) of the absorption m ← a·m + b·x."""
        return step.number(self.decay), step.complement(self.decay)


@registered
@part
class Trace(OneArray):
    """Momentum as a decaying sum: m ← μm + x. Mass (1 − μᵗ)/(1 − μ)."""

    decay: Number
    start: float = 0.0

    def slots(self, name: str) -> tuple[str, ...]:
        del name
        return ("trace",)

    def absorb(self, kept: Kept, x: jax.Array, step: Step) -> Kept:
        (total,) = kept
        return (numerics.times(total, step.number(self.decay)) + x,)

    def mass(self, step: Step) -> Any:
        if callable(self.decay):
            raise ValueError(f"{self!r}: the mass of a trace has no closed form for a schedule")
        return step.absorbed(self.decay) / step.complement(self.decay)

    def gains(self, step: Step) -> tuple[Any, Any]:
        """(a, b) of the absorption m ← a·m + b·x."""
        return step.number(self.decay), 1.0


@registered
@part
class Total(OneArray):
    """Sum from a start: s ← s + x. Mass t, so that its debiased reading is the mean."""

    start: float = 0.0

    def slots(self, name: str) -> tuple[str, ...]:
        del name
        return ("sum_of_squares",)

    def absorb(self, kept: Kept, x: jax.Array, step: Step) -> Kept:
        del step
        return (kept[0] + x,)

    def mass(self, step: Step) -> Any:
        return step.count


@registered
@part
class Peak(OneArray):
    """Decaying maximum: u ← max(βu, x), Adamax's infinity norm. Mass 1.

    βu is taken as u − (1−β)u: the rounding of a β near 1 would add up between two peaks.
    """

    decay: Number
    start: float = 0.0

    def absorb(self, kept: Kept, x: jax.Array, step: Step) -> Kept:
        (top,) = kept
        return (jnp.maximum(top - numerics.times(top, step.complement(self.decay)), x),)

    def mass(self, step: Step) -> Any:
        del step
        return 1.0


@registered
@part
class Yogi(OneArray):
    """Additive average of a nonnegative x: v ← v − (1−β) sign(v − x) x. Mass taken as 1 − βᵗ.

    Moves by at most (1−β)x a step, so one small x cannot shrink it quickly as `Ema` would.
    """

    decay: Number
    start: float = 0.0

    def absorb(self, kept: Kept, x: jax.Array, step: Step) -> Kept:
        (mean,) = kept
        change = numerics.times(jnp.sign(mean - x) * x, step.complement(self.decay))
        return (mean - change,)

    def mass(self, step: Step) -> Any:
        return step.absorbed(self.decay)
