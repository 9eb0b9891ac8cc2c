"""The curves of a comparison as a picture that the colour-blind can read, also in print."""

import itertools
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from adaptax.core import figures
from adaptax.core.figures import COLOURS
from adaptax.lab import text
from adaptax.lab.report import goal
from adaptax.lab.results import Comparison, Entry, Run

DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)))
MARKERS = "osD^vPX"
TITLE = 160  # characters


def plot(comparison: Comparison, path: str | os.PathLike) -> Path:
    """Draw training loss and test metric against steps.

    The line is the mean over the seeds, the band goes from the smallest to the largest. A run that
    diverged is drawn as far as it went, and is not in the mean.

    Args:
      comparison: with any number of finished runs.
      path: a file ending in .png, .svg or .pdf; it is written whole or not at all.

    Raises:
      ValueError: another ending.
      OSError: the file cannot be written.
    """
    figures.ending(Path(path))  # refused before anything is drawn
    return figures.save(_figure(comparison), Path(path))


def _figure(comparison: Comparison) -> Any:
    task, count = comparison.task, len(comparison.optimizers)
    labels = [text.drawable(_legend(comparison, each)) for each in comparison.optimizers]
    columns = max(1, min(3, 110 // max(map(len, labels), default=1)))
    figure = figures.blank(11, 4.8 + 0.25 * math.ceil(count / columns))
    loss_axes, metric_axes = figure.subplots(1, 2)
    handles = []
    for number, entry in enumerate(comparison.optimizers):
        style, runs = _style(number, count), comparison.of(entry.label)
        _curve(loss_axes, style, [_losses(run) for run in runs], runs)
        handles.append(_curve(metric_axes, style, [_metric(run) for run in runs], runs))
    _label(loss_axes, "training loss (mean of an epoch)", "training loss")
    metric = f"test {text.cut(task.metric, 60)}"
    _label(metric_axes, metric, metric)
    _scale_loss(loss_axes, comparison)
    _scale_metric(metric_axes, comparison)
    metric_axes.axhline(task.target, color="0.5", linewidth=0.8, zorder=0)
    metric_axes.annotate(
        text.drawable(goal(task)),
        (0.995, task.target),
        xycoords=("axes fraction", "data"),
        ha="right",
        va="bottom",
        fontsize="small",
        color="0.35",
    )
    title = text.cut(f"{task.name}: {task.description}", TITLE)
    figure.suptitle(text.drawable(title), fontsize="medium")
    figure.legend(handles, labels, loc="outside lower center", ncols=columns)
    return figure


def _style(number: int, count: int) -> dict[str, Any]:
    # the places are apart, so that markers of close curves do not meet
    return {**style(number), "places": number / count}


def style(number: int) -> dict[str, Any]:
    """Colour, dashes and marker of one optimizer: no two of the first 35 agree in all three."""
    turn = number // len(COLOURS)
    return {
        "color": COLOURS[number % len(COLOURS)],
        "linestyle": DASHES[(number + turn) % len(DASHES)],
        "marker": MARKERS[(number + turn) % len(MARKERS)],
    }


def _legend(comparison: Comparison, entry: Entry) -> str:
    runs = comparison.of(entry.label)
    diverged = sum(run.diverged_at is not None for run in runs)
    note = f" ({diverged} of {len(runs)} diverged)" if diverged else ""
    return f"{text.cut(entry.label, 60)}, rate {text.cut(entry.rate, 40)}{note}"


def _losses(run: Run) -> tuple[list[int], list[float]]:
    """The mean loss between two evaluations, at the step in the middle."""
    ends = list(run.steps)
    if len(run.losses) > ends[-1]:
        ends.append(len(run.losses))
    pairs = [pair for pair in itertools.pairwise(ends) if run.losses[slice(*pair)]]
    means = [float(np.mean(run.losses[first:last], dtype=np.float64)) for first, last in pairs]
    return [(first + last) // 2 for first, last in pairs], means


def _metric(run: Run) -> tuple[list[int], list[float]]:
    return list(run.steps), list(run.metric)


def _curve(
    axes: Any, style: dict[str, Any], curves: list[tuple[list[int], list[float]]], runs: tuple
) -> Any:
    """One line and its band; the handle for the legend, also where there is nothing to draw."""
    whole = [curve for curve, run in zip(curves, runs, strict=True) if run.diverged_at is None]
    steps = whole[0][0] if whole else []
    values = np.array([curve[1] for curve in whole]) if whole else np.empty((0, 0))
    every = max(1, len(steps) // 8)
    drawn = {name: style[name] for name in ("color", "linestyle", "marker")}
    marks = (int(style["places"] * every), every)
    mean = values.mean(axis=0) if whole else []
    (line,) = axes.plot(steps, mean, **drawn, linewidth=1.6, markersize=4.5, markevery=marks)
    if len(whole) > 1:
        axes.fill_between(
            steps, values.min(axis=0), values.max(axis=0), color=style["color"], alpha=0.18, lw=0
        )
    for (short, made), run in zip(curves, runs, strict=True):
        if run.diverged_at is not None:
            finite = [(s, v) for s, v in zip(short, made, strict=True) if math.isfinite(v)]
            if finite:
                colour = style["color"]
                axes.plot(*zip(*finite, strict=True), color=colour, linewidth=0.8, alpha=0.7)
                axes.plot(*finite[-1], color=colour, marker="x", markersize=8)
    return line


def _label(axes: Any, what: str, title: str) -> None:
    axes.set_xlabel("step")
    axes.set_ylabel(text.drawable(what))
    axes.set_title(text.drawable(title), fontsize="medium")
    axes.grid(True, which="major", color="0.9", linewidth=0.8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_axisbelow(True)


def _scale_loss(axes: Any, comparison: Comparison) -> None:
    """Logarithmic, with room for the runs that lasted; one that diverged leaves at the top."""
    if not any(y > 0 for line in axes.get_lines() for y in line.get_ydata()):
        return
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.set_yscale("log")
    whole = [_losses(run)[1] for run in comparison.runs if run.diverged_at is None]
    lasted = [loss for losses in whole for loss in losses if loss > 0]
    if lasted:
        axes.set_ylim(min(lasted) / 1.5, max(lasted) * 1.5)
    low, high = axes.get_ylim()
    plain = FuncFormatter(lambda value, position: f"{value:g}")
    axes.yaxis.set_major_formatter(plain)
    if high < 30 * low:  # too few powers of ten to read from
        axes.yaxis.set_minor_locator(LogLocator(subs=(2, 5)))
        axes.yaxis.set_minor_formatter(plain)
    else:
        axes.yaxis.set_minor_formatter(NullFormatter())


def _scale_metric(axes: Any, comparison: Comparison) -> None:
    """Room for where the curves are, not for the first guesses of untrained weights."""
    task = comparison.task
    later = _late_values(comparison.runs, lambda run: run.diverged_at is None)
    if task.percent:
        from matplotlib.ticker import PercentFormatter

        axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    if not later:
        return
    near, far = (min(later), max(later)) if task.higher_is_better else (max(later), min(later))
    room = 0.1 * abs(far - near) or 0.01
    if task.higher_is_better:
        top = 1.0 + room / 10 if task.percent else max(far, task.target) + room
        axes.set_ylim(min(near, task.target) - room, top)
    else:
        axes.set_ylim(min(far, task.target) - room, max(near, task.target) + room)


def _late_values(runs: tuple[Run, ...], wanted: Callable[[Run], bool]) -> list[float]:
    """The metric after the first tenth of each run."""
    return [
        value
        for run in runs
        if wanted(run)
        for step, value in zip(run.steps, run.metric, strict=True)
        if step >= run.steps[-1] / 10 and math.isfinite(value)
    ]
