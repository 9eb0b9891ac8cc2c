"""What a search found: values, as a table for a terminal and as JSON."""

import dataclasses
import io
import json
import os
import textwrap
from collections import Counter
from pathlib import Path
from typing import Any

from adaptax.lab import output, text
from adaptax.lab.progress import number

FORMAT = "adaptax.tuning/1"
SHOWN = 10  # rows of the table
PROSE = 100  # characters in a line of words
STATES = ("complete", "pruned", "diverged", "failed")


@dataclasses.dataclass(frozen=True)
class Search:
    """What was searched.

    Attributes:
      task, description: what was trained.
      optimizer: the call, with the arguments that were not searched.
      space: what every other argument was drawn from, as text.
      trials: how many were asked for.
      sampler, pruner: by name.
      seed: what the sampler drew from.
      seeds: a trial trains once with each; its loss is the mean.
      epochs, batch_size: of one training.
      train_examples, validation_examples: parts of the task's training examples.
      data_dir: where they came from, or None.
    """

    task: str
    description: str
    optimizer: str
    space: dict[str, str] = dataclasses.field(hash=False)
    trials: int
    sampler: str
    pruner: str
    seed: int
    seeds: tuple[int, ...]
    epochs: int
    batch_size: int
    train_examples: int
    validation_examples: int
    data_dir: str | None

    def comparable(self) -> dict[str, Any]:
        """What two searches must share to go on with each other's trials, as JSON values."""
        content = dataclasses.asdict(self)
        for name in ("description", "data_dir"):
            del content[name]
        if self.sampler != "grid":  # a grid is made for its number of trials
            del content["trials"]
        return {**content, "seeds": list(self.seeds)}


@dataclasses.dataclass(frozen=True)
class Trial:
    """One trial.

    Attributes:
      number: Optuna's, from 0.
      values: what was searched, as it was used.
      call: the optimizer with them; `adaptax compare --optimizers` takes it.
      state: "complete", "pruned", "diverged", or "failed" by an error.
      loss: on the validation examples after the last epoch, mean over the seeds; None unless
        complete.
      curve: the first seed's validation loss after each epoch.
      diverged_at: the step, from 1, whose loss was not finite; None if there was none.
      defaults: it is the optimizer's own defaults, with the task's rate.
      steps: made in all, over the seeds.
      seconds: of training and validation.
    """

    number: int
    values: dict[str, float] = dataclasses.field(hash=False)
    call: str
    state: str
    loss: float | None
    curve: tuple[float, ...]
    diverged_at: int | None
    defaults: bool
    steps: int
    seconds: float

    def end(self) -> str:
        """How it ended, in words."""
        if self.diverged_at is not None:
            return f"diverged at step {self.diverged_at}"
        return f"pruned after epoch {len(self.curve)}" if self.state == "pruned" else self.state


@dataclasses.dataclass(frozen=True)
class Tuning:
    """Everything that `tune` found.

    Attributes:
      search: what was searched.
      trials: those that finished, in order.
      compile_seconds: to compile the one training step of all trials; 0 if none was left to make.
      versions: of Python and the libraries.
      device: platform, kind and number of devices.
      created: when it began or went on, ISO 8601 with the offset from UTC.
      interrupted: it was stopped before all trials were made.
    """

    search: Search
    trials: tuple[Trial, ...]
    compile_seconds: float
    versions: dict[str, str] = dataclasses.field(hash=False)
    device: dict[str, Any] = dataclasses.field(hash=False)
    created: str
    interrupted: bool = False

    @property
    def best(self) -> Trial | None:
        """The complete trial with the lowest loss; None if there is none."""
        whole = [trial for trial in self.trials if trial.loss is not None]
        return min(whole, key=lambda trial: (trial.loss, trial.number), default=None)

    def ranked(self) -> list[Trial]:
        """Complete trials by loss, then pruned ones by how far they came, then the rest."""

        def rank(trial: Trial) -> tuple:
            if trial.loss is not None:
                return (0, 0, trial.loss, trial.number)
            last = trial.curve[-1] if trial.curve else 0.0
            return (STATES.index(trial.state), -len(trial.curve), last, trial.number)

        return sorted(self.trials, key=rank)

    def table(self, width: int | None = None) -> str:
        """The best trials as text, `width` characters wide or as wide as needed."""
        return table(self, width)

    def plot(self, path: str | os.PathLike) -> Path:
        """Draw the losses into a PNG, SVG or PDF file, by the ending of `path`."""
        from adaptax.lab import tune_picture

        return tune_picture.plot(self, path)

    def to_json(self) -> str:
        """Everything, as one JSON object."""
        best = None if self.best is None else self.best.call
        content = {"format": FORMAT, "best": best, **dataclasses.asdict(self)}
        return json.dumps(content, allow_nan=False, ensure_ascii=False) + "\n"

    def save(self, path: str | os.PathLike) -> Path:
        """Write the JSON to `path`; a reader sees the old file or the new one, nothing between."""
        return output.replace(Path(path), self.to_json().encode("utf-8", "backslashreplace"))


