"""A lab task as what the tuning tools take: a loss function, parameters, batches, a key."""

import dataclasses
import functools
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np

from adaptax.lab import data, runner
from adaptax.lab.tasks.base import Task
from adaptax.lab.validation import mean_loss


@dataclasses.dataclass(frozen=True, eq=False)
class Batches:
    """Host batches (inputs, targets) in the runner's order, epoch after epoch without end.

    Every iteration starts again at the first batch.

    Attributes:
      examples: what is drawn from.
      batch_size: examples in a batch.
      seed: decides the order.
    """

    examples: data.Arrays
    batch_size: int
    seed: int

    @property
    def steps(self) -> int:
        """Batches in one epoch."""
        return len(self.examples.targets) // self.batch_size

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for table in data.batches(len(self.examples.targets), self.batch_size, self.seed):
            for chosen in table:
                inputs, targets = self.examples.take(chosen)
                yield inputs, targets


@dataclasses.dataclass(frozen=True, eq=False)
class Functional:
    """What one seed trains, without the loop.

    Attributes:
      loss_fn: (params, model_state, batch, key) -> (loss, new model state); one object for a task,
        so that nothing is compiled again for another seed.
      params: initial parameters.
      model_state: what the model keeps besides, and what its inputs are standardised with.
      batches: of training examples, as stored.
      key: for dropout and augmentation.
      eval_fn: (params, model_state, batch) -> loss, without dropout and augmentation; one object
        for a task too.
      evaluate: (params, model_state) -> the task's loss on the split's held-out examples.
    """

    loss_fn: Callable[..., Any]
    params: Any
    model_state: Any
    batches: Batches
    key: jax.Array
    eval_fn: Callable[..., Any]
    evaluate: Callable[[Any, Any], float]


def functional(task: Task, split: data.Split, seed: int) -> Functional:
    """A task, with a seed's examples, as a loss function and what it needs.

    Args:
      task: what is trained.
      split: of its examples, as `data.split` makes one, or `validation.validation_split`.
      seed: of initial parameters, dropout and the order of the examples.

    Raises:
      ValueError: fewer training examples than one batch takes.

    Example::

        >>> from adaptax import lab
        >>> from adaptax.lab import data
        >>> from adaptax.lab.functional import functional
        >>> found = functional(lab.task("digits-mlp"), data.split(data.digits(), 0), seed=0)
        >>> found.batches.steps
        22
    """
    if task.batch_size > len(split.train.targets):
        raise ValueError(
            f"batch_size={task.batch_size}: the split of task {task.name!r} has "
            f"{len(split.train.targets):,} training examples; use a smaller one"
        )
    params, other = runner.initial(task, seed)
    measure, key = _evaluation(task), jax.random.key(seed)

    def evaluate(params: Any, model_state: runner.ModelState) -> float:
        return measure(runner.Carry(params, model_state.other, (), key), split)

    return Functional(
        loss_fn=runner.loss_function(task),
        params=params,
        model_state=runner.ModelState(other, split.mean, split.deviation),
        batches=Batches(split.train, task.batch_size, seed),
        key=key,
        eval_fn=runner.evaluation_function(task),
        evaluate=evaluate,
    )


@functools.cache
def _evaluation(task: Task) -> Callable[[runner.Carry, data.Split], float]:
    """Compiled once for a task, whatever the seed."""
    return runner.make_evaluation(dataclasses.replace(task, metric=mean_loss(task)))
