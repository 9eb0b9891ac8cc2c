"""The table of a comparison, and the numbers in it."""

import dataclasses
import io
import math
import statistics
import textwrap
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from adaptax.lab import text
from adaptax.lab.progress import number, score
from adaptax.lab.results import Comparison, Entry, Run, Setting

WIDEST = 400  # characters; wide enough that no cell wraps
PROSE = 100  # characters in a line of words


@dataclasses.dataclass(frozen=True)
class Summary:
    """One row: what the runs of an optimizer have in common.

    Attributes:
      finals: the last metric of every run that did not diverge.
      loss: mean training loss over the last epoch and those runs; None without any.
      reached: for those runs, the first evaluated step at which the target was met, or None.
      seconds: mean training time of a run, all runs counted.
      diverged: the steps at which the other runs diverged.
    """

    finals: tuple[float, ...]
    loss: float | None
    reached: tuple[int | None, ...]
    seconds: float | None
    diverged: tuple[int, ...]


def summary(task: Setting, runs: tuple[Run, ...]) -> Summary:
    whole = tuple(run for run in runs if run.diverged_at is None)
    epoch = max(1, task.train_examples // task.batch_size)
    losses = [_of(np.mean, run.losses[-epoch:]) for run in whole]
    return Summary(
        finals=tuple(run.metric[-1] for run in whole),
        loss=_of(np.mean, losses) if losses else None,
        reached=tuple(_first_reached(task, run) for run in whole),
        seconds=_of(np.mean, [run.seconds for run in runs]) if runs else None,
        diverged=tuple(run.diverged_at for run in runs if run.diverged_at is not None),
    )


def _of(measure: Callable[..., Any], values: Sequence[float], **how: Any) -> float:
    """A mean or deviation that is infinite or NaN, and no error, where a value is."""
    with np.errstate(all="ignore"):
        return float(measure(np.asarray(values, np.float64), **how))


def _first_reached(task: Setting, run: Run) -> int | None:
    for step, value in zip(run.steps, run.metric, strict=True):
        if value >= task.target if task.higher_is_better else value <= task.target:
            return step
    return None


def one_run(task: Setting, run: Run) -> str:
    """A finished run in one line, without its name."""
    if run.diverged_at is not None:
        return f"diverged at step {run.diverged_at}"
    shown = score(run.metric[-1], task.percent)
    return f"{text.printable(task.metric)} {shown}, {run.seconds:.1f} s"


def table(comparison: Comparison, width: int | None = None) -> str:
    """The comparison as text: a heading, a row per optimizer, and what the columns mean.

    Args:
      comparison: with any number of finished runs.
      width: characters in a line; None is as wide as needed.
    """
    from rich.console import Console
    from rich.text import Text

    stream = io.StringIO()
    console = Console(
        file=stream, width=width or WIDEST, color_system=None, force_terminal=False, highlight=False
    )
    prose = min(width or PROSE, PROSE)
    console.print(Text(_wrapped(heading(comparison), prose)))
    console.print(_grid(comparison))
    console.print(Text(_wrapped(_footnote(comparison), prose)))
    return "\n".join(line.rstrip() for line in stream.getvalue().splitlines()) + "\n"


def _wrapped(prose: str, width: int) -> str:
    return "\n".join(textwrap.fill(line, width) for line in prose.splitlines())


def heading(comparison: Comparison) -> str:
    task = comparison.task
    seeds = ", ".join(map(str, comparison.seeds))
    line = (
        f"{text.printable(task.name)}: {text.printable(task.description)}\n"
        f"epochs {task.epochs}, batch size {task.batch_size}, {task.train_examples:,} training and "
        f"{task.test_examples:,} test examples, seeds {seeds}"
    )
    if comparison.interrupted:
        planned = len(comparison.optimizers) * len(comparison.seeds)
        line += f"\ninterrupted: {len(comparison.runs)} of {planned} runs finished"
    return line


def _grid(comparison: Comparison) -> object:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    task = comparison.task
    grid = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    grid.add_column("optimizer", overflow="fold")
    grid.add_column("rate", overflow="fold")
    columns = (
        f"test\n{text.printable(task.metric)}",
        "train\nloss",
        f"steps to\n{goal(task)}",
        "seconds",
        "bytes per\nparameter",
    )
    if _tuned(comparison):
        columns += ("tuning\ntrainings", "tuning\nsteps", "tuning\nseconds")
    for column in columns:
        grid.add_column(Text(column), justify="right", no_wrap=True)
    for entry in comparison.optimizers:
        runs = comparison.of(entry.label)
        name, rate = text.printable(entry.label), text.printable(entry.rate)
        cells = (*_cells(task, entry, runs), *(_tuning(entry) if _tuned(comparison) else ()))
        grid.add_row(*map(Text, (name, rate, *cells)))
    return grid


def _tuned(comparison: Comparison) -> bool:
    return any(entry.tuned is not None for entry in comparison.optimizers)


def _tuning(entry: Entry) -> tuple[str, ...]:
    found = entry.tuned
    if found is None:
        return ("-", "-", "-")
    return (str(found.trainings), f"{found.steps:,}", f"{found.seconds:.1f}")


def goal(task: Setting) -> str:
    return f"{100 * task.target:g} %" if task.percent else f"{task.target:g}"


def _cells(task: Setting, entry: Entry, runs: tuple[Run, ...]) -> tuple[str, ...]:
    if not runs:
        return ("not run", "-", "-", "-", "-")
    found = summary(task, runs)
    size = f"{entry.state_bytes / entry.parameters:.1f}" if entry.parameters else "-"
    return (
        _finals(task, found),
        number(found.loss),
        _reached(found.reached),
        f"{found.seconds:.2f}",
        size,
    )


def _finals(task: Setting, found: Summary) -> str:
    lines = []
    if found.finals:
        mean = _of(np.mean, found.finals)
        several = len(found.finals) > 1
        spread = _of(np.std, found.finals, ddof=1) if several else math.nan
        scale, unit, digits = (100, " %", 2) if task.percent else (1, "", 4)
        lines.append(f"{scale * mean:.{digits}f}")
        if several:
            lines[0] += f" ± {scale * spread:.{digits}f}"
        lines[0] += unit
    if found.diverged:
        of = len(found.diverged) + len(found.finals)
        lines.append(f"diverged at step {min(found.diverged)}")
        if of > 1:
            lines.append(f"({len(found.diverged)} of {of} runs)")
    return "\n".join(lines)


def _reached(steps: tuple[int | None, ...]) -> str:
    there = [step for step in steps if step is not None]
    if not there:
        return "-"
    share = "" if len(there) == len(steps) else f" ({len(there)} of {len(steps)})"
    return f"{statistics.median(there):g}{share}"


def _footnote(comparison: Comparison) -> str:
    several = len(comparison.seeds) > 1
    accuracy = "mean ± standard deviation over the seeds" if several else "one seed"
    how = next((entry.tuned for entry in comparison.optimizers if entry.tuned is not None), None)
    tuned = ""
    if how is not None:
        seeds = ", ".join(map(str, how.seeds))
        tuned = (
            f"; rate: the best of {len(how.rates)}, its neighbours taken into account, by the loss "
            f"on a fifth of the training examples, seeds {seeds}; tuning: what that took, with "
            "compiling"
        )
    median = "median of the evaluations, one an epoch" if several else "one evaluation an epoch"
    return (
        f"test {text.printable(comparison.task.metric)}: {accuracy}, after the last step; train "
        f"loss: mean of the last epoch; steps: {median}; seconds: training steps of one run, "
        f"without compiling and testing; bytes: of optimizer state{tuned}"
    )
