"""How the command line says no, and with which exit status it ends."""

import sys

OK, UNWRITTEN, ERROR, INTERRUPTED = 0, 1, 2, 130


class Refused(Exception):
    """Bad input; the message goes to the user as one line, with status 2."""


def say(kind: str, message: object) -> None:
    """One line on standard error: `adaptax: kind: message`, whatever the message contains."""
    from adaptax.lab.text import printable

    print(f"adaptax: {kind}: {printable(message)}", file=sys.stderr, flush=True)