def table(found: Tuning, width: int | None = None) -> str:
    """The search as text: a heading, the best trials, the best call, and what it cost."""
    from rich.console import Console
    from rich.text import Text

    stream = io.StringIO()
    console = Console(
        file=stream, width=width or 400, color_system=None, force_terminal=False, highlight=False
    )
    prose = min(width or PROSE, PROSE)
    parts = [_wrapped(_heading(found), prose), _grid(found), _wrapped(_footnote(found), prose)]
    for part in parts:
        console.print(Text(part) if isinstance(part, str) else part)
    if found.best is not None:
        # on a line of its own and never wrapped, so that it can be copied
        console.print(Text(f"\nbest: {text.printable(found.best.call)}"), soft_wrap=True)
    return "\n".join(line.rstrip() for line in stream.getvalue().splitlines()) + "\n"


def _wrapped(prose: str, width: int) -> str:
    return "\n".join(textwrap.fill(line, width) for line in prose.splitlines())


def _heading(found: Tuning) -> str:
    search = found.search
    drawn = "  ".join(f"{name}={axis}" for name, axis in search.space.items())
    seeds = ", ".join(map(str, search.seeds))
    by, pruner = text.printable(search.sampler), text.printable(search.pruner)
    line = (
        f"{text.printable(search.task)}: {text.printable(search.description)}\n"
        f"{text.printable(search.optimizer)} with {drawn}\n"
        f"sampler {by}, pruner {pruner}, seed {search.seed}; epochs "
        f"{search.epochs}, batch size {search.batch_size}, {search.train_examples:,} training and "
        f"{search.validation_examples:,} validation examples, seeds {seeds}"
    )
    if found.interrupted:
        line += f"\ninterrupted: {len(found.trials)} of {search.trials} trials finished"
    return line


def _grid(found: Tuning) -> Any:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    grid = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for column in ("trial", *found.search.space, "validation\nloss"):
        grid.add_column(column, justify="right", no_wrap=True)
    grid.add_column("", overflow="fold")
    for trial in found.ranked()[:SHOWN]:
        numbers = [f"{trial.values[name]:g}" for name in found.search.space]
        last = trial.loss if trial.loss is not None else (trial.curve or (None,))[-1]
        end = trial.end() + (" (defaults)" if trial.defaults else "")
        grid.add_row(*map(Text, (str(trial.number), *numbers, number(last), end)))
    return grid


def _footnote(found: Tuning) -> str:
    counts = Counter(trial.state for trial in found.trials)
    parts = [f"{counts[state]} {state}" for state in STATES if counts[state] or state != "failed"]
    left = len(found.trials) - SHOWN
    steps = sum(trial.steps for trial in found.trials)
    seconds = sum(trial.seconds for trial in found.trials)
    several = ", mean over the seeds" if len(found.search.seeds) > 1 else ""
    return (
        f"{len(found.trials)} trials: {', '.join(parts)}"
        + (f"; the best {SHOWN} are shown" if left > 0 else "")
        + f"\n{steps:,} steps, {seconds:.1f} s of training and validation, "
        f"{found.compile_seconds:.1f} s of compiling\n"
        f"validation loss: after the last epoch{several}; of a trial that did not complete, the "
        "latest of the first seed"
    )
