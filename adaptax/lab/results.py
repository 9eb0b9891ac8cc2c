"""What a comparison found: values that compare, and that a JSON file keeps whole.

`Comparison.load(comparison.save(path))` is an equal value. Numbers that are not finite, which JSON
has no way to write, are kept as the texts "NaN", "Infinity" and "-Infinity".
"""

import dataclasses
import itertools
import json
import math
import os
from pathlib import Path
from typing import Any

from adaptax.core import files, records
from adaptax.lab import output, text

FORMAT = "adaptax.comparison/1"
LARGEST = 2**30  # bytes of a results file that are read


@dataclasses.dataclass(frozen=True)
class Tuned:
    """How a rate was found: what it cost, and what else was tried.

    Attributes:
      rate: the best one; of a schedule its highest value.
      rates: all that were tried.
      losses: the mean validation loss of each; infinite where a seed diverged.
      seeds: that each was trained with.
      trainings: rates times seeds.
      steps: made in all of them.
      seconds: what it took, compiling included.
    """

    rate: float
    rates: tuple[float, ...]
    losses: tuple[float, ...]
    seeds: tuple[int, ...]
    trainings: int
    steps: int
    seconds: float


@dataclasses.dataclass(frozen=True)
class Entry:
    """One optimizer of a comparison.

    Attributes:
      label: its name in table and picture.
      call: the call that makes it, or None for a transformation that does not print as one.
      rate: its learning rate as text, "-" where unknown.
      parameters: numbers that it trained; 0 until a run has finished.
      state_bytes: size of its state.
      compile_seconds: time to compile its training step.
      tuned: how its rate was found; None if it was given.
    """

    label: str
    call: str | None
    rate: str
    parameters: int = 0
    state_bytes: int = 0
    compile_seconds: float = 0.0
    tuned: Tuned | None = None


@dataclasses.dataclass(frozen=True)
class Setting:
    """The task as it was run: all that the arrays and functions of it leave behind."""

    name: str
    description: str
    metric: str
    percent: bool
    higher_is_better: bool
    target: float
    epochs: int
    batch_size: int
    train_examples: int
    test_examples: int
    data_dir: str | None


@dataclasses.dataclass(frozen=True)
class Run:
    """One optimizer with one seed.

    Attributes:
      optimizer: the entry's label.
      seed: what split, order, initial weights and dropout were drawn from.
      seconds: time of the training steps, without compiling and evaluating.
      diverged_at: the first step, from 1, whose loss was not finite; None if there was none.
      losses: of every step made, in order.
      steps: when the test examples were evaluated; 0 is before training.
      metric: the metric at those steps.
      rates: the learning rate at those steps; None where it could not be read.
    """

    optimizer: str
    seed: int
    seconds: float
    diverged_at: int | None
    losses: tuple[float, ...]
    steps: tuple[int, ...]
    metric: tuple[float, ...]
    rates: tuple[float | None, ...]


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Everything that `compare` found; enough to draw it and to run it again.

    Attributes:
      task: what was trained.
      optimizers: in the order of the table.
      seeds: every optimizer was to run once with each.
      runs: those that finished.
      versions: of Python and the libraries.
      device: platform, kind and number of devices.
      created: when it began, ISO 8601 with the offset from UTC.
      interrupted: it was stopped before all runs were done.

    Example::

        >>> from adaptax import lab
        >>> found = lab.Comparison.load("runs/mine/results.json")  # doctest: +SKIP
        >>> print(found.table())  # doctest: +SKIP
    """

    task: Setting
    optimizers: tuple[Entry, ...]
    seeds: tuple[int, ...]
    runs: tuple[Run, ...]
    versions: dict[str, str] = dataclasses.field(hash=False)
    device: dict[str, Any] = dataclasses.field(hash=False)
    created: str
    interrupted: bool = False

    def of(self, label: str) -> tuple[Run, ...]:
        """The finished runs of one optimizer."""
        return tuple(run for run in self.runs if run.optimizer == label)

    def table(self, width: int | None = None) -> str:
        """The comparison as text, `width` characters wide or as wide as it needs."""
        from adaptax.lab import report

        return report.table(self, width)

    def plot(self, path: str | os.PathLike) -> Path:
        """Draw the curves into a PNG, SVG or PDF file, by the ending of `path`."""
        from adaptax.lab import picture

        return picture.plot(self, path)

    def to_json(self) -> str:
        """The whole comparison as JSON text."""
        content = {"format": FORMAT, **dataclasses.asdict(self)}
        return json.dumps(records.plain(content), allow_nan=False, ensure_ascii=False) + "\n"

    def save(self, path: str | os.PathLike) -> Path:
        """Write the JSON to `path`; a reader sees the old file or the new one, nothing between."""
        return output.replace(Path(path), self.to_json().encode("utf-8", "backslashreplace"))

    @classmethod
    def from_json(cls, content: str, where: str = "the text") -> "Comparison":
        """The comparison that `to_json` wrote.

        Raises:
          ValueError: not JSON, of another format, or with wrong, missing or unknown fields.
        """
        try:
            found = json.loads(content)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{where} is not JSON: {error}") from None
        if not isinstance(found, dict) or found.get("format") != FORMAT:
            raise ValueError(f"{where} is no comparison of format {FORMAT!r}")
        del found["format"]
        made = records.build(cls, found, where)
        _check(made, where)
        return made

    @classmethod
    def load(cls, path: str | os.PathLike) -> "Comparison":
        """Read a results file, or the `results.json` of an output folder.

        Raises:
          OSError: it cannot be read.
          ValueError: it is not a comparison.
        """
        path = Path(path)
        path = path / output.RESULTS if path.is_dir() else path
        return cls.from_json(files.read(path, LARGEST), text.quoted(path))


def _check(found: Comparison, where: str) -> None:
    """Refuse what no comparison writes and no table or picture can be made of."""
    task = found.task
    if task.epochs < 1 or task.batch_size < 1 or not math.isfinite(task.target):
        raise ValueError(f"{where}.task: epochs and batch_size of at least 1 and a target are due")
    whole: set[tuple[int, ...]] = set()
    for number, run in enumerate(found.runs):
        at, made = f"{where}.runs[{number}]", len(run.losses)
        if not len(run.steps) == len(run.metric) == len(run.rates) >= 1:
            raise ValueError(f"{at}: steps, metric and rates must be as many as each other")
        increasing = all(a < b for a, b in itertools.pairwise(run.steps))
        if run.steps[0] != 0 or not increasing or not made or run.steps[-1] > made:
            raise ValueError(f"{at}.steps: increasing ones from 0 to {made}, at least 1, are due")
        if run.diverged_at is None:
            whole.add((*run.steps, made))
    if len(whole) > 1:
        raise ValueError(f"{where}.runs: those that did not diverge must have the same steps")
