"""Preconditioners: an accumulator of a statistic of the gradient, and the divisor read from it.

`absorb(kept, g, mu, step)` takes the statistic of g in (mu: what the momentum keeps), and
`divide(top, correction, kept, g, step)` gives (top/correction) ÷ divisor as an array and a scalar
gain that it is still to be multiplied by: the corrections of both moments go into that gain, which
joins the rate, so that they cost nothing per array.
"""

from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from adaptax.core import numerics
from adaptax.core.accumulators import Accumulator, Kept
from adaptax.core.calls import part, registered
from adaptax.core.numerics import plus, times
from adaptax.core.step import Step

Divided = tuple[jax.Array, Any]  # an array, and the gain it is still to be multiplied by


@runtime_checkable
class Preconditioner(Protocol):
    """The verbs of a preconditioner."""

    def slots(self, name: str) -> tuple[str, ...]: ...
    def init(self, like: Any, dtype: Any) -> Kept: ...
    def absorb(self, kept: Kept, g: jax.Array, mu: Kept, step: Step) -> Kept: ...
    def divide(
        self, top: jax.Array, correction: Any, kept: Kept, g: jax.Array, step: Step
    ) -> Divided: ...


def _divide_by_root(
    top: jax.Array, correction: Any, mean: jax.Array, own: Any, eps: Any, inside: Any, where: tuple
) -> Divided:
    """(top/c₁)/(√(mean/c₂ + inside) + eps) as top/(√(mean + inside·c₂) + eps·√c₂) and √c₂/c₁."""
    step, owner = where
    gain, term, under = step.once(
        owner,
        "root",
        lambda: (_root(own) / correction, _product(eps, _root(own)), _product(inside, own)),
    )
    divisor = plus(lax.sqrt(plus(mean, under)), term)
    return numerics.quotient(
        top, divisor, numerics.is_positive(eps) or numerics.is_positive(inside)
    ), gain


def _product(a: Any, b: Any) -> Any:
    """a·b, where a plain 0 stays one and costs nothing."""
    return 0.0 if isinstance(a, float) and a == 0 else a * b


def _root(x: Any) -> Any:
    return x**0.5 if isinstance(x, float) else jnp.sqrt(x)


class OneAccumulator:
    """What preconditioners with one accumulator share: it keeps a real statistic."""

    accumulator: Any

    def slots(self, name: str) -> tuple[str, ...]:
        return self.accumulator.slots(name)

    def init(self, like: Any, dtype: Any) -> Kept:
        return self.accumulator.init(like, numerics.real(dtype))


@registered
@part
class Rms(OneAccumulator):
    """Root mean square (or of a sum): divisor √(v + inside) + eps, v an accumulator of |g|²."""

    accumulator: Accumulator
    eps: Any = 0.0
    inside: Any = 0.0

    def absorb(self, kept: Kept, g: jax.Array, mu: Kept, step: Step) -> Kept:
        del mu
        return self.accumulator.absorb(kept, numerics.absolute_square(g), step)

    def divide(
        self, top: jax.Array, correction: Any, kept: Kept, g: jax.Array, step: Step
    ) -> Divided:
        mean = self.accumulator.read(kept, g, step)
        own = self.accumulator.correction(step)
        eps, inside = step.number(self.eps), step.number(self.inside)
        return _divide_by_root(top, correction, mean, own, eps, inside, (step, self))


@registered
@part
class Belief(OneAccumulator):
    """AdaBelief's: divisor √s + eps, s an average of |g − m|² to which `floor` is added each step.

    The floor enters with the statistic, as floor/(1−β): added to s itself, a small one would be
    lost in rounding at every step.
    """

    accumulator: Any
    eps: Any = 0.0
    floor: Any = 0.0

    def __post_init__(self) -> None:
        if not hasattr(self.accumulator, "gains"):
            raise TypeError(f"{self!r}: Belief needs an average (Ema or Trace) inside")

    def absorb(self, kept: Kept, g: jax.Array, mu: Kept, step: Step) -> Kept:
        floor = step.number(self.floor)
        share = step.once(self, "share", lambda: _product(floor, 1.0 / self._weight(step)))
        surprise = plus(numerics.absolute_square(g - mu[0]), share)
        return self.accumulator.absorb(kept, surprise, step)

    def _weight(self, step: Step) -> Any:
        return self.accumulator.gains(step)[1]

    def divide(
        self, top: jax.Array, correction: Any, kept: Kept, g: jax.Array, step: Step
    ) -> Divided:
        mean = self.accumulator.read(kept, g, step)
        own, eps = self.accumulator.correction(step), step.number(self.eps)
        return _divide_by_root(top, correction, mean, own, eps, 0.0, (step, self))


@registered
@part
class Infinity(OneAccumulator):
    """Adamax's: divisor u, an accumulator (a `Peak`) of |g| + eps."""

    accumulator: Accumulator
    eps: Any = 0.0

    def absorb(self, kept: Kept, g: jax.Array, mu: Kept, step: Step) -> Kept:
        del mu
        return self.accumulator.absorb(kept, plus(jnp.abs(g), step.number(self.eps)), step)

    def divide(
        self, top: jax.Array, correction: Any, kept: Kept, g: jax.Array, step: Step
    ) -> Divided:
        divisor = self.accumulator.read(kept, g, step)
        own = self.accumulator.correction(step)
        gain = step.once(self, "gain", lambda: own / correction)
        return numerics.quotient(top, divisor, numerics.is_positive(step.number(self.eps))), gain


