"""How the tasks' default rates were found: a grid, judged on examples held out for the purpose.

    python -m adaptax.lab.search digits-lenet5

trains every optimizer with every rate of a grid on part of the training examples and prints, for
each, the rate with the lowest validation loss, its neighbours on the grid taken into account. Seeds
are not those that comparisons report by default, and the test examples of a seed are never looked
at. Where a task draws its test examples by seed, an example may be tested on under another seed; a
grid of this coarseness learns nothing from that.
"""

import argparse
import dataclasses
import math
import statistics
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from adaptax.core import registry
from adaptax.lab import data, runner
from adaptax.lab.progress import Progress
from adaptax.lab.tasks import task as find_task
from adaptax.lab.tasks.base import Metric, Task
from adaptax.rates.access import set_learning_rate

SEEDS = (1000, 1001)
GRID = tuple(float(f"{m}e{e}") for e in range(-4, 1) for m in (1, 2, 5))


@dataclasses.dataclass(frozen=True)
class Tried:
    """One rate: its validation loss, averaged over the seeds; infinite if a run diverged."""

    rate: float
    loss: float


def search(
    task: Task,
    dataset: data.Dataset,
    name: str,
    grid: Iterable[float] = GRID,
    seeds: Iterable[int] = SEEDS,
    epochs: int | None = None,
    examples: int | None = None,
) -> list[Tried]:
    """Try every rate of a grid with one optimizer.

    The rate is set in the state, so the training step is compiled once for the whole grid.

    Args:
      task: what to train.
      dataset: what the task loaded.
      name: of an optimizer that needs only a rate.
      grid: the rates, per update.
      seeds: not those that will be reported.
      epochs: passes over the training part; None is the task's.
      examples: how many examples to use of the training part; None is all.
    """
    chosen = dataclasses.replace(task, metric=_mean_loss(task), epochs=epochs or task.epochs)
    transformation = registry.lookup(name)(1.0)
    splits = {seed: _validation(dataset, seed, examples) for seed in seeds}
    evaluate = runner.make_evaluation(chosen)
    placed = {seed: runner.on_device(split) for seed, split in splits.items()}
    first = next(iter(placed.values()))
    steps = len(first.targets) // task.batch_size
    compiled = runner.compile_training(chosen, transformation, first, steps, task.batch_size)
    tried = []
    for rate in grid:
        losses = []
        for seed, split in splits.items():
            carry = runner.start(chosen, transformation, seed)
            carry = carry._replace(state=set_learning_rate(carry.state, rate))
            run = runner.train(
                name,
                carry,
                compiled,
                placed[seed],
                lambda carry, split=split: evaluate(carry, split),
                chosen.epochs,
                task.batch_size,
                seed,
                Progress(),
            )
            losses.append(float("inf") if run.diverged_at else run.metric[-1])
        tried.append(Tried(rate, statistics.fmean(losses)))
    return tried


def best(tried: Sequence[Tried]) -> float:
    """The rate whose loss, averaged with those of its neighbours on the grid, is lowest.

    The neighbours keep the choice away from rates beside which training breaks down, and from a
    loss that is low by luck. An end of the grid stands in for the neighbour that it lacks. Of rates
    within one per cent of the lowest the smallest is taken.
    """
    losses = [tried[0].loss, *(each.loss for each in tried), tried[-1].loss]
    around = [statistics.fmean(losses[i : i + 3]) for i in range(len(tried))]
    finite = [loss for loss in around if math.isfinite(loss)]
    if not finite:
        return min(tried, key=lambda each: each.rate).rate
    near = (
        each.rate for each, loss in zip(tried, around, strict=True) if loss <= 1.01 * min(finite)
    )
    return min(near)


def _mean_loss(task: Task) -> Metric:
    """The task's own loss on held-out examples: finer than an accuracy of few examples."""

    def score(outputs: np.ndarray, targets: np.ndarray) -> float:
        return float(task.loss(jnp.asarray(outputs), jnp.asarray(targets)))

    return Metric("validation loss", score, higher_is_better=False)


def _validation(dataset: data.Dataset, seed: int, examples: int | None) -> data.Split:
    """The seed's training examples, divided again; its test examples are left out."""
    train = data.split(dataset, seed).train
    if examples is not None:
        train = data.Arrays(train.inputs[:examples], train.targets[:examples])
    return data.split(dataclasses.replace(dataset, train=train, test=None), seed + 1)


def _report(arguments: argparse.Namespace) -> Iterator[str]:
    task = find_task(arguments.task)
    dataset = task.load(arguments.data_dir)
    for name in arguments.optimizers or registry.names("optimizer"):
        tried = search(
            task,
            dataset,
            name,
            arguments.rates,
            seeds=arguments.seeds,
            epochs=arguments.epochs,
            examples=arguments.examples,
        )
        shown = "  ".join(f"{each.rate:g}:{each.loss:.4f}" for each in tried)
        yield f'    "{name}": {best(tried):g},  # {shown}'


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("task")
    parser.add_argument("--optimizers", nargs="+")
    parser.add_argument("--rates", type=float, nargs="+", default=GRID)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--examples", type=int)
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    parser.add_argument("--data-dir", type=Path)
    for line in _report(parser.parse_args()):
        print(line, flush=True)


if __name__ == "__main__":
    main()
