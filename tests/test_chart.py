"""Charts of text: where the dots are, what the labels say, and what cannot be drawn."""

import numpy as np
import pytest

from adaptax.core import chart

DOTS = {" ": (), "'": (0,), ".": (1,), ":": (0, 1)}


def rows(drawn, height):
    """The curve's area of an ASCII chart, two dots a character, top first."""
    lines = [line.partition("|")[2] for line in drawn.splitlines()[:height]]
    width = max(map(len, lines))
    grid = np.zeros((2 * height, width), bool)
    for i, line in enumerate(lines):
        for j, character in enumerate(line):
            for dot in DOTS[character]:
                grid[2 * i + dot, j] = True
    return grid


def braille(drawn, height):
    """The same of a Unicode chart, two by four dots a character."""
    lines = [line.partition("│")[2] for line in drawn.splitlines()[:height]]
    width = max(map(len, lines))
    grid = np.zeros((4 * height, 2 * width), bool)
    places = [(0, 0), (1, 0), (2, 0), (0, 1), (1, 1), (2, 1), (3, 0), (3, 1)]
    for i, line in enumerate(lines):
        for j, character in enumerate(line):
            code = ord(character) - 0x2800 if character != " " else 0
            for bit, (down, right) in enumerate(places):
                grid[4 * i + down, 2 * j + right] = bool(code >> bit & 1)
    return grid


def test_a_line_goes_through_the_corners_without_holes():
    for get, options, height in ((rows, {"ascii": True}, 5), (braille, {}, 5)):
        grid = get(chart.text([0, 1], [0, 1], width=20, height=5, **options), height)
        assert grid[-1, 0] and grid[0, -1] and not grid[0, 0] and not grid[-1, -1]
        assert np.array_equal(grid.sum(0), np.ones(grid.shape[1])) or grid.any(0).all()
        tops = [int(np.flatnonzero(column)[0]) for column in grid.T]
        assert tops == sorted(tops, reverse=True)


def test_every_point_is_where_it_belongs():
    x, y = np.arange(20), np.random.default_rng(0).integers(0, 10, 20)
    y[:2] = 0, 9
    grid = rows(chart.text(x, y, width=20, height=5, ascii=True), 5)
    for column, value in zip(x, y, strict=True):
        assert grid[9 - value, column], (column, value)


def test_not_finite_points_are_gaps():
    y = [0.0, 1.0, np.nan, np.inf, 1.0, 0.0]
    grid = rows(chart.text(range(6), y, width=6, height=4, ascii=True), 4)
    assert not grid[:, 2:4].any() and grid[:, [0, 1, 4, 5]].any(0).all()
    alone = rows(chart.text(range(5), [0, np.nan, 1, np.nan, 0], width=5, height=4, ascii=True), 4)
    assert alone[0, 2] and alone.sum() == 3


def test_logarithmic_axes():
    x = 10.0 ** np.arange(9)
    drawn = chart.text(x, x, width=9, height=9, log_x=True, log_y=True, ascii=True)
    line = chart.text(range(9), range(9), width=9, height=9, ascii=True)
    assert np.array_equal(rows(drawn, 9), rows(line, 9))
    assert drawn.splitlines()[0].startswith("1e+08 |") and drawn.splitlines()[-1].split() == [
        "1",
        "100000000",
    ]
    gap = chart.text([-1, 0, 1, 10], [5, 5, 1, 2], width=4, height=4, log_x=True, ascii=True)
    assert gap.splitlines()[-1].split() == ["1", "10"] and gap.splitlines()[0].startswith("2 |")


def test_extremes_are_labelled():
    lines = chart.text([3, 1, 2], [-0.25, 12345.678, 0], width=12, height=4).splitlines()
    assert lines[0].startswith("1.235e+04 │") and lines[3].startswith("    -0.25 │")
    assert lines[4] == " " * 10 + "└" + "─" * 12
    assert lines[5] == " " * 11 + "1" + " " * 10 + "3"


@pytest.mark.parametrize("height", [4, 5, 10])
@pytest.mark.parametrize("ascii", [False, True])
def test_constant_curves_and_one_point(height, ascii):
    for x, y in (([1, 2], [3.5, 3.5]), ([7], [3.5])):
        lines = chart.text(x, y, height=height, ascii=ascii).splitlines()
        (labelled,) = (line for line in lines[:height] if line.startswith("3.5"))
        drawn = [line for line in lines[:height] if len(line) > 5]
        assert drawn == [labelled]
    assert lines[-1].strip() == "7"


def test_marks():
    marks = {"low": 0, "best": 5, "last": 10, "outside": 11, "nowhere": np.nan}
    lines = chart.text([0, 10], [0, 1], width=21, height=4, marks=marks, ascii=True).splitlines()
    frame = [line.partition("|")[2] for line in lines[:4]]
    assert frame[0][10] == ":" and frame[3][10] == ":" and frame[0][0] == ":"
    below = [line[3:] for line in lines[6:]]
    assert below == ["^ low     ^ best", "               last ^"]
    log = chart.text([1, 100], [0, 1], width=21, height=4, marks={"m": 10}, log_x=True)
    assert log.splitlines()[-1][3:].index("▲") == 10
    assert "zero" not in chart.text([1, 100], [0, 1], marks={"zero": 0}, log_x=True)


def test_numbers_far_apart_and_equal_input():
    x, y = [0, 1, 2], [-1.7e308, 0.0, 1.7e308]
    grid = rows(chart.text(x, y, width=5, height=4, ascii=True), 4)
    assert grid[7, 0] and grid[0, 4]
    assert chart.text(x, y) == chart.text(np.array(x), tuple(y))
    tiny = rows(chart.text([0, 1], [5e-324, 1e-323], width=5, height=4, ascii=True), 4)
    assert tiny[7, 0] and tiny[0, 4]


WRONG = {
    "empty": (([], []), {}, "no point is finite"),
    "all nan": (([1, 2], [np.nan, np.inf]), {}, "no point is finite"),
    "no positive": (([0, 1], [0, -1]), {"log_y": True}, "positive on a log axis"),
    "lengths": (([1, 2], [1]), {}, "2 of x, but 1 of y"),
    "matrix": ((np.ones((2, 2)), [1]), {}, r"not shape \(2, 2\)"),
    "narrow": (([1], [1]), {"width": 3}, "width=3, height=10"),
    "flat": (([1], [1]), {"height": 0}, "width=60, height=0"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_drawn_is_refused(case):
    points, options, message = WRONG[case]
    with pytest.raises(ValueError, match=message):
        chart.text(*points, **options)
