"""What a sweep found: a value that prints as a table with a chart, and that JSON keeps whole."""

import dataclasses
import itertools
import json
import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from adaptax.core import chart, figures, records
from adaptax.core.shown import printable
from adaptax.tuning.halving import Rung

FORMAT = "adaptax.sweep/1"
NEAR = 0.01  # of the lowest loss: within it the smallest rate is taken


@dataclasses.dataclass(frozen=True)
class Trial:
    """One rate with one seed.

    Attributes:
      rate: per update.
      seed: what it was trained with.
      loss: what it was judged by last; infinite if it diverged, None if it was stopped before.
      judged_at: after how many steps.
      diverged_at: the first step, from 1, whose loss was not finite; None if there was none.
      steps: how many it made.
      curve: training losses, each the mean of the sweep's `every` steps, the last of what is left.
    """

    rate: float
    seed: int
    loss: float | None
    judged_at: int
    diverged_at: int | None
    steps: int
    curve: tuple[float, ...]


@dataclasses.dataclass(frozen=True)
class Row:
    """A rate, over the seeds that were judged.

    Attributes:
      rate: per update.
      mean: of the losses of the seeds that did not diverge; None without any.
      spread: their standard deviation; None for fewer than two.
      loss: what the rate is ranked by: the mean with diverged seeds, infinite if there are any;
        None where it was not judged after as many steps as the longest trained.
      diverged: how many seeds diverged.
      steps: the most that a seed made.
    """

    rate: float
    mean: float | None
    spread: float | None
    loss: float | None
    diverged: int
    steps: int


def _of(measure: Callable[..., Any], values: Sequence[float], **how: Any) -> float:
    """A mean or deviation; infinite, and no error, where it overflows."""
    with np.errstate(all="ignore"):
        return float(measure(np.asarray(values, np.float64), **how))


def best(rates: Sequence[float], losses: Sequence[float | None]) -> float | None:
    """The rate whose loss, averaged with those of its neighbours, is lowest.

    The neighbours keep the choice away from rates beside which training breaks down, and from a
    loss that is low by luck. A rate stands in itself for a neighbour that it lacks: at an end of
    the grid, or where the neighbour's loss is None because it was stopped early. Of rates within
    one per cent of the lowest the smallest is taken. Where training broke down beside every rate,
    neighbours do not count.

    Args:
      rates: in increasing order.
      losses: of each; infinite or NaN where training diverged.

    Returns:
      None if no rate has a finite loss.

    Example::

        >>> from adaptax.tuning.swept import best
        >>> best([0.1, 0.2, 0.4, 0.8], [3.0, 2.0, 1.0, float("inf")])
        0.2
    """
    steady = _steady(rates, losses)
    return (
        _lowest(rates, [math.inf if x is None else x for x in losses]) if steady is None else steady
    )


def _steady(rates: Sequence[float], losses: Sequence[float | None]) -> float | None:
    """The best rate with neighbours whose losses are finite."""

    def around(i: int) -> float:
        own = losses[i]
        if own is None:
            return math.inf
        beside = [losses[k] if 0 <= k < len(losses) else own for k in (i - 1, i, i + 1)]
        mean = _of(np.mean, [own if each is None else each for each in beside])
        return mean if math.isfinite(mean) else math.inf

    return _lowest(rates, [around(i) for i in range(len(rates))])


def _lowest(rates: Sequence[float], losses: Sequence[float]) -> float | None:
    """The smallest rate within one per cent of the lowest loss; None if none is finite."""
    lowest = min(filter(math.isfinite, losses), default=math.inf)
    if math.isinf(lowest):
        return None
    enough = lowest + NEAR * abs(lowest)
    return min(rate for rate, loss in zip(rates, losses, strict=True) if loss <= enough)


