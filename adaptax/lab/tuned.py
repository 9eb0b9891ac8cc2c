"""An optimizer of a comparison at its own best rate, found on examples held out for it."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from adaptax.core import registry
from adaptax.core.transformation import Transformation
from adaptax.lab import data, search, text
from adaptax.lab.candidates import Candidate
from adaptax.lab.results import Tuned
from adaptax.lab.tasks.base import Task
from adaptax.tuning.swept import Sweep

BUDGET = 20  # trainings of an optimizer
LOW, HIGH = 1e-4, 5.0  # rates that are tried, unless the rate is a schedule
FEWEST = 3  # rates; a best one has neighbours
WIDTH = 30.0  # how far from its own peak a schedule's peak is looked for


@dataclasses.dataclass(frozen=True)
class Rated:
    """A candidate as a function of its rate.

    Attributes:
      candidate: as given.
      peak: its rate, of a schedule the highest value.
      scheduled: the rate is a schedule; it is multiplied, so that its highest value is the rate.
    """

    candidate: Candidate
    peak: float
    scheduled: bool

    @property
    def __name__(self) -> str:
        """What a sweep calls it."""
        return text.printable(self.candidate.label)

    def __call__(self, learning_rate: Any) -> Transformation:
        return _with_rate(self._transformation, self._rate(learning_rate))

    def at(self, rate: float) -> Candidate:
        """The candidate with this rate."""
        given = self._rate(rate)
        made = _with_rate(self._transformation, given)
        call = repr(made) if made.call is not None else None
        return dataclasses.replace(self.candidate, transformation=made, call=call, rate=repr(given))

    @property
    def _transformation(self) -> Transformation:
        assert isinstance(self.candidate.transformation, Transformation)
        return self.candidate.transformation

    def _rate(self, rate: Any) -> Any:
        if not self.scheduled:
            return rate
        given = _rates(self._transformation)[0]
        if isinstance(rate, float) and hasattr(given, "__rmul__"):
            return float(f"{rate / self.peak:.6g}") * given
        return lambda step: given(step) * (rate / self.peak)


def rated(candidate: Candidate, steps: int) -> Rated:
    """The candidate as a function of its rate.

    Args:
      candidate: an adaptax optimizer, or a chain with one in it.
      steps: of a training, over which a schedule's highest value is looked for.

    Raises:
      ValueError: a rate that cannot be tuned: Optax's own, a controller, several, or a schedule
        that is nowhere above zero.
    """
    tx, label = candidate.transformation, candidate.label
    found = _rates(tx) if isinstance(tx, Transformation) else []
    if len(found) != 1:
        raise ValueError(
            f"tune: {label!r} has {len(found) or 'no'} learning rate{'s'[: len(found) > 1]} of "
            "adaptax's optimizers; exactly one can be tuned; leave it out, or tune without it"
        )
    rate = found[0]
    if not callable(rate) and hasattr(rate, "absorb"):
        raise ValueError(f"tune: {label!r} has a controller for a rate, which tunes it already")
    if not callable(rate):
        return Rated(candidate, float(rate), scheduled=False)
    peak = max(
        float(np.asarray(rate(step))) for step in np.unique(np.linspace(0, steps, 201, dtype=int))
    )
    if not (np.isfinite(peak) and peak > 0):
        raise ValueError(f"tune: the schedule of {label!r} is nowhere above 0; there is no scale")
    return Rated(candidate, peak, scheduled=True)


def _rates(tx: Transformation) -> list[Any]:
    """The learning rates in a call, however deep."""
    if tx.call is None:
        return []
    if "learning_rate" in tx.call.named:
        return [tx.call.named["learning_rate"]]
    parts = [*tx.call.positional, *tx.call.named.values()]
    return [rate for part in parts if isinstance(part, Transformation) for rate in _rates(part)]


def _with_rate(tx: Transformation, rate: Any) -> Transformation:
    """The same call with another learning rate."""
    call = tx.call
    if call is None:
        return tx

    def changed(part: Any) -> Any:
        return _with_rate(part, rate) if isinstance(part, Transformation) else part

    named = {name: changed(part) for name, part in call.named.items()}
    if "learning_rate" in named:
        named["learning_rate"] = rate
    return registry.lookup(call.name)(*map(changed, call.positional), **named)


def grid(each: Rated, budget: int) -> tuple[tuple[float, ...], int]:
    """The rates to try and with how many seeds each, for so many trainings.

    From ten trainings on there are two seeds. The rates are evenly spaced in their logarithms, from
    1e-4 to 5, for a schedule from a thirtieth to thirty times its own highest value.

    Raises:
      ValueError: fewer than three trainings.
    """
    if isinstance(budget, bool) or not isinstance(budget, int):
        raise TypeError(f"tune_budget={budget!r}: a whole number of at least {FEWEST} is needed")
    if budget < FEWEST:
        raise ValueError(f"tune_budget={budget!r}: at least {FEWEST} trainings are needed")
    seeds = 2 if budget >= 10 else 1
    low, high = (each.peak / WIDTH, each.peak * WIDTH) if each.scheduled else (LOW, HIGH)
    rates = np.geomspace(low, high, budget // seeds)
    return tuple(float(f"{rate:.2g}") for rate in rates), seeds


def tune(
    task: Task,
    dataset: data.Dataset,
    each: Rated,
    budget: int,
    reported: tuple[int, ...],
    progress: Callable[[int], None],
) -> tuple[Candidate, Tuned]:
    """The candidate at its best rate, and how that was found.

    Validation examples are carved from the training examples; the seeds' test examples are never
    looked at, and the seeds are none of those that will be reported. If training breaks down at all
    rates the smallest is taken.

    Args:
      task: with the epochs and batch size of the comparison.
      dataset: as loaded.
      each: the optimizer.
      budget: trainings.
      reported: seeds of the comparison.
      progress: is told the numbers of steps made.

    Raises:
      KeyboardInterrupt: it was interrupted.
    """
    rates, count = grid(each, budget)
    seeds = tuned_seeds(count, reported)
    found = search.search(task, dataset, each, rates, seeds, progress=progress)
    if found.interrupted:
        raise KeyboardInterrupt
    chosen = found.rates[0] if found.best is None else found.best
    return each.at(chosen), _tuned(found, chosen)


def tuned_seeds(count: int, reported: tuple[int, ...]) -> tuple[int, ...]:
    """Seeds from 1000 on that are not reported."""
    first = search.SEEDS[0]
    free = (seed for seed in range(first, first + count + len(reported)) if seed not in reported)
    return tuple(seed for _, seed in zip(range(count), free, strict=False))


def _tuned(found: Sweep, chosen: float) -> Tuned:
    losses = [row.loss for row in found.rows]
    return Tuned(
        rate=chosen,
        rates=found.rates,
        losses=tuple(np.inf if loss is None else loss for loss in losses),
        seeds=found.seeds,
        trainings=len(found.rates) * len(found.seeds),
        steps=found.total_steps,
        seconds=found.seconds,
    )
