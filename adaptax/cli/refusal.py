"""How the command line says no, and with which exit status it ends."""

import contextlib
import os
import sys
from pathlib import Path
from typing import TextIO

OK, UNWRITTEN, ERROR, INTERRUPTED = 0, 1, 2, 130


class Refused(Exception):
    """Bad input; the message goes to the user as one line, with status 2."""


class Unshown(Exception):
    """Standard output cannot be written to; what was to be shown there is lost, nothing else."""


def show(text: str) -> None:
    """The result, on standard output.

    Raises:
      BrokenPipeError: whoever read it has left.
      Unshown: a full disk, or the like.
    """
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise Unshown(f"standard output cannot be written to: {error}") from error


def say(kind: str, message: object) -> None:
    """One line on standard error: `adaptax: kind: message`, whatever the message contains."""
    from adaptax.core.shown import printable

    note(f"adaptax: {kind}: {printable(message)}")


def note(line: str) -> None:
    """A line on standard error for whoever watches; a full disk behind it is no reason to stop."""
    try:
        print(line, file=sys.stderr, flush=True)
    except OSError:
        mute(sys.stderr)


def mute(stream: TextIO) -> None:
    """What a stream still holds and cannot get rid of goes nowhere, at the program's end too."""
    with contextlib.suppress(OSError), open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), stream.fileno())


def free(name: str, force: bool) -> Path:
    """Where a file may be written: all that can be refused before there is anything to write.

    Raises:
      ValueError: no name of a file.
      OSError: a folder, a file that exists without `force`, or no folder to write into.
    """
    from adaptax.core.shown import quoted

    path, shown = Path(name), f"output={quoted(name)}"
    if "\0" in name:
        raise ValueError(f"{shown}: a name of a file has no NUL character")
    try:
        if path.is_dir():
            raise IsADirectoryError(f"{shown} is a folder; name a file")
        if not path.parent.is_dir():
            raise FileNotFoundError(f"{shown}: there is no folder {quoted(path.parent)}")
        if path.exists() and not force:
            raise FileExistsError(
                f"{shown} exists; choose another name, or pass --force to replace it"
            )
    except OSError as error:
        if error.errno is None:
            raise
        raise type(error)(f"{shown} cannot be written to: {error.strerror}") from None
    return path