@dataclasses.dataclass(frozen=True)
class Sweep:
    """Everything that `sweep` found.

    Attributes:
      optimizer: as text.
      measure: what the losses are: "validation loss" or "training loss".
      rates: in increasing order.
      seeds: each rate was to be trained with each.
      steps: of a whole training.
      trials: one for each rate and seed.
      rungs: at which the worse rates stopped; one if there was no halving.
      every: training steps in a point of a curve.
      vmapped: all members were trained side by side in one program.
      why: the reason for that choice.
      total_steps: made by all members together.
      seconds: from start to end.
      compile_seconds: of these, compiling the training step.
      interrupted: Ctrl-C ended it early.

    Example::

        >>> import adaptax, jax.numpy as jnp
        >>> found = adaptax.sweep(
        ...     lambda w, batch: jnp.mean((w - batch) ** 2), jnp.zeros(2), [jnp.ones(2)],
        ...     adaptax.sgd, rates=[0.01, 0.1, 1.0], steps=20,
        ... )
        >>> found.best
        1.0
    """

    optimizer: str
    measure: str
    rates: tuple[float, ...]
    seeds: tuple[int, ...]
    steps: int
    trials: tuple[Trial, ...]
    rungs: tuple[Rung, ...]
    every: int
    vmapped: bool
    why: str
    total_steps: int
    seconds: float
    compile_seconds: float
    interrupted: bool = False

    def __post_init__(self) -> None:
        """Refuse what no sweep finds, as a file may hold it."""
        increasing = all(a < b for a, b in itertools.pairwise(self.rates))
        if not increasing or not all(0 < rate < math.inf for rate in self.rates):
            raise ValueError("rates: finite numbers above 0, in increasing order, are due")
        if not self.rungs or not self.seeds or self.every < 1:
            raise ValueError("rungs, seeds and every: at least one of each is due")

    @property
    def best(self) -> float | None:
        """The best rate, its neighbours taken into account where their losses are finite.

        None if every one diverged."""
        return best(self.rates, [row.loss for row in self.rows])

    @property
    def rows(self) -> tuple[Row, ...]:
        """A row for each rate, in order."""
        latest = max((trial.judged_at for trial in self.trials), default=0)
        return tuple(self._row(rate, latest) for rate in self.rates)

    def _row(self, rate: float, latest: int) -> Row:
        trials = self.of(rate)
        judged = [trial for trial in trials if trial.loss is not None]
        finite = [t.loss for t in judged if t.loss is not None and math.isfinite(t.loss)]
        diverged = sum(trial.loss == math.inf for trial in judged)
        whole = len(judged) == len(self.seeds)
        ranked = whole and (diverged or all(t.judged_at == latest for t in judged))
        mean = _of(np.mean, finite) if finite else None
        return Row(
            rate=rate,
            mean=mean,
            spread=_of(np.std, finite, ddof=1) if len(finite) > 1 else None,
            loss=None if not ranked else math.inf if diverged else mean,
            diverged=diverged,
            steps=max((trial.steps for trial in trials), default=0),
        )

    def of(self, rate: float) -> tuple[Trial, ...]:
        """The trials of one rate."""
        return tuple(trial for trial in self.trials if trial.rate == rate)

    def __str__(self) -> str:
        drawn = self.chart()
        return self.table() + (f"\n{drawn}\n" if drawn else "")

    def table(self) -> str:
        """A line for each rate, and what the sweep cost."""
        chosen, rows = self.best, self.rows
        losses = [_loss_text(row, len(self.seeds)) for row in rows]
        measure = printable(self.measure)
        wide = max(map(len, [measure, *losses]))
        lines = [self._heading(), f"   {'rate':<10}  {measure:<{wide}}  {'steps':>9}"]
        for row, loss in zip(rows, losses, strict=True):
            mark = "→" if row.rate == chosen else " "
            lines.append(f" {mark} {row.rate:<10.4g}  {loss:<{wide}}  {row.steps:>9,}")
        return "\n".join([*lines, self._verdict(), self._cost()]) + "\n"

    def _heading(self) -> str:
        line = (
            f"{printable(self.optimizer)}: {len(self.rates)} rates, "
            f"{_count(len(self.seeds), 'seed')}, {_count(self.steps, 'step')}"
        )
        if len(self.rungs) > 1:
            shown = ", ".join(f"{rung.members} for {rung.steps:,}" for rung in self.rungs)
            line += f"; halving: {shown}"
        if self.interrupted:
            done = sum(trial.loss is not None for trial in self.trials)
            line += f"\ninterrupted: {done} of {len(self.trials)} trainings judged"
        return line

    def _verdict(self) -> str:
        chosen = self.best
        if chosen is None:
            judged = any(trial.loss is not None for trial in self.trials)
            return "no best rate: " + ("try smaller ones" if judged else "none was judged")
        if _steady(self.rates, [row.loss for row in self.rows]) is None:
            return f"best rate {chosen:.4g}, but training broke down beside it: use a finer grid"
        line = f"best rate {chosen:.4g}, its neighbours taken into account"
        if len(self.rates) > 1 and chosen in (self.rates[0], self.rates[-1]):
            side = "smaller" if chosen == self.rates[0] else "larger"
            line += f"; it is at the end of the grid: try {side} ones too"
        return line

    def _cost(self) -> str:
        way = "side by side" if self.vmapped else "one by one"
        return (
            f"{self.total_steps:,} steps in {self.seconds:.1f} s, {self.compile_seconds:.1f} s of "
            f"it compiling; trained {way}: {printable(self.why)}"
        )

    def chart(self, width: int = 60, height: int = 10) -> str:
        """The loss over the rate in characters; empty where no rate has a finite loss."""
        drawn = {row.rate: row.mean for row in self.rows if row.mean is not None}
        if not drawn:
            return ""
        chosen, top = self.best, self.ceiling
        return chart.text(
            list(drawn),
            [min(mean, top) for mean in drawn.values()],
            width=width,
            height=height,
            log_x=True,
            marks=None if chosen is None else {f"best {chosen:.4g}": chosen},
        )

    @property
    def ceiling(self) -> float:
        """A loss above which a picture shows nothing but that training broke down.

        Twice the distance from the lowest loss to that of the smallest rate, or where there is only
        one, to its own.
        """
        means = [row.mean for row in self.rows if row.mean is not None]
        if not means:
            return math.inf
        return min(means) + 2 * ((means[0] - min(means)) or abs(means[0]) or 1.0)

    def plot(self, path: str | os.PathLike | None = None) -> Any:
        """Draw the loss over the logarithm of the rate.

        Args:
          path: a file ending in .png, .svg or .pdf; None returns the Matplotlib figure.

        Raises:
          ImportError: Matplotlib is not installed.
          ValueError: another ending.
        """
        from adaptax.tuning import sweep_picture

        figure = sweep_picture.draw({self.optimizer: self})
        return figure if path is None else figures.save(figure, Path(path))

    def to_json(self) -> str:
        """The whole sweep as JSON text."""
        content = {"format": FORMAT, "best": self.best, **dataclasses.asdict(self)}
        return json.dumps(records.plain(content), allow_nan=False, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, content: str) -> "Sweep":
        """The sweep that `to_json` wrote.

        Raises:
          ValueError: not JSON, of another format, or with wrong, missing or unknown fields.
        """
        try:
            found = json.loads(content)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"the text is not JSON: {error}") from None
        if not isinstance(found, dict) or found.get("format") != FORMAT:
            raise ValueError(f"the text is no sweep of format {FORMAT!r}")
        fields = {name: each for name, each in found.items() if name not in ("format", "best")}
        return records.build(cls, fields, "the sweep")


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _loss_text(row: Row, seeds: int) -> str:
    parts = []
    if row.mean is not None:
        parts.append(f"{row.mean:.4g}" + ("" if row.spread is None else f" ± {row.spread:.2g}"))
    if row.diverged:
        parts.append("diverged" + (f" ({row.diverged} of {seeds} seeds)" if seeds > 1 else ""))
    return ", ".join(parts) or ("stopped" if row.steps else "not run")
