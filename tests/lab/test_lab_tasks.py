"""The tasks as values, and the losses and metrics in them."""

import dataclasses

import jax
import numpy as np
import pytest
from experiments import TINY
from flax import nnx

from adaptax import lab
from adaptax.lab import cifar10, data
from adaptax.lab.tasks import TASKS
from adaptax.lab.tasks.base import ACCURACY, R_SQUARED, cross_entropy, mean_squared_error


@pytest.mark.parametrize("name", [n for n, t in TASKS.items() if not t.reads_files])
def test_data_model_loss_and_metric_fit_together(name):
    task = lab.task(name)
    split = data.split(task.load(None), seed=0)
    batch = split.train.take(np.arange(7))
    inputs = ((batch.inputs - split.mean) / split.deviation).astype(np.float32)
    definition, state = nnx.split(nnx.eval_shape(lambda: task.model(nnx.Rngs(0))))
    shape = jax.eval_shape(lambda state, x: nnx.merge(definition, state)(x), state, inputs).shape
    outputs = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    assert task.loss(outputs, batch.targets).shape == ()
    assert np.isfinite(task.metric.score(outputs, batch.targets))


def test_the_cifar_task_reads_official_files_and_augments(tmp_path):
    task = lab.task("cifar10-lenet5")
    for name in (*cifar10.TRAIN, cifar10.TEST):
        with open(tmp_path / name, "wb") as file:
            file.truncate(cifar10.RECORDS * cifar10.RECORD)
    dataset = task.load(tmp_path)
    assert dataset.train.inputs.shape == (50_000, 32, 32, 3)
    assert dataset.test is not None and dataset.test.inputs.shape == (10_000, 32, 32, 3)
    images = np.random.default_rng(0).normal(size=(4, 32, 32, 3)).astype(np.float32)
    moved = task.augment(jax.random.key(0), images)
    assert moved.shape == images.shape and not np.allclose(moved, images)


def test_names_are_found_and_suggested():
    assert lab.task_names()[0] == "digits-lenet5"
    assert lab.task("digits-mlp").name == "digits-mlp"
    with pytest.raises(ValueError, match=r"unknown task 'digitsmlp'; did you mean 'digits-mlp'"):
        lab.task("digitsmlp")


@pytest.mark.parametrize("name", ["", "../up", "a/b", "a b", ".hidden", "x" * 65, "a\n"])
def test_a_name_that_could_leave_its_folder_is_refused(name):
    with pytest.raises(ValueError, match=r"Task\(name="):
        dataclasses.replace(TINY, name=name)


@pytest.mark.parametrize("field", ["epochs", "batch_size"])
def test_counts_are_checked(field):
    with pytest.raises(ValueError, match=rf"Task\({field}=0\)"):
        dataclasses.replace(TINY, **{field: 0})


def test_tasks_compare_and_hash():
    assert dataclasses.replace(TINY) == TINY and hash(dataclasses.replace(TINY)) == hash(TINY)
    assert dataclasses.replace(TINY, epochs=9) != TINY


def test_losses_and_metrics_by_hand():
    outputs = np.array([[0.0, np.log(3.0)], [0.0, 0.0]], np.float32)
    loss = cross_entropy(outputs, np.array([1, 0]))
    assert float(loss) == pytest.approx((np.log(4 / 3) + np.log(2)) / 2, rel=1e-6)
    assert float(mean_squared_error(np.array([1.0, 3.0]), np.array([0.0, 1.0]))) == 2.5
    assert ACCURACY.score(outputs, np.array([1, 1])) == 0.5
    assert R_SQUARED.score(np.array([1.0, 2.0, 4.0]), np.array([1.0, 2.0, 3.0])) == 0.5
    assert R_SQUARED.score(np.array([2.0, 2.0, 2.0]), np.array([1.0, 2.0, 3.0])) == 0.0
