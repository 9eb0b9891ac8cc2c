"""Schedules from closed forms: the value at a step is one formula of it, with no memory.

At every step from 0 to 2³¹ − 1 a value is its closed form to a few units in the last place, as
small as the value may be; only where a curve goes through zero to an end of the other sign is the
error relative to the ends. Negative steps have the value at 0. Three compositions::

    cosine(0.1, steps=1000)                                         # anneal
    warmup_cosine(0.1, warmup_steps=100, steps=1000)                # rise, then anneal
    join([warmup(0.1, 100), inverse_time(0.1, 1.0, 100)], [100])    # anything, then anything
"""

from typing import Any

import jax
import jax.numpy as jnp

from adaptax.core import checks
from adaptax.core.checks import ANY, NONNEGATIVE, POSITIVE, Argument
from adaptax.rates import forms
from adaptax.rates.schedule import Curve, schedule

_END = Argument("the value that it ends at", ANY)
_BOUND = Argument("the value that it never passes; None bounds nothing", ANY, optional=True)
_RATIO = Argument("what the value is multiplied by in a period", POSITIVE)
_SLOWDOWN = Argument("what the divisor grows by in a period", NONNEGATIVE)


@schedule
def constant(value: float) -> Curve:
    """The same value at every step.

        value(k) = value

    Raises:
      TypeError, ValueError: a value that is not a finite number.

    Optax: `constant_schedule(value)`; PyTorch: `ConstantLR(factor=1)`; Keras: the number itself.

    Example::

        >>> import adaptax
        >>> adaptax.constant(0.1)(5)
        Array(0.1, dtype=float32)
    """
    return Curve(forms.of_steps(forms.level(forms.known(value))), settled=0)


@schedule
def linear(start: float, end: float, steps: int) -> Curve:
    """A straight line from `start` to `end`, which may be above or below, and then `end`.

        value(k) = (start (T − k) + end k)/T,  k ≤ T = steps

    Args:
      end: the value from step `steps` on; a finite number.
      steps: how many steps it takes; a whole number in [1, 2³¹).

    Raises:
      TypeError, ValueError: steps that are not such a number, a value that is not finite.

    Optax: `linear_schedule(init_value, end_value, transition_steps)`; PyTorch: `LinearLR`, whose
    ends are factors; Keras: `PolynomialDecay` with power 1.

    Example::

        >>> import adaptax
        >>> print(adaptax.linear(0.1, 0.0, steps=10).table([0, 5, 10, 11]))
        step  value
           0  0.1
           5  0.05
          10  0
          11  0
    """
    checks.argument("linear", "end", end, _END)
    steps = forms.whole("linear", "steps", steps, "how many steps it takes")
    at = forms.of_steps(forms.line(forms.known(start), forms.known(end), steps))
    return Curve(at, steps, lambda steps: linear(start, end, steps))


@schedule
def polynomial(start: float, end: float, steps: int, power: float) -> Curve:
    """From `start` to `end` along a power of the part that is left, and then `end`.

        value(k) = end + (start − end) (1 − k/T)^power,  k ≤ T = steps

    Args:
      end: the value from step `steps` on; a finite number.
      steps: how many steps it takes; a whole number in [1, 2³¹).

    Raises:
      TypeError, ValueError: steps that are not such a number, a power that is not positive.

    Source: the optimal decay of Li et al., arXiv:2602.06797, is one to 0, with power 2β − 1 for
    their capacity exponent β.

    Optax: `polynomial_schedule(init_value, end_value, power, transition_steps)`; PyTorch:
    `PolynomialLR(total_iters, power)`, which ends at 0; Keras: `PolynomialDecay`.

    Example::

        >>> import adaptax
        >>> print(adaptax.polynomial(0.1, 0.0, steps=10, power=2).table([0, 5, 10]))
        step  value
           0  0.1
           5  0.025
          10  0
    """
    checks.argument("polynomial", "end", end, _END)
    steps = forms.whole("polynomial", "steps", steps, "how many steps it takes")
    first, last, exponent = forms.known(start), forms.known(end), forms.known(power)
    falling = forms.share_power(exponent, steps)

    def at(k: jax.Array, dtype: Any) -> jax.Array:
        k = jnp.minimum(k, steps)
        top = falling(steps - k, forms.scalar(first, dtype), dtype)
        if forms.is_zero(last):
            return top
        # 1 − left^power by a logarithm that is exact at both ends
        left, done = forms.share(steps - k, steps, dtype), forms.share(k, steps, dtype)
        log = jnp.where(2 * done < 1, jnp.log1p(-jnp.minimum(done, 0.5)), jnp.log(left))
        return top - forms.scalar(last, dtype) * jnp.expm1(forms.scalar(exponent, dtype) * log)

    return Curve(forms.of_steps(at), steps, lambda steps: polynomial(start, end, steps, power))


