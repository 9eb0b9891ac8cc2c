"""Compare optimizers on a task: train, show live progress, print a table, write results and curves.

Without further arguments LeNet-5 learns handwritten digits with sgd, adagrad, rmsprop, adam and
nadam, three seeds each, in about a minute on two cores.
"""

import argparse
import sys
from typing import TYPE_CHECKING

from adaptax.cli import results
from adaptax.cli.arguments import seeds, whole
from adaptax.cli.refusal import INTERRUPTED, say

if TYPE_CHECKING:
    from adaptax.lab.experiment import Plan
    from adaptax.lab.output import Folder
    from adaptax.lab.progress import Progress

HELP = "train a task with several optimizers and compare them"
TASK = "digits-lenet5"


def configure(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--task", default=TASK, help=f"see 'adaptax list' (default: {TASK})")
    add(
        "--optimizers",
        nargs="+",
        action="extend",
        metavar="CALL",
        help="names, with arguments if wanted: adam 'adamw(weight_decay=0.01)'; "
        "may be repeated (default: sgd adagrad rmsprop adam nadam)",
    )
    add(
        "--learning-rate",
        metavar="RATE",
        help="for optimizers named without one: a number or a schedule such as "
        "'cosine(0.001, 500)' (default: the task's own rate for each)",
    )
    add("--epochs", type=whole, metavar="N", help="passes over the data (default: the task's)")
    add("--batch-size", type=whole, metavar="N", help="examples in a step (default: the task's)")
    add(
        "--seeds",
        type=seeds,
        default=3,
        metavar="N|A,B",
        help="how many seeds, or which: 0,1,2; '7,' is seed 7 alone (default: 3)",
    )
    add(
        "--tune",
        action="store_true",
        help="first find every optimizer's best rate, on examples held out of the training "
        "examples; of a schedule the scale",
    )
    add(
        "--tune-budget",
        type=whole,
        metavar="N",
        help="trainings an optimizer to find its rate with (default: 20)",
    )
    results.options(add, "curves.png")


def run(arguments: argparse.Namespace) -> int:
    """Refuse, or train and report; the exit status."""
    plan, folder = _prepare(arguments)
    from adaptax.lab import experiment

    with folder:
        found = experiment.run(plan, _progress(arguments))
        try:
            if found.runs:
                results.tabulate(arguments, found)
        finally:  # what cannot be shown is written all the same
            status = results.write(arguments, folder, experiment.write, found)
    if found.interrupted:
        kept = f"finished runs kept: {len(found.runs)}" if found.runs else "no run had finished"
        say("interrupted", kept)
        return INTERRUPTED
    return status


def _prepare(arguments: argparse.Namespace) -> "tuple[Plan, Folder]":
    """All that can be refused, before any time is spent on training."""
    with results.refusing():
        from adaptax.lab import experiment

        plan = experiment.prepare(
            arguments.task,
            arguments.optimizers,
            arguments.learning_rate,
            arguments.epochs,
            arguments.batch_size,
            arguments.seeds,
            arguments.data_dir,
            arguments.tune,
            arguments.tune_budget,
        )
        return plan, results.claimed(arguments, f"compare-{plan.task.name}")


def _progress(arguments: argparse.Namespace) -> "Progress":
    from adaptax.lab import progress

    return progress.Progress() if arguments.quiet else progress.for_stream(sys.stderr)
