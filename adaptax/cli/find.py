"""Find the learning rate for an optimizer on a task: a range test, and trainings on request.

The loss is followed while the rate rises from 1e-7 to 10; a tenth of the rate with the lowest loss
is recommended. With --trainings about twenty-eight whole trainings look around it for the rate
whose loss on held-out training examples is lowest. Test examples are not looked at.
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from adaptax.cli.arguments import whole
from adaptax.cli.refusal import OK, UNWRITTEN, Refused, note, say, show
from adaptax.core.shown import printable

if TYPE_CHECKING:
    from adaptax.lab.find import Found, Plan
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
    add("--data-dir", metavar="DIR", help="folder with the files of a task that reads files")
    add(
        "--output",
        metavar="DIR",
        help="new or empty folder for results.json and range_test.png "
        "(default: a new one in runs/)",
    )
    add("--force", action="store_true", help="replace the results in a folder that holds files")
    add("--json", action="store_true", help="print the results as JSON, nothing else, to stdout")
    add("--quiet", action="store_true", help="show no progress")


def run(arguments: argparse.Namespace) -> int:
    """Refuse, or search and report; the exit status."""
    plan, folder = _prepare(arguments)
    from adaptax.lab import find

    with folder:
        found = find.run(plan, progress=not arguments.quiet)
        try:
            show(found.to_json() if arguments.json else found.table())
        finally:  # what cannot be shown is written all the same
            status = _write(arguments, found, folder)
        return status


def _prepare(arguments: argparse.Namespace) -> "tuple[Plan, Folder]":
    """All that can be refused, before any time is spent on training."""
    try:
        from adaptax.lab import find, output

        plan = find.prepare(
            arguments.task,
            arguments.optimizer,
            arguments.trainings,
            arguments.epochs,
            arguments.batch_size,
            arguments.seed,
            arguments.data_dir,
        )
        if arguments.output is None:
            return plan, output.fresh(f"find-lr-{plan.task.name}")
        return plan, output.claim(arguments.output, arguments.force)
    except (ValueError, TypeError, OSError, ImportError) as error:
        raise Refused(error) from error


def _write(arguments: argparse.Namespace, found: "Found", folder: "Folder") -> int:
    from adaptax.lab import find

    try:
        written = find.write(found, folder)
    except OSError as error:
        say("warning", f"results not written to {Path(folder.path)}: {error}")
        return UNWRITTEN
    if not arguments.quiet:
        names = " and ".join(path.name for path in written)
        note(f"\nwrote {names} to {printable(folder.path)}")
    return OK
