"""Schedules that rise first: the rise alone, and with what usually follows it.

A rise is a line, half a period of a cosine or equal factors, by `shape` or `warmup_shape`. Without
steps there is no rise: the peak comes at once. No `start` or `end` is above the peak. Three
compositions::

    warmup_cosine(0.1, warmup_steps=100, steps=1000)        # rise, then anneal
    inverse_sqrt(0.1, warmup_steps=4000)                    # rise, then fall for ever
    wsd(0.1, 100, 200).decay_from(800)                      # rise, stay, fall when it is time
"""

from typing import Any

import jax
import jax.numpy as jnp

from adaptax.core import checks
from adaptax.core.checks import ANY, NONNEGATIVE, Argument
from adaptax.rates import forms
from adaptax.rates.schedule import Curve, Schedule, schedule

_END = Argument("the value that it ends at", ANY)
_EXPONENT = Argument("how fast it falls: the power of warmup_steps/k", NONNEGATIVE)
_RISE = "the steps of the rise"


@schedule
def warmup(peak: float, steps: int, start: float = 0.0, shape: str = "linear") -> Curve:
    """A rise from `start` to `peak`, and then `peak`.

        linear:       value(k) = start + (peak − start) k/T,  k ≤ T = steps
        cosine:       value(k) = start + (peak − start) sin²(π k/(2T))
        exponential:  value(k) = start (peak/start)^(k/T)

    Args:
      steps: how many steps it takes; a whole number in [0, 2³¹). 0 is the peak at once.
      shape: "linear", "cosine" or "exponential"; the last needs a `start` above 0. Default
        "linear".

    Raises:
      TypeError, ValueError: steps that are not such a number, a value that is not finite or
        above the peak, another shape, an exponential rise from 0.

    Optax: `warmup_constant_schedule(init_value, peak_value, warmup_steps)`, which without steps
    stays at `init_value` for ever; PyTorch: `LinearLR`, whose ends are factors; Keras: the rise of
    `CosineDecay(warmup_target, warmup_steps)`.

    Example::

        >>> import adaptax
        >>> print(adaptax.warmup(0.1, steps=10).table([0, 5, 10, 11]))
        step  value
           0  0
           5  0.05
          10  0.1
          11  0.1
    """
    steps = forms.whole("warmup", "steps", steps, "how many steps it takes", least=0)
    rise = _rise("warmup", "shape", shape, start, peak, steps)
    return Curve(forms.of_steps(rise), edges=(steps,), span=2 * steps or None, settled=steps)


def _rise(where: str, name: str, shape: str, start: Any, peak: Any, steps: int) -> Any:
    forms.ordered(where, "start", start, "peak", peak)
    return forms.named(
        where, name, shape, forms.RISES, forms.known(start), forms.known(peak), steps
    )


@schedule
def warmup_cosine(
    peak: float,
    warmup_steps: int,
    steps: int,
    start: float = 0.0,
    end: float = 0.0,
    warmup_shape: str = "linear",
) -> Curve:
    """A rise to `peak`, then half a period of a cosine that reaches `end` at `steps`.

        value(k) = warmup(peak, warmup_steps, start)(k),                         k < warmup_steps
        value(k) = cosine(peak, steps − warmup_steps, end)(k − warmup_steps)     from there on

    Args:
      warmup_steps: the steps of the rise; a whole number in [0, steps].
      steps: all the steps, those of the rise included; a whole number in [1, 2³¹).
      end: the value from step `steps` on; a finite number, at most the peak. Default 0.0.
      warmup_shape: the rise's, as in `warmup`. Default "linear".

    Raises:
      TypeError, ValueError: steps that are not such numbers, a value that is not finite or
        above the peak, another shape, an exponential rise from 0.

    Source: Loshchilov and Hutter, arXiv:1608.03983; Goyal et al., arXiv:1706.02677.

    Optax: `warmup_cosine_decay_schedule(init_value, peak_value, warmup_steps, decay_steps)`, where
    `decay_steps` is all the steps, as here; Keras: `CosineDecay`, whose `decay_steps` leaves the
    rise out; PyTorch: `SequentialLR` of `LinearLR` and `CosineAnnealingLR`.

    Example::

        >>> import adaptax
        >>> print(adaptax.warmup_cosine(0.1, 10, steps=30).table([0, 5, 10, 20, 30]))
        step  value
           0  0
           5  0.05
          10  0.1
          20  0.05
          30  0
    """
    where = "warmup_cosine"
    checks.argument(where, "end", end, _END)
    forms.ordered(where, "end", end, "peak", peak)
    steps = forms.whole(where, "steps", steps, "all the steps, those of the rise included")
    rising = forms.whole(where, "warmup_steps", warmup_steps, _RISE, least=0)
    if rising > steps:
        raise ValueError(
            f"{where}(warmup_steps={rising}, steps={steps}): warmup_steps must be at most steps, "
            "which counts all the steps, those of the rise included"
        )
    rise = _rise(where, "warmup_shape", warmup_shape, start, peak, rising)
    fall = forms.half_period(forms.known(peak), forms.known(end), steps - rising)

    def at(k: jax.Array, dtype: Any) -> jax.Array:
        return jnp.where(k < rising, rise(k, dtype), fall(jnp.maximum(k - rising, 0), dtype))

    def stretched(steps: int) -> Schedule:
        return warmup_cosine(peak, warmup_steps, steps, start, end, warmup_shape)

    return Curve(forms.of_steps(at), steps, stretched, edges=(rising,))


