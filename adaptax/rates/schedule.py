"""Schedules as values: step -> number, without memory.

A schedule prints as the call that makes it, compares and hashes by it, and is called with the step
(0 for the first update). Anything callable is accepted where a schedule is; these can also be
multiplied and added, stretched to another number of steps, tabulated, drawn, written to a config
and read from text::

    0.5 * cosine(0.1, 1000) + 0.01                 # another schedule
    cosine(0.1, 1000).with_horizon(2000)           # cosine(0.1, 2000)
    print(cosine(0.1, 1000).table())               # its values, as text
"""

import dataclasses
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from adaptax.core import figures, registry
from adaptax.core.calls import Call, factory, rebuild
from adaptax.rates import forms

_ROWS = 10  # of a table without given steps, about
_SPAN = 100  # how many steps show a schedule that says nothing about it


@dataclasses.dataclass(frozen=True)
class Curve:
    """What a factory of schedules makes: the values, and what else is known about them."""

    at: Callable[[Any], Any]
    horizon: int | None = None  # the steps in all, where there are so many
    stretched: "Callable[[int], Schedule] | None" = None  # the same with another horizon
    decaying: "Callable[[int], Schedule] | None" = None  # the same, decaying from a step on
    edges: tuple[int, ...] = ()  # steps at which one formula follows another
    span: int | None = None  # how many steps show what it does, where there is no horizon
    settled: int | None = None  # a step from which nothing changes, where there is no horizon

    @property
    def rests(self) -> int | None:
        """A step from which nothing changes; None where there is none, or none is known."""
        return self.settled if self.horizon is None else self.horizon


