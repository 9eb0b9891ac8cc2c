"""Draw schedules in the terminal, with a table of their values, or into a picture.

    adaptax schedules plot 'warmup_cosine(0.1, 10, 100)' 'one_cycle(0.1, 100)'
    adaptax schedules plot 'wsd(0.1, 10, 20, decay_at=80)' --output wsd.png

'adaptax list' names the schedules.
"""

import argparse
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from adaptax.cli.arguments import whole
from adaptax.cli.refusal import OK, UNWRITTEN, Refused, free, note, say, show
from adaptax.core import figures
from adaptax.core.shown import printable

if TYPE_CHECKING:
    from adaptax.rates.schedule import Schedule

HELP = "draw schedules and tabulate them"
_NARROW, _WIDE, _HEIGHT = 20, 100, 12


def configure(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("action", choices=["plot"], help="what to do with them")
    add("schedules", nargs="+", metavar="CALL", help="such as 'cosine(0.1, 1000)'")
    add("--steps", type=whole, metavar="N", help="how many steps (default: all there are to see)")
    add("--output", metavar="FILE", help="a picture ending in .png, .svg or .pdf, with all curves")
    add("--force", action="store_true", help="replace the file if it exists")


def run(arguments: argparse.Namespace) -> int:
    """Refuse, or draw; the exit status."""
    try:
        schedules = [_schedule(text) for text in arguments.schedules]
        path = None if arguments.output is None else _free(arguments.output, arguments.force)
        if path is None:
            show("\n\n".join(_shown(each, arguments.steps) for each in schedules) + "\n")
            return OK
        from adaptax.rates import plot

        figure = plot.draw(schedules, arguments.steps)
    except (ValueError, TypeError, OSError, ImportError) as error:
        raise Refused(error) from error
    try:
        figures.save(figure, path)
    except OSError as error:
        say("warning", f"{path} not written: {error}")
        return UNWRITTEN
    note(f"wrote {printable(path)}")
    return OK


def _schedule(text: str) -> "Schedule":
    import adaptax

    made = adaptax.parse(text)
    if not isinstance(made, adaptax.Schedule):
        kind = type(made).__name__.lower()
        raise ValueError(f"{text!r} is a {kind}, not a schedule; see 'adaptax list'")
    return made


def _free(output: str, force: bool) -> Path:
    """Where a picture may be written."""
    figures.ending(Path(output))
    return free(output, force)


def _shown(schedule: "Schedule", steps: int | None) -> str:
    """The call, the curve and the table."""
    import numpy as np

    from adaptax.core import chart

    columns = shutil.get_terminal_size().columns if sys.stdout.isatty() else 80
    width = max(_NARROW, min(_WIDE, columns - 14))
    at = schedule.sampled(4 * width, steps, before=1)
    ascii = not _encodes("⠿│▲")
    curve = chart.text(
        at, np.asarray(schedule(np.asarray(at))), width=width, height=_HEIGHT, ascii=ascii
    )
    return f"{schedule!r}\n\n{curve}\n\n{schedule.table(schedule.sampled(10, steps))}"


def _encodes(text: str) -> bool:
    """Whether the terminal shows these characters."""
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
