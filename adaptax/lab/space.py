"""What a search draws from: for every argument an interval or a list of choices.

As text, `b1=0.8..0.95` is an interval, `weight_decay=log:1e-5..1e-1` one whose logarithm is
uniform, and `eps=1e-8,1e-6` a list. Everything is checked against the table of arguments before any
training. The learning rate is in every space.
"""

import dataclasses
import inspect
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from adaptax.core import checks, registry
from adaptax.lab import text

RATE = "learning_rate"
HINT = "write 0.8..0.95, log:1e-5..1e-1 or 1e-8,1e-6"
_ENTRY = re.compile(r"\s*(\w+)\s*=\s*(log:)?\s*(.*?)\s*", re.DOTALL)


@dataclasses.dataclass(frozen=True)
class Interval:
    """Numbers from `low` to `high`, both included; with `log`, their logarithm is uniform.

    Example::

        >>> from adaptax import lab
        >>> print(lab.Interval(1e-4, 0.1, log=True))
        log:0.0001..0.1
    """

    low: float
    high: float
    log: bool = False

    def __str__(self) -> str:
        return f"{'log:' if self.log else ''}{self.low!r}..{self.high!r}"

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high

    def numbers(self) -> tuple[float, ...]:
        """What has to be allowed for all of it to be."""
        return (self.low, self.high)

    def used(self, drawn: float) -> float:
        """The number that a trial trains with: four digits, and none beyond the ends."""
        return min(max(short(drawn), self.low), self.high)

    def points(self, count: int) -> list[float]:
        """`count` numbers at equal distances, or ratios, from end to end."""
        spaced = np.geomspace if self.log else np.linspace
        return [self.used(float(each)) for each in spaced(self.low, self.high, count)]


@dataclasses.dataclass(frozen=True)
class Choices:
    """A list of numbers, each as likely as the others.

    Example::

        >>> from adaptax import lab
        >>> print(lab.Choices((1e-8, 1e-6)))
        1e-08,1e-06
    """

    values: tuple[float, ...]

    def __str__(self) -> str:
        return ",".join(map(repr, self.values))

    def __contains__(self, value: float) -> bool:
        return value in self.values

    def numbers(self) -> tuple[float, ...]:
        """What has to be allowed for all of it to be."""
        return self.values

    def used(self, drawn: float) -> float:
        """The number that a trial trains with."""
        return drawn


Axis = Interval | Choices
Space = dict[str, Axis]
DEFAULT_RATE = Interval(1e-5, 1.0, log=True)


def short(value: float) -> float:
    """Four significant digits, of the distance to 1 for a number just below it.

    Example::

        >>> from adaptax.lab import space
        >>> space.short(0.0123456), space.short(0.99987654)
        (0.01235, 0.9998765)
    """
    size = min(abs(value), abs(1 - value)) if 0.5 < value < 1 else abs(value)
    return value if size == 0 else round(value, 3 - math.floor(math.log10(size)))


def space(optimizer: str, fixed: Iterable[str], given: Any) -> Space:
    """The space of a search, the learning rate first.

    Args:
      optimizer: a registered name.
      fixed: arguments that its call gives already.
      given: None; texts such as "b1=0.8..0.95"; or a dict from argument to text, to (low, high), to
        a list of choices, to an `Interval` or to `Choices`.

    Raises:
      ValueError, TypeError: an argument that is unknown, fixed, no number, or given twice; an empty
        interval; a number out of the argument's range. The message says what is allowed.
    """
    searchable = _searchable(optimizer)
    found: Space = {}
    for name, value in _entries(given):
        where = f"space {name}={text.printable(_shown(value))}"
        if name not in searchable:
            raise ValueError(f"{where}: {_unknown(optimizer, name, searchable)}")
        if name in fixed:
            raise ValueError(f"{where}: {optimizer}({name}=...) fixes it already; leave one out")
        if name in found:
            raise ValueError(f"{where}: {name} is given twice")
        axis = _axis(where, value)
        if name == RATE and isinstance(axis, Interval):
            axis = dataclasses.replace(axis, log=True)
        _check(where, axis)
        for number in axis.numbers():
            checks.argument(optimizer, name, number, searchable[name])
        found[name] = axis
    return {RATE: found.pop(RATE, DEFAULT_RATE), **found}