@registered
@part
class Deviation:
    """Centred RMSprop's: divisor √(V + inside) + eps, V the variance of g under an `Ema`'s weights.

    V is kept itself, V ← (1−w)(V + w|g − m|²), w = 1−β, instead of E|g|² − |m|², which cancels in
    floating point when the mean is large against the deviation. Debiased, w = (1−β)/(1−βᵗ): mean
    and variance under weights that sum to one, exactly 0 after one gradient.
    """

    decay: Any
    start: float = 0.0
    eps: Any = 0.0
    inside: Any = 0.0
    debiased: bool = False

    def slots(self, name: str) -> tuple[str, ...]:
        del name
        return ("mean", "variance")

    def init(self, like: Any, dtype: Any) -> Kept:
        start = 0.0 if self.debiased else self.start
        return numerics.full(like, 0.0, dtype), numerics.full(like, start, numerics.real(dtype))

    def _weight(self, step: Step) -> tuple[Any, Any]:
        """(w, 1 − w)."""
        taken, left = step.complement(self.decay), step.number(self.decay)
        if not self.debiased:
            return taken, left
        first = step.count == 1
        weight = jnp.where(first, 1.0, taken / step.absorbed(self.decay)).astype(step.dtype)
        return weight, 1.0 - weight

    def absorb(self, kept: Kept, g: jax.Array, mu: Kept, step: Step) -> Kept:
        del mu
        mean, variance = kept
        taken, left = step.once(self, "weight", lambda: self._weight(step))
        surprise = numerics.absolute_square(g - mean)
        variance = times(variance + times(surprise, taken), left)
        return mean + times(g - mean, taken), variance

    def divide(
        self, top: jax.Array, correction: Any, kept: Kept, g: jax.Array, step: Step
    ) -> Divided:
        del g
        variance = kept[1]
        if self.debiased and not (isinstance(self.start, int | float) and self.start == 0):
            mass = step.absorbed(self.decay)
            variance = plus(variance, self.start * (1.0 - mass) / mass)
        eps, inside = step.number(self.eps), step.number(self.inside)
        return _divide_by_root(top, correction, variance, 1.0, eps, inside, (step, self))


@registered
@part
class Rectified:
    """RAdam's: the divisor inside only while its variance is tractable, times 1/r.

    ρₜ = ρ∞ − 2tβᵗ/(1−βᵗ); r² = (ρₜ−4)(ρₜ−2)ρ∞ / ((ρ∞−4)(ρ∞−2)ρₜ). Where ρₜ ≤ threshold the
    direction is not divided at all.
    """

    inner: Rms
    decay: Any
    threshold: float = 5.0

    def slots(self, name: str) -> tuple[str, ...]:
        return self.inner.slots(name)

    def init(self, like: Any, dtype: Any) -> Kept:
        return self.inner.init(like, dtype)

    def absorb(self, kept: Kept, g: jax.Array, mu: Kept, step: Step) -> Kept:
        return self.inner.absorb(kept, g, mu, step)

    def divide(
        self, top: jax.Array, correction: Any, kept: Kept, g: jax.Array, step: Step
    ) -> Divided:
        use, r = step.once(self, "r", lambda: self._rectification(step))
        divided, gain = self.inner.divide(top, correction, kept, g, step)
        both = step.once(self, "gain", lambda: jnp.where(use, r * gain, 1.0 / correction))
        return jnp.where(use, divided, top), both.astype(step.dtype)

    def _rectification(self, step: Step) -> tuple[Any, Any]:
        rho, most = _degrees_of_freedom(step.number(self.decay), step.count)
        use = rho > step.number(self.threshold)
        safe = jnp.where(use, rho, jnp.full_like(rho, 5.0))
        squared = (safe - 4.0) * (safe - 2.0) * most / ((most - 4.0) * (most - 2.0) * safe)
        return use, jnp.sqrt(jnp.maximum(squared, 0.0))


# ratios of successive terms of x/expm1(x) from x² on, by Bernoulli numbers; they tend to 4π²
_BERNOULLI = (60.0, 42.0, 40.0, 39.6, 27300 / 691, 691 / 17.5, 39.4802322367, 39.4788702213)


def _degrees_of_freedom(decay: Any, count: jax.Array) -> tuple[jax.Array, Any]:
    """(ρₜ, ρ∞) without the cancellation of ρ∞ − 2tβᵗ/(1−βᵗ), lost in float32 for β ≥ 0.9999.

    With x = −t log β: ρₜ = ρ∞ − (2/L)·x/expm1(x), L = −log β; below x = 1 the series
    c + t − t·x/6·(1 − x²/60·(1 − x²/42·(…))), c = 2/(1−β) − 1 − 2/L taken in float64.
    """
    if isinstance(decay, float):
        rate = -np.log(decay) if decay > 0 else 1e30
        most = 2.0 / (1.0 - decay) - 1.0
        offset = most - 2.0 / rate
    else:
        rate = -jnp.log(jnp.maximum(decay, 1e-30))
        most = 2.0 / (1.0 - decay) - 1.0
        offset = rate / 6.0  # 2/(1−β) − 1 − 2/L to second order in L
    x = count * rate
    small = jnp.minimum(x, 1.0)
    inner: Any = 1.0
    for ratio in reversed(_BERNOULLI):
        inner = 1.0 - small * small / ratio * inner
    series = offset + count - count * small / 6.0 * inner
    direct = most - (2.0 / rate) * (x / jnp.expm1(jnp.maximum(x, 1e-3)))
    return jnp.where(x < 1.0, series, direct), most
