"""How a search shows that it is alive: lines, or one bar on a terminal."""

import sys
import time
from typing import Any, TextIO

from adaptax.lab import text
from adaptax.lab.progress import Bars, Lines, Progress, number
from adaptax.lab.trials import BEST


class TrialLines(Lines):
    """A line for a trial that is the best so far, and for others when some seconds have passed.

    Args:
      stream: where to; standard error by default.
      every: seconds between two lines.
    """

    def __init__(self, stream: TextIO | None = None, every: float = 3.0):
        super().__init__(sys.stderr if stream is None else stream, every)

    def begin(self, labels: list[str], seeds: int, steps: int, metric: Any) -> None:
        self._total, self._steps, self._metric = seeds, steps, metric
        self._done, self._score, self._shown = 0, None, time.perf_counter()
        self._print(f"{text.printable(labels[0])}: {seeds} trials of {steps} steps for each seed")

    def run(self, label: str, seed: int) -> None:
        super().run(label, seed)
        self._trial = text.printable(label)

    def finished(self, summary: str) -> None:
        self._done += 1
        late = time.perf_counter() - self._shown >= self.every
        if late or BEST in summary or self._done in (1, self._total):
            self._print(f"[{self._done}/{self._total}] {self._trial}: {summary}")


class TrialBar(Bars):
    """One live bar over the trials, with the latest of them.

    Args:
      stream: a terminal; standard error by default.
    """

    def begin(self, labels: list[str], seeds: int, steps: int, metric: Any) -> None:
        self._done, self._score = 0, None
        self._row = self._display.add_task(
            text.printable(labels[0]), total=seeds, shown="compiling"
        )
        self._display.start()

    def optimizer(self, label: str) -> None:
        del label

    def run(self, label: str, seed: int) -> None:
        self._name, self._score = f"{text.printable(label)} seed {seed}", None

    def finished(self, summary: str) -> None:
        self._done += 1
        self._display.update(self._row, completed=self._done, shown=summary)

    def _show(self, step: int) -> None:
        shown = f"{self._name}  step {step}  {self._latest}"
        if self._score is not None:
            shown = f"{self._name}  step {step}  validation {number(self._score)}"
        self._display.update(self._row, shown=shown)


def for_stream(stream: TextIO) -> Progress:
    """A bar on a terminal, lines anywhere else."""
    return TrialBar(stream) if stream.isatty() else TrialLines(stream)
