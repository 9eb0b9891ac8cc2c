"""Pictures: one way to begin a figure and one to write it. Matplotlib is imported when asked for.

Source of the colours, which the colour-blind can tell apart: M. Okabe, K. Ito, Color Universal
Design, 2008.
"""

import io
import warnings
from pathlib import Path
from typing import Any

from adaptax.core import files, shown

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#E69F00", "#56B4E9")
ENDINGS = ("png", "svg", "pdf")


def blank(width: float, height: float) -> Any:
    """An empty Matplotlib figure of so many inches, which needs no display.

    Raises:
      ImportError: Matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise ImportError(
            'a plot needs matplotlib, which is not installed; run: pip install "adaptax[lab]"'
        ) from None
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def ending(path: Path) -> str:
    """The kind of picture that a path asks for.

    Raises:
      ValueError: none of `ENDINGS`.
    """
    kind = path.suffix.removeprefix(".").lower()
    if kind not in ENDINGS:
        raise ValueError(
            f"plot(path={shown.quoted(path)}): the ending must be one of {', '.join(ENDINGS)}"
        )
    return kind


def save(figure: Any, path: Path) -> Path:
    """Write the figure whole or not at all.

    Raises:
      ValueError: another ending.
      OSError: the file cannot be written; one of that name is then as it was.
    """
    content = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # a box is drawn instead
        figure.savefig(content, format=ending(path), dpi=150)
    return files.replace(path, content.getvalue())
