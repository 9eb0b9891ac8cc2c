"""One cycle for a whole run: the rate up and far down, and the momentum against it.

sgd(one_cycle(0.1, 1000), momentum=one_cycle_momentum(1000))
"""

import itertools
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import jax
import jax.core
import jax.numpy as jnp

from adaptax.core import checks
from adaptax.core.checks import UNIT, Argument, Range
from adaptax.rates import forms
from adaptax.rates.schedule import Curve, schedule

_PEAK = Argument("the highest value", Range(0.0, low_open=True))
_PART = Argument("the part of the steps in which the rate rises", Range(0.0, 1.0, high_open=False))
_DIVISOR = Argument("what one value is divided by to give a lower one", Range(1.0))
_FLAG = Argument("fall to the first value first, and below it in a third phase", flag=True)
_MOMENTUM = Argument("decay of the momentum, per step", UNIT)


@schedule
def one_cycle(
    peak: float,
    steps: int,
    pct_start: float = 0.3,
    div_factor: float = 25.0,
    final_div_factor: float = 1e4,
    three_phase: bool = False,
    shape: str = "cosine",
) -> Curve:
    """One rise to `peak` and one fall far below the start, for a whole run.

        first = peak/div_factor,  last = first/final_div_factor,  R = pct_start · T,  T = steps
        value(k) runs from first to peak up to k = R and from there to last at k = T; with
        three_phase it is back at first at k = 2R, and runs from there to last

    R is rounded to the nearest step, and at least 1 where pct_start > 0.

    Args:
      peak: the highest value; a number > 0.
      steps: how many steps it takes; a whole number in [1, 2³¹).
      pct_start: the part of the steps in which the rate rises; in [0, 1], and with three_phase at
        most 1/2. Default 0.3.
      div_factor: peak/first; in [1, inf). Default 25.0.
      final_div_factor: first/last; in [1, inf). Default 1e4.
      three_phase: fall to the first value first, and below it in a third phase. Default False.
      shape: of all phases: "cosine", "linear" or "exponential". Default "cosine".

    Raises:
      TypeError, ValueError: a number that is not such a one, another shape.

    Source: Smith and Topin, arXiv:1708.07120, section 3; the defaults are PyTorch's.

    Optax: `cosine_onecycle_schedule(steps, peak)`, which starts at the peak where pct_start · steps
    is below 1; PyTorch: `OneCycleLR(max_lr, total_steps)`, whose phases end one step earlier, so
    that the last step has the last value.

    Example::

        >>> import adaptax
        >>> print(adaptax.one_cycle(0.1, steps=10).table([0, 3, 10]))
        step  value
           0  0.004
           3  0.1
          10  4e-07
    """
    where = "one_cycle"
    steps = forms.whole(where, "steps", steps, "how many steps it takes")
    checks.argument(where, "peak", peak, _PEAK)
    checks.argument(where, "div_factor", div_factor, _DIVISOR)
    checks.argument(where, "final_div_factor", final_div_factor, _DIVISOR)
    bounds = _phases(where, steps, pct_start, three_phase)
    top, divisor = forms.known(peak), forms.known(div_factor)
    first = _quotient(top, divisor)
    last = _quotient(first, forms.known(final_div_factor))
    values = (first, top, first, last) if three_phase else (first, top, last)

    def stretched(steps: int) -> Any:
        return one_cycle(peak, steps, pct_start, div_factor, final_div_factor, three_phase, shape)

    at = _phased(where, shape, bounds, values)
    return Curve(forms.of_steps(at), steps, stretched, edges=bounds[1:])


