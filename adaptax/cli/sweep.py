"""Sweep the learning rate of optimizers on a task: a table and a chart each, and one picture.

Every rate is trained with every seed on a part of the training examples and judged by its loss on
the rest; test examples are not looked at. Without further arguments the optimizers are sgd,
adagrad, rmsprop, adam and nadam, and the rates 15 from 1e-4 to 5.
"""

import argparse
from typing import TYPE_CHECKING

from adaptax.cli import results
from adaptax.cli.arguments import seeds, whole
from adaptax.cli.refusal import INTERRUPTED, say, show

if TYPE_CHECKING:
    from adaptax.lab.output import Folder
    from adaptax.lab.sweeps import Plan

HELP = "sweep learning rates on a task"
POINTS = 15


def configure(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("task", metavar="TASK", help="see 'adaptax list'")
    add(
        "--optimizers",
        nargs="+",
        action="extend",
        metavar="CALL",
        help="names, with arguments if wanted: adam 'adamw(weight_decay=0.01)' "
        "'adam(cosine(1.0, 500))'; may be repeated (default: sgd adagrad rmsprop adam nadam)",
    )
    add("--rates", type=_rates, metavar="A,B", help="the rates themselves: 1e-4,1e-3,1e-2")
    add("--low", type=_number, metavar="RATE", help="the smallest rate (default: 1e-4)")
    add("--high", type=_number, metavar="RATE", help="the largest rate (default: 5)")
    add(
        "--points",
        type=whole,
        metavar="N",
        help=f"how many rates, at equal ratios, from low to high (default: {POINTS})",
    )
    add(
        "--seeds",
        type=seeds,
        default=2,
        metavar="N|A,B",
        help="how many seeds, from 1000 on, or which: 7,8; '7,' is seed 7 alone (default: 2)",
    )
    add("--epochs", type=whole, metavar="N", help="passes over the data (default: the task's)")
    add("--batch-size", type=whole, metavar="N", help="examples in a step (default: the task's)")
    add("--examples", type=whole, metavar="N", help="training examples to use (default: all)")
    add(
        "--halving",
        type=whole,
        metavar="ETA",
        help="successive halving: one rate in so many goes on from a rung to the next",
    )
    results.options(add, "sweep.png")


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None


def _rates(text: str) -> list[float]:
    return [_number(part) for part in text.split(",") if part.strip()]


def run(arguments: argparse.Namespace) -> int:
    """Refuse, or sweep and report; the exit status."""
    plan, folder = _prepare(arguments)
    from adaptax.lab import sweeps

    with folder:
        found = sweeps.run(plan, progress=not arguments.quiet)
        try:
            if found.entries:
                show(found.to_json() if arguments.json else found.table())
        finally:  # what cannot be shown is written all the same
            status = results.write(arguments, folder, sweeps.write, found)
    if found.interrupted:
        kept = sum(not entry.sweep.interrupted for entry in found.entries)
        say("interrupted", f"finished sweeps kept: {kept} of {found.planned}")
        return INTERRUPTED
    return status


def _prepare(arguments: argparse.Namespace) -> "tuple[Plan, Folder]":
    """All that can be refused, before any time is spent on training."""
    with results.refusing():
        from adaptax.lab import search, sweeps

        plan = sweeps.prepare(
            arguments.task,
            arguments.optimizers,
            _grid(arguments, search.GRID),
            arguments.seeds,
            arguments.epochs,
            arguments.batch_size,
            arguments.halving,
            arguments.examples,
            arguments.data_dir,
        )
        return plan, results.claimed(arguments, f"sweep-{plan.task.name}")


def _grid(arguments: argparse.Namespace, default: tuple[float, ...]) -> tuple[float, ...]:
    """The rates that were asked for."""
    import numpy as np

    asked = (arguments.low, arguments.high, arguments.points)
    if arguments.rates is not None:
        if asked != (None, None, None):
            raise ValueError("--rates: give either these or --low, --high and --points")
        return tuple(arguments.rates)
    if asked == (None, None, None):
        return default
    low = default[0] if arguments.low is None else arguments.low
    high = default[-1] if arguments.high is None else arguments.high
    points = POINTS if arguments.points is None else arguments.points
    if not 0 < low < high < float("inf"):
        raise ValueError(f"--low {low:g} --high {high:g}: 0 < low < high is needed")
    if points < 2:
        raise ValueError(f"--points {points}: at least 2 are needed, or give --rates")
    return tuple(float(f"{rate:.3g}") for rate in np.geomspace(low, high, points))
