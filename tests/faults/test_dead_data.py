"""Data that are empty, that fail, that repeat or that are not numbers: in the lab and in tuning."""

import dataclasses
import itertools
import math

import jax.numpy as jnp
import numpy as np
import pytest
from small import BATCH, LINE, failing_at, load, with_data

import adaptax
from adaptax import lab
from adaptax.lab import data, find, sweeps, tuning
from adaptax.tuning import rules, stream

NAN = float("nan")
INPUTS, TARGETS = load(None).train


def refused(task, message, kind=ValueError):
    """By every command, before it does anything else."""
    for prepare in (
        lambda: lab.compare(task, "sgd"),
        lambda: sweeps.prepare(task, "sgd", [0.1], 1),
        lambda: find.prepare(task, "sgd"),
        lambda: tuning.prepare(task, "sgd", trials=1, seeds=1),
    ):
        with pytest.raises(kind, match=message):
            prepare()


def at(array, index, value):
    changed = array.copy()
    changed[index] = value
    return changed


@pytest.mark.parametrize(
    ("task", "message"),
    [
        (with_data(INPUTS[:0], TARGETS[:0]), "task 'line': train holds no example"),
        (with_data(INPUTS, TARGETS[:-1]), r"train.inputs and targets have shapes \(40, 3\) and"),
        (with_data(at(INPUTS, (7, 1), NAN), TARGETS), "inputs: 1 examples have NaN.* first is 7"),
        (with_data(INPUTS, at(TARGETS, 3, np.inf)), "targets: 1 examples have NaN or inf.* is 3"),
        (
            with_data(INPUTS, TARGETS, data.Arrays(INPUTS[:0], TARGETS[:0])),
            "task 'line': test holds no example",
        ),
        (
            with_data(INPUTS, TARGETS, data.Arrays(INPUTS[:, :2], TARGETS)),
            r"an input has shape \(3,\) in train, \(2,\) in test",
        ),
        (with_data(INPUTS[:1], TARGETS[:1]), "1 examples cannot be divided"),
        (dataclasses.replace(LINE, batch_size=200), "batch_size=200: .* epoch would have no batch"),
    ],
    ids=["empty", "lengths", "nan", "inf", "no test", "shapes", "one", "no batch"],
)
def test_data_that_teach_nothing_are_refused_everywhere(task, message):
    refused(task, message.replace("epoch would have no batch", ".*no batch"))


def test_a_loader_that_fails_or_returns_something_else():
    refused(dataclasses.replace(LINE, data=lambda where: 1 / 0), "zero", ZeroDivisionError)
    refused(dataclasses.replace(LINE, data=lambda where: None), "a Dataset is needed", TypeError)


@pytest.fixture(scope="module")
def hit():
    """NaN at the first, a middle and the last update of ten, and a run that goes well."""
    made = {f"at {step}": failing_at(step) for step in (1, 4, 8)}
    return lab.compare(LINE, {**made, "calm": failing_at(100)}, seeds=2)


def test_the_step_of_divergence_is_told_and_the_others_go_on(hit):
    # the update of step k spoils the loss of step k + 1; there are 8 steps
    for label, expected in {"at 1": 2, "at 4": 5, "at 8": None, "calm": None}.items():
        assert [run.diverged_at for run in hit.of(label)] == [expected, expected]
    assert "diverged at step 2" in hit.table() and "diverged at step 5" in hit.table()
    calm, cut = hit.of("calm")[0], hit.of("at 4")[0]
    assert np.isfinite(calm.losses).all() and len(cut.losses) == 5
    assert cut.losses[:4] == calm.losses[:4]


def test_a_last_update_that_spoils_the_metric_alone_is_shown(hit, tmp_path):
    assert all(math.isnan(run.metric[-1]) for run in hit.of("at 8"))
    row = next(line for line in hit.table().splitlines() if line.strip().startswith("at 8"))
    assert "nan" in row
    assert hit.plot(tmp_path / "curves.png").stat().st_size > 1000
    assert lab.Comparison.load(hit.save(tmp_path / "results.json")).to_json() == hit.to_json()


def test_labels_that_are_all_alike_have_no_r_squared():
    task = with_data(INPUTS, np.full(len(INPUTS), 2.0, np.float32))
    found = lab.compare(dataclasses.replace(task, epochs=1), {"calm": failing_at(100)}, seeds=2)
    assert all(math.isnan(run.metric[-1]) for run in found.runs)
    assert np.isfinite(found.runs[0].losses).all() and "nan" in found.table()


def broken(outputs, targets):
    return jnp.mean((outputs - targets) ** 2) * NAN