@schedule
def exponential(start: float, decay_rate: float, steps: int, end: float | None = None) -> Curve:
    """Multiplied by `decay_rate` every `steps` steps, smoothly.

        value(k) = start · decay_rate^(k/steps), not below `end` (above it, where it grows)

    Args:
      decay_rate: what the value is multiplied by in `steps` steps; in (0, inf). A traced one is
        raised in floating point, and loses digits with the size of the exponent.
      steps: the period; a whole number in [1, 2³¹).
      end: the value that it never passes; None bounds nothing. Default None.

    Raises:
      TypeError, ValueError: a period or rate that is not such a number, or an `end` that the value
        moves away from.

    Optax: `exponential_decay(init_value, transition_steps, decay_rate, end_value=end)`; PyTorch:
    `ExponentialLR(gamma)` with steps 1; Keras: `ExponentialDecay`.

    Example::

        >>> import adaptax
        >>> print(adaptax.exponential(0.1, 0.5, steps=10, end=0.03).table([0, 10, 20]))
        step  value
           0  0.1
          10  0.05
          20  0.03
    """
    checks.argument("exponential", "decay_rate", decay_rate, _RATIO)
    checks.argument("exponential", "end", end, _BOUND)
    steps = forms.whole("exponential", "steps", steps, "the steps of one period")
    first, rate = forms.known(start), forms.known(decay_rate)
    grow = forms.growth(rate, steps)
    if end is None:
        free = forms.of_steps(lambda k, dtype: grow(k, forms.scalar(first, dtype), dtype))
        return Curve(free, span=4 * steps)
    last = forms.known(end)
    _on_the_way(first, rate, last)

    def at(k: jax.Array, dtype: Any) -> jax.Array:
        value, bound = grow(k, forms.scalar(first, dtype), dtype), forms.scalar(last, dtype)
        if isinstance(rate, float):
            return jnp.maximum(value, bound) if rate < 1 else jnp.minimum(value, bound)
        return jnp.where(rate < 1, jnp.maximum(value, bound), jnp.minimum(value, bound))

    return Curve(forms.of_steps(at), span=4 * steps)


def _on_the_way(start: Any, rate: Any, end: Any) -> None:
    if not all(isinstance(number, float) for number in (start, rate, end)):
        return
    if (rate < 1 and end > start) or (rate > 1 and end < start):
        way, side = ("falls", "most") if rate < 1 else ("grows", "least")
        raise ValueError(
            f"exponential(start={start!r}, decay_rate={rate!r}, end={end!r}): the value {way}, so "
            f"end must be at {side} start, or None"
        )