def _searchable(optimizer: str) -> dict[str, checks.Argument]:
    """The arguments of an optimizer that are numbers and change nothing but numbers."""
    found = {}
    for name in inspect.signature(registry.lookup(optimizer)).parameters:
        spec = checks.ARGUMENTS.get(f"{optimizer}.{name}", checks.ARGUMENTS.get(name))
        if spec is not None and spec.range is not None and not spec.whole:
            found[name] = spec
    if RATE not in found:
        raise ValueError(f"optimizer={optimizer!r} takes no learning_rate, so none can be searched")
    return found


def _unknown(optimizer: str, name: str, searchable: Iterable[str]) -> str:
    if name in inspect.signature(registry.lookup(optimizer)).parameters:
        numbers = ", ".join(searchable)
        return f"{name} is not a number of {optimizer}; these can be searched: {numbers}"
    return f"{optimizer}() has no argument {name!r}; {registry.nearest(name, searchable)}"


def _entries(given: Any) -> list[tuple[str, Any]]:
    if given is None:
        return []
    if isinstance(given, Mapping):
        return [(str(name), value) for name, value in given.items()]
    texts = [given] if isinstance(given, str) else list(given)
    found = []
    for entry in texts:
        match = _ENTRY.fullmatch(entry) if isinstance(entry, str) else None
        if match is None:
            raise ValueError(f"space {text.quoted(entry)} is not NAME=RANGE; {HINT}")
        found.append((match[1], (match[2] or "") + match[3]))
    return found


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else repr(value)


def _axis(where: str, value: Any) -> Axis:
    if isinstance(value, Interval | Choices):
        return value
    if isinstance(value, str):
        return _from_text(where, value)
    if isinstance(value, tuple) and len(value) == 2 and all(map(_is_number, value)):
        return Interval(float(value[0]), float(value[1]))
    if isinstance(value, list) and all(map(_is_number, value)):
        return Choices(tuple(map(float, value)))
    raise TypeError(
        f"{where}: text, (low, high), a list of numbers, an Interval or Choices is needed"
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)


def _from_text(where: str, value: str) -> Axis:
    bare = value.removeprefix("log:")
    log, range_ = bare != value, ".." in bare
    parts = bare.split("..", 1) if range_ else bare.split(",")
    try:
        numbers = tuple(float(part) for part in parts)
    except ValueError:
        raise ValueError(f"{where}: not read as numbers; {HINT}") from None
    if range_:
        return Interval(numbers[0], numbers[1], log)
    if log:
        raise ValueError(f"{where}: log: is for an interval; {HINT}")
    return Choices(numbers)


def _check(where: str, axis: Axis) -> None:
    if isinstance(axis, Choices):
        if len(set(axis.values)) < max(2, len(axis.values)):
            raise ValueError(
                f"{where}: at least two different numbers are needed; write a number that is not "
                "searched into the optimizer's call"
            )
        return
    if not axis.low < axis.high or not math.isfinite(axis.high - axis.low):
        raise ValueError(f"{where}: the low end must be below the high end")
    if axis.log and axis.low <= 0:
        raise ValueError(f"{where}: the low end of a logarithmic interval must be above 0")


def used(space: Space, drawn: Mapping[str, float]) -> dict[str, float]:
    """The numbers that a trial trains with, for what a sampler drew."""
    return {name: axis.used(drawn[name]) for name, axis in space.items()}


def suggested(space: Space, trial: Any) -> dict[str, float]:
    """The numbers of a trial, drawn by its sampler."""
    drawn: dict[str, float] = {}
    for name, axis in space.items():
        if isinstance(axis, Choices):
            drawn[name] = trial.suggest_categorical(name, axis.values)
        else:
            drawn[name] = trial.suggest_float(name, axis.low, axis.high, log=axis.log)
    return used(space, drawn)


def grid(space: Space, trials: int) -> dict[str, list[float]]:
    """The points of a grid: all choices, and as many points in every interval as trials allow.

    Raises:
      ValueError: too few trials for two points in every interval.
    """
    choices = math.prod(len(each.values) for each in space.values() if isinstance(each, Choices))
    intervals = sum(isinstance(each, Interval) for each in space.values())

    def count(points: int) -> int:
        return choices * points**intervals

    if count(2) > trials:
        raise ValueError(
            f"trials={trials}: the smallest grid over this space has {count(2)} points; "
            "allow as many trials, or search fewer arguments"
        )
    points = 2
    while intervals and count(points + 1) <= trials:
        points += 1
    return {
        name: list(axis.values) if isinstance(axis, Choices) else axis.points(points)
        for name, axis in space.items()
    }
