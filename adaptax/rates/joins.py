"""Schedules made of parts: values in steps, a warm-up and what follows it, any joined to any."""

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from adaptax.core import checks, numerics
from adaptax.core.checks import ANY, Argument
from adaptax.rates import forms
from adaptax.rates.schedule import schedule

_END = Argument("the value that it ends at", ANY)
_VALUE = Argument("the value between two boundaries", ANY)


@schedule
def piecewise(values: Sequence[float], boundaries: Sequence[int]) -> Callable[[Any], jax.Array]:
    """Constant values, each from one boundary to the next.

        value(k) = valuesᵢ,  boundariesᵢ₋₁ ≤ k < boundariesᵢ

    Args:
      values: one finite number more than there are boundaries.
      boundaries: the steps that the second value and its followers start at; increasing whole
        numbers in [0, 2³¹).

    Raises:
      TypeError, ValueError: boundaries that are not such numbers or do not increase, a value that
        is not finite, or another number of values.

    Optax: `piecewise_constant_schedule`, which takes factors; PyTorch: `MultiStepLR(milestones)`;
    Keras: `PiecewiseConstantDecay(boundaries, values)`, where the step `boundaries[i]` still has
    `values[i]`.

    Example::

        >>> import adaptax
        >>> print(adaptax.piecewise([0.1, 0.01], [10]).table([0, 9, 10]))
        step  value
           0  0.1
           9  0.1
          10  0.01
    """
    edges = _edges("piecewise", boundaries)
    _one_more("piecewise", "values", values, edges)
    for value in values:
        checks.argument("piecewise", "values", value, _VALUE)
    numbers = [forms.known(value) for value in values]

    def at(k: jax.Array, dtype: Any) -> jax.Array:
        table = jnp.stack([jnp.asarray(forms.scalar(number, dtype), dtype) for number in numbers])
        return table[_place(k, edges)]

    return forms.of_steps(at)


def _place(k: jax.Array, edges: tuple[int, ...]) -> jax.Array:
    """How many boundaries are reached."""
    index = jnp.zeros(k.shape, np.int32)
    for edge in edges:
        index = index + (k >= edge).astype(np.int32)
    return index


@schedule
def warmup(peak: float, steps: int, start: float = 0.0) -> Callable[[Any], jax.Array]:
    """A straight rise from `start` to `peak`, and then `peak`.

        value(k) = start + (peak − start) k/T,  k ≤ T = steps

    Args:
      steps: how many steps it takes; a whole number in [0, 2³¹). 0 is the peak at once.

    Raises:
      TypeError, ValueError: steps that are not such a number, a value that is not finite.

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
    return forms.of_steps(forms.line(forms.known(start), forms.known(peak), steps))


@schedule
def warmup_cosine(
    peak: float, warmup_steps: int, steps: int, start: float = 0.0, end: float = 0.0
) -> Callable[[Any], jax.Array]:
    """A straight rise to `peak`, then half a period of a cosine that reaches `end` at `steps`.

        value(k) = warmup(peak, warmup_steps, start)(k),                         k < warmup_steps
        value(k) = cosine(peak, steps − warmup_steps, end)(k − warmup_steps)     from there on

    Args:
      warmup_steps: the steps of the rise; a whole number in [0, steps].
      steps: all the steps, those of the rise included; a whole number in [1, 2³¹).
      end: the value from step `steps` on; a finite number. Default 0.0.

    Raises:
      TypeError, ValueError: steps that are not such numbers, a value that is not finite.

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
    steps = forms.whole(where, "steps", steps, "all the steps, those of the rise included")
    rising = forms.whole(where, "warmup_steps", warmup_steps, "the steps of the rise", least=0)
    if rising > steps:
        raise ValueError(
            f"{where}(warmup_steps={rising}, steps={steps}): warmup_steps must be at most steps, "
            "which counts all the steps, those of the rise included"
        )
    first, top, last = forms.known(start), forms.known(peak), forms.known(end)
    rise, fall = forms.line(first, top, rising), forms.half_period(top, last, steps - rising)

    def at(k: jax.Array, dtype: Any) -> jax.Array:
        return jnp.where(k < rising, rise(k, dtype), fall(jnp.maximum(k - rising, 0), dtype))

    return forms.of_steps(at)


@schedule
def join(
    schedules: Sequence[Callable[[Any], Any]], boundaries: Sequence[int]
) -> Callable[[Any], jax.Array]:
    """One schedule after another, each of which counts its own steps from 0.

        value(k) = schedulesᵢ(k − boundariesᵢ₋₁),  boundariesᵢ₋₁ ≤ k < boundariesᵢ

    Args:
      schedules: one schedule more than there are boundaries; each a function of the step that
        `jax.jit` can trace, from here or from elsewhere.
      boundaries: the steps that the second schedule and its followers start at; increasing whole
        numbers in [0, 2³¹).

    Raises:
      TypeError, ValueError: boundaries that are not such numbers or do not increase, a schedule
        that cannot be called, or another number of schedules.

    Optax: `join_schedules(schedules, boundaries)`; PyTorch: `SequentialLR(schedulers, milestones)`.
    A join with a function from elsewhere has no config.

    Example::

        >>> import adaptax
        >>> parts = [adaptax.warmup(0.1, steps=10), adaptax.constant(0.02)]
        >>> print(adaptax.join(parts, [10]).table([0, 5, 10]))
        step  value
           0  0
           5  0.05
          10  0.02
    """
    edges = _edges("join", boundaries)
    _one_more("join", "schedules", schedules, edges)
    for part in schedules:
        if not callable(part):
            raise TypeError(
                f"join(schedules=...): {part!r} cannot be called; a part is a schedule "
                "(step -> number), and a number is constant(number)"
            )

    def at(step: Any) -> jax.Array:
        k = jnp.asarray(forms.counter(step))
        starts = (0, *edges)
        values = [_called(part, k, start) for part, start in zip(schedules, starts, strict=True)]
        value = values[-1]
        for edge, earlier in zip(reversed(edges), reversed(values[:-1]), strict=True):
            value = jnp.where(k < edge, earlier, value)
        return value

    return at


def _called(part: Callable[[Any], Any], k: jax.Array, start: int) -> jax.Array:
    value = part(jnp.maximum(k - start, 0))
    return jnp.broadcast_to(jnp.asarray(value).astype(numerics.scalar_dtype()), k.shape)


def _edges(where: str, boundaries: Any) -> tuple[int, ...]:
    if not isinstance(boundaries, list | tuple):
        raise TypeError(
            f"{where}(boundaries={boundaries!r}): boundaries must be a list of whole numbers, the "
            "steps at which the next part starts"
        )
    meaning = "a step at which the next part starts"
    edges = [forms.whole(where, "boundaries", b, meaning, least=0) for b in boundaries]
    if any(a >= b for a, b in itertools.pairwise(edges)):
        raise ValueError(
            f"{where}(boundaries={boundaries!r}): boundaries must increase; sort them and leave "
            "out repeated ones"
        )
    return tuple(edges)


def _one_more(where: str, name: str, parts: Any, edges: tuple[int, ...]) -> None:
    if not isinstance(parts, list | tuple):
        raise TypeError(f"{where}({name}={parts!r}): {name} must be a list")
    if len(parts) != len(edges) + 1:
        raise ValueError(
            f"{where}(): {len(edges)} boundaries need {len(edges) + 1} {name}, not {len(parts)}: "
            "one before the first boundary and one from each on"
        )
