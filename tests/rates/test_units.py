"""Epochs, samples and fractions of a run, against batches that are counted one by one."""

import itertools
import math

import jax
import numpy as np
import pytest

from adaptax import RunLength


def counted(examples, batch_size, drop_last):
    """Sizes of the batches of all epochs, for ever."""
    while True:
        for first in range(0, examples, batch_size):
            size = min(batch_size, examples - first)
            if size == batch_size or not drop_last:
                yield size


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize(("examples", "batch_size"), [(10, 5), (10, 3), (10, 10), (11, 1), (10, 4)])
def test_steps_are_those_that_are_counted(examples, batch_size, drop_last):
    run = RunLength(examples, batch_size, 3, drop_last)
    per_epoch = examples // batch_size if drop_last else math.ceil(examples / batch_size)
    assert run.steps_per_epoch == per_epoch and run.steps == 3 * per_epoch
    assert run.after(epochs=2) == 2 * per_epoch and run.after(epochs=0) == 0
    seen = [
        0,
        *itertools.accumulate(itertools.islice(counted(examples, batch_size, drop_last), 60)),
    ]
    for samples in range(40):
        expected = next(step for step, total in enumerate(seen) if total >= samples)
        assert run.after(samples=samples) == expected, samples


def test_without_drop_last_a_small_batch_gives_one_step():
    assert RunLength(10, 100).steps == 1
    with pytest.raises(ValueError, match="has no full batch"):
        RunLength(10, 100, drop_last=True)


def test_parts_of_epochs_and_runs():
    run = RunLength(50_000, 128, 90)
    assert run.steps == 35_190
    assert run.after(fraction=0) == 0 and run.after(fraction=1) == 35_190
    assert run.after(fraction=0.1) == 3519 and run.after(fraction=1 / 3) == 11_730
    assert RunLength(1000, 10, 0.5).steps == 50 and run.after(epochs=0.5) == 196
    assert RunLength(1, 1).after(samples=2**60 + 1) == 2**60 + 1
    assert run == RunLength(np.int64(50_000), np.int32(128), np.float64(90))
    assert all(type(v) in (int, bool) for v in vars(run).values())
    assert all(type(run.after(**{unit: 1})) is int for unit in ("epochs", "fraction", "samples"))


WRONG = {
    "no examples": (lambda: RunLength(0, 1), ValueError, r"RunLength\(examples=0\)"),
    "part of one": (lambda: RunLength(1.5, 1), TypeError, r"RunLength\(examples=1.5\)"),
    "no batch": (lambda: RunLength(10, 0), ValueError, r"RunLength\(batch_size=0\)"),
    "no epoch": (lambda: RunLength(10, 1, 0), ValueError, r"RunLength\(epochs=0\)"),
    "nan": (lambda: RunLength(10, 1, math.nan), ValueError, r"RunLength\(epochs=nan\)"),
    "text": (lambda: RunLength(10, 1, "3"), TypeError, r"RunLength\(epochs='3'\)"),
    "flag": (lambda: RunLength(10, 1, 1, 1), TypeError, r"RunLength\(drop_last=1\)"),
    "too long": (lambda: RunLength(10**9, 1, 100), ValueError, "a run has 1 to 2147483647"),
    "too short": (lambda: RunLength(10, 10, 0.1), ValueError, "0 steps; a run has 1 to"),
    "no unit": (lambda: RunLength(10, 1).after(), TypeError, "one of epochs, fraction and samples"),
    "two units": (lambda: RunLength(10, 1).after(epochs=1, samples=1), TypeError, "one of epochs"),
    "above 1": (lambda: RunLength(10, 1).after(fraction=1.1), ValueError, "fraction=1.1"),
    "below 0": (lambda: RunLength(10, 1).after(epochs=-1), ValueError, "epochs=-1"),
    "half a sample": (lambda: RunLength(10, 1).after(samples=0.5), TypeError, "samples=0.5"),
    "true": (lambda: RunLength(10, 1).after(epochs=True), TypeError, "epochs=True"),
    "traced": (
        lambda: jax.jit(lambda x: RunLength(10, 1).after(epochs=x))(2),
        TypeError,
        "epochs must be known",
    ),
    "array": (lambda: RunLength(10, 1).after(epochs=np.ones(2)), TypeError, "epochs="),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_numbers_are_named(case):
    make, error, message = WRONG[case]
    with pytest.raises(error, match=message):
        make()
