"""Text from outside, made safe to show: no control characters, no markup, no second line."""

from typing import Any


def printable(value: Any) -> str:
    """`value` as one line; whatever a terminal would not print is written as an escape.

    Example::

        >>> from adaptax.core import shown
        >>> shown.printable("a" + chr(27) + "[31m")
        'a\\\\x1b[31m'
    """
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in str(value)
    )


def quoted(value: Any) -> str:
    """`value` as one printable line in quotes, for messages."""
    return f"'{printable(value)}'"


def drawable(value: Any) -> str:
    """`value` as Matplotlib shall draw it: `$` starts no formula, a leading `_` hides nothing."""
    line = printable(value).replace("$", r"\$")
    return f" {line}" if line.startswith("_") else line


def cut(line: str, longest: int) -> str:
    """The line, or its start and three dots where it is longer than `longest`."""
    return line if len(line) <= longest else line[: longest - 3] + "..."
