"""Schedules that repeat: restarts, and triangles.

Three compositions::

    cosine_restarts(0.1, period=100, growth=2)      # anneal, start again, take twice as long
    triangular(0.001, 0.1, rise_steps=500)          # up and down for ever
    triangular(0.0, 1.0, 500) * cosine(0.1, 5000)   # under another curve
"""

import itertools
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import jax
import jax.core
import jax.numpy as jnp
import numpy as np

from adaptax.core import checks
from adaptax.core.checks import ANY, Argument, Range
from adaptax.rates import forms
from adaptax.rates.schedule import Curve, schedule

_LEAST = 1.001  # of a growth above 1: less takes thousands of cycles to be seen
_RATIO = Range(0.0, 1.0, low_open=True, high_open=False)
_DECAY = Argument("what the peak is multiplied by at each restart", _RATIO)
_GROWTH = Argument("what the length is multiplied by at each restart", Range(1.0))
_FLOOR = Argument("the value that each cycle falls to", ANY)
_SHRINK = Argument("what the height is multiplied by in a step", _RATIO)


@schedule
def cosine_restarts(
    peak: float, period: int, growth: float = 1.0, decay: float = 1.0, end: float = 0.0
) -> Curve:
    """Half a period of a cosine from the peak to `end`, and again from the peak.

        value(k) = end + (peakᵢ − end) sin²(π (Tᵢ − n)/(2Tᵢ)),  n = k − tᵢ,  tᵢ ≤ k < tᵢ₊₁
        tᵢ = period (1 + growth + … + growthⁱ⁻¹), to the nearest step,  Tᵢ = tᵢ₊₁ − tᵢ
        peakᵢ = peak decayⁱ, and never below `end`

    Args:
      period: the steps of the first cycle; a whole number in [1, 2³¹).
      growth: what the length of a cycle is multiplied by at each restart; 1 or at least 1.001,
        whole or not. Default 1.0.
      decay: what the peak is multiplied by at each restart; in (0, 1]. Default 1.0.
      end: the value that each cycle falls to; a finite number, at most the peak. Default 0.0.

    Raises:
      TypeError, ValueError: a number that is not such a one; a traced growth.

    Source: Loshchilov and Hutter, arXiv:1608.03983, equation 5.

    Optax: `sgdr_schedule`, a list of cycles; PyTorch: `CosineAnnealingWarmRestarts(T_0, T_mult,
    eta_min)`; Keras: `CosineDecayRestarts(first_decay_steps, t_mul, m_mul, alpha)`.

    Example::

        >>> import adaptax
        >>> restarts = adaptax.cosine_restarts(0.1, period=10, growth=2, decay=0.5)
        >>> print(restarts.table([0, 5, 10, 20, 30]))
        step  value
           0  0.1
           5  0.05
          10  0.05
          20  0.025
          30  0.025
    """
    where = "cosine_restarts"
    period = forms.whole(where, "period", period, "the steps of the first cycle")
    checks.argument(where, "decay", decay, _DECAY)
    checks.argument(where, "end", end, _FLOOR)
    forms.ordered(where, "end", end, "peak", peak)
    place = _places(where, period, growth)
    top, ratio, last = forms.known(peak), forms.known(decay), forms.known(end)
    shrink = forms.growth(ratio, 1)

    def at(k: jax.Array, dtype: Any) -> jax.Array:
        cycle, left, done = place(k, dtype)
        high, low = forms.scalar(top, dtype), forms.scalar(last, dtype)
        if not (isinstance(ratio, float) and ratio == 1):
            high = jnp.maximum(shrink(cycle, high, dtype), low)
        return forms.blend(high, low, left, done)

    starts = _starts(period, Fraction(growth), 5)
    return Curve(forms.of_steps(at), edges=starts, span=starts[:3][-1])