@schedule
def power_decay(
    peak: float,
    warmup_steps: int,
    exponent: float,
    start: float = 0.0,
    warmup_shape: str = "linear",
) -> Curve:
    """A rise to `peak`, then a power of the step that falls for ever.

        value(k) = warmup(peak, W, start)(k),   k < W = warmup_steps
        value(k) = peak (W/k)^exponent          from there on

    Without a rise W is 1 and the value at step 0 is the peak.

    Args:
      warmup_steps: the steps of the rise; a whole number in [0, 2³¹).
      exponent: how fast it falls; in [0, inf).
      warmup_shape: the rise's, as in `warmup`. Default "linear".

    Raises:
      TypeError, ValueError: steps or an exponent that are not such numbers, a value that is not
        finite or above the peak, another shape, an exponential rise from 0.

    Source: Shen et al., arXiv:2408.13359, whose power schedule is min(peak, a nᵇ) of the tokens n,
    b = −0.51, with a final decay. The power decay to 0 of arXiv:2602.06797 is `polynomial`.

    Example::

        >>> import adaptax
        >>> print(adaptax.power_decay(0.1, 10, exponent=1.0).table([0, 5, 10, 20, 100]))
        step  value
           0  0
           5  0.05
          10  0.1
          20  0.05
         100  0.01
    """
    return _power_decay("power_decay", peak, warmup_steps, exponent, start, warmup_shape)


@schedule
def inverse_sqrt(
    peak: float, warmup_steps: int, start: float = 0.0, warmup_shape: str = "linear"
) -> Curve:
    """A rise to `peak`, then the inverse square root of the step: `power_decay` by 1/2.

        value(k) = warmup(peak, W, start)(k),  k < W = warmup_steps
        value(k) = peak √(W/k)                 from there on

    With peak = 1/√(d_model · W) it is the Transformer's d_model^(−1/2) min(k^(−1/2), k W^(−3/2)).
    The paper counts steps from 1; here k = 0 has the rate `start`.

    Args:
      warmup_steps: the steps of the rise; a whole number in [0, 2³¹). 0 is the peak at once, and
        then peak/√k.
      warmup_shape: the rise's, as in `warmup`. Default "linear".

    Raises:
      TypeError, ValueError: steps that are not such a number, a value that is not finite or
        above the peak, another shape, an exponential rise from 0.

    Source: Vaswani et al., arXiv:1706.03762, equation 3.

    Transformers: `get_inverse_sqrt_schedule`; Optax and PyTorch have none.

    Example::

        >>> import adaptax
        >>> print(adaptax.inverse_sqrt(0.1, warmup_steps=10).table([0, 5, 10, 40]))
        step  value
           0  0
           5  0.05
          10  0.1
          40  0.05
    """
    return _power_decay("inverse_sqrt", peak, warmup_steps, 0.5, start, warmup_shape)


def _power_decay(
    where: str, peak: Any, warmup_steps: Any, exponent: Any, start: Any, shape: str
) -> Curve:
    checks.argument(where, "exponent", exponent, _EXPONENT)
    rising = forms.whole(where, "warmup_steps", warmup_steps, _RISE, least=0)
    rise = _rise(where, "warmup_shape", shape, start, peak, rising)
    exponent, unit = forms.known(exponent), max(rising, 1)
    # a traced exponent may be negated as well
    fall, top = forms.power(-exponent, unit), forms.known(peak)

    def at(k: jax.Array, dtype: Any) -> jax.Array:
        falling = fall(jnp.maximum(k, unit), forms.scalar(top, dtype), dtype)
        return jnp.where(k < rising, rise(k, dtype), falling)

    return Curve(forms.of_steps(at), edges=(rising,), span=10 * unit)