@schedule
def one_cycle_momentum(
    steps: int,
    base_momentum: float = 0.85,
    max_momentum: float = 0.95,
    pct_start: float = 0.3,
    three_phase: bool = False,
    shape: str = "cosine",
) -> Curve:
    """The momentum that goes with `one_cycle`: low where the rate is high.

        value(k) runs from max_momentum to base_momentum up to k = R and back to max_momentum at
        k = T = steps, or with three_phase at k = 2R; R as in `one_cycle`

    Args:
      steps: how many steps it takes; a whole number in [1, 2³¹).
      base_momentum: the lowest momentum, per step; in [0, 1). Default 0.85.
      max_momentum: the highest momentum, per step; in [0, 1). Default 0.95.
      pct_start: the part of the steps in which the rate rises; in [0, 1], and with three_phase at
        most 1/2. Default 0.3.
      three_phase: back at the highest at 2R instead of at the end. Default False.
      shape: of all phases: "cosine", "linear" or "exponential". Default "cosine".

    Raises:
      TypeError, ValueError: a number that is not such a one, another shape.

    Source: Smith and Topin, arXiv:1708.07120, section 3; the defaults are PyTorch's `OneCycleLR`.

    Example::

        >>> import adaptax
        >>> rate, momentum = adaptax.one_cycle(0.1, 10), adaptax.one_cycle_momentum(10)
        >>> tx = adaptax.sgd(rate, momentum=momentum)
        >>> print(momentum.table([0, 3, 10]))
        step  value
           0  0.95
           3  0.85
          10  0.95
    """
    where = "one_cycle_momentum"
    steps = forms.whole(where, "steps", steps, "how many steps it takes")
    checks.argument(where, "base_momentum", base_momentum, _MOMENTUM)
    checks.argument(where, "max_momentum", max_momentum, _MOMENTUM)
    forms.ordered(where, "base_momentum", base_momentum, "max_momentum", max_momentum)
    bounds = _phases(where, steps, pct_start, three_phase)
    low, high = forms.known(base_momentum), forms.known(max_momentum)
    values = (high, low, high, high) if three_phase else (high, low, high)

    def stretched(steps: int) -> Any:
        return one_cycle_momentum(steps, base_momentum, max_momentum, pct_start, three_phase, shape)

    at = _phased(where, shape, bounds, values)
    return Curve(forms.of_steps(at), steps, stretched, edges=bounds[1:])


def _quotient(value: Any, divisor: Any) -> Any:
    """value/divisor of floats, or of what is traced, in its own dtype."""
    dtype = getattr(value, "dtype", None) or getattr(divisor, "dtype", None)
    return forms.scalar(value, dtype) / forms.scalar(divisor, dtype)


def _phases(where: str, steps: int, pct_start: Any, three_phase: Any) -> tuple[int, ...]:
    """The steps at which the phases start and end."""
    if isinstance(pct_start, jax.core.Tracer):
        raise TypeError(
            f"{where}(pct_start={pct_start!r}): pct_start must be known when the schedule is made"
        )
    checks.argument(where, "pct_start", pct_start, _PART)
    checks.argument(where, "three_phase", three_phase, _FLAG)
    if three_phase and pct_start > 0.5:
        raise ValueError(
            f"{where}(pct_start={pct_start!r}, three_phase=True): pct_start must be at most 0.5: "
            "the rate falls for as long as it rises"
        )
    rise = int(Fraction(pct_start) * steps + Fraction(1, 2))
    rise = max(rise, 1) if pct_start > 0 else 0
    return (0, rise, min(2 * rise, steps), steps) if three_phase else (0, rise, steps)


def _phased(
    where: str, shape: str, bounds: tuple[int, ...], values: tuple
) -> Callable[[jax.Array, Any], jax.Array]:
    """From each value to the next between two bounds, and then the last value."""
    between = list(itertools.pairwise(bounds))
    parts = [
        forms.named(where, "shape", shape, forms.RISES, *ends, b - a)
        for ends, (a, b) in zip(itertools.pairwise(values), between, strict=True)
    ]

    def at(k: jax.Array, dtype: Any) -> jax.Array:
        value = parts[-1](jnp.maximum(k - between[-1][0], 0), dtype)
        for part, (a, b) in zip(parts[-2::-1], between[-2::-1], strict=True):
            value = jnp.where(k < b, part(jnp.maximum(k - a, 0), dtype), value)
        return value

    return at