def _places(where: str, period: int, growth: Any) -> Callable[[jax.Array, Any], tuple]:
    """(k, dtype) -> the cycle's number, sin² of the part of it that is left, and of that done."""
    if isinstance(growth, jax.core.Tracer):
        raise TypeError(
            f"{where}(growth={growth!r}): growth must be known when the schedule is made"
        )
    checks.argument(where, "growth", growth, _GROWTH)
    if 1 < growth < _LEAST:
        raise ValueError(f"{where}(growth={growth!r}): growth must be 1 or at least {_LEAST}")
    if growth == 1:
        return lambda k, dtype: (
            k // period,
            forms.quarter(period - k % period, period, dtype),
            forms.quarter(k % period, period, dtype),
        )
    starts = [0, *_starts(period, Fraction(growth))]
    lengths = [b - a for a, b in itertools.pairwise(starts)]
    # the last cycle may be longer than a step can count: its length is then in two parts
    whole = np.array([min(length, forms.LAST) for length in lengths], np.int32)
    beyond = np.array([length - int(w) for length, w in zip(lengths, whole, strict=True)], float)
    firsts = np.array(starts[:-1], np.int32)
    scales = np.array([np.pi / 2 / length for length in lengths])

    def at(k: jax.Array, dtype: Any) -> tuple:
        cycle = (jnp.searchsorted(firsts, k, side="right") - 1).astype(np.int32)
        done = k - jnp.asarray(firsts)[cycle]
        left = (jnp.asarray(whole)[cycle] - done).astype(dtype)
        left = left + jnp.asarray(beyond.astype(dtype))[cycle]
        scale = jnp.asarray(scales.astype(dtype))[cycle]
        sine, cosine = jnp.sin(left * scale), jnp.sin(done.astype(dtype) * scale)
        return cycle, jnp.where(done == 0, jnp.ones((), dtype), sine * sine), cosine * cosine

    return at


def _starts(period: int, growth: Fraction, count: int | None = None) -> tuple[int, ...]:
    """The first steps of the second cycle and its followers: `count`, or one beyond any step."""
    starts: list[int] = []
    exact, length = Fraction(period), Fraction(period)
    while True:
        starts.append(int(exact + Fraction(1, 2)))
        if len(starts) == count or starts[-1] > forms.LAST:
            return tuple(starts)
        # a float has 53 bits, its powers many times more; 128 of them are enough for a step
        length = _rounded(length * growth)
        exact += length


def _rounded(number: Fraction) -> Fraction:
    return Fraction(int(number * 2**96), 2**96)


@schedule
def triangular(start: float, peak: float, rise_steps: int, fall_steps: int | None = None) -> Curve:
    """Straight up from `start` to `peak` and down again, for ever.

        value(k) = start + (peak − start) x(k)

    where x rises from 0 to 1 in `rise_steps` and falls to 0 in `fall_steps`.

    Args:
      start: the lowest value, at step 0 and after each cycle; a finite number, at most the peak.
      rise_steps: the steps up; a whole number in [1, 2³¹).
      fall_steps: the steps down; None: as many as up. Up and down together are below 2³¹. Default
        None.

    Raises:
      TypeError, ValueError: a number that is not such a one.

    Source: Smith, arXiv:1506.01186, section 3.2; the step size there is `rise_steps`.

    PyTorch: `CyclicLR(base_lr, max_lr, step_size_up, step_size_down)`; Optax has none.

    Example::

        >>> import adaptax
        >>> print(adaptax.triangular(0.1, 0.5, rise_steps=10).table([0, 5, 10, 20, 30]))
        step  value
           0  0.1
           5  0.3
          10  0.5
          20  0.1
          30  0.5
    """
    return _triangles("triangular", start, peak, rise_steps, fall_steps)


