"""Schedules made of parts: values in steps, and any schedule joined to any."""

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from adaptax.core import checks, numerics
from adaptax.core.checks import ANY, Argument
from adaptax.rates import forms
from adaptax.rates.arithmetic import ask
from adaptax.rates.schedule import Curve, Schedule, schedule

_VALUE = Argument("the value between two boundaries", ANY)


@schedule
def piecewise(values: Sequence[float], boundaries: Sequence[int] | np.ndarray) -> Curve:
    """Constant values, each from one boundary to the next.

        value(k) = valuesᵢ,  boundariesᵢ₋₁ ≤ k < boundariesᵢ

    Args:
      values: one finite number more than there are boundaries.
      boundaries: the steps that the second value and its followers start at; increasing whole
        numbers in [0, 2³¹), in a list or a one-dimensional array of NumPy.

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

    span = edges[-1] * 5 // 4 + 1 if edges else None
    return Curve(forms.of_steps(at), edges=edges, span=span, settled=max(edges, default=0))


def _place(k: jax.Array, edges: tuple[int, ...]) -> jax.Array:
    """How many boundaries are reached."""
    index = jnp.zeros(k.shape, np.int32)
    for edge in edges:
        index = index + (k >= edge).astype(np.int32)
    return index


@schedule
def join(
    schedules: Sequence[Callable[[Any], Any]], boundaries: Sequence[int] | np.ndarray
) -> Curve:
    """One schedule after another, each of which counts its own steps from 0.

        value(k) = schedulesᵢ(k − boundariesᵢ₋₁),  boundariesᵢ₋₁ ≤ k < boundariesᵢ

    Args:
      schedules: one schedule more than there are boundaries; each a function of one step that
        `jax.jit` can trace, from here or from elsewhere.
      boundaries: the steps that the second schedule and its followers start at; increasing whole
        numbers in [0, 2³¹), in a list or a one-dimensional array of NumPy.

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
        dtype = numerics.scalar_dtype()
        values = [
            ask(part, jnp.maximum(k - start, 0), dtype)
            for part, start in zip(schedules, starts, strict=True)
        ]
        value = values[-1]
        for edge, earlier in zip(reversed(edges), reversed(values[:-1]), strict=True):
            value = jnp.where(k < edge, earlier, value)
        return value

    return _joined(at, tuple(schedules), edges)


def _joined(at: Callable[[Any], Any], parts: tuple, edges: tuple[int, ...]) -> Curve:
    """What the last part knows, that many steps later."""
    starts = (0, *edges)
    inner = [
        start + edge
        for part, start in zip(parts, starts, strict=True)
        if isinstance(part, Schedule)
        for edge in part.curve.edges
    ]
    last, start = parts[-1], starts[-1]
    curve = last.curve if isinstance(last, Schedule) else Curve(last)

    def stretched(steps: int) -> Schedule:
        if steps <= start:
            raise ValueError(
                f"with_horizon(steps={steps}): the last part of the join starts at step {start}; "
                "steps must be more"
            )
        return join((*parts[:-1], last.with_horizon(steps - start)), edges)

    span = last.span if isinstance(last, Schedule) else 2 * start
    return Curve(
        at,
        horizon=None if curve.horizon is None else start + curve.horizon,
        stretched=None if curve.stretched is None else stretched,
        edges=tuple(sorted({*edges, *inner})),
        span=start + span or None,
        settled=None if curve.rests is None else start + curve.rests,
    )


def _edges(where: str, boundaries: Any) -> tuple[int, ...]:
    if not isinstance(boundaries, list | tuple):
        raise TypeError(
            f"{where}(boundaries={boundaries!r}): boundaries must be a list of whole numbers or a "
            "one-dimensional array of NumPy, the steps at which the next part starts"
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
