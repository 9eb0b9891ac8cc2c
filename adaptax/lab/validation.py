"""What tuning is judged by: examples carved from the training examples, never the test examples."""

import dataclasses

import jax.numpy as jnp
import numpy as np

from adaptax.lab import data
from adaptax.lab.tasks.base import Metric, Task


def mean_loss(task: Task) -> Metric:
    """The task's own loss on held-out examples: finer than an accuracy of few examples."""

    def score(outputs: np.ndarray, targets: np.ndarray) -> float:
        return float(task.loss(jnp.asarray(outputs), jnp.asarray(targets)))

    return Metric("validation loss", score, higher_is_better=False)


def validation_split(dataset: data.Dataset, seed: int, examples: int | None = None) -> data.Split:
    """The seed's training examples, divided again; its test examples are left out.

    Args:
      dataset: as loaded.
      seed: decides both divisions.
      examples: how many of the training examples to use; None is all.
    """
    train = data.split(dataset, seed).train
    if examples is not None:
        train = data.Arrays(train.inputs[:examples], train.targets[:examples])
    return data.split(dataclasses.replace(dataset, train=train, test=None), seed + 1)
