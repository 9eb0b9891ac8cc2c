"""Search for an optimizer's best learning rate and other numbers on a task, with Optuna.

A trial trains on a part of the training examples and is judged by its loss on the rest; test
examples are not looked at. With --storage, the same command goes on where it was stopped.
"""

import argparse
import contextlib
import sys
from typing import TYPE_CHECKING, Any

from adaptax.cli import results
from adaptax.cli.arguments import seeds, whole
from adaptax.cli.refusal import INTERRUPTED, Refused, say

if TYPE_CHECKING:
    from adaptax.lab.output import Folder
    from adaptax.lab.progress import Progress
    from adaptax.lab.trials import Plan
    from adaptax.lab.tune_results import Tuning

HELP = "search for an optimizer's best numbers on a task"
EPILOG = """Examples:
  adaptax tune digits-mlp
  adaptax tune digits-mlp --optimizer 'sgd(nesterov=True)' --space 'momentum=0.5..0.99'
  adaptax tune digits-mlp --trials 60 --storage search.log \\
      --space learning_rate=1e-4..1e-1 weight_decay=log:1e-5..1e-1 b2=0.99,0.999
"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.epilog = EPILOG
    add = parser.add_argument
    add("task", metavar="TASK", help="see 'adaptax list'")
    add(
        "--optimizer",
        default="adamw",
        metavar="CALL",
        help="a name, with the arguments that are not searched if wanted (default: adamw)",
    )
    add("--trials", type=whole, default=30, metavar="N", help="how many in all (default: 30)")
    add(
        "--space",
        nargs="+",
        action="extend",
        metavar="NAME=RANGE",
        help="what else to search: b1=0.8..0.95 (uniform), weight_decay=log:1e-5..1e-1, "
        "eps=1e-8,1e-6 (choices); the learning rate is searched in 1e-5..1 unless given",
    )
    add("--sampler", default="tpe", metavar="NAME", help="tpe, random or grid (default: tpe)")
    add("--pruner", default="median", metavar="NAME", help="median or none (default: median)")
    add("--seed", type=whole, default=0, metavar="N", help="of the sampler (default: 0)")
    add(
        "--seeds",
        type=seeds,
        default=2,
        metavar="N|A,B",
        help="how many seeds a trial trains with, from 1000 on, or which (default: 2)",
    )
    add("--epochs", type=whole, metavar="N", help="passes over the data (default: the task's)")
    add("--batch-size", type=whole, metavar="N", help="examples in a step (default: the task's)")
    add(
        "--storage",
        metavar="FILE",
        help="keep the trials in this file, or sqlite:///FILE, and go on with those in it",
    )
    add("--study", metavar="NAME", help="one of several searches in a storage")
    results.options(add, "search.png")


def run(arguments: argparse.Namespace) -> int:
    """Refuse, or search and report; the exit status."""
    plan, folder = _prepare(arguments)
    from adaptax.lab import tuning

    with folder, contextlib.ExitStack() as stack:
        study = _opened(plan, stack)
        try:
            found = tuning.run(plan, study, _progress(arguments))
        except OSError as error:  # of the storage
            raise Refused(error) from error
        try:
            if found.trials:
                results.tabulate(arguments, found)
        finally:  # what cannot be shown is written all the same
            status = results.write(arguments, folder, tuning.write, found)
    if found.interrupted:
        say("interrupted", _advice(arguments, found))
        return INTERRUPTED
    return status


def _prepare(arguments: argparse.Namespace) -> "tuple[Plan, Folder]":
    """All that can be refused before the storage is touched."""
    with results.refusing():
        from adaptax.lab import tuning

        plan = tuning.prepare(
            arguments.task,
            arguments.optimizer,
            arguments.trials,
            arguments.space,
            arguments.sampler,
            arguments.pruner,
            arguments.seed,
            arguments.seeds,
            arguments.epochs,
            arguments.batch_size,
            arguments.storage,
            arguments.study,
            arguments.data_dir,
        )
        return plan, results.claimed(arguments, f"tune-{plan.task.name}")


def _opened(plan: "Plan", stack: contextlib.ExitStack) -> Any:
    try:
        return stack.enter_context(plan.opened())
    except (ValueError, OSError) as error:
        raise Refused(error) from error


def _progress(arguments: argparse.Namespace) -> "Progress":
    from adaptax.lab import progress, tune_progress

    return progress.Progress() if arguments.quiet else tune_progress.for_stream(sys.stderr)


def _advice(arguments: argparse.Namespace, found: "Tuning") -> str:
    done = f"{len(found.trials)} of {found.search.trials} trials finished"
    if arguments.storage is None:
        return f"{done}; with --storage FILE a search can go on"
    again = " with --force" if arguments.output is not None and found.trials else ""
    return f"{done}; the same command{again} goes on"
