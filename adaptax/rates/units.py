"""Epochs, samples and fractions of a run as steps: schedules count nothing else."""

import dataclasses
import math
from fractions import Fraction
from typing import Any

import jax.core

from adaptax.core import checks
from adaptax.core.checks import Argument, Range
from adaptax.rates import forms

_UNITS = {
    "epochs": Argument("passes over the data", Range(0.0)),
    "fraction": Argument("the part of the run", Range(0.0, 1.0, high_open=False)),
    "samples": Argument("the examples seen", Range(0.0, 2.0**63), whole=True),
}


@dataclasses.dataclass(frozen=True)
class RunLength:
    """How long a run is, and what its epochs, samples and fractions are in steps.

        steps of an epoch = ⌈examples/batch_size⌉, or ⌊examples/batch_size⌋ with `drop_last`
        steps             = epochs · steps of an epoch, rounded to the nearest

    Args:
      examples: the examples in the data; a whole number in [1, 2³¹).
      batch_size: the examples in a step; a whole number in [1, 2³¹).
      epochs: how often the data are seen; a number > 0, whole or not. Default 1.
      drop_last: leave out the last batch of an epoch where it is not full; False makes a smaller
        step of it. Default False.

    Raises:
      TypeError, ValueError: an argument that is not such a number, or a run without a step.

    Example::

        >>> import adaptax
        >>> run = adaptax.RunLength(examples=50_000, batch_size=128, epochs=90)
        >>> run.steps, run.after(epochs=5), run.after(fraction=0.1)
        (35190, 1955, 3519)
        >>> adaptax.warmup_cosine(0.1, run.after(epochs=5), run.steps)(1955)
        Array(0.1, dtype=float32)
    """

    examples: int
    batch_size: int
    epochs: float = 1
    drop_last: bool = False

    def __post_init__(self) -> None:
        where = "RunLength"
        for name, meaning in (("examples", "in the data"), ("batch_size", "in a step")):
            value = forms.whole(where, name, getattr(self, name), f"the examples {meaning}")
            object.__setattr__(self, name, value)
        often = Argument("how often the data are seen", Range(0.0, low_open=True))
        object.__setattr__(self, "epochs", _concrete(where, "epochs", self.epochs, often))
        flag = Argument("leave out a batch that is not full", flag=True)
        checks.argument(where, "drop_last", self.drop_last, flag)
        if self.steps_per_epoch == 0:
            raise ValueError(
                f"{self!r}: an epoch has no full batch; make batch_size smaller, or drop_last False"
            )
        if not 1 <= self.steps <= forms.LAST:
            raise ValueError(f"{self!r}: {self.steps} steps; a run has 1 to {forms.LAST}")

    @property
    def steps_per_epoch(self) -> int:
        """The steps of one pass over the data."""
        full, rest = divmod(self.examples, self.batch_size)
        return full if self.drop_last or not rest else full + 1

    @property
    def steps(self) -> int:
        """All the steps of the run."""
        return self.after(epochs=self.epochs)

    def after(
        self,
        *,
        epochs: float | None = None,
        fraction: float | None = None,
        samples: int | None = None,
    ) -> int:
        """The steps after so many epochs, such a part of the run, or so many examples.

        Args:
          epochs: passes over the data, ≥ 0, to the nearest step.
          fraction: the part of the run, in [0, 1], to the nearest step.
          samples: the examples seen, those of earlier epochs again; a whole number ≥ 0. The first
            step after which they all were seen.

        Raises:
          TypeError, ValueError: not exactly one of the three, or not such a number.
        """
        given = {"epochs": epochs, "fraction": fraction, "samples": samples}
        units = [name for name, value in given.items() if value is not None]
        if len(units) != 1:
            raise TypeError(f"after(): one of epochs, fraction and samples, not {units or 'none'}")
        (unit,) = units
        count = _concrete("after", unit, given[unit], _UNITS[unit])
        if unit == "epochs":
            return _nearest(Fraction(count) * self.steps_per_epoch)
        if unit == "fraction":
            return _nearest(Fraction(count) * self.steps)
        seen = self.steps_per_epoch * self.batch_size if self.drop_last else self.examples
        passes, rest = divmod(int(count), seen)
        return passes * self.steps_per_epoch + math.ceil(Fraction(rest, self.batch_size))


def _concrete(where: str, name: str, value: Any, spec: Argument) -> Any:
    """A number that is known now, as Python's."""
    if isinstance(value, jax.core.Tracer):
        raise TypeError(
            f"{where}({name}={value!r}): {name} must be known when steps are counted; a traced "
            "value has no number yet"
        )
    checks.argument(where, name, value, spec)
    number = value.item() if hasattr(value, "item") else value
    return int(number) if number == int(number) else float(number)


def _nearest(steps: Fraction) -> int:
    return math.floor(steps + Fraction(1, 2))
