"""A lab task as functions: what the runner trains, without its loop."""

import dataclasses
import itertools

import jax
import numpy as np
import pytest
from experiments import TINY, load

import adaptax
from adaptax.lab import data, runner
from adaptax.lab.functional import functional
from adaptax.lab.validation import validation_split
from adaptax.tuning.objective import Objective
from adaptax.tuning.training import Carry, make_step


def made(seed=3, task=TINY):
    return functional(task, data.split(load(None), seed), seed)


def test_the_loss_is_one_object_for_a_task():
    first, second = made(3), made(4)
    assert first.loss_fn is second.loss_fn and first.eval_fn is second.eval_fn
    longer = dataclasses.replace(TINY, epochs=9, batch_size=8)
    assert made(3, longer).loss_fn is first.loss_fn
    other = dataclasses.replace(TINY, augment=lambda key, x: x)
    assert made(3, other).loss_fn is not first.loss_fn


def test_it_trains_as_the_runner_does():
    """The same steps, from the same weights, over the same batches, with the same dropout."""
    tx, seed = adaptax.adam(0.01), 3
    each, split = made(seed), data.split(load(None), seed)
    step = jax.jit(make_step(Objective(each.loss_fn, stateful=True, keyed=True), tx))
    carry = Carry(each.params, each.model_state, tx.init(each.params), each.key)
    losses = []
    for batch in itertools.islice(each.batches, 2 * each.batches.steps):
        carry, loss = step(carry, batch)
        losses.append(float(loss))
    examples = runner.on_device(split)
    theirs, expected = runner.start(TINY, tx, seed), []
    inner = jax.jit(runner.make_step(TINY, tx))
    order = data.batches(len(split.train.targets), TINY.batch_size, seed)
    for table in itertools.islice(order, 2):
        for chosen in table:
            theirs, loss = inner(theirs, examples, chosen)
            expected.append(float(loss))
    np.testing.assert_allclose(losses, expected, rtol=1e-5)
    for a, b in zip(jax.tree.leaves(carry.params), jax.tree.leaves(theirs.params), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_batches_begin_again_and_hold_an_epoch():
    batches = made().batches
    assert batches.steps == 80 // 16
    first, second = (list(itertools.islice(batches, batches.steps)) for _ in range(2))
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a[0], b[0])
    seen = {row.tobytes() for inputs, _ in first for row in inputs}
    assert len(seen) == 80
    following = list(itertools.islice(batches, batches.steps, 2 * batches.steps))
    assert not np.array_equal(following[0][0], first[0][0])


def test_inputs_are_standardised_in_training_as_in_judging():
    dataset = load(None)
    moved = data.Arrays(7 * dataset.train.inputs + 3, dataset.train.targets)
    plain = dataclasses.replace(TINY, model=without_dropout)
    split = data.split(dataclasses.replace(dataset, train=moved), 5)
    each = functional(plain, split, 5)
    batch = tuple(split.test)
    loss, _ = each.loss_fn(each.params, each.model_state, batch, each.key)
    expected = each.evaluate(each.params, each.model_state)
    assert float(loss) == pytest.approx(expected, rel=1e-5)


def without_dropout(rngs):
    from adaptax.lab.models import MLP

    return MLP((4, 8, 2), rngs=rngs)


def test_evaluate_is_the_loss_on_the_held_out_examples():
    each, split = made(5), data.split(load(None), 5)
    expected = each.eval_fn(each.params, each.model_state, tuple(split.test))
    assert each.evaluate(each.params, each.model_state) == pytest.approx(float(expected), rel=1e-5)


def test_the_validation_split_leaves_the_test_examples_out():
    split = validation_split(load(None), 5)
    test = {row.tobytes() for row in data.split(load(None), 5).test.inputs}
    each = functional(TINY, split, 5)
    seen = {row.tobytes() for row in each.batches.examples.inputs}
    assert not test & seen and each.batches.steps == 4


def test_a_batch_larger_than_the_split_is_refused():
    with pytest.raises(ValueError, match="batch_size=81: the split of task 'tiny' has 80"):
        made(3, dataclasses.replace(TINY, batch_size=81))
