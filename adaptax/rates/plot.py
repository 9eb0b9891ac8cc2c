"""The curves of schedules as a picture."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from adaptax.core import figures, shown
from adaptax.rates.schedule import Schedule

_DASHES = ("-", "--", "-.", ":")
_POINTS = 1000
_LONGEST = 90  # characters of a call in a legend


def draw(schedules: Sequence[Schedule], steps: int | None = None) -> Any:
    """The schedules in one figure.

    Args:
      schedules: at least one.
      steps: how many steps are drawn; None shows the longest of them whole.

    Raises:
      ImportError: Matplotlib is not installed.
      TypeError, ValueError: steps that are not a whole number ≥ 1.
    """
    last = max(schedule.span for schedule in schedules) if steps is None else steps
    sampled = [schedule.sampled(_POINTS, last, before=1) for schedule in schedules]
    curves = [
        (at, np.asarray(schedule(np.asarray(at)), np.float64))
        for schedule, at in zip(schedules, sampled, strict=True)
    ]
    figure = figures.blank(7, 3.8 + 0.25 * len(schedules))
    axes = figure.subplots()
    for number, (schedule, (at, values)) in enumerate(zip(schedules, curves, strict=True)):
        dashes = _DASHES[sum(divmod(number, len(figures.COLOURS))) % len(_DASHES)]
        colour = figures.COLOURS[number % len(figures.COLOURS)]
        axes.plot(at, values, color=colour, linestyle=dashes, label=_legend(schedule))
    axes.set_xlabel("step (updates made before)")
    axes.set_ylabel("value (per update)")
    axes.set_title("schedule" if len(schedules) == 1 else "schedules", fontsize="medium")
    axes.grid(True, color="0.9", linewidth=0.8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(x=0.01)
    figure.legend(loc="outside lower center", ncols=1, fontsize="small", frameon=False)
    return figure


def _legend(schedule: Schedule) -> str:
    return shown.drawable(shown.cut(repr(schedule), _LONGEST))
