"""Optax's own tests of its aliases, run on our optimizers in place of Optax's."""

import pathlib
import re
import subprocess
import sys

import optax
import pytest

ROOT = pathlib.Path(__file__).parent.parent
SUITE = pathlib.Path(optax.__file__).parent / "_src" / "alias_test.py"

# Optax stores the first moment of bfloat16 parameters in bfloat16 by default; ours is float32
# unless `mu_dtype` says otherwise. These three sub-tests assert the former: parameters in bfloat16
# and no dtype given, for sgd with momentum, adam and adamw.
DELIBERATE = {f"test_explicit_dtype{i}" for i in (9, 10, 11)}


def run(which):
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "tests.in_place_of_optax",
        "-p",
        "no:cacheprovider",
    ]
    command += [
        "-c",
        "/dev/null",
        "--rootdir",
        str(ROOT),
        "-rfE",
        "-k",
        f"AliasTest and {which}",
        str(SUITE),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    failed = set(re.findall(r"^(?:SUB)?FAILED.*::(\w+)", done.stdout, re.MULTILINE))
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed, done.stdout[-3000:] + done.stderr[-3000:]
    return int(passed.group(1)), failed, done.stdout


@pytest.mark.skipif(not SUITE.exists(), reason="this Optax ships no tests")
def test_everything_but_convergence():
    passed, failed, output = run("not test_optimization")
    assert failed == DELIBERATE, output[-5000:]
    assert len(re.findall(r"dtype\(.?bfloat16.?\) != dtype\(.?float32.?\)", output)) >= 3, output
    assert passed >= 150, passed


@pytest.mark.slow
@pytest.mark.skipif(not SUITE.exists(), reason="this Optax ships no tests")
def test_convergence():
    passed, failed, output = run("test_optimization")
    assert not failed, output[-5000:]
    assert passed >= 40, passed
