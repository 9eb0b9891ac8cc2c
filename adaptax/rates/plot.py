"""The curves of schedules as a picture; Matplotlib is imported here alone, and only when asked for.

Source of the colours: M. Okabe, K. Ito, Color Universal Design, 2008.
"""

import io
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from adaptax.core import files, shown
from adaptax.rates.schedule import Schedule

ENDINGS = ("png", "svg", "pdf")
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#E69F00", "#56B4E9")
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
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise ImportError(
            'a plot needs matplotlib, which is not installed; run: pip install "adaptax[lab]"'
        ) from None
    figure = Figure(figsize=(7, 3.8 + 0.25 * len(schedules)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for number, (schedule, (at, values)) in enumerate(zip(schedules, curves, strict=True)):
        dashes = _DASHES[sum(divmod(number, len(_COLOURS))) % len(_DASHES)]
        colour = _COLOURS[number % len(_COLOURS)]
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


def ending(path: Path) -> str:
    """The kind of picture that a path asks for.

    Raises:
      ValueError: none of `ENDINGS`.
    """
    kind = path.suffix.removeprefix(".").lower()
    if kind not in ENDINGS:
        raise ValueError(
            f"plot(path={shown.quoted(path)}): the ending must be one of {', '.join(ENDINGS)}"
        )
    return kind


def save(figure: Any, path: Path) -> Path:
    """Write the figure whole or not at all: into a temporary file, which is then renamed.

    Raises:
      ValueError: another ending.
      OSError: the file cannot be written; one of that name is then as it was.
    """
    content = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # a box is drawn instead
        figure.savefig(content, format=ending(path), dpi=150)
    return files.replace(path, content.getvalue())
