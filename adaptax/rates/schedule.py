"""Schedules as values: step -> number, without memory.

A schedule prints as the call that makes it, compares and hashes by it, and is called with the step
(0 for the first update). Anything callable is accepted where a schedule is; these can also be
tabulated, written to a config and read from text.
"""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from adaptax.core.calls import Call, factory, rebuild


class Schedule:
    """A function of the step that prints, compares and hashes as the call that made it.

    Attributes:
      call: the call that made it.

    Example::

        >>> import adaptax
        >>> adaptax.linear(0.0, 1.0, steps=10)(5)
        Array(0.5, dtype=float32)
    """

    __slots__ = ("__weakref__", "_at", "call")

    def __init__(self, at: Callable[[Any], Any], call: Call):
        self._at, self.call = at, call

    def __call__(self, step: Any) -> Any:
        """The value at `step`, a whole number ≥ 0, concrete or traced."""
        return self._at(step)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Schedule) and self.call == other.call

    def __hash__(self) -> int:
        return hash(self.call)

    def __repr__(self) -> str:
        return repr(self.call)

    def __reduce__(self) -> tuple:
        return (rebuild, (self.call,))

    def table(self, steps: Iterable[int]) -> str:
        """The values at the given steps, as lines of text.

        Example::

            >>> import adaptax
            >>> print(adaptax.staircase(0.1, 0.5, every=10).table([0, 10, 20]))
            step  value
               0  0.1
              10  0.05
              20  0.025
        """
        rows = [(str(k), f"{float(np.asarray(self(k))):.6g}") for k in steps]
        width = max([4, *(len(k) for k, _ in rows)])
        lines = [f"{'step':>{width}}  value", *(f"{k:>{width}}  {v}" for k, v in rows)]
        return "\n".join(lines)


schedule = factory("schedule", Schedule)
"""Decorator for a factory of schedules: checks, names and registers it."""
