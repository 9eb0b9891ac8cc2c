"""Every deliberate fault is noticed by the tests that are meant to notice it."""

import ast
import collections
import re
import subprocess
import sys

import pytest

from tests import sabotage
from tests.saboteurs import SABOTEURS

IDS = [saboteur.name for saboteur in SABOTEURS]
WRAPS = "counters wrap around"


def test_there_are_many_and_no_two_alike():
    assert len(SABOTEURS) >= 40
    assert not [name for name, n in collections.Counter(IDS).items() if n > 1]
    faults = collections.Counter((s.module, s.old, s.new) for s in SABOTEURS)
    assert max(faults.values()) == 1
    assert all(s.tests and s.old != s.new for s in SABOTEURS)


def test_each_finds_its_piece_once_and_leaves_a_module_behind():
    for saboteur in SABOTEURS:
        source = saboteur.path.read_text(encoding="utf-8")
        changed = saboteur.applied(source)
        assert ast.dump(ast.parse(changed)) != ast.dump(ast.parse(source)), saboteur.name


def test_the_tests_it_names_are_there():
    for saboteur in SABOTEURS:
        for test in saboteur.tests:
            parts = re.fullmatch(r"(\S+\.py)::(\w+)(?:\[.*\])?", test)
            assert parts, (saboteur.name, test)
            text = (sabotage.ROOT / "tests" / parts[1]).read_text(encoding="utf-8")
            assert f"\ndef {parts[2]}(" in text, (saboteur.name, test)


@pytest.mark.parametrize("old", ["no such text", "return"], ids=["missing", "many"])
def test_a_piece_that_is_not_there_once_is_an_error(old):
    wrong = sabotage.Saboteur("wrong", "core.numerics", old, "", "test_algebra.py")
    with pytest.raises(ImportError, match=r"wrong: '.*' is \d+ times in adaptax.core.numerics"):
        wrong.applied(wrong.path.read_text(encoding="utf-8"))


def test_it_comes_too_late_for_a_library_that_is_imported():
    import adaptax

    before = list(sys.meta_path)
    with pytest.raises(pytest.UsageError, match="imported already"):
        sabotage.install(WRAPS)
    assert sys.meta_path == before and adaptax.__name__ in sys.modules


def test_the_module_is_changed_in_memory_and_no_file_is():
    saboteur = next(s for s in SABOTEURS if s.name == WRAPS)
    package = sabotage.ROOT / "adaptax" / "core"
    before = {f: f.read_bytes() for f in package.rglob("numerics*") if f.is_file()}
    program = (
        "import sys; from tests import sabotage; sabotage.install(sys.argv[1]);"
        "import jax.numpy as jnp; from adaptax.core import numerics;"
        "print(numerics.increment(jnp.int32(2**31 - 1)), numerics.__file__)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, WRAPS],
        cwd=sabotage.ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout.split() == ["-2147483648", str(saboteur.path)], done.stderr[-2000:]
    assert {f: f.read_bytes() for f in package.rglob("numerics*") if f.is_file()} == before


def test_an_unknown_one_stops_the_run():
    outcome = sabotage.run(("test_values.py",), "nobody")
    assert outcome.status == pytest.ExitCode.USAGE_ERROR, outcome.output
    assert "ADAPTAX_SABOTEUR='nobody': no such saboteur" in outcome.output


def test_the_report_says_what_was_not_noticed():
    one, other = SABOTEURS[:2]
    text = sabotage.report(
        {
            one: sabotage.Outcome(1, ("test_a.py::test_b[c|d]",), 1.0, ""),
            other: sabotage.Outcome(0, (), 1.0, ""),
        }
    )
    assert "1 of 2 noticed" in text and "`test_a.py::test_b[c\\|d]` |" in text
    assert f"| {other.name} | `{other.module}` | **nothing** |" in text


@pytest.mark.slow
def test_without_a_fault_all_of_these_pass():
    tests = tuple(dict.fromkeys(test for saboteur in SABOTEURS for test in saboteur.tests))
    outcome = sabotage.run(tests)
    assert outcome.status == pytest.ExitCode.OK, outcome.output[-5000:]


@pytest.mark.slow
@pytest.mark.parametrize("saboteur", SABOTEURS, ids=IDS)
def test_it_is_noticed(saboteur):
    outcome = sabotage.run(saboteur.tests, saboteur.name)
    assert outcome.status == pytest.ExitCode.TESTS_FAILED, outcome.output[-5000:]
    assert len(outcome.failed) == 1, outcome.output[-5000:]
