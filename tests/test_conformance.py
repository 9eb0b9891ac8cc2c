"""The plugin that counts what laws compare and writes the table: what proves nothing fails."""

import os
import pathlib

import numpy as np
import pytest

import tests
from tests import cases, conformance
from tests.conformance_report import Cell, lines

pytest_plugins = ["pytester"]
ROOT = pathlib.Path(tests.__file__).parents[1]

INNER = """
import numpy as np
import pytest
from tests.conformance import compared, proves

@proves("P13")
@pytest.mark.parametrize("name", ["adam", "sgd"])
def test_good(name):
    np.testing.assert_allclose(np.ones((2, 3)), 1.0)

@proves("P7", row="adam")
def test_that_compares_nothing():
    pass

@proves("P7", row="adam")
def test_that_compares_an_empty_array():
    np.testing.assert_array_equal(np.zeros(0), np.zeros(0))

@proves("P8", "P9", row="adam")
def test_bad():
    compared(5)
    raise AssertionError("wrong")

@proves("P6", row="radam")
def test_errors():
    with pytest.raises(ValueError):
        raise ValueError

@pytest.fixture
def broken():
    raise RuntimeError

@proves("P13", row="yogi")
def test_that_does_not_start(broken):
    compared(1)

@proves("P13", row="lion")
def test_that_is_skipped():
    pytest.skip("not here")

def test_unmarked():
    pass
"""


def inner(pytester, monkeypatch, *arguments):
    """Run the file above with the plugin; the outcomes and the table."""
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    monkeypatch.setenv("PYTHONPATH", path)
    pytester.makeconftest('pytest_plugins = ["tests.conformance"]')
    pytester.makepyfile(test_inner=INNER)
    result = pytester.runpytest_subprocess(
        "-p", "no:cacheprovider", "--conformance=table.md", *arguments
    )
    return result, (pytester.path / "table.md").read_text()


@pytest.fixture
def alone(pytester, monkeypatch):
    return inner(pytester, monkeypatch)


def row(table, name, column):
    """What the table says about a row under a column."""
    header = []
    for line in table.splitlines():
        cells = [cell.strip() for cell in line.split("|")[1:-1]]
        if header and cells and cells[0] == name and column in header:
            return cells[header.index(column)]
        header = (header or cells) if cells else []
    return None


def test_outcomes_reasons_and_counts(alone):
    result, table = alone
    result.assert_outcomes(passed=4, failed=3, errors=1, skipped=1)
    result.stdout.fnmatch_lines(["*this law compared nothing*"])
    result.stdout.fnmatch_lines(["conformance: 3 of 9 laws hold; table in table.md"])
    assert row(table, "adam", "P13") == row(table, "sgd", "P13") == "✓ 1"
    assert row(table, "adam", "P7") == "✗ 2 of 2" and row(table, "adam", "P9") == "✗ 1 of 1"
    assert row(table, "radam", "P6") == "✓ 1" and row(table, "adam", "P6").startswith("n.a. [")
    assert row(table, "sgd", "P7") == ""
    assert row(table, "yogi", "P13") == row(table, "lion", "P13") == "✗ 1 of 1"
    assert "zero in every dtype: 4 cells, 4 laws, 12 numbers" in table
    assert "- **P10** gradients scaled" in table and "- P10\n" in table  # no cell: missing
    assert "- P8: adam\n" in table and "rectifies nothing" in table
    assert "| cells that pass | 3 |" in table and "| cells that fail | 5 |" in table


def test_workers_give_the_same_table(alone, pytester, monkeypatch):
    _, table = alone
    result, distributed = inner(pytester, monkeypatch, "-n", "2")
    result.assert_outcomes(passed=4, failed=3, errors=1, skipped=1)
    assert distributed == table


def test_an_unknown_property_is_refused():
    for properties in (["P99"], [], ["P1", "1"]):
        with pytest.raises(ValueError, match="the properties are P1 to P56"):
            conformance.proves(*properties)


def test_what_is_counted():
    check = np.testing.assert_array_equal
    with conformance.counting() as count:
        np.testing.assert_array_equal(np.ones((3, 2)), 1.0)
        np.testing.assert_allclose([1.0, 2.0], [np.float32(1.0), 2.0])
        conformance.compared(4)
        with pytest.raises(AssertionError):
            np.testing.assert_array_less(np.ones(3), 0.0)
    assert count.numbers == 6 + 2 + 4 + 3 + 1
    assert np.testing.assert_array_equal is check


def test_settings_without_a_cell_or_a_reason_are_listed():
    found = [Cell("P9", "adam", "adam()", "passed", 1)]
    text = "\n".join(lines(conformance.PROPERTIES, found, cases.reasons(), {}))
    gaps = text.split("## Settings that no cell is about")[1].split("##")[0]
    assert "- P9: sgd()" in gaps and "- P9: adam()" not in gaps
    assert "yogi" not in gaps  # has a reason


def test_reasons_are_about_rows_that_exist():
    known = {case.id for case in cases.CASES} | set(cases.NAMES)
    for name, reasons in cases.NOT_APPLICABLE.items():
        assert name in conformance.KNOWN and set(reasons) <= known
        assert all(len(reason) > 8 for reason in reasons.values())
