"""The curve of a range test as a picture."""

from typing import TYPE_CHECKING, Any

import numpy as np

from adaptax.core import figures

if TYPE_CHECKING:
    from adaptax.tuning.result import RateTest

CURVE, _STEEPEST, _VALLEY, _MINIMUM, CHOSEN, _SLIDE, _ = figures.COLOURS
MARKS = {"valley": _VALLEY, "steepest": _STEEPEST, "minimum/10": _MINIMUM, "slide": _SLIDE}


def draw(found: "RateTest") -> Any:
    """A Matplotlib figure: the range test, and the trials below it where there are any.

    Raises:
      ImportError: Matplotlib is not installed.
    """
    panels = 2 if found.trials else 1
    figure = figures.blank(5.5 * panels, 4.2)
    axes = figure.subplots(1, panels, squeeze=False)[0]
    _range_test(axes[0], found)
    if found.trials:
        _trials(axes[1], found)
    chosen = f"{found.recommended:.3g}" if found.recommended is not None else "none"
    figure.suptitle(f"recommended learning rate: {chosen} ({found.verdict})", fontsize="medium")
    return figure


def _range_test(axes: Any, found: "RateTest") -> None:
    rates, smoothed = np.asarray(found.rates), np.asarray(found.smoothed)
    for losses in found.losses:
        axes.plot(rates, losses, color="0.8", linewidth=0.8, zorder=1)
    axes.plot(rates[: len(smoothed)], smoothed, color=CURVE, linewidth=2, zorder=2)
    for name, rate in found.suggestions.items():
        if rate is not None and len(smoothed) > 1:
            height = np.interp(np.log(rate), np.log(rates[: len(smoothed)]), smoothed)
            axes.plot(rate, height, "o", color=MARKS[name], markersize=7, label=name, zorder=3)
    _finish(axes, "loss", "range test (mean of the repeats, smoothed)", found)
    finite = smoothed[np.isfinite(smoothed)]
    if finite.size:
        low, high = float(finite.min()), float(max(finite[0], finite.max()))
        room = 0.08 * (high - low) or 0.1 * abs(high) or 1.0
        axes.set_ylim(low - room, high + 2 * room)
    axes.set_xlim(rates[0], rates[-1])


def _trials(axes: Any, found: "RateTest") -> None:
    """A thin line for every share that was held out, a thick one for the mean over all."""
    shares = max(len(trial.losses) for trial in found.trials)
    for share in range(shares):
        those = [trial for trial in found.trials if len(trial.losses) > share]
        line = [trial.losses[share] for trial in those]
        axes.plot([t.rate for t in those], line, "o-", color="0.75", markersize=3.5, linewidth=0.9)
    whole = [trial for trial in found.trials if len(trial.losses) == shares]
    means = [float(np.mean(trial.losses)) for trial in whole]
    axes.plot([trial.rate for trial in whole], means, "o-", color=CURVE, linewidth=2)
    _finish(axes, "loss on batches held out", f"trainings of {found.horizon} steps", found)
    rates = [trial.rate for trial in found.trials]
    axes.set_xticks(rates[:: 1 + len(rates) // 7], minor=False)
    axes.xaxis.set_major_formatter(lambda rate, position: f"{rate:.2g}")
    axes.xaxis.set_minor_formatter(lambda rate, position: "")
    # as high as three times the best: beyond are the rates that break training down
    finite = [loss for trial in found.trials for loss in trial.losses if np.isfinite(loss)]
    if finite:
        room = 0.1 * (abs(min(finite)) or 1.0)
        axes.set_ylim(
            min(finite) - room, min(max(finite), max(*means, min(finite)) + 20 * room) + room
        )


def _finish(axes: Any, loss: str, title: str, found: "RateTest") -> None:
    axes.set_xscale("log")
    if found.recommended is not None:
        label = f"recommended {found.recommended:.3g}"
        axes.axvline(found.recommended, color=CHOSEN, linestyle="--", linewidth=1.2, label=label)
    if found.interval is not None and found.interval[0] < found.interval[1]:
        axes.axvspan(*found.interval, color=CHOSEN, alpha=0.07, linewidth=0)
    axes.set_xlabel("learning rate")
    axes.set_ylabel(loss)
    axes.set_title(title, fontsize="medium")
    axes.grid(True, color="0.92")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize="small", frameon=False)
