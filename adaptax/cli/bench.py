"""Measure one optimizer step: adaptax beside Optax and, where installed, PyTorch.

AdamW alone and behind a global-norm clip, on one array, on equal and on distinct leaves: time,
memory, compile time. Takes a few minutes; --quick checks in seconds that everything runs, but its
numbers say nothing.
"""

import argparse
import dataclasses
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from adaptax.cli.refusal import OK, UNWRITTEN, Refused, free, note, say, show
from adaptax.core.shown import printable

if TYPE_CHECKING:
    from adaptax.lab.bench import Settings
    from adaptax.lab.bench_results import Bench

HELP = "measure the time, memory and compile time of a step beside Optax and PyTorch"
UNITS = {"k": 10**3, "M": 10**6, "G": 10**9}


def configure(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--size", type=_size, metavar="N", help="parameters, such as 20M (default: 20M)")
    add("--leaves", type=_size, metavar="N", help="arrays to split them into (default: 200)")
    add("--rounds", type=_size, metavar="N", help="how often a step is timed (default: 15)")
    add("--compiles", type=_size, metavar="N", help="how often a step is compiled (default: 3)")
    add("--quick", action="store_true", help="few parameters and rounds, to see that it works")
    add("--no-torch", action="store_true", help="leave PyTorch out")
    add("--json", action="store_true", help="print everything as JSON, nothing else, to stdout")
    add("--output", metavar="FILE.md", help="also write the table, as Markdown, to this new file")
    add("--force", action="store_true", help="replace the file if there is one")
    add("--quiet", action="store_true", help="show no progress")


def _size(text: str) -> int:
    """A whole number; k, M and G are thousands, millions and thousands of millions."""
    number, unit = (text[:-1], UNITS[text[-1]]) if text[-1:] in UNITS else (text, 1)
    try:
        return int(number) * unit
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a whole number (20M is 20 million)"
        ) from None


def run(arguments: argparse.Namespace) -> int:
    """Refuse, or measure and report; the exit status."""
    try:
        settings = _settings(arguments)
        path = None if arguments.output is None else free(arguments.output, arguments.force)
    except (ValueError, OSError) as error:
        raise Refused(error) from error
    import jax

    from adaptax.lab import bench

    try:
        found = bench.measure(settings, _progress(arguments.quiet))
    except (MemoryError, jax.errors.JaxRuntimeError) as error:
        if isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error):
            raise Refused(f"size={settings.size} does not fit into memory; take less") from error
        raise
    status = OK
    try:
        _print(arguments, found)
    finally:  # what cannot be shown is written all the same
        if path is not None:
            status = _write(found, path, arguments.quiet)
    return status


def _settings(arguments: argparse.Namespace) -> "Settings":
    from adaptax.lab import bench

    base = bench.QUICK if arguments.quick else bench.Settings()
    given = {n: getattr(arguments, n) for n in ("size", "leaves", "rounds", "compiles")}
    given = {name: value for name, value in given.items() if value is not None}
    return dataclasses.replace(base, torch=not arguments.no_torch, **given)


def _progress(quiet: bool) -> Callable[[str], None]:
    def show(line: str) -> None:
        if not quiet:
            note(f"measuring {line}")

    return show


def _print(arguments: argparse.Namespace, found: "Bench") -> None:
    import shutil

    if arguments.json:
        show(found.to_json())
        return
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    show(("" if arguments.quiet else "\n") + found.table(width))


def _write(found: "Bench", path: Path, quiet: bool) -> int:
    from adaptax.lab import output

    try:
        output.replace(path, found.markdown().encode())
    except OSError as error:
        say("warning", f"table not written to {path}: {error}")
        return UNWRITTEN
    if not quiet:
        note(f"\nwrote {printable(path)}")
    return OK