@schedule
def triangular2(start: float, peak: float, rise_steps: int, fall_steps: int | None = None) -> Curve:
    """`triangular`, half as high with every cycle.

        value(k) = start + (peak − start) x(k) 2⁻ⁱ in cycle i = 0, 1, …

    Args:
      start: the lowest value, at step 0 and after each cycle; a finite number, at most the peak.
      rise_steps: the steps up; a whole number in [1, 2³¹).
      fall_steps: the steps down; None: as many as up. Default None.

    Raises:
      TypeError, ValueError: a number that is not such a one.

    Source: Smith, arXiv:1506.01186, section 3.2.

    PyTorch: `CyclicLR(mode="triangular2")`.

    Example::

        >>> import adaptax
        >>> print(adaptax.triangular2(0.1, 0.5, rise_steps=10).table([0, 10, 20, 30]))
        step  value
           0  0.1
          10  0.5
          20  0.1
          30  0.3
    """
    height = forms.growth(0.5, 1)

    def shrunk(k: jax.Array, cycle: jax.Array, scale: Any, dtype: Any) -> jax.Array:
        del k
        return height(cycle, scale, dtype)

    return _triangles("triangular2", start, peak, rise_steps, fall_steps, shrunk)


@schedule
def exp_range(
    start: float,
    peak: float,
    rise_steps: int,
    decay_rate: float,
    fall_steps: int | None = None,
) -> Curve:
    """`triangular`, lower with every step by a factor.

        value(k) = start + (peak − start) x(k) decay_rateᵏ

    Args:
      start: the lowest value, at step 0 and after each cycle; a finite number, at most the peak.
      rise_steps: the steps up; a whole number in [1, 2³¹).
      decay_rate: what the height is multiplied by in a step; in (0, 1].
      fall_steps: the steps down; None: as many as up. Default None.

    Raises:
      TypeError, ValueError: a number that is not such a one.

    Source: Smith, arXiv:1506.01186, section 3.2.

    PyTorch: `CyclicLR(mode="exp_range", gamma=decay_rate)`.

    Example::

        >>> import adaptax
        >>> print(adaptax.exp_range(0.0, 0.5, 1, decay_rate=0.5).table([0, 1, 2, 3]))
        step  value
           0  0
           1  0.25
           2  0
           3  0.0625
    """
    checks.argument("exp_range", "decay_rate", decay_rate, _SHRINK)
    height = forms.growth(forms.known(decay_rate), 1)

    def shrunk(k: jax.Array, cycle: jax.Array, scale: Any, dtype: Any) -> jax.Array:
        del cycle
        return height(k, scale, dtype)

    return _triangles("exp_range", start, peak, rise_steps, fall_steps, shrunk)


def _triangles(
    where: str,
    start: Any,
    peak: Any,
    rise_steps: Any,
    fall_steps: Any,
    shrunk: Callable[[jax.Array, jax.Array, Any, Any], jax.Array] | None = None,
) -> Curve:
    up = forms.whole(where, "rise_steps", rise_steps, "the steps up")
    given = rise_steps if fall_steps is None else fall_steps
    down = forms.whole(where, "fall_steps", given, "the steps down")
    period = forms.whole(where, "rise_steps + fall_steps", up + down, "the steps of one cycle")
    forms.ordered(where, "start", start, "peak", peak)
    low, high = forms.known(start), forms.known(peak)

    def at(k: jax.Array, dtype: Any) -> jax.Array:
        cycle, n = k // period, k % period
        rising = n <= up
        first, top = forms.scalar(low, dtype), forms.scalar(high, dtype)
        done = jnp.where(rising, forms.share(n, up, dtype), forms.share(period - n, down, dtype))
        if shrunk is None:
            left = jnp.where(
                rising,
                forms.share(jnp.maximum(up - n, 0), up, dtype),
                forms.share(jnp.maximum(n - up, 0), down, dtype),
            )
            return forms.blend(first, top, left, done)
        height = shrunk(k, cycle, (top - first) * done, dtype)
        return height if forms.is_zero(low) else first + height

    edges = tuple(period * cycle + n for cycle in range(3) for n in (up, period))
    return Curve(forms.of_steps(at), edges=edges, span=3 * period)
