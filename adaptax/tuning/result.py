"""What the finder returns: a value that prints, draws and goes into JSON."""

import dataclasses
import math
import os
from pathlib import Path
from typing import Any

from adaptax.core import chart, figures
from adaptax.tuning.trials import Trial


@dataclasses.dataclass(frozen=True)
class RateTest:
    """What `find_learning_rate` found.

    Attributes:
      recommended: the rate to train with, per update; None where the data do not support one.
      interval: from the smallest to the largest rate that the repeats support; None without one.
      verdict: "found", "still falling", "flat", "noise-dominated", "diverges everywhere" or "not
        finite at the start".
      reason: the verdict in a sentence, and what to do.
      suggestions: rule → rate, or None where the rule finds none, on the mean of the repeats.
      rates: those of the range test, increasing.
      losses: of every repeat, a loss for each rate; NaN after the repeat had diverged.
      smoothed: the mean of the repeats, smoothed, up to where the first of them diverged.
      diverged_at: the smallest rate at which a repeat diverged; None where none did.
      horizon: steps of the training that the rate is for; None if only the range test was made.
      trials: the trainings behind the recommendation; none without a horizon.
      steps: training steps made in all.
      dropped: batches left out because they held fewer examples than the first.
    """

    recommended: float | None
    interval: tuple[float, float] | None
    verdict: str
    reason: str
    suggestions: dict[str, float | None] = dataclasses.field(hash=False)
    rates: tuple[float, ...]
    losses: tuple[tuple[float, ...], ...]
    smoothed: tuple[float, ...]
    diverged_at: float | None
    horizon: int | None = None
    trials: tuple[Trial, ...] = ()
    steps: int = 0
    dropped: int = 0

    def to_dict(self) -> dict[str, Any]:
        """The result in JSON types; numbers that are not finite are None."""
        return _plain(dataclasses.asdict(self))

    def plot(self, path: str | os.PathLike | None = None) -> Any:
        """Draw the curve over the logarithm of the rate, with the suggestions.

        Args:
          path: a file ending in .png, .svg or .pdf; None returns the Matplotlib figure.

        Raises:
          ImportError: Matplotlib is not installed.
          ValueError: another ending.
        """
        from adaptax.tuning import picture

        figure = picture.draw(self)
        return figure if path is None else figures.save(figure, Path(path))

    def __str__(self) -> str:
        return "\n".join([*self._lines(), *self._curve()])

    def _lines(self) -> list[str]:
        if self.recommended is None:
            first = f"no learning rate recommended: {self.verdict}"
        else:
            first = f"recommended learning rate: {self.recommended:.3g}"
            if self.interval is not None:
                low, high = self.interval
                first += f" ({low:.3g} to {high:.3g})"
        said = ", ".join(
            f"{name} {'-' if rate is None else format(rate, '.3g')}"
            for name, rate in self.suggestions.items()
        )
        lines = [first, f"{self.verdict}: {self.reason}", f"rules: {said}"]
        for trial in self.trials:
            found = " ".join(f"{loss:.4g}" for loss in trial.losses)
            lines.append(f"  {trial.rate:<9.3g} after {self.horizon} steps: {found}")
        return lines

    def _curve(self) -> list[str]:
        rates = self.rates[: len(self.smoothed)]
        if len(rates) < 2 or not all(map(math.isfinite, self.smoothed)):
            return []
        marks = {} if self.recommended is None else {"recommended": self.recommended}
        return [chart.text(rates, self.smoothed, width=60, height=10, log_x=True, marks=marks)]


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
