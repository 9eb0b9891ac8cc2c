"""Readings: accumulators seen in another way.

A reading wraps an accumulator and has the same verbs, so readings nest: `Largest(Debiased(Ema(b)))`
is the maximum of the corrected averages (Optax), `Debiased(Largest(Ema(b)))` corrects the maximum
of the raw ones (PyTorch).
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from adaptax.core import numerics
from adaptax.core.accumulators import Accumulator, Ema, Kept, Trace
from adaptax.core.calls import part, registered
from adaptax.core.step import Step, log


class Wrapped:
    """What a reading leaves to the accumulator inside."""

    inner: Any

    def slots(self, name: str) -> tuple[str, ...]:
        return self.inner.slots(name)

    def init(self, like: Any, dtype: Any) -> Kept:
        return self.inner.init(like, dtype)

    def absorb(self, kept: Kept, x: jax.Array, step: Step) -> Kept:
        return self.inner.absorb(kept, x, step)

    def read(self, kept: Kept, x: jax.Array, step: Step) -> jax.Array:
        return self.inner.read(kept, x, step)

    def correction(self, step: Step) -> Any:
        return self.inner.correction(step)

    def mass(self, step: Step) -> Any:
        return self.inner.mass(step)

    def gains(self, step: Step) -> tuple[Any, Any]:
        return self.inner.gains(step)


@registered
@part
class Debiased(Wrapped):
    """Bias correction: the reading divided by the mass absorbed so far.

    Law: the debiased reading of a constant stream is that constant, at every step.
    """

    inner: Accumulator

    def correction(self, step: Step) -> Any:
        return self.inner.mass(step)


@registered
@part
class Nesterov(Wrapped):
    """Absorb the newest value once more, without keeping it: a·m + b·x with the gains of m.

    On `Trace`: μm + x. On `Debiased(Ema)`: β m/(1−βᵗ⁺¹) + (1−β) x/(1−βᵗ), the simple form of Nadam.
    """

    inner: Any

    def __post_init__(self) -> None:
        if not hasattr(self.inner, "gains") or not isinstance(_innermost(self.inner), Ema | Trace):
            raise TypeError(f"{self!r}: Nesterov needs an Ema or a Trace inside")

    def _parts(self, step: Step) -> tuple[Any, Any]:
        keep, take = self.inner.gains(step)
        now = self.inner.correction(step)
        if isinstance(now, float):
            return keep, take
        return keep / (keep * now + take), take / now  # a·mass + b is the mass one step ahead

    def read(self, kept: Kept, x: jax.Array, step: Step) -> jax.Array:
        keep, take = step.once(self, "parts", lambda: self._parts(step))
        return numerics.times(self.inner.read(kept, x, step), keep) + numerics.times(x, take)

    def correction(self, step: Step) -> Any:
        del step
        return 1.0


def _innermost(accumulator: Any) -> Any:
    while isinstance(accumulator, Wrapped):
        accumulator = accumulator.inner
    return accumulator


@registered
@part
class Dozat(Wrapped):
    """Nesterov reading of an `Ema` under Dozat's momentum schedule.

    μₜ = β(1 − ½·0.96^(tψ)); reads μₜ₊₁ m/(1−∏ᵗ⁺¹μ) + (1−μₜ) x/(1−∏ᵗμ). The average itself keeps
    its constant β, as in PyTorch (ψ = 0.004) and Keras (ψ = 1).

    The products have no closed form but a series: log∏ᵗμᵢ = t log β − Σₖ cₖ(1 − qᵏᵗ) with
    q = 0.96^ψ and cₖ = ½ᵏqᵏ/(k(1−qᵏ)), so no state is kept for them.
    """

    inner: Ema
    psi: float

    def __post_init__(self) -> None:
        if not isinstance(self.inner, Ema) or callable(self.inner.decay):
            raise TypeError(f"{self!r}: the momentum schedule needs an Ema with a constant decay")

    def _factor(self, step: Step, ahead: int) -> Any:
        decline = jnp.exp((step.count + ahead) * (step.number(self.psi) * math.log(0.96)))
        return self.inner.decay * (1.0 - 0.5 * decline)

    def _mass(self, step: Step, ahead: int) -> Any:
        count, psi = step.count + ahead, step.number(self.psi)
        if isinstance(psi, float) and psi == 0:
            return -jnp.expm1(count * log(0.5 * self.inner.decay))
        host = isinstance(psi, float)  # weights in float64 where they can be
        xp, dtype = (np, np.float64) if host else (jnp, step.dtype)
        terms = xp.arange(1, 60, dtype=dtype)
        rates = terms * (psi * math.log(0.96))
        weights = 0.5**terms * xp.exp(rates) / (terms * -xp.expm1(rates))
        declines = -jnp.expm1(count[None] * jnp.asarray(rates, step.dtype))
        series = jnp.sum(jnp.asarray(weights, step.dtype) * declines)
        return -jnp.expm1(count * log(self.inner.decay) - series)

    def _parts(self, step: Step) -> tuple[Any, Any]:
        keep = self._factor(step, 1) / self._mass(step, 1)
        take = (1.0 - self._factor(step, 0)) / self._mass(step, 0)
        return keep, take

    def read(self, kept: Kept, x: jax.Array, step: Step) -> jax.Array:
        keep, take = step.once(self, "parts", lambda: self._parts(step))
        return numerics.times(kept[0], keep) + numerics.times(x, take)


@registered
@part
class Largest(Wrapped):
    """The largest reading so far, entry by entry; kept beside the accumulator itself."""

    inner: Accumulator

    def slots(self, name: str) -> tuple[str, ...]:
        return (*self.inner.slots(name), f"{name}_max")

    def init(self, like: Any, dtype: Any) -> Kept:
        return (*self.inner.init(like, dtype), numerics.full(like, 0.0, dtype))

    def absorb(self, kept: Kept, x: jax.Array, step: Step) -> Kept:
        *inside, largest = kept
        inside = self.inner.absorb(tuple(inside), x, step)
        correction = self.inner.correction(step)
        reading = self.inner.read(inside, x, step)
        if not isinstance(correction, float):
            most = float(jnp.finfo(reading.dtype).max)
            reading = jnp.minimum(reading / correction.astype(reading.dtype), most)
        return (*inside, jnp.maximum(largest, reading))

    def read(self, kept: Kept, x: jax.Array, step: Step) -> jax.Array:
        del x, step
        return kept[-1]

    def correction(self, step: Step) -> Any:
        del step
        return 1.0


def stored(accumulator: Any, dtype: Any) -> Any:
    """The accumulator, kept in `dtype` where one is given."""
    return accumulator if dtype is None else Stored(accumulator, dtype)


@registered
@part
class Stored(Wrapped):
    """Keep the arrays in another dtype; they are still computed with in float32 or wider.

    Must be outermost. A dtype narrower than float32 rounds what is kept at every step: good for a
    first moment in bfloat16, bad for a second moment, whose small increments are lost. Complex
    arrays, which no narrower dtype could hold, are kept as they are.
    """

    inner: Any
    dtype: str

    def init(self, like: Any, dtype: Any) -> Kept:
        own = dtype if jnp.issubdtype(dtype, jnp.complexfloating) else jnp.dtype(self.dtype)
        return tuple(x.astype(own) for x in self.inner.init(like, own))
