"""Numbers on the command line, as argparse takes them."""

import argparse


def whole(text: str) -> int:
    """A whole number.

    Raises:
      argparse.ArgumentTypeError: the text is none.
    """
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None


def seeds(text: str) -> int | list[int]:
    """A count, or a list where there is a comma."""
    if "," not in text:
        return whole(text)
    return [whole(part) for part in text.split(",") if part.strip()]
