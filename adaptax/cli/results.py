"""What the commands that train have in common: where their results go, and what is said of them."""

import argparse
import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adaptax.cli.refusal import OK, UNWRITTEN, Refused, note, say, show
from adaptax.core.shown import printable

if TYPE_CHECKING:
    from adaptax.lab.output import Folder


def options(add: Callable[..., Any], picture: str) -> None:
    """The options of data and results; `picture` is the file beside results.json."""
    add("--data-dir", metavar="DIR", help="folder with the files of a task that reads files")
    add(
        "--output",
        metavar="DIR",
        help=f"new or empty folder for results.json and {picture} (default: a new one in runs/)",
    )
    add("--force", action="store_true", help="replace the results in a folder that holds files")
    add("--json", action="store_true", help="print the results as JSON, nothing else, to stdout")
    add("--quiet", action="store_true", help="show no progress")


@contextlib.contextmanager
def refusing() -> Iterator[None]:
    """What is raised in here is the user's to mend, and said in one line."""
    try:
        yield
    except (ValueError, TypeError, OSError, ImportError) as error:
        raise Refused(error) from error


def claimed(arguments: argparse.Namespace, name: str) -> "Folder":
    """The folder that was asked for, or a new one with `name` in its name."""
    from adaptax.lab import output

    if arguments.output is None:
        return output.fresh(name)
    return output.claim(arguments.output, arguments.force)


def tabulate(arguments: argparse.Namespace, found: Any) -> None:
    """The result on standard output: JSON, or a table that fits the terminal."""
    import shutil

    if arguments.json:
        show(found.to_json())
        return
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    show(("" if arguments.quiet else "\n") + found.table(width))


def write(
    arguments: argparse.Namespace,
    folder: "Folder",
    writer: Callable[..., Sequence[Path]],
    found: Any,
) -> int:
    """Have the files written, and say so; the exit status."""
    try:
        written = writer(found, folder)
    except OSError as error:
        say("warning", f"results not written to {Path(folder.path)}: {error}")
        return UNWRITTEN
    if written and not arguments.quiet:
        names = " and ".join(path.name for path in written)
        note(f"\nwrote {names} to {printable(folder.path)}")
    return OK
