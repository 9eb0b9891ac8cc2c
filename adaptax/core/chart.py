"""A curve as a few lines of text, for a terminal, a log or a docstring.

Braille characters give eight dots a character; where those cannot be shown, `ascii=True` draws
with two a character. Equal input gives equal text.
"""

import math
from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import ArrayLike

_BRAILLE = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])
_ASCII = np.array([[1], [2]])
_ASCII_DOTS = " '.:"
_SMALLEST = 4  # lines and columns: less holds neither labels nor a curve


def text(
    x: ArrayLike,
    y: ArrayLike,
    *,
    width: int = 60,
    height: int = 10,
    log_x: bool = False,
    log_y: bool = False,
    marks: Mapping[str, float] | None = None,
    ascii: bool = False,
) -> str:
    """`y` over `x` as lines of text, with the extremes of both at the axes.

    Points are joined in the order given. A point that is not finite, or not positive on a
    logarithmic axis, is a gap.

    Args:
      x: where the points are, in any order.
      y: as many values.
      width: columns of the curve itself, without the labels; at least 4.
      height: lines of the curve itself; at least 4.
      log_x: a logarithmic axis for x.
      log_y: a logarithmic axis for y.
      marks: label → x; a dotted line there and the label below it. One outside the curve is left
        out.
      ascii: draw with ASCII characters alone.

    Raises:
      ValueError: no point that can be drawn, x and y of different lengths, or no room.

    Example::

        >>> from adaptax.core import chart
        >>> print(chart.text([0, 1, 2], [0.0, 1.0, 0.0], width=9, height=4, ascii=True))
        1 |   .'.
          |  .' '.
          | .'   '.
        0 |.'     '.
          +---------
           0       2
    """
    if min(width, height) < _SMALLEST:
        raise ValueError(f"chart.text(width={width}, height={height}): each is at least 4")
    across, up = _numbers("x", x), _numbers("y", y)
    if across.shape != up.shape:
        raise ValueError(f"chart.text(x, y): {across.size} of x, but {up.size} of y")
    placed_x, placed_y = _axis(across, log_x), _axis(up, log_y)
    drawn = np.isfinite(placed_x) & np.isfinite(placed_y)
    if not drawn.any():
        raise ValueError("chart.text(x, y): no point is finite (and positive on a log axis)")
    masks = _ASCII if ascii else _BRAILLE
    rows, columns = height * masks.shape[0], width * masks.shape[1]
    left = _share(placed_x, drawn, columns - 1)
    down = (rows - 1) - _share(placed_y, drawn, rows - 1)
    grid = np.zeros((rows, columns), bool)
    for segment in _segments(drawn):
        _draw(grid, left[segment], down[segment])
    columns_of = {} if marks is None else _marked(marks, placed_x[drawn], log_x, width)
    body = _characters(grid, masks, ascii)
    _dotted(body, columns_of.values(), ":" if ascii else "┊")
    labels = _labels(up[drawn], height)
    below = [_ends(across[drawn], width), *_below(columns_of, width, "^" if ascii else "▲")]
    return _assembled(body, labels, below, "|+-" if ascii else "│└─")


def _numbers(name: str, values: ArrayLike) -> np.ndarray:
    numbers = np.asarray(values, np.float64)
    if numbers.ndim != 1:
        raise ValueError(f"chart.text({name}=...): one row of numbers, not shape {numbers.shape}")
    return numbers


def _axis(values: np.ndarray, log: bool) -> np.ndarray:
    if not log:
        return values
    with np.errstate(all="ignore"):
        return np.where(values > 0, np.log(values), np.nan)


def _share(values: np.ndarray, drawn: np.ndarray, most: int) -> np.ndarray:
    """Whole positions from 0 to `most`; in the middle where all values are one."""
    low, high = values[drawn].min(), values[drawn].max()
    place = np.full(values.shape, most / 2)
    if low < high:
        size = max(abs(low), abs(high))  # of order 1 first: a difference of extremes may overflow
        unit = values[drawn] / size
        place[drawn] = most * ((unit - low / size) / (high / size - low / size))
    return np.floor(place + 0.5).astype(int)


