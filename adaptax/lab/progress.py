"""How a comparison shows that it is alive. Nothing here can change what it computes."""

import contextlib
import sys
import time
from types import TracebackType
from typing import Any, TextIO

from adaptax.lab import text

STATE = 52  # characters: "seed 0  loss 0.2255  rate 0.005  accuracy 97.21 %"


class Progress:
    """What a comparison reports while it runs; this one shows nothing.

    A subclass overrides what it wants to show. The calls come in the order: `begin`; per optimizer
    `optimizer`, where its rate is tuned any number of `tuning`, `tuned` and `optimizer` again; per
    seed `run`, any number of `step` and `evaluated`, then `finished`.
    """

    def begin(self, labels: list[str], seeds: int, steps: int, metric: Any) -> None:
        """A comparison of `labels`, each with `seeds` runs of `steps` steps."""

    def optimizer(self, label: str) -> None:
        """The training step of `label` is being compiled."""

    def tuning(self, label: str, done: int, total: int) -> None:
        """So many of the steps that look for the rate of `label` are done."""

    def tuned(self, label: str, summary: str) -> None:
        """The rate of `label` is found."""

    def run(self, label: str, seed: int) -> None:
        """A run starts."""

    def step(self, step: int, loss: float, rate: float | None) -> None:
        """`step` steps of the run are done; loss and rate of the latest."""

    def evaluated(self, step: int, metric: float) -> None:
        """The test examples were evaluated after `step` steps."""

    def finished(self, summary: str) -> None:
        """The run is done."""

    def __enter__(self) -> "Progress":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """The display is put away."""


def number(value: float | None) -> str:
    """A loss or rate in four digits."""
    return "-" if value is None else f"{value:.4g}"


def score(value: float | None, percent: bool) -> str:
    """A metric as a person reads it."""
    if value is None:
        return "-"
    return f"{100 * value:.2f} %" if percent else f"{value:.4f}"


class Lines(Progress):
    """One plain line when a run ends, and one every ten seconds of a long one.

    Args:
      stream: where to; standard error by default.
      every: seconds between two lines of one run.
    """

    def __init__(self, stream: TextIO | None = None, every: float = 10.0):
        self.stream = sys.stderr if stream is None else stream
        self.every = every

    def begin(self, labels: list[str], seeds: int, steps: int, metric: Any) -> None:
        self._total, self._steps, self._metric = len(labels) * seeds, steps, metric
        self._done, self._score, self._shown = 0, None, time.perf_counter()
        self._print(f"optimizers: {len(labels)}, seeds: {seeds}, steps of a run: {steps}")

    def tuning(self, label: str, done: int, total: int) -> None:
        if time.perf_counter() - self._shown >= self.every:
            self._print(f"  {text.printable(label)}: tuning, step {done:,} of {total:,}")

    def tuned(self, label: str, summary: str) -> None:
        self._print(f"{text.printable(label)}: {summary}")

    def run(self, label: str, seed: int) -> None:
        self._name, self._score = f"{text.printable(label)} seed {seed}", None

    def step(self, step: int, loss: float, rate: float | None) -> None:
        if time.perf_counter() - self._shown < self.every:
            return
        shown = f"step {step}/{self._steps}, loss {number(loss)}, rate {number(rate)}"
        if self._score is not None:
            metric = text.printable(self._metric.name)
            shown += f", {metric} {score(self._score, self._metric.percent)}"
        self._print(f"  {self._name}: {shown}")

    def evaluated(self, step: int, metric: float) -> None:
        self._score = metric

    def finished(self, summary: str) -> None:
        self._done += 1
        self._print(f"[{self._done}/{self._total}] {self._name}: {summary}")

    def _print(self, line: str) -> None:
        self._shown = time.perf_counter()
        with contextlib.suppress(OSError):  # a full disk, or a reader that has left
            print(line, file=self.stream, flush=True)


class Bars(Progress):
    """A live bar for every optimizer, with the latest loss, metric and rate.

    Args:
      stream: a terminal; standard error by default.
    """

    def __init__(self, stream: TextIO | None = None):
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn
        from rich.progress import Progress as Display
        from rich.table import Column

        console = Console(file=stream) if stream is not None else Console(stderr=True)
        name = Column(max_width=max(10, console.width - 64), no_wrap=True, overflow="ellipsis")
        state = Column(min_width=STATE, no_wrap=True)
        self._display = Display(
            TextColumn("{task.description}", markup=False, table_column=name),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[shown]}", markup=False, table_column=state),
            console=console,
            expand=True,
        )

    def begin(self, labels: list[str], seeds: int, steps: int, metric: Any) -> None:
        self._steps, self._metric, self._seeds = steps, metric, seeds
        self._before, self._score, self._latest = 0, None, ""
        self._rows = {
            label: self._display.add_task(
                text.printable(label), total=seeds * steps, shown="waiting"
            )
            for label in labels
        }
        self._display.start()

    def optimizer(self, label: str) -> None:
        self._row, self._before = self._rows[label], 0
        self._display.update(self._row, shown="compiling")

    def tuning(self, label: str, done: int, total: int) -> None:
        self._display.update(self._rows[label], shown=f"tuning, {100 * done // max(total, 1)} %")

    def tuned(self, label: str, summary: str) -> None:
        self._display.update(self._rows[label], shown=summary)

    def run(self, label: str, seed: int) -> None:
        self._seed, self._score = seed, None

    def step(self, step: int, loss: float, rate: float | None) -> None:
        self._latest = f"loss {number(loss)}  rate {number(rate)}"
        self._show(step)

    def evaluated(self, step: int, metric: float) -> None:
        self._score = metric
        self._show(step)

    def finished(self, summary: str) -> None:
        self._before += self._steps
        self._display.update(self._row, completed=self._before, shown=summary)

    def _show(self, step: int) -> None:
        shown = f"seed {self._seed}  {self._latest}"
        if self._score is not None:
            metric = text.printable(self._metric.name)
            shown += f"  {metric} {score(self._score, self._metric.percent)}"
        self._display.update(self._row, completed=self._before + step, shown=shown)

    def __exit__(self, *error: Any) -> None:
        self._display.stop()


def for_stream(stream: TextIO) -> Progress:
    """Bars on a terminal, lines anywhere else."""
    return Bars(stream) if stream.isatty() else Lines(stream)