@schedule
def wsd(
    peak: float,
    warmup_steps: int,
    decay_steps: int,
    decay_at: int | None = None,
    shape: str = "1-sqrt",
    start: float = 0.0,
    end: float = 0.0,
    warmup_shape: str = "linear",
) -> Curve:
    """Warm-up, stable, decay: a rise, `peak` for as long as wanted, then a short fall to `end`.

        value(k) = warmup(peak, warmup_steps, start)(k),  k < warmup_steps
        value(k) = peak                                   up to k = decay_at
        value(k) = peak − (peak − end) f(z)               z = (k − decay_at)/D,  D = decay_steps
        value(k) = end                                    from k = decay_at + D on

    with f(z) = √z ("1-sqrt"), z ("linear") or sin²(πz/2) ("cosine"); "exponential" is
    peak (end/peak)^z. Without `decay_at` it stays at the peak, and `decay_from(step)` gives the
    schedule that branches off there: one long run, and a decayed model from any of its checkpoints.
    `with_horizon(steps)` lets the decay end at `steps`.

    Args:
      warmup_steps: the steps of the rise; a whole number in [0, 2³¹).
      decay_steps: the steps of the fall; a whole number in [0, 2³¹).
      decay_at: the step at which the fall starts, at least `warmup_steps`; None: not yet. Default
        None.
      shape: the fall's. Default "1-sqrt".
      end: the value after the fall; a finite number, at most the peak. Default 0.0.
      warmup_shape: the rise's, as in `warmup`. Default "linear".

    Raises:
      TypeError, ValueError: steps that are not such numbers, a fall that starts within the rise, a
        value that is not finite or above the peak, another shape, an exponential one from or to 0.

    Source: Hu et al., arXiv:2404.06395, equation 1; Hägele et al., arXiv:2405.18392, section 3,
    for the shapes.

    Optax and PyTorch have none of one piece.

    Example::

        >>> import adaptax
        >>> print(adaptax.wsd(0.1, 10, 20, decay_at=80, shape="linear").table([0, 10, 80, 90, 100]))
        step  value
           0  0
          10  0.1
          80  0.1
          90  0.05
         100  0
    """
    checks.argument("wsd", "end", end, _END)
    forms.ordered("wsd", "end", end, "peak", peak)
    rising = forms.whole("wsd", "warmup_steps", warmup_steps, _RISE, least=0)
    falling = forms.whole("wsd", "decay_steps", decay_steps, "the steps of the fall", least=0)
    meaning = "the step at which the fall starts, or None"
    decay_at = (
        decay_at if decay_at is None else forms.whole("wsd", "decay_at", decay_at, meaning, 0)
    )
    if decay_at is not None and decay_at < rising:
        raise ValueError(
            f"wsd(decay_at={decay_at}, warmup_steps={rising}): decay_at must be at least "
            "warmup_steps: the fall follows the rise"
        )
    rise = _rise("wsd", "warmup_shape", warmup_shape, start, peak, rising)
    top, last = forms.known(peak), forms.known(end)
    fall = forms.named("wsd", "shape", shape, forms.DECAYS, top, last, falling)
    stay = forms.level(top)

    def at(k: jax.Array, dtype: Any) -> jax.Array:
        value = jnp.where(k < rising, rise(k, dtype), stay(k, dtype))
        if decay_at is None:
            return value
        return jnp.where(k < decay_at, value, fall(jnp.maximum(k - decay_at, 0), dtype))

    def falling_at(step: int) -> Schedule:
        return wsd(peak, warmup_steps, decay_steps, step, shape, start, end, warmup_shape)

    def decaying(step: int) -> Schedule:
        _not_later(step, decay_at)
        return falling_at(step)

    def stretched(steps: int) -> Schedule:
        if steps < rising + falling:
            raise ValueError(
                f"with_horizon(steps={steps}): the rise and the fall of {falling_at(rising)!r} "
                f"take {rising} and {falling} steps; steps must be at least their sum"
            )
        return falling_at(steps - falling)

    return Curve(
        forms.of_steps(at),
        None if decay_at is None else decay_at + falling,
        stretched,
        decaying,
        edges=(rising,) if decay_at is None else (rising, decay_at, decay_at + falling),
        span=2 * rising + falling or None,
        settled=rising if decay_at is None else None,
    )


def _not_later(step: int, decay_at: int | None) -> None:
    """Refuse a decay after one that is set already: the values before it would not be the same."""
    if decay_at is not None and step > decay_at:
        raise ValueError(
            f"decay_from(step={step}): the decay starts at {decay_at} already, and a later one "
            f"would change what comes before it; step must be at most {decay_at}, or branch "
            "off the schedule without decay_at"
        )