def test_a_loss_that_is_never_finite(tmp_path):
    task = dataclasses.replace(LINE, loss=broken, epochs=1)
    found = lab.compare(task, "sgd", seeds=1)
    assert found.runs[0].diverged_at == 1 and "diverged at step 1" in found.table()

    swept = sweeps.run(sweeps.prepare(task, "sgd", [0.01, 0.1], 1))
    assert swept.entries[0].sweep.best is None and swept.entries[0].call is None
    assert "no best rate" in swept.table()
    assert swept.plot(tmp_path / "sweep.png").exists()

    rate = find.run(find.prepare(task, "sgd"))
    assert rate.result.recommended is None and rate.result.verdict == rules.NOT_FINITE
    assert rate.result.plot(tmp_path / "range.png").exists() and "nan" in rate.table()

    tuned = tuning.tune(task, "sgd", trials=2, seeds=1)
    assert tuned.best is None and [trial.state for trial in tuned.trials] == ["diverged"] * 2
    assert [trial.diverged_at for trial in tuned.trials] == [1, 1]
    assert "diverged at step 1" in tuned.table() and tuned.plot(tmp_path / "t.png").exists()


def loss(w, batch):
    inputs, targets = batch
    return jnp.mean((inputs @ w - targets) ** 2)


BATCHES = [(INPUTS[i : i + BATCH], TARGETS[i : i + BATCH]) for i in range(0, len(INPUTS), BATCH)]
START = jnp.zeros(3)


def found_by(batches):
    return adaptax.find_learning_rate(
        loss, START, batches, adaptax.sgd, steps=20, repeats=1, progress=False
    )


def swept_by(batches, **kwargs):
    return adaptax.sweep(
        loss, START, batches, adaptax.sgd, rates=[0.01, 0.1], steps=6, progress=False, **kwargs
    )


@pytest.mark.parametrize(
    "empty", [[], (), iter(()), [()], [(INPUTS[:0], TARGETS[:0])]], ids=range(5)
)
@pytest.mark.parametrize("tool", [found_by, swept_by])
def test_no_batch_is_refused(tool, empty):
    with pytest.raises(ValueError, match=r"batches=...\): (it is empty|batch 0)"):
        tool(empty)


def failing(after):
    yield from BATCHES[:after]
    raise RuntimeError("the disk is gone")


@pytest.mark.parametrize("after", [0, 3])
@pytest.mark.parametrize(
    ("tool", "where"),
    [
        (lambda after: found_by(failing(after)), "find_learning_rate"),
        (lambda after: swept_by(lambda seed: failing(after)), "sweep"),
        (lambda after: swept_by(BATCHES, validation=lambda seed: failing(after)), "sweep: valid"),
    ],
    ids=["find_learning_rate", "sweep", "validation"],
)
def test_a_source_that_fails_says_at_which_batch(tool, where, after):
    with pytest.raises(RuntimeError, match="the disk is gone") as caught:
        tool(after)
    (note,) = caught.value.__notes__
    assert note.startswith(where) and f"while batch {after} was taken" in note


def test_a_source_whose_second_pass_is_empty_is_refused():
    passes = iter([BATCHES, []])
    with pytest.raises(ValueError, match="the batches of seed 0 are empty"):
        swept_by(lambda seed: next(passes))


def test_a_source_of_short_batches_without_end_is_refused(monkeypatch):
    monkeypatch.setattr(stream, "SHORT", 50)
    passes = iter([BATCHES, itertools.repeat((INPUTS[:2], TARGETS[:2]))])
    with pytest.raises(ValueError, match="shorter than the first, 51 in a row"):
        swept_by(lambda seed: next(passes))


def test_one_batch_again_and_again_is_learned():
    assert found_by([BATCHES[0]] * 4).verdict in (rules.FOUND, rules.FALLING)
    swept = swept_by([BATCHES[0]])
    assert swept.best == 0.1 and swept.rows[1].loss < swept.rows[0].loss


def test_labels_that_are_all_alike_teach_a_constant():
    alike = [(np.ones((8, 3), np.float32), np.zeros(8, np.float32))] * 4
    found = found_by(alike)  # the start is the minimum already
    assert found.recommended is None and found.verdict == rules.FLAT
    assert swept_by(alike).rows[0].loss == 0.0


@pytest.mark.parametrize("where", [0, 2])
@pytest.mark.parametrize("search", [found_by, swept_by], ids=["find", "sweep"])
def test_a_batch_of_nan_is_refused_by_its_number(search, where):
    spoiled = list(BATCHES)
    spoiled[where] = (INPUTS[:BATCH] * NAN, TARGETS[:BATCH])
    with pytest.raises(ValueError, match=rf"batch {where} at \[0\] has NaN or infinity"):
        search(spoiled)


def test_a_held_out_batch_without_examples_weighs_nothing():
    none = (INPUTS[:0], TARGETS[:0])
    with_it = swept_by(BATCHES, validation=[BATCHES[0], none, BATCHES[1]])
    without = swept_by(BATCHES, validation=BATCHES[:2])
    assert [row.loss for row in with_it.rows] == [row.loss for row in without.rows]
    assert np.isfinite([row.loss for row in with_it.rows]).all()
