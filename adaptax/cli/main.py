"""The command `adaptax`: one table of subcommands, one way to refuse.

A subcommand is a module with `HELP`, `configure(parser)` and `run(arguments) -> exit status`. Heavy
libraries are imported inside `run`, so that `adaptax list` and `--help` start at once.
"""

import argparse
import io
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import NoReturn

from adaptax import __version__
from adaptax.cli import bench, compare, find, listing, schedules, sweep, tune
from adaptax.cli.refusal import ERROR, OK, UNWRITTEN, Refused, Unshown, mute, say, show
from adaptax.core import registry

COMMANDS: dict[str, ModuleType] = {
    "compare": compare,
    "find-lr": find,
    "sweep": sweep,
    "tune": tune,
    "bench": bench,
    "schedules": schedules,
    "list": listing,
}


class _Parser(argparse.ArgumentParser):
    """Refuses in one line, as the rest of the program does."""

    def error(self, message: str) -> NoReturn:
        raise Refused(f"{message} (see {self.prog} --help)")


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    whole = _Parser(
        prog="adaptax",
        description="Adaptive learning rates for JAX: compare optimizers on real tasks.",
        epilog="Examples:\n"
        "  adaptax list\n"
        "  adaptax compare\n"
        "  adaptax compare --task digits-mlp --optimizers adam 'adamw(weight_decay=0.01)'\n",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    whole.add_argument("--version", action="version", version=f"adaptax {__version__}")
    commands = whole.add_subparsers(title="commands", dest="command", metavar="COMMAND")
    for name, module in COMMANDS.items():
        one = commands.add_parser(
            name,
            help=module.HELP,
            description=module.__doc__,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        module.configure(one)
    return whole


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """The arguments, or a refusal that names the nearest options of the command."""
    whole = parser()
    arguments, unknown = whole.parse_known_args(argv)
    if not unknown:
        return arguments
    options = _options(whole, arguments.command)
    near = registry.nearest(unknown[0].partition("=")[0], options)
    hint = f"; {near}" if unknown[0].startswith("-") else ""
    command = f"adaptax {arguments.command or ''}".strip()
    raise Refused(f"unrecognized arguments: {' '.join(unknown)}{hint} (see {command} --help)")


def _options(whole: argparse.ArgumentParser, command: str | None) -> list[str]:
    for action in whole._actions:
        if isinstance(action, argparse._SubParsersAction) and command in action.choices:
            whole = action.choices[command]
    return [option for action in whole._actions for option in action.option_strings]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; the exit status is returned.

    Args:
      argv: the words after the program's name; None takes them from the command line.

    Status: 0 done; 1 done, but files or standard output could not be written; 2 refused, with one
      line on standard error; 130 interrupted.

    Example::

        >>> from adaptax.cli.main import main
        >>> main(["--version"])  # doctest: +SKIP
        0
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # "±" on an ASCII terminal is no reason to stop
    try:
        arguments = _parse(argv)
        if arguments.command is None:
            raise Refused(f"no command given; choose from {', '.join(COMMANDS)} (see --help)")
        status = COMMANDS[arguments.command].run(arguments)
        show("")
        return status
    except Refused as refused:
        say("error", refused)
        return ERROR
    except SystemExit as end:  # --help and --version
        return OK if end.code is None else int(end.code)
    except BrokenPipeError:  # whoever read our output left
        mute(sys.stdout)
        return OK
    except Unshown as error:
        say("warning", error)
        mute(sys.stdout)
        return UNWRITTEN
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