class Schedule:
    """A function of the step that prints, compares and hashes as the call that made it.

    Schedules multiply and add with each other, with other functions of the step and with numbers;
    the results are schedules: `0.5 * s` is `product_of(0.5, s)`, and `s + t` is `sum_of(s, t)`.
    They are divided by numbers and subtracted: `s / 2` is `product_of(s, 0.5)`, `s - 0.1` is
    `sum_of(s, -0.1)`, and `s - t` is `sum_of(s, product_of(-1, t))`.

    Attributes:
      call: the call that made it.

    Example::

        >>> import adaptax
        >>> adaptax.linear(0.0, 1.0, steps=10)(5)
        Array(0.5, dtype=float32)
        >>> 0.5 * adaptax.constant(0.1)
        product_of(0.5, constant(value=0.1))
    """

    __slots__ = ("__weakref__", "call", "curve")
    __array_ufunc__ = None  # NumPy numbers leave * and + to the schedule

    def __init__(self, made: Callable[[Any], Any] | Curve, call: Call):
        self.curve = made if isinstance(made, Curve) else Curve(made)
        self.call = call

    def __call__(self, step: Any) -> Any:
        """The value at `step`, a whole number ≥ 0, concrete or traced."""
        return self.curve.at(step)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Schedule) and self.call == other.call

    def __hash__(self) -> int:
        return hash(self.call)

    def __repr__(self) -> str:
        return repr(self.call)

    def __reduce__(self) -> tuple:
        return (rebuild, (self.call,))

    def __mul__(self, other: Any) -> "Schedule":
        return registry.lookup("product_of")(self, other)

    def __rmul__(self, other: Any) -> "Schedule":
        return registry.lookup("product_of")(other, self)

    def __add__(self, other: Any) -> "Schedule":
        return registry.lookup("sum_of")(self, other)

    def __radd__(self, other: Any) -> "Schedule":
        return registry.lookup("sum_of")(other, self)

    def __truediv__(self, other: Any) -> "Schedule":
        product_of = registry.lookup("product_of")
        product_of(self, other)  # refuses what is neither a number nor a schedule
        if callable(other):
            raise TypeError(
                f"{self!r} / {other!r}: a schedule is divided by a number only; "
                "function(lambda step: ...) takes any formula"
            )
        divisor = forms.known(other)
        if forms.is_zero(divisor):
            raise ValueError(f"{self!r} / {other!r}: the divisor must not be 0")
        return product_of(self, 1 / divisor)

    def __sub__(self, other: Any) -> "Schedule":
        return registry.lookup("sum_of")(self, _negative(other))

    def __rsub__(self, other: Any) -> "Schedule":
        return registry.lookup("sum_of")(other, _negative(self))

    @property
    def horizon(self) -> int | None:
        """The steps in all, after which nothing changes; None where there is no such number.

        A product or sum has one where each part has one or, as a number or a warm-up does, stays
        the same from some step on: the largest of these steps.
        """
        return self.curve.horizon

    def with_horizon(self, steps: int) -> "Schedule":
        """The same schedule with another number of steps in all; a warm-up keeps its own.

        It is the schedule that the call with these steps makes, to the bit. The phases of
        `one_cycle` and `one_cycle_momentum` are parts of the whole and change with it. In products
        and sums every part that has a horizon gets this one; of a join the last part does.

        Args:
          steps: all the steps; a whole number in [1, 2³¹).

        Raises:
          TypeError, ValueError: steps that are not such a number, or too few for the rise.
          ValueError: a schedule without a horizon, such as `constant` or `exponential`.

        Example::

            >>> import adaptax
            >>> (0.5 * adaptax.cosine(0.1, 100)).with_horizon(200)
            product_of(0.5, cosine(peak=0.1, steps=200, end=0.0))
        """
        steps = forms.whole("with_horizon", "steps", steps, "all the steps")
        if self.curve.stretched is None:
            raise ValueError(
                f"{self!r} has no horizon to change; one has a schedule that ends at a step, "
                "such as cosine(peak, steps)"
            )
        return self.curve.stretched(steps)

    def decay_from(self, step: int) -> "Schedule":
        """The same schedule, branched off to decay from `step` on; before it, equal to the bit.

        Only for `wsd`, and products and sums with it.

        Args:
          step: where the decay starts, not before the warm-up ends and, where a `decay_at` is set
            already, not after it; a whole number.

        Raises:
          TypeError, ValueError: not such a number, or a schedule that holds no decay back.

        Example::

            >>> import adaptax
            >>> adaptax.wsd(0.1, 10, 20, shape="linear").decay_from(100)([100, 110, 120])
            Array([0.1 , 0.05, 0.  ], dtype=float32)
        """
        if self.curve.decaying is None:
            raise ValueError(
                f"{self!r} holds no decay back; wsd(peak, warmup_steps, decay_steps) does"
            )
        meaning = "where the decay starts"
        return self.curve.decaying(forms.whole("decay_from", "step", step, meaning, least=0))

    def table(self, steps: Iterable[int] | None = None) -> str:
        """The values at the given steps, as lines of text.

        Args:
          steps: whole numbers; None takes about ten up to the end, those at which one formula
            follows another among them.

        Example::

            >>> import adaptax
            >>> print(adaptax.staircase(0.1, 0.5, every=10).table([0, 10, 20]))
            step  value
               0  0.1
              10  0.05
              20  0.025
        """
        chosen = self.sampled(_ROWS) if steps is None else steps
        rows = [(str(k), f"{float(np.asarray(self(k))):.6g}") for k in chosen]
        width = max([4, *(len(k) for k, _ in rows)])
        lines = [f"{'step':>{width}}  value", *(f"{k:>{width}}  {v}" for k, v in rows)]
        return "\n".join(lines)

    def sampled(self, count: int, steps: int | None = None, before: int = 0) -> list[int]:
        """About `count` steps that show the curve: evenly spaced ones, and those at which one
        formula follows another.

        Args:
          count: how many evenly spaced ones, apart from step 0.
          steps: the last one; None is the horizon, or as far as there is something to see.
          before: 1 adds the step before each change of formula, which shows a jump as one.
        """
        last = self.span if steps is None else forms.whole("sampled", "steps", steps, "the last")
        even = [round(last * part / count) for part in range(count + 1)]
        edges = [k for edge in self.curve.edges for k in (edge - before, edge)]
        return sorted({k for k in (*even, *edges) if 0 <= k <= last})

    @property
    def span(self) -> int:
        """How many steps show what the schedule does: its horizon, where it has one."""
        known = self.curve.span if self.horizon is None else self.horizon
        return max(1, min(_SPAN if known is None else known, forms.LAST))

    def plot(self, steps: int | None = None, path: str | os.PathLike | None = None) -> Any:
        """The curve as a Matplotlib figure, or as a picture in a file.

        Args:
          steps: how many steps are drawn; None draws up to the horizon, or as far as there is
            something to see.
          path: a file ending in .png, .svg or .pdf, which is replaced; None writes none.

        Returns: the `matplotlib.figure.Figure`, or the `pathlib.Path` that was written.

        Raises:
          ImportError: Matplotlib is not installed; the extra "lab" brings it.
          TypeError, ValueError: steps that are not a whole number ≥ 1, or another ending.
          OSError: the file cannot be written.
        """
        from adaptax.rates import plot

        if path is None:
            return plot.draw([self], steps)
        figures.ending(Path(path))  # refused before anything is drawn
        return figures.save(plot.draw([self], steps), Path(path))


def _negative(value: Any) -> Any:
    negative = registry.lookup("product_of")(-1, value)  # refuses what is no number or schedule
    return negative if callable(value) else -value


schedule = factory("schedule", Schedule)
"""Decorator for a factory of schedules: checks, names and registers it."""
