"""Optax's own tests, run on our functions in place of Optax's."""

import dataclasses
import pathlib
import re
import subprocess
import sys

import optax
import pytest

ROOT = pathlib.Path(__file__).parent.parent
OPTAX = pathlib.Path(optax.__file__).parent
SUITE = OPTAX / "_src" / "alias_test.py"
shipped = pytest.mark.skipif(not SUITE.exists(), reason="this Optax ships no tests")

# Optax stores the first moment of bfloat16 parameters in bfloat16 by default; ours is float32
# unless `mu_dtype` says otherwise. Sub-tests 9 to 11 assert the former: parameters in bfloat16 and
# no dtype given, for sgd with momentum, adam and adamw. Sub-tests 24 to 29 ask that the moment of
# complex parameters be stored in bfloat16 and float32, without its imaginary part; ours stays
# complex.
DELIBERATE = {f"test_explicit_dtype{i}" for i in (9, 10, 11, *range(24, 30))}


@dataclasses.dataclass(frozen=True)
class Suite:
    """A module of Optax's tests.

    Attributes:
      path: where, below the package.
      passes: how many tests in which something of ours was called pass, at least.
      differs: the tests that do not, by why.
      which: which tests, as `-k` takes it.
      slow: whether it is run in the slow lane only.
    """

    path: str
    passes: int
    differs: dict[str, str] = dataclasses.field(default_factory=dict)
    which: str = ""
    slow: bool = True


_CLASSES = "compares the state with a tuple of Optax's classes; ours is one DescentState"
_TWO_RATES = (
    "looks up the only 'learning_rate' under inject_hyperparams; ours keeps it in its own state too"
)
_CLIMBS = "starts above the peak, which ours refuses"
_INTEGERS = "its parameters are integers, which ours refuses by path"
SUITES = [
    Suite("_src/float64_test.py", 10, slow=False),
    Suite("_src/sharding_test.py", 42),
    Suite("_src/transform_test.py", 1, which="test_scalers"),
    Suite("_src/combine_test.py", 7, {"test_extra_args": _INTEGERS}),
    Suite("transforms/_combining_test.py", 7, {"test_extra_args": _INTEGERS}),
    Suite("transforms/_conditionality_test.py", 4),
    Suite("transforms/_masking_test.py", 17, slow=False),
    Suite("transforms/_monitoring_test.py", 2),
    Suite("transforms/_clipping_test.py", 5),
    # its tests in mixed precision compile for a minute
    Suite("transforms/_accumulation_test.py", 4, which="not mixed_precision"),
    Suite(
        "transforms/_adding_test.py",
        1,
        {"test_none_argument": "no updates for parameters, which ours refuses with their paths"},
    ),
    Suite(
        "transforms/_freezing_test.py",
        10,
        {"test_selective_bad_structure": "asks for JAX's message; ours names the paths"},
    ),
    Suite(
        "schedules/_schedule_test.py",
        8,
        {
            "test_zero_steps_schedule": "without steps, or with fewer, Optax never leaves the "
            "start; ours refuses them",
            "test_with_giant_int_steps": "more steps than the int32 counter reaches, which ours "
            "refuses",
            "test_limits_with end value": _CLIMBS,
            "test_limits_without end value": _CLIMBS,
            "test_raises_when_decay_equals_warmup": "Optax refuses a fall of no steps; in ours "
            "the end comes at once",
        },
        which="not ScheduleAsLearningRate",
    ),
    Suite(
        "tree_utils/_state_utils_test.py",
        4,
        {
            "test_adam": _CLASSES,
            "test_map_params_to_none": _CLASSES,
            "test_map_non_params_to_none": _CLASSES,
            "test_tree_get": _TWO_RATES,
            "test_tree_get_all_with_path": _TWO_RATES,
            "test_tree_set": _TWO_RATES,
        },
    ),
]


def run(which, path=SUITE):
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
        which,
        str(path),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    failed = re.findall(r"^(?:SUB)?FAILED.*?::\w+::(.+?)(?: - |$)", done.stdout, re.MULTILINE)
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed, done.stdout[-3000:] + done.stderr[-3000:]
    return int(passed.group(1)), set(failed), done.stdout


@shipped
def test_everything_but_convergence():
    passed, failed, output = run("AliasTest and not test_optimization")
    assert failed == DELIBERATE, output[-5000:]
    for asked, kept in (
        ("bfloat16", "float32"),
        ("bfloat16", "complex64"),
        ("float32", "complex64"),
    ):
        found = re.findall(rf"dtype\(.?{asked}.?\) != dtype\(.?{kept}.?\)", output)
        assert len(found) >= 3, output
    assert passed >= 150, passed


@pytest.mark.slow
@shipped
def test_convergence():
    passed, failed, output = run("AliasTest and test_optimization")
    assert not failed, output[-5000:]
    assert passed >= 40, passed


@shipped
@pytest.mark.parametrize(
    "suite",
    [pytest.param(s, id=s.path, marks=[pytest.mark.slow] if s.slow else []) for s in SUITES],
)
def test_other_modules(suite):
    passed, failed, output = run(suite.which, OPTAX / suite.path)
    assert failed == set(suite.differs), output[-5000:]
    assert passed >= suite.passes, output[-2000:]
