"""The losses of a search as a picture: trial by trial, and against the learning rate."""

import itertools
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from adaptax.core import figures
from adaptax.core.figures import COLOURS
from adaptax.lab import text
from adaptax.lab.picture import TITLE
from adaptax.lab.space import RATE
from adaptax.lab.tune_results import Trial, Tuning

COMPLETE, PRUNED, LOST, BEST = COLOURS[0], COLOURS[5], COLOURS[4], COLOURS[1]
PARTLY = "pruned (the first seed's loss)"


def plot(found: Tuning, path: str | os.PathLike) -> Path:
    """Draw the losses by trial, with the best so far, and against the learning rate.

    A pruned trial is drawn where it was given up. One that diverged, or whose loss is far above the
    best, is on the upper edge.

    Args:
      found: with any number of trials.
      path: a file ending in .png, .svg or .pdf; it is written whole or not at all.

    Raises:
      ValueError: another ending.
      OSError: the file cannot be written.
    """
    figures.ending(Path(path))  # refused before anything is drawn
    return figures.save(_figure(found), Path(path))


def _figure(found: Tuning) -> Any:
    figure = figures.blank(11, 4.8)
    by_trial, by_rate = figure.subplots(1, 2, sharey=True)
    limits = _limits(found)
    if limits is not None:
        by_trial.set_yscale("log")
        by_trial.set_ylim(*limits)
        _ticks(by_trial.yaxis, *limits)
    top = math.inf if limits is None else limits[1]
    _points(by_trial, found, lambda trial: trial.number, top)
    _points(by_rate, found, lambda trial: trial.values[RATE], top)
    _best_so_far(by_trial, found)
    by_rate.set_xscale("log")
    rates = [trial.values[RATE] for trial in found.trials]
    by_rate.set_xlim(min(rates) / 1.5, max(rates) * 1.5)
    by_trial.xaxis.get_major_locator().set_params(integer=True)
    _label(by_trial, "trial", "validation loss by trial")
    _label(by_rate, "learning rate, per update", "validation loss by learning rate")
    by_trial.set_ylabel("validation loss")
    handles, labels = by_trial.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=5)
    search = found.search
    title = text.cut(f"{search.task}: {search.optimizer}", TITLE)
    figure.suptitle(text.drawable(title), fontsize="medium")
    return figure


def _loss(trial: Trial) -> float | None:
    """What a trial is drawn at; None where it has no loss."""
    if trial.loss is not None:
        return trial.loss
    return trial.curve[-1] if trial.state == "pruned" and trial.curve else None


def _points(axes: Any, found: Tuning, place: Callable[[Trial], float], top: float) -> None:
    kinds = {
        "complete": {"marker": "o", "color": COMPLETE},
        "pruned": {"marker": "s", "edgecolors": PRUNED, "facecolors": "none"},
    }
    for state, style in kinds.items():
        chosen = [trial for trial in found.trials if trial.state == state and _loss(trial)]
        if chosen:
            losses = [min(_loss(trial) or top, top) for trial in chosen]
            label = state if state == "complete" or len(found.search.seeds) == 1 else PARTLY
            places = [place(trial) for trial in chosen]
            axes.scatter(places, losses, s=26, label=label, clip_on=False, **style)
    lost = [place(trial) for trial in found.trials if _loss(trial) is None]
    if lost:
        transform = axes.get_xaxis_transform()
        style = {"marker": "x", "color": LOST, "clip_on": False, "transform": transform}
        axes.scatter(lost, [1.0] * len(lost), s=34, label="diverged", **style)
    if found.best is not None:
        where, loss = place(found.best), found.best.loss
        ring = {"s": 130, "facecolors": "none", "edgecolors": BEST, "linewidths": 1.8}
        axes.scatter([where], [loss], label="best", **ring)


def _best_so_far(axes: Any, found: Tuning) -> None:
    whole = [(trial.number, trial.loss) for trial in found.trials if trial.loss is not None]
    if not whole:
        return
    best = list(itertools.accumulate((loss for _, loss in whole), min))
    places = [number for number, _ in whole]
    axes.step(
        [*places, found.trials[-1].number],
        [*best, best[-1]],
        where="post",
        color=BEST,
        linewidth=1.4,
        label="best so far",
    )


def _limits(found: Tuning) -> tuple[float, float] | None:
    """Room for losses up to thirty times the best; what is beyond is drawn on the edge."""
    losses = [loss for trial in found.trials if (loss := _loss(trial)) is not None and loss > 0]
    if not losses:
        return None
    low = min(losses)
    high = max(loss for loss in losses if loss <= 30 * low)
    room = max((high / low) ** 0.08, 1.02)
    return low / room, high * room


def _ticks(axis: Any, low: float, high: float) -> None:
    """Enough numbers to read from, also where there are few powers of ten."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    plain = FuncFormatter(lambda value, position: f"{value:g}")
    axis.set_major_formatter(plain)
    if high > 10 * low:
        axis.set_minor_formatter(NullFormatter())
        return
    axis.set_minor_locator(LogLocator(subs=(2, 3, 5) if high > 4 * low else range(2, 10)))
    axis.set_minor_formatter(plain)


def _label(axes: Any, what: str, title: str) -> None:
    axes.set_xlabel(what)
    axes.set_title(title, fontsize="medium")
    axes.grid(True, which="major", color="0.9", linewidth=0.8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_axisbelow(True)
