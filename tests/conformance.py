"""Which tests prove which property of conformance.md, and how many numbers they compared.

A pytest plugin, loaded by `conftest.py`. `@proves("P13")` marks a test as a law for a property:

- the row that a cell belongs to is read from the test's parameters (`case`, or the `name` of an
  optimizer), or given as `row=`;
- what `np.testing.assert_*` and `pytest.raises` compare in a marked test is counted, and what
  `compared(n)` says; a marked test that compared nothing fails;
- `--conformance=FILE` writes the table of what passed, failed and does not apply, with the counts;
  `-m proves` selects the laws, the slow ones included.
"""

import contextlib
import datetime
import functools
import importlib.metadata
import pathlib
import platform
import sys

import numpy as np
import pytest

from tests.conformance_report import Cell, write

# the properties, in the parts of the reference; what a part of the library that is not there yet
# would have to satisfy is listed as missing
PROPERTIES = {
    "A. Numbers against the truth": {
        "P1": "float32 equals a float64 reference",
        "P2": "double precision: 1e-12 after 10,000 steps, and no leaf is float32",
        "P3": "PyTorch's golden traces in float64, rtol 1e-10",
        "P4": "Optax's numbers for Optax's arguments",
        "P5": "Keras's golden traces",
        "P6": "rectification starts at the step of exact rationals",
        "P7": "the first step is its closed form",
        "P8": "the step is bounded, and the bound is reached",
        "P9": "u(−g) = −u(g), bitwise",
        "P10": "gradients scaled by a power of two, without ε: bitwise",
        "P11": "permuted coordinates, permuted updates: bitwise",
        "P12": "one leaf or its parts as leaves: bitwise",
        "P13": "a zero gradient in a fresh state gives exactly zero in every dtype",
        "P14": "decoupled decay; every argument that is accepted changes the update",
    },
    "B. Compilation and transformations": {
        "P15": "one trace in 1,000 steps, after a restore and a set rate too",
        "P16": "structure, shapes, dtypes and weak types never change; a carry in six dtypes",
        "P17": "op by op or compiled: the same numbers",
        "P18": "scan, loop and split scans: the same numbers",
        "P19": "members of a vmap are runs of their own; a NaN stays with its member",
        "P20": "derivatives through k steps equal finite differences",
        "P21": "in remat, shard_map and pmap; no callbacks",
        "P22": "no transfers, no leaked tracers",
        "P23": "everything is donated from the first step; no buffer is shared",
        "P24": "init takes abstract parameters",
    },
    "C. Trees, dtypes, errors": {
        "P25": "any tree goes through with its structure",
        "P26": "complex gradients: turned gradients give turned steps; real ones the real steps",
        "P27": "leaves that are not floating are named",
        "P28": "each leaf of a mixed tree keeps its dtype",
        "P29": "gradients that do not match are named, never broadcast",
        "P30": "bad hyperparameters are named, with the range",
        "P31": "unknown masks, labels and patterns are named, with what is nearest",
    },
    "D. Low precision": {
        "P32": "accumulators are float32: a spike decays by its decay",
        "P33": "all scalars are float32 or wider",
        "P34": "progress below one unit in the last place",
        "P35": "stochastic rounding is unbiased",
        "P36": "8-bit codes are faithful",
        "P37": "8-bit training follows float32",
        "P38": "block size and code map are stored",
    },
    "E. Guards": {
        "P39": "a NaN or infinity changes no bit",
        "P40": "a square that overflows freezes nothing",
        "P41": "a lasting NaN never enters the parameters",
        "P42": "clipping: finite, bounded, in the same direction",
        "P43": "accumulation equals the large batch",
    },
    "F. Schedules and controllers": {
        "P44": "counters saturate at 2³¹ − 1",
        "P45": "schedules equal their closed form at every step",
        "P46": "schedules are pure functions of the step",
        "P47": "controllers equal their state machine",
        "P48": "the finder changes nothing of the caller's",
        "P49": "injected and set hyperparameters equal plain ones",
        "P50": "equal members and one group are the plain optimizer",
    },
    "G. Persistence and scale": {
        "P51": "save, restore, continue: bitwise",
        "P52": "killed at any point, it ends with the same bits",
        "P53": "every flipped bit is found",
        "P54": "old checkpoints load, wrong ones are refused",
        "P55": "one device or eight: the same numbers, the state sharded as the parameters",
        "P56": "telemetry changes no bit",
    },
}
KNOWN = {name for part in PROPERTIES.values() for name in part}
COMPARING = [name for name in dir(np.testing) if name.startswith("assert_")]


