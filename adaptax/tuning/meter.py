"""A sign of life for what takes longer than two seconds."""

import contextlib
import importlib.util
import sys
import time
from typing import Any

PATIENCE = 2.0  # seconds without a display
EVERY = 10.0  # seconds between two lines where there is no bar


class Meter:
    """Counts steps; shows them on standard error once two seconds have gone by.

    A bar on a terminal where rich is installed, a plain line now and then anywhere else. Use it as
    a context, so that the bar is put away whatever happens.

    Args:
      shown: False shows nothing at all.
      what: is being done, for the plain lines.
    """

    def __init__(self, shown: bool, what: str = "finding the learning rate"):
        self._shown, self._began, self._last = shown, time.perf_counter(), 0.0
        self._what = what
        self._title, self._done, self._total = "", 0, 0
        self._bar: Any = None

    def __enter__(self) -> "Meter":
        return self

    def __exit__(self, *error: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def expect(self, title: str, steps: int) -> None:
        """`steps` more steps are about to be made, for `title`."""
        self._title, self._total = title, self._total + steps

    def add(self, steps: int) -> None:
        """So many steps were made."""
        self._done += steps
        self._total = max(self._total, self._done)
        now = time.perf_counter()
        if not self._shown or now - self._began < PATIENCE:
            return
        if sys.stderr.isatty() and importlib.util.find_spec("rich") is not None:
            self._draw()
        elif now - self._last >= EVERY:
            self._last = now
            line = f"{self._what}: {self._title}, step {self._done} of {self._total}"
            with contextlib.suppress(OSError):  # a full disk, or a reader that has left
                print(line, file=sys.stderr, flush=True)

    def _draw(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

        if self._bar is None:
            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
            self._bar = Progress(*columns, console=Console(stderr=True), transient=True)
            self._task = self._bar.add_task(self._title)
            self._bar.start()
        self._bar.update(
            self._task, description=self._title, completed=self._done, total=self._total
        )
