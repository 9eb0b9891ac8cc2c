"""A task's best learning rate: a sweep, judged on examples held out for the purpose.

    adaptax sweep digits-lenet5 --seeds 1000,1001

trains every optimizer with every rate of a grid on part of the training examples. Seeds are not
those that comparisons report by default, and the test examples of a seed are never looked at. Where
a task draws its test examples by seed, an example may be tested on under another seed; a grid of
this coarseness learns nothing from that.
"""

import functools
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from adaptax.lab import data, runner
from adaptax.lab.functional import Functional, functional
from adaptax.lab.tasks.base import Task
from adaptax.lab.validation import validation_split
from adaptax.tuning.sweep import sweep
from adaptax.tuning.swept import Sweep

SEEDS = (1000, 1001)
GRID = tuple(float(f"{m}e{e}") for e in range(-4, 1) for m in (1, 2, 5))


def search(
    task: Task,
    dataset: data.Dataset,
    optimizer: Callable[..., Any],
    rates: Iterable[float] = GRID,
    seeds: Iterable[int] = SEEDS,
    epochs: int | None = None,
    examples: int | None = None,
    halving: int | None = None,
    progress: Callable[[int], None] | bool = False,
) -> Sweep:
    """Sweep the rate of one optimizer on a task.

    Args:
      task: what to train.
      dataset: what the task loaded.
      optimizer: a rate -> an optimizer.
      rates: the grid, per update.
      seeds: not those that will be reported.
      epochs: passes over the training part; None is the task's.
      examples: how many examples to use of the training part; None is all.
      halving: as for `sweep`.
      progress: as for `sweep`.

    Raises:
      ValueError: fewer examples than a batch takes, or what `sweep` refuses.
    """
    seeds = tuple(seeds)
    splits = {seed: validation_split(dataset, seed, examples) for seed in seeds}

    @functools.cache
    def made(seed: int) -> Functional:
        return functional(task, splits[seed], seed)

    def held_out(seed: int) -> Iterator[tuple[Any, Any]]:
        test = splits[seed].test
        for first in range(0, len(test.targets), runner.EVALUATED):
            part = slice(first, first + runner.EVALUATED)
            yield test.inputs[part], test.targets[part]

    return sweep(
        runner.loss_function(task),
        lambda seed: made(seed).params,
        lambda seed: made(seed).batches,
        optimizer,
        rates=rates,
        seeds=seeds,
        steps=made(seeds[0]).batches.steps * (epochs or task.epochs),
        validation=held_out,
        eval_fn=runner.evaluation_loss(task),
        model_state=lambda seed: made(seed).model_state,
        key=lambda seed: made(seed).key,
        halving=halving,
        progress=progress,
    )
