"""Compare optimizers on a task: train, show live progress, print a table, write results and curves.

Without further arguments LeNet-5 learns handwritten digits with sgd, adagrad, rmsprop, adam and
nadam, three seeds each, in about a minute on two cores.
"""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from adaptax.cli.arguments import seeds, whole
from adaptax.cli.refusal import INTERRUPTED, OK, UNWRITTEN, Refused, note, say, show
from adaptax.core.shown import printable

if TYPE_CHECKING:
    from adaptax.lab.experiment import Plan
    from adaptax.lab.output import Folder
    from adaptax.lab.progress import Progress
    from adaptax.lab.results import Comparison

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
    add("--data-dir", metavar="DIR", help="folder with the files of a task that reads files")
    add(
        "--output",
        metavar="DIR",
        help="new or empty folder for results.json and curves.png (default: a new one in runs/)",
    )
    add("--force", action="store_true", help="replace the results in a folder that holds files")
    add("--json", action="store_true", help="print the results as JSON, nothing else, to stdout")
    add("--quiet", action="store_true", help="show no progress")


def run(arguments: argparse.Namespace) -> int:
    """Refuse, or train and report; the exit status."""
    plan, folder = _prepare(arguments)
    from adaptax.lab import experiment

    with folder:
        found = experiment.run(plan, _progress(arguments))
        try:
            if found.runs:
                _print(arguments, found)
        finally:  # what cannot be shown is written all the same
            status = _write(arguments, found, folder)
    if found.interrupted:
        kept = f"finished runs kept: {len(found.runs)}" if found.runs else "no run had finished"
        say("interrupted", kept)
        return INTERRUPTED
    return status


def _prepare(arguments: argparse.Namespace) -> "tuple[Plan, Folder]":
    """All that can be refused, before any time is spent on training."""
    try:
        from adaptax.lab import experiment, output

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
        if arguments.output is None:
            return plan, output.fresh(f"compare-{plan.task.name}")
        return plan, output.claim(arguments.output, arguments.force)
    except (ValueError, TypeError, OSError, ImportError) as error:
        raise Refused(error) from error


def _progress(arguments: argparse.Namespace) -> "Progress":
    from adaptax.lab import progress

    return progress.Progress() if arguments.quiet else progress.for_stream(sys.stderr)


def _print(arguments: argparse.Namespace, found: "Comparison") -> None:
    import shutil

    if arguments.json:
        show(found.to_json())
        return
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    show(("" if arguments.quiet else "\n") + found.table(width))


def _write(arguments: argparse.Namespace, found: "Comparison", folder: "Folder") -> int:
    from adaptax.lab import experiment

    try:
        written = experiment.write(found, folder)
    except OSError as error:
        say("warning", f"results not written to {Path(folder.path)}: {error}")
        return UNWRITTEN
    if written and not arguments.quiet:
        names = " and ".join(path.name for path in written)
        note(f"\nwrote {names} to {printable(folder.path)}")
    return OK
