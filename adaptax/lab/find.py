"""The learning-rate finder on a lab task: prepare (all that can be refused), run, write."""

import dataclasses
import datetime
import functools
import itertools
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from adaptax.core import registry
from adaptax.core import text as calls
from adaptax.lab import data, experiment, extras, output, text
from adaptax.lab.functional import Functional, functional
from adaptax.lab.tasks.base import Task
from adaptax.tuning.finder import find_learning_rate
from adaptax.tuning.result import RateTest

FORMAT = "adaptax.rate-test/1"
PICTURE = "range_test.png"


@dataclasses.dataclass(frozen=True, eq=False)
class Plan:
    """A checked search.

    Attributes:
      task: with the epochs and batch size that will be used.
      optimizer: its call without the rate.
      make: the rate -> the optimizer.
      dataset: as loaded.
      seed: of split, initial weights and order.
      trainings: whether to train to the end around what the range test finds.
    """

    task: Task
    optimizer: str
    make: Callable[..., Any]
    dataset: data.Dataset
    seed: int
    trainings: bool


@dataclasses.dataclass(frozen=True)
class Found:
    """What a search found, and where."""

    task: str
    description: str
    optimizer: str
    seed: int
    epochs: int
    batch_size: int
    result: RateTest
    versions: dict[str, str] = dataclasses.field(hash=False)
    device: dict[str, Any] = dataclasses.field(hash=False)
    created: str

    def table(self) -> str:
        """The result as text, with a chart."""
        task = text.printable(f"{self.task}: {self.description}")
        optimizer = text.printable(self.optimizer)
        return f"{task}\n{optimizer}, batch size {self.batch_size}\n\n{self.result}\n"

    def to_json(self) -> str:
        """Everything as JSON text."""
        fields = {each.name: getattr(self, each.name) for each in dataclasses.fields(self)}
        content = {"format": FORMAT, **fields, "result": self.result.to_dict()}
        return json.dumps(content, allow_nan=False, ensure_ascii=False) + "\n"


def factory(given: str) -> Callable[..., Any]:
    """A function from the rate to the optimizer that the text names, without its rate.

    Raises:
      ValueError: no optimizer of that name; arguments by position; a learning rate.
      TypeError: an argument that it does not have.
    """
    known = registry.names("optimizer")
    start = re.match(r"\w+", given)
    if start is not None and start[0] not in known:
        near = registry.nearest(start[0], known)
        raise ValueError(f"unknown optimizer {start[0]!r} in {given!r}; {near}")
    name, args, kwargs = calls.call(given)
    if args or "learning_rate" in kwargs:
        raise ValueError(
            f"{given!r}: the learning rate is what is looked for; leave it out and name the other "
            f"arguments, as in {name}(…=…)"
        )
    made = functools.partial(registry.lookup(name), **kwargs)
    made(learning_rate=0.1)  # refused now, if at all
    return made


def prepare(
    task: str | Task,
    optimizer: str = "adamw",
    trainings: bool = False,
    epochs: int | None = None,
    batch_size: int | None = None,
    seed: int = 0,
    data_dir: str | os.PathLike | None = None,
) -> Plan:
    """Check and load everything, so that nothing that `run` is asked to do can be refused.

    Args:
      task: a name of `task_names()`, or a `Task`.
      optimizer: such as "adamw" or "sgd(momentum=0.9)", without a rate.
      trainings: make whole trainings around what the range test finds.
      epochs: of such a training; None is the task's.
      batch_size: examples in a step; None is the task's.
      seed: of split, initial weights and order.
      data_dir: folder with the files of a task that reads files.

    Raises:
      ValueError, TypeError, OSError, ImportError: an argument, with what is allowed.
    """
    extras.require()
    make = factory(optimizer)
    plan = experiment.prepare(task, "sgd(0.1)", None, epochs, batch_size, [seed], data_dir)
    if epochs is not None and not trainings:
        raise ValueError(
            f"epochs={epochs}: a range test has none; add trainings=True (--trainings)"
        )
    return Plan(plan.task, optimizer, make, plan.dataset, seed, trainings)


def run(plan: Plan, progress: bool = False) -> Found:
    """Find the rate on the seed's training examples; its test examples are not looked at."""
    created = datetime.datetime.now().astimezone().isoformat(timespec="seconds")
    each = functional(plan.task, data.split(plan.dataset, plan.seed), plan.seed)
    horizon = plan.task.epochs * each.batches.steps if plan.trainings else None
    return Found(
        task=plan.task.name,
        description=plan.task.description,
        optimizer=plan.optimizer,
        seed=plan.seed,
        epochs=plan.task.epochs,
        batch_size=plan.task.batch_size,
        result=recommend(each, plan.make, horizon, progress),
        versions=experiment.versions(),
        device=experiment.device(),
        created=created,
    )


def recommend(
    each: Functional,
    make: Callable[..., Any],
    horizon: int | None,
    progress: bool = False,
    repeats: int = 5,
) -> RateTest:
    """The finder on one epoch of a lab task's training batches."""
    return find_learning_rate(
        each.loss_fn,
        each.params,
        list(itertools.islice(each.batches, each.batches.steps)),
        make,
        model_state=each.model_state,
        key=each.key,
        eval_fn=each.eval_fn,
        horizon=horizon,
        repeats=repeats,
        progress=progress,
    )


def write(found: Found, folder: output.Folder) -> list[Path]:
    """Write the results and the picture.

    Raises:
      OSError: a file could not be written.
    """
    content = found.to_json().encode("utf-8", "backslashreplace")
    results = output.replace(folder.path / output.RESULTS, content)
    return [results, found.result.plot(folder.path / PICTURE)]