@schedule
def staircase(start: float, decay_rate: float, every: int) -> Curve:
    """Multiplied by `decay_rate` once in `every` steps.

        value(k) = start · decay_rate^⌊k/every⌋

    Args:
      decay_rate: what the value is multiplied by at each stair; in (0, inf). A traced one is
        raised in floating point, and loses digits with the size of the exponent.
      every: the steps of one stair; a whole number in [1, 2³¹).

    Raises:
      TypeError, ValueError: stairs or a rate that are not such numbers.

    Optax: `exponential_decay(..., staircase=True)`; PyTorch: `StepLR(step_size, gamma)`; Keras:
    `ExponentialDecay(staircase=True)`.

    Example::

        >>> import adaptax
        >>> print(adaptax.staircase(0.1, 0.5, every=10).table([0, 9, 10, 20]))
        step  value
           0  0.1
           9  0.1
          10  0.05
          20  0.025
    """
    checks.argument("staircase", "decay_rate", decay_rate, _RATIO)
    every = forms.whole("staircase", "every", every, "the steps of one stair")
    first, grow = forms.known(start), forms.growth(forms.known(decay_rate), 1)

    def at(k: jax.Array, dtype: Any) -> jax.Array:
        return grow(k // every, forms.scalar(first, dtype), dtype)

    stairs = tuple(every * stair for stair in range(1, 5))
    return Curve(forms.of_steps(at), edges=stairs, span=stairs[-1])


@schedule
def inverse_time(start: float, decay_rate: float, steps: int) -> Curve:
    """Divided by a number that grows by `decay_rate` every `steps` steps.

        value(k) = start/(1 + decay_rate k/steps)

    Args:
      decay_rate: what the divisor grows by in `steps` steps; in [0, inf).
      steps: the period; a whole number in [1, 2³¹).

    Raises:
      TypeError, ValueError: a period or rate that is not such a number.

    Keras: `InverseTimeDecay(initial_learning_rate, decay_steps, decay_rate)`; Optax and PyTorch
    have none.

    Example::

        >>> import adaptax
        >>> print(adaptax.inverse_time(0.1, 1.0, steps=10).table([0, 10, 30]))
        step  value
           0  0.1
          10  0.05
          30  0.025
    """
    checks.argument("inverse_time", "decay_rate", decay_rate, _SLOWDOWN)
    steps = forms.whole("inverse_time", "steps", steps, "the steps of one period")
    first, rate = forms.known(start), forms.known(decay_rate)

    def at(k: jax.Array, dtype: Any) -> jax.Array:
        growth = forms.scalar(rate, dtype) * (k.astype(dtype) * (1.0 / steps))
        return forms.scalar(first, dtype) / (1 + growth)

    return Curve(forms.of_steps(at), span=4 * steps)


@schedule
def cosine(peak: float, steps: int, end: float = 0.0) -> Curve:
    """Half a period of a cosine from `peak` to `end`, and then `end`.

        value(k) = end + (peak − end) sin²(π (T − k)/(2T)),  k ≤ T = steps

    which is end + (peak − end)(1 + cos(π k/T))/2 without its cancellation near the end.

    Args:
      steps: how many steps it takes; a whole number in [1, 2³¹).
      end: the value from step `steps` on; a finite number, at most the peak. Default 0.0.

    Raises:
      TypeError, ValueError: steps that are not such a number, a value that is not finite, an end
        above the peak.

    Source: Loshchilov and Hutter, arXiv:1608.03983, equation 5, one period.

    Optax: `cosine_decay_schedule(init_value, decay_steps)`, where alpha is end/peak; PyTorch:
    `CosineAnnealingLR(T_max, eta_min)`, which rises again after T_max; Keras: `CosineDecay`.

    Example::

        >>> import adaptax
        >>> print(adaptax.cosine(0.1, steps=10).table([0, 5, 10]))
        step  value
           0  0.1
           5  0.05
          10  0
    """
    checks.argument("cosine", "end", end, _END)
    forms.ordered("cosine", "end", end, "peak", peak)
    steps = forms.whole("cosine", "steps", steps, "how many steps it takes")
    at = forms.of_steps(forms.half_period(forms.known(peak), forms.known(end), steps))
    return Curve(at, steps, lambda steps: cosine(peak, steps, end))


@schedule
def rex(peak: float, steps: int, end: float = 0.0) -> Curve:
    """From `peak` to `end` by reflected exponential decay, which falls late, and then `end`.

        value(k) = end + (peak − end) (1 − z)/(1/2 + (1 − z)/2),  z = k/T,  k ≤ T = steps

    Args:
      steps: how many steps it takes; a whole number in [1, 2³¹).
      end: the value from step `steps` on; a finite number, at most the peak. Default 0.0.

    Raises:
      TypeError, ValueError: steps that are not such a number, a value that is not finite, an end
        above the peak.

    Source: Chen, Wolfe and Kyrillidis, arXiv:2107.04197, section 3.

    Optax, PyTorch and Keras have none.

    Example::

        >>> import adaptax
        >>> print(adaptax.rex(0.1, steps=10).table([0, 5, 10]))
        step  value
           0  0.1
           5  0.0666667
          10  0
    """
    checks.argument("rex", "end", end, _END)
    forms.ordered("rex", "end", end, "peak", peak)
    steps = forms.whole("rex", "steps", steps, "how many steps it takes")
    first, last = forms.known(peak), forms.known(end)

    def at(k: jax.Array, dtype: Any) -> jax.Array:
        k = jnp.minimum(k, steps)
        left, done = forms.share(steps - k, steps, dtype), forms.share(k, steps, dtype)
        over = 1 + left
        ends = forms.scalar(first, dtype), forms.scalar(last, dtype)
        return forms.blend(*ends, 2 * left / over, done / over)

    return Curve(forms.of_steps(at), steps, lambda steps: rex(peak, steps, end))
