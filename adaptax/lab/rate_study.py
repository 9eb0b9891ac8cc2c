"""How good are the rates that the finder recommends? A grid of rates is the judge.

    python -m adaptax.lab.rate_study digits-mlp diabetes-linear --seeds 12 --output table.md

For every task and optimizer the finder is run once, on the training examples of a seed of its own.
Then the task is trained with every rate of a grid of 13, from 1e-5 to 10 by factors of the root of
ten, and with what the finder recommended, from the range test alone and with trainings of the
planned length. The rate is the peak of a cosine that falls to zero, since that is how a rate is
used when the last per cent counts, and since it leaves no schedule to be tuned. Every training is
judged by the task's loss on a fifth of the seed's training examples that were held out, and the
losses are averaged over the seeds, the same for the grid and for the finder. The test examples of a
seed are never looked at. A case passes if the recommended rate's loss is within five per cent of
the lowest of the grid.
"""

import argparse
import dataclasses
import datetime
import functools
import itertools
import json
import math
import statistics
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from adaptax.lab import data, output
from adaptax.lab.experiment import versions
from adaptax.lab.find import factory, recommend
from adaptax.lab.functional import Functional, functional
from adaptax.lab.tasks import task as find_task
from adaptax.lab.tasks.base import Task
from adaptax.lab.validation import validation_split
from adaptax.tuning import engine
from adaptax.tuning.engine import Plan
from adaptax.tuning.objective import Objective

OPTIMIZERS = ("sgd(momentum=0.9)", "rmsprop", "adamw", "nadamw")
GRID = tuple(float(10.0 ** (k / 2 - 5)) for k in range(13))
FIRST_SEED = 7000
WITHIN = 1.05  # of the grid's lowest loss


@dataclasses.dataclass(frozen=True)
class Case:
    """One optimizer on one task.

    Attributes:
      task, optimizer: their names.
      horizon: steps of a training.
      grid: mean held-out loss for every rate of `GRID`.
      rates: method -> the rate that it recommended, or None.
      losses: method -> mean held-out loss with that rate.
      steps: method -> training steps that the finder took.
    """

    task: str
    optimizer: str
    horizon: int
    grid: tuple[float, ...]
    rates: dict[str, float | None] = dataclasses.field(hash=False)
    losses: dict[str, float] = dataclasses.field(hash=False)
    steps: dict[str, int] = dataclasses.field(hash=False)

    def excess(self, method: str) -> float:
        """How much more than the grid's lowest loss, as a share of it."""
        return self.losses[method] / min(self.grid) - 1.0

    def passes(self, method: str) -> bool:
        return self.excess(method) <= WITHIN - 1.0


def study(
    task: Task,
    dataset: data.Dataset,
    optimizer: str,
    seeds: Sequence[int],
    examples: int | None,
    repeats: int = 5,
) -> Case:
    """The grid and the finder for one optimizer on one task.

    Args:
      task: with the epochs to train for.
      dataset: as loaded.
      optimizer: a call without its rate.
      seeds: those of the trainings; the finder has the one after the last.
      examples: how many training examples to use; None is all.
      repeats: of the finder.
    """
    make = factory(optimizer)
    place = functools.partial(_place, task, dataset, examples)
    horizon = task.epochs * place(seeds[0]).batches.steps
    found = {
        "range test": recommend(place(max(seeds) + 1), make, None, repeats=repeats),
        "with horizon": recommend(place(max(seeds) + 1), make, horizon, repeats=repeats),
    }
    rates = {method: result.recommended for method, result in found.items()}
    asked = dict.fromkeys([*GRID, *(rate for rate in rates.values() if rate is not None)])
    losses = dict.fromkeys(asked, 0.0)
    for seed in seeds:
        each = place(seed)
        for rate in losses:
            losses[rate] += train(each, make, rate, horizon) / len(seeds)
    return Case(
        task=task.name,
        optimizer=optimizer,
        horizon=horizon,
        grid=tuple(losses[rate] for rate in GRID),
        rates=rates,
        losses={m: math.inf if r is None else losses[r] for m, r in rates.items()},
        steps={method: result.steps for method, result in found.items()},
    )