def proves(*properties: str, row: str | None = None) -> pytest.MarkDecorator:
    """Mark a test as a law for these properties; `row` where its parameters name no optimizer."""
    unknown = set(properties) - KNOWN
    if unknown or not properties:
        raise ValueError(f"proves{properties}: the properties are P1 to P56")
    return pytest.mark.proves(*properties, row=row)


class _Count:
    numbers = 0


_count = _Count()


def compared(numbers: int = 1) -> None:
    """Say that a test compares so many numbers in a way that is not counted by itself."""
    _count.numbers += int(numbers)


def _size(values) -> int:
    return sum(int(np.size(x)) for x in values) if isinstance(values, list) else np.size(values)


def _counting(check):
    @functools.wraps(check)
    def counted(*args, **kwargs):
        numbers = [_size(x) for x in args[:2] if not isinstance(x, str) and not callable(x)]
        compared(max(numbers, default=1))
        return check(*args, **kwargs)

    return counted


@contextlib.contextmanager
def counting():
    """Count what is compared inside; gives the counter."""
    _count.numbers, raises = 0, pytest.raises

    @contextlib.contextmanager
    def counted_raises(*args, **kwargs):
        with raises(*args, **kwargs) as raised:
            yield raised
        compared(1)

    with pytest.MonkeyPatch.context() as patch:
        for name in COMPARING:
            patch.setattr(np.testing, name, _counting(getattr(np.testing, name)))
        patch.setattr(pytest, "raises", counted_raises)
        yield _count


def _row(item: pytest.Item) -> tuple[str, str]:
    """The optimizer (or part) and the setting that a test is about."""
    given = getattr(item, "callspec", None)
    given = {} if given is None else given.params
    row = next((mark.kwargs["row"] for mark in item.iter_markers("proves")), None)
    case = given.get("case")
    if row is None and hasattr(case, "argument_names"):
        return case.name, case.id
    if row is None and isinstance(given.get("name"), str):
        return given["name"], given["name"]
    row = row or pathlib.Path(str(item.path)).stem.removeprefix("test_")
    return row, row


def pytest_addoption(parser):
    parser.addoption("--conformance", metavar="FILE", help="write the conformance table there")


def pytest_configure(config):
    config.addinivalue_line("markers", "proves(*properties, row): a law for these properties")
    if config.getoption("--conformance") and not hasattr(config, "workerinput"):
        config.pluginmanager.register(_Report(config), "conformance-report")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    names = [name for mark in item.iter_markers("proves") for name in mark.args]
    if names:
        row, setting = _row(item)
        cell = {"properties": names, "row": row, "setting": setting, "compared": 0}
        item.user_properties.append(("conformance", cell))


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem):
    cell = dict(pyfuncitem.user_properties).get("conformance")
    if cell is None:
        return (yield)
    with counting() as counter:
        try:
            result = yield
        finally:
            cell["compared"] = counter.numbers
    if not counter.numbers:
        pytest.fail("this law compared nothing", pytrace=False)
    return result


class _Report:
    """Gathers the cells where the workers report to, and writes the table at the end."""

    def __init__(self, config):
        self.config, self.cells = config, []

    def pytest_runtest_logreport(self, report):
        # what fails or is skipped before it runs proves nothing either
        if report.when != "call" and (report.when != "setup" or report.passed):
            return
        for key, cell in report.user_properties:
            if key == "conformance":
                self.cells += [
                    Cell(name, cell["row"], cell["setting"], report.outcome, cell["compared"])
                    for name in cell["properties"]
                ]

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self):
        from tests.cases import reasons

        packages = ("adaptax", "jax", "jaxlib", "numpy", "optax", "flax", "pytest")
        about = {
            "date": datetime.date.today().isoformat(),
            "python": platform.python_version(),
            "platform": f"{sys.platform}, {platform.machine()}",
            **{name: _version(name) for name in packages},
            "slow cells": "included" if _slow(self.config) else "not included",
        }
        path = pathlib.Path(self.config.getoption("--conformance"))
        write(path, PROPERTIES, self.cells, reasons(), about)

    def pytest_terminal_summary(self, terminalreporter):
        passed = sum(cell.outcome == "passed" for cell in self.cells)
        terminalreporter.write_line(
            f"conformance: {passed} of {len(self.cells)} laws hold; "
            f"table in {self.config.getoption('--conformance')}"
        )


def _version(package: str) -> str:
    if package == "adaptax":
        import adaptax

        return adaptax.__version__
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _slow(config) -> bool:
    chosen = config.getoption("markexpr") or ""
    return "not slow" not in chosen or "slow or not slow" in chosen