def _segments(drawn: np.ndarray) -> list[np.ndarray]:
    """The places of points between gaps."""
    places = np.flatnonzero(drawn)
    return np.split(places, np.flatnonzero(np.diff(places) > 1) + 1)


def _draw(grid: np.ndarray, left: np.ndarray, down: np.ndarray) -> None:
    grid[down[0], left[0]] = True
    for a, b, c, d in zip(left[:-1], left[1:], down[:-1], down[1:], strict=True):
        count = max(abs(b - a), abs(d - c)) + 1
        grid[_between(c, d, count), _between(a, b, count)] = True


def _between(start: int, end: int, count: int) -> np.ndarray:
    return np.floor(np.linspace(start, end, count) + 0.5).astype(int)


def _characters(grid: np.ndarray, masks: np.ndarray, ascii: bool) -> list[list[str]]:
    tall, wide = masks.shape
    blocks = grid.reshape(grid.shape[0] // tall, tall, -1, wide)
    codes = np.einsum("itjw,tw->ij", blocks.astype(int), masks)

    def character(code: int) -> str:
        return _ASCII_DOTS[code] if ascii or code == 0 else chr(0x2800 + code)

    return [[character(code) for code in row] for row in codes.tolist()]


def _marked(
    marks: Mapping[str, float], placed: np.ndarray, log: bool, width: int
) -> dict[str, int]:
    """The column of each mark that is within the curve."""
    low, high = placed.min(), placed.max()
    places = _axis(np.asarray([float(at) for at in marks.values()]), log)
    within = np.isfinite(places) & (places >= low) & (places <= high)
    ends = np.array([low, high])
    columns = _share(
        np.concatenate([ends, np.where(within, places, low)]),
        np.ones(2 + len(marks), bool),
        width - 1,
    )
    return {
        label: int(column)
        for label, column, shown in zip(marks, columns[2:], within, strict=True)
        if shown
    }


def _dotted(body: list[list[str]], columns: Iterable[int], dot: str) -> None:
    for column in columns:
        for row in body:
            if row[column] == " ":
                row[column] = dot


def _labels(values: np.ndarray, height: int) -> list[str]:
    low, high = f"{values.min():.4g}", f"{values.max():.4g}"
    labels = [""] * height
    if values.min() == values.max():
        labels[(height - 1) // 2] = low
    else:
        labels[0], labels[-1] = high, low
    width = max(map(len, labels))
    return [label.rjust(width) for label in labels]


def _ends(values: np.ndarray, width: int) -> str:
    low, high = _plain(values.min()), _plain(values.max())
    if values.min() == values.max():
        return low.center(width).rstrip()
    return low + high.rjust(max(width - len(low), len(high) + 1))


def _plain(value: float) -> str:
    """Steps are read exactly, other numbers to four digits."""
    return f"{value:.0f}" if value == math.floor(value) and abs(value) < 1e10 else f"{value:.4g}"


def _below(columns: Mapping[str, int], width: int, arrow: str) -> list[str]:
    """Each label at its column, several on a line where they leave each other room."""
    lines: list[str] = []
    for label, column in sorted(columns.items(), key=lambda item: (item[1], item[0])):
        shown, start = f"{arrow} {label}", column
        if column + len(shown) > width and column + 1 >= len(shown):
            shown = f"{label} {arrow}"
            start = column + 1 - len(shown)
        for place, line in enumerate(lines):
            if len(line) < start:
                lines[place] = line.ljust(start) + shown
                break
        else:
            lines.append(" " * start + shown)
    return lines


def _assembled(body: list[list[str]], labels: list[str], below: list[str], frame: str) -> str:
    side, corner, floor = frame
    margin = " " * len(labels[0])
    lines = [f"{label} {side}{''.join(row)}" for label, row in zip(labels, body, strict=True)]
    lines.append(f"{margin} {corner}{floor * len(body[0])}")
    lines += [f"{margin}  {line}" for line in below]
    return "\n".join(line.rstrip() for line in lines)