def _place(task: Task, dataset: data.Dataset, examples: int | None, seed: int) -> Functional:
    return functional(task, validation_split(dataset, seed, examples), seed)


def train(each: Functional, make: Callable[..., Any], rate: float, steps: int) -> float:
    """The held-out loss after training with a cosine from `rate` to zero; infinite if diverged."""
    made = engine.program(Plan(Objective(each.loss_fn, stateful=True, keyed=True), make))
    carry = engine.begin(made, each.params, each.model_state, each.key, (rate,))
    loss = None
    for step, batch in enumerate(itertools.islice(each.batches, steps)):
        now = rate * 0.5 * (1.0 + math.cos(math.pi * step / steps))
        carry, loss = made.step(carry, (now,), batch)
        if step % 50 == 49 and not np.isfinite(loss):
            return math.inf
    with np.errstate(all="ignore"):
        found = each.evaluate(carry.params, carry.model_state)
    return found if math.isfinite(found) else math.inf


def table(cases: Iterable[Case]) -> str:
    """Markdown: a row for every case, and how many pass."""
    cases = list(cases)
    lines = [
        "| task | optimizer | steps | grid's best rate | loss | range test | loss | | "
        "with horizon | loss | | cost |",
        "|---|---|---:|---:|---:|---:|---:|---|---:|---:|---|---:|",
    ]
    for case in cases:
        best = min(range(len(GRID)), key=lambda k: case.grid[k])
        cells = [case.task, f"`{case.optimizer}`", f"{case.horizon:,}", f"{GRID[best]:.2g}"]
        cells.append(f"{case.grid[best]:.4f}")
        for method in ("range test", "with horizon"):
            rate = case.rates[method]
            cells.append("-" if rate is None else f"{rate:.2g}")
            cells.append(f"{case.excess(method):+.1%}")
            cells.append("pass" if case.passes(method) else "fail")
        cells.append(f"{case.steps['with horizon'] / case.horizon:.1f} trainings")
        lines.append("| " + " | ".join(cells) + " |")
    passed = {m: sum(case.passes(m) for case in cases) for m in ("range test", "with horizon")}
    of = len(cases)
    lines += ["", *(f"{method}: {count} of {of} pass" for method, count in passed.items())]
    for method in passed:
        middle = statistics.median(case.excess(method) for case in cases)
        lines[-2 + list(passed).index(method)] += f", median excess {middle:+.1%}"
    return "\n".join(lines) + "\n"


def _run(arguments: argparse.Namespace) -> Iterator[Case]:
    seeds = range(arguments.first_seed, arguments.first_seed + arguments.seeds)
    for name in arguments.tasks:
        task = find_task(name)
        reads = task.reads_files
        dataset = task.load(arguments.data_dir if reads else None)
        if arguments.epochs is not None:
            task = dataclasses.replace(task, epochs=arguments.epochs)
        for optimizer in arguments.optimizers:
            yield study(task, dataset, optimizer, seeds, arguments.examples, arguments.repeats)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("tasks", nargs="+")
    parser.add_argument("--optimizers", nargs="+", default=OPTIMIZERS)
    parser.add_argument("--seeds", type=int, default=3, help="how many (default: 3)")
    parser.add_argument("--first-seed", type=int, default=FIRST_SEED)
    parser.add_argument("--epochs", type=int, help="default: the task's")
    parser.add_argument("--examples", type=int, help="training examples to use (default: all)")
    parser.add_argument("--repeats", type=int, default=5, help="of the finder (default: 5)")
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--output", type=Path, help="a new file for the table, as Markdown")
    arguments = parser.parse_args()
    cases = []
    for case in _run(arguments):
        cases.append(case)
        print(json.dumps(dataclasses.asdict(case)), file=sys.stderr, flush=True)
    today = datetime.date.today().isoformat()
    known = ", ".join(f"{name} {version}" for name, version in versions().items())
    command = " ".join(["python -m adaptax.lab.rate_study", *sys.argv[1:]])
    content = f"`{command}`, {today}, {known}\n\n{table(cases)}"
    print(content)
    if arguments.output is not None:
        output.replace(arguments.output, content.encode())


if __name__ == "__main__":
    main()
