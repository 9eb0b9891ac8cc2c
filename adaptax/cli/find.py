"""Find the learning rate for an optimizer on a task: a range test, and trainings on request.

The loss is followed while the rate rises from 1e-7 to 10; a tenth of the rate with the lowest loss
is recommended. With --trainings about twenty-eight whole trainings look around it for the rate
whose loss on held-out training examples is lowest. Test examples are not looked at.
"""

import argparse
from typing import TYPE_CHECKING

from adaptax.cli import results
from adaptax.cli.arguments import whole
from adaptax.cli.refusal import show

if TYPE_CHECKING:
    from adaptax.lab.find import Plan
    from adaptax.lab.output import Folder

HELP = "find the learning rate for an optimizer on a task"


def configure(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("task", metavar="TASK", help="see 'adaptax list'")
    add(
        "--optimizer",
        default="adamw",
        metavar="CALL",
        help="a name, with arguments but the rate if wanted: 'sgd(momentum=0.9)' (default: adamw)",
    )
    add("--trainings", action="store_true", help="train to the end around what the test finds")
    add("--epochs", type=whole, metavar="N", help="of such a training (default: the task's)")
    add("--batch-size", type=whole, metavar="N", help="examples in a step (default: the task's)")
    add("--seed", type=whole, default=0, metavar="N", help="of split, weights, order (default: 0)")
    results.options(add, "range_test.png")


def run(arguments: argparse.Namespace) -> int:
    """Refuse, or search and report; the exit status."""
    plan, folder = _prepare(arguments)
    from adaptax.lab import find

    with folder:
        found = find.run(plan, progress=not arguments.quiet)
        try:
            show(found.to_json() if arguments.json else found.table())
        finally:  # what cannot be shown is written all the same
            status = results.write(arguments, folder, find.write, found)
        return status


def _prepare(arguments: argparse.Namespace) -> "tuple[Plan, Folder]":
    """All that can be refused, before any time is spent on training."""
    with results.refusing():
        from adaptax.lab import find

        plan = find.prepare(
            arguments.task,
            arguments.optimizer,
            arguments.trainings,
            arguments.epochs,
            arguments.batch_size,
            arguments.seed,
            arguments.data_dir,
        )
        return plan, results.claimed(arguments, f"find-lr-{plan.task.name}")
