"""Products and sums of schedules, and any function of the step as a schedule.

Three compositions::

    0.5 * cosine(0.1, 1000)                         # half of it: product_of(0.5, cosine(...))
    cosine(0.1, 1000) + 0.001                       # above a floor: sum_of(cosine(...), 0.001)
    warmup(1.0, 100) * function(lambda k: ...)      # what you have, with a rise
"""

import functools
import operator
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from adaptax.core import checks
from adaptax.core.checks import ANY, Argument
from adaptax.rates import forms
from adaptax.rates.schedule import Curve, Schedule, schedule

_FACTOR = Argument("what is multiplied", ANY, schedule=True)
_TERM = Argument("what is added", ANY, schedule=True)


@schedule
def product_of(*factors: Any) -> Curve:
    """The product of schedules and numbers; `s * t` and `0.5 * s` make it.

        value(k) = factor₁(k) · factor₂(k) · …

    Args:
      factors: at least one; schedules, functions of the step that `jax.jit` can trace, or numbers.

    Raises:
      TypeError: a factor that is no such thing; a controller, which has a memory, is none.
      ValueError: no factor, or a number that is not finite.

    Example::

        >>> import adaptax
        >>> print((0.5 * adaptax.linear(0.1, 0.0, steps=10)).table([0, 5, 10]))
        step  value
           0  0.05
           5  0.025
          10  0
    """
    _check("product_of", "factors", factors, _FACTOR)
    return _folded(factors, operator.mul, product_of)


@schedule
def sum_of(*terms: Any) -> Curve:
    """The sum of schedules and numbers; `s + t` and `s + 0.01` make it.

        value(k) = term₁(k) + term₂(k) + …

    Where terms cancel, the error is relative to the largest of them.

    Args:
      terms: at least one; schedules, functions of the step that `jax.jit` can trace, or numbers.

    Raises:
      TypeError: a term that is no such thing; a controller, which has a memory, is none.
      ValueError: no term, or a number that is not finite.

    Example::

        >>> import adaptax
        >>> print((adaptax.linear(0.1, 0.0, steps=10) + 0.01).table([0, 5, 10]))
        step  value
           0  0.11
           5  0.06
          10  0.01
    """
    _check("sum_of", "terms", terms, _TERM)
    return _folded(terms, _plus, sum_of)


@schedule
def function(of: Callable[[Any], Any]) -> Curve:
    """Any function of the step as a schedule, to be tabulated, drawn, multiplied and added.

        value(k) = of(k)

    It equals only schedules of the same function object, and has no config.

    Args:
      of: a function of one step, an int32 scalar, that `jax.jit` can trace and that gives one
        number; a schedule of Optax, for example.

    Raises:
      TypeError: something that cannot be called.
      ValueError: when it is called, a function that gives more than one number.

    Example::

        >>> import adaptax
        >>> half = adaptax.function(lambda step: 0.1 / (1 + step))
        >>> print((2 * half).table([0, 1, 3]))
        step  value
           0  0.2
           1  0.1
           3  0.05
    """
    if not callable(of):
        raise TypeError(
            f"function(of={of!r}): of must be a function of the step; a number is constant(number)"
        )
    return Curve(forms.of_steps(lambda k, dtype: ask(of, k, dtype)))


def ask(part: Any, k: jax.Array, dtype: Any) -> jax.Array:
    """What a schedule, a function of one step or a number gives at each of the steps."""
    if isinstance(part, Schedule):
        return part(k).astype(dtype)
    if not callable(part):
        return forms.level(forms.known(part))(k, dtype)

    def one(step: jax.Array) -> jax.Array:
        value = jnp.asarray(part(step))
        if value.shape:
            raise ValueError(
                f"{part!r} gave an array of shape {value.shape} at one step; a schedule gives one "
                "number"
            )
        return value.astype(dtype)

    return jax.vmap(one)(k.reshape(-1)).reshape(k.shape) if k.shape else one(k)


def _check(where: str, name: str, parts: tuple, spec: Argument) -> None:
    """Refuse what is neither a function of the step nor a number."""
    if not parts:
        raise ValueError(f"{where}(): {name} must be at least one schedule or number")
    for part in parts:
        if hasattr(part, "absorb") and not callable(part):
            raise TypeError(
                f"{where}({name}={part!r}): a controller has a memory and is no function of "
                "the step; give it the product or sum as its base"
            )
        checks.argument(where, name, part, spec)


def _plus(first: jax.Array, second: jax.Array) -> jax.Array:
    """The sum of rounded terms, whatever the program around it.

    A product in a term would be fused with the sum, another one in another program, and with that
    one rounding less. Through a `where` it is not; a barrier does not hold that off on the CPU.
    """

    def rounded(term: jax.Array) -> jax.Array:
        return jnp.where(jnp.abs(term) < np.inf, term, 2 * term)

    return rounded(first) + rounded(second)


def _folded(parts: tuple, by: Callable[[Any, Any], Any], make: Callable[..., Schedule]) -> Curve:
    """One value after another, combined."""

    def at(k: jax.Array, dtype: Any) -> jax.Array:
        return functools.reduce(by, [ask(part, k, dtype) for part in parts])

    curves = [_curve(part) for part in parts]
    horizons = [curve.horizon for curve in curves if curve.horizon is not None]
    spans = [*horizons, *(curve.span for curve in curves if curve.span is not None)]
    rests = [curve.rests for curve in curves if curve.rests is not None]
    settled = max(rests) if len(rests) == len(curves) else None
    return Curve(
        forms.of_steps(at),
        horizon=settled if horizons else None,
        stretched=_each(parts, "stretched", make),
        decaying=_each(parts, "decaying", make),
        edges=tuple(sorted({edge for curve in curves for edge in curve.edges})),
        span=max(spans, default=None),
        settled=settled,
    )


def _curve(part: Any) -> Curve:
    """What is known about a part."""
    if isinstance(part, Schedule):
        return part.curve
    return Curve(part, settled=None if callable(part) else 0)


def _each(
    parts: tuple, change: str, make: Callable[..., Schedule]
) -> Callable[[int], Schedule] | None:
    """The change of every part that knows it, and None where no part does."""

    def changed(part: Any, number: int) -> Any:
        known = getattr(part.curve, change) if isinstance(part, Schedule) else None
        return part if known is None else known(number)

    if not any(isinstance(part, Schedule) and getattr(part.curve, change) for part in parts):
        return None
    return lambda number: make(*(changed(part, number) for part in parts))
