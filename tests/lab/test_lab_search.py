"""The search for the tasks' default rates: a sweep of a lab task."""

import dataclasses

import numpy as np
import pytest
from experiments import TINY, load

import adaptax
from adaptax.lab import data, runner, search
from adaptax.lab.progress import Progress
from adaptax.lab.validation import mean_loss, validation_split
from adaptax.rates.access import set_learning_rate


def test_a_sweep_makes_the_steps_of_the_labs_own_runs():
    found = search.search(TINY, load(None), adaptax.sgd, [1e-6, 0.3, 1e30], [50, 51], epochs=10)
    slow, good, wild = found.rows
    assert found.rates == (1e-6, 0.3, 1e30) and found.seeds == (50, 51) and found.steps == 40
    assert good.loss < 0.6 * slow.loss and wild.loss == float("inf")
    for trial in found.of(0.3):
        run = by_the_runner(0.3, trial.seed)
        np.testing.assert_allclose(trial.curve, run.losses, rtol=1e-4)
        assert trial.loss == pytest.approx(run.metric[-1], rel=1e-4)


def by_the_runner(rate, seed):
    task = dataclasses.replace(TINY, metric=mean_loss(TINY))
    split, tx = validation_split(load(None), seed), adaptax.sgd(1.0)
    placed, evaluate = runner.on_device(split), runner.make_evaluation(task)
    compiled = runner.compile_training(task, tx, placed, 4, 16)
    carry = runner.start(task, tx, seed)
    carry = carry._replace(state=set_learning_rate(carry.state, rate))
    return runner.train(
        "sgd", carry, compiled, placed, lambda c: evaluate(c, split), 10, 16, seed, Progress()
    )


def test_more_validation_examples_than_one_batch_are_all_judged(monkeypatch):
    rates, seeds = [1e-6, 0.3, 1e30], [50, 51]
    whole = search.search(TINY, load(None), adaptax.sgd, rates, seeds, epochs=10)
    monkeypatch.setattr(runner, "EVALUATED", 7)
    parts = search.search(TINY, load(None), adaptax.sgd, rates, seeds, epochs=10)
    assert [t.loss for t in parts.trials] == pytest.approx([t.loss for t in whole.trials], rel=1e-6)


def test_the_test_examples_of_the_seed_are_never_looked_at():
    dataset = load(None)
    used = validation_split(dataset, seed=5)
    held_out = {row.tobytes() for row in data.split(dataset, 5).test.inputs}
    seen = {row.tobytes() for row in np.concatenate([used.train.inputs, used.test.inputs])}
    assert len(seen) == 80 and not seen & held_out


def test_fewer_examples_may_be_used():
    used = validation_split(load(None), seed=5, examples=50)
    assert len(used.train.targets) + len(used.test.targets) == 50
    found = search.search(TINY, load(None), adaptax.sgd, [0.1], [5], epochs=3, examples=50)
    assert found.steps == 3 * (40 // 16)
