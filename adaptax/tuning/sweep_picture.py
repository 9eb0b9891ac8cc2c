"""Sweeps as a picture: the loss over the rate, a curve for each optimizer."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from adaptax.core import figures, shown
from adaptax.tuning.swept import Sweep

LONGEST = 60  # characters of a label in the legend
MOST_BANDS = 3  # more than that hide each other
STYLE = {"color": figures.COLOURS[0], "linestyle": "-", "marker": "o"}


def draw(
    sweeps: Mapping[str, Sweep],
    styles: Sequence[Mapping[str, Any]] = (STYLE,),
    title: str | None = None,
) -> Any:
    """A Matplotlib figure: mean losses, a ring at each best rate, bands of a standard deviation.

    A rate with which a seed diverged has a cross at the top; one that was stopped early has a
    hollow mark. With more than three sweeps there are no bands.

    Args:
      sweeps: by the label that the legend shows.
      styles: Matplotlib's `color`, `linestyle` and `marker` for each.
      title: above the picture; None says nothing.

    Raises:
      ImportError: Matplotlib is not installed.
    """
    figure = figures.blank(8, 5)
    axes = figure.subplots()
    tops = [sweep.ceiling for sweep in sweeps.values() if np.isfinite(sweep.ceiling)]
    top = max(tops, default=1.0)
    bands = len(sweeps) <= MOST_BANDS
    for number, ((label, sweep), style) in enumerate(zip(sweeps.items(), styles, strict=True)):
        _curve(axes, label, sweep, style, bands, place=0.98 - 0.025 * number)
    lows = [row.mean for sweep in sweeps.values() for row in sweep.rows if row.mean is not None]
    _scale(axes, min(lows, default=0.0), top)
    measures = dict.fromkeys(_shown(sweep.measure) for sweep in sweeps.values())
    axes.set_xlabel("learning rate")
    axes.set_ylabel(" and ".join(measures))
    axes.grid(True, color="0.92")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    if title is not None:
        figure.suptitle(title, fontsize="medium")
    columns = max(1, min(3, 90 // max((len(_shown(label)) + 16 for label in sweeps), default=1)))
    figure.legend(loc="outside lower center", ncols=columns, fontsize="small", frameon=False)
    return figure


def _shown(label: str) -> str:
    return shown.drawable(shown.cut(label, LONGEST))


def _scale(axes: Any, low: float, top: float) -> None:
    """Logarithmic where the losses span more than a power of ten."""
    from matplotlib.ticker import FuncFormatter, LogLocator

    plain = FuncFormatter(lambda value, position: f"{value:g}")
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(plain)
    if 0 < low < top / 10:
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(plain)
        axes.yaxis.set_minor_locator(LogLocator(subs=(2, 5)))
        axes.yaxis.set_minor_formatter(plain if low > top / 1000 else FuncFormatter(lambda *_: ""))
        axes.set_ylim(low / 1.3, top * 1.1)
    else:
        axes.set_ylim(low - 0.06 * (top - low), top + 0.03 * (top - low))


def _curve(
    axes: Any, label: str, sweep: Sweep, style: Mapping[str, Any], bands: bool, place: float
) -> None:
    best = sweep.best
    rows = [row for row in sweep.rows if row.mean is not None]
    rates, means = [row.rate for row in rows], np.array([row.mean for row in rows])
    note = "none" if best is None else f"{best:.4g}"
    line = {"color": style["color"], "linestyle": style["linestyle"], "linewidth": 1.4}
    axes.plot(rates, means, **line)
    whole = [row for row in rows if row.loss is not None and not row.diverged]
    axes.plot([row.rate for row in whole], [row.mean for row in whole], **_mark(style))
    stopped = [row for row in rows if row.loss is None]
    hollow = {**_mark(style), "markerfacecolor": "white"}
    axes.plot([row.rate for row in stopped], [row.mean for row in stopped], **hollow)
    named = {"marker": style["marker"], "label": f"{_shown(label)}, best {note}"}
    axes.plot([], [], **line, markersize=4.5, **named)
    if bands and len(sweep.seeds) > 1:
        spreads = np.array([row.spread or 0.0 for row in rows])
        low = np.maximum(means - spreads, means / 10)  # a band below zero has no logarithm
        axes.fill_between(rates, low, means + spreads, color=style["color"], alpha=0.15, lw=0)
    crosses = [row.rate for row in sweep.rows if row.diverged]
    above = {"transform": axes.get_xaxis_transform()}
    axes.plot(crosses, [place] * len(crosses), "x", color=style["color"], markersize=6, **above)
    chosen = next((row for row in whole if row.rate == best), None)
    if chosen is not None:
        ring = {"markersize": 12, "markerfacecolor": "none", "markeredgewidth": 1.5}
        axes.plot(chosen.rate, chosen.mean, "o", markeredgecolor=style["color"], **ring)


def _mark(style: Mapping[str, Any]) -> dict[str, Any]:
    mark = {name: style[name] for name in ("color", "marker")}
    return {**mark, "linestyle": "none", "markersize": 4.5}
