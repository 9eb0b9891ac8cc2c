"""A comparison from start to end: prepare (all that can be refused), run, write.

Example::

    plan = prepare("digits-mlp", ["adam", "nadam"], seeds=3)
    found = run(plan)
"""

import dataclasses
import datetime
import functools
import os
import platform
import warnings
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

import jax
import numpy as np

from adaptax.lab import data, extras
from adaptax.lab.candidates import Candidate, candidates
from adaptax.lab.output import PICTURE, RESULTS, Folder, claim
from adaptax.lab.progress import Progress
from adaptax.lab.results import Comparison, Entry, Run, Setting
from adaptax.lab.tasks import task as find_task
from adaptax.lab.tasks.base import Task

if TYPE_CHECKING:
    from adaptax.lab.results import Tuned
    from adaptax.lab.runner import OnDevice
    from adaptax.lab.tuned import Rated

LIBRARIES = ("jax", "jaxlib", "flax", "optax", "numpy")
SEED_LIMIT = 2**32
LARGEST_COUNT = 10_000


@dataclasses.dataclass(frozen=True, eq=False)
class Plan:
    """All that a comparison needs, checked and loaded.

    Attributes:
      task: with the epochs and batch size that will be used.
      candidates: the optimizers.
      seeds: distinct.
      dataset: as loaded.
      data_dir: where from, or None.
      steps: in one epoch.
      tune_budget: trainings that look for each optimizer's rate; None takes the rates as given.
      rated: the optimizers as functions of the rate, for that; empty without it.
    """

    task: Task
    candidates: tuple[Candidate, ...]
    seeds: tuple[int, ...]
    dataset: data.Dataset
    data_dir: str | None
    steps: int
    tune_budget: int | None = None
    rated: "tuple[Rated, ...]" = ()


def prepare(
    task: str | Task = "digits-lenet5",
    optimizers: Any = None,
    learning_rate: Any = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    seeds: int | Iterable[int] = 3,
    data_dir: str | os.PathLike | None = None,
    tune: bool = False,
    tune_budget: int | None = None,
) -> Plan:
    """Check and load everything, so that nothing that `run` is asked to do can be refused.

    The arguments are those of `compare`.

    Raises:
      ValueError, TypeError: an argument; the message names it and what is allowed.
      OSError: data that cannot be read.
      ImportError: the "lab" extra is not installed.
    """
    extras.require()
    chosen = chosen_task(task, epochs, batch_size)
    numbers = _seeds(seeds)
    if tune_budget is not None and not tune:
        raise ValueError(f"tune_budget={tune_budget!r}: only with tune=True (--tune)")
    if tune and learning_rate is None:
        learning_rate = 1.0  # where it starts does not matter to what is found
    found = candidates(chosen, optimizers, learning_rate)
    dataset = chosen.load(None if data_dir is None else Path(data_dir))
    examples, _ = data.counts(dataset)
    if chosen.batch_size > examples:
        raise ValueError(
            f"batch_size={chosen.batch_size}: task {chosen.name!r} has {examples:,} training "
            "examples, so an epoch would have no batch; use a smaller one"
        )
    where = None if data_dir is None else str(data_dir)
    plan = Plan(chosen, found, numbers, dataset, where, examples // chosen.batch_size)
    return _tunable(plan, tune_budget) if tune else plan


def _tunable(plan: Plan, budget: int | None) -> Plan:
    """The plan with a search for every optimizer's rate, or a refusal."""
    from adaptax.lab import search, tuned

    number = tuned.BUDGET if budget is None else budget
    steps = plan.steps * plan.task.epochs
    each = tuple(tuned.rated(candidate, steps) for candidate in plan.candidates)
    tuned.grid(each[0], number)
    split = search.validation_split(plan.dataset, tuned.tuned_seeds(1, plan.seeds)[0])
    if plan.task.batch_size > len(split.train.targets):
        raise ValueError(
            f"batch_size={plan.task.batch_size}: with tuning, task {plan.task.name!r} has "
            f"{len(split.train.targets):,} examples to train on while others are held out, so an "
            "epoch would have no batch; use a smaller one"
        )
    return dataclasses.replace(plan, tune_budget=number, rated=each)


def chosen_task(task: str | Task, epochs: int | None, batch_size: int | None) -> Task:
    """The task, by its name where it is one, with epochs and batch size where they are given."""
    chosen = task if isinstance(task, Task) else find_task(task)
    changed = {"epochs": epochs, "batch_size": batch_size}
    for name, value in changed.items():
        whole(name, value)
    return dataclasses.replace(chosen, **{k: v for k, v in changed.items() if v is not None})


def whole(name: str, value: int | None) -> None:
    """Refuse what is neither None nor a whole number of at least 1."""
    if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
        raise TypeError(f"{name}={value!r}: a whole number of at least 1 is needed")
    if value is not None and value < 1:
        raise ValueError(f"{name}={value!r}: a whole number of at least 1 is needed")


def _seeds(seeds: int | Iterable[int]) -> tuple[int, ...]:
    if _is_whole(seeds):
        if not 1 <= seeds <= LARGEST_COUNT:
            raise ValueError(f"seeds={seeds!r}: a count from 1 to {LARGEST_COUNT:,} is needed")
        return tuple(range(seeds))
    numbers = tuple(seeds) if isinstance(seeds, Iterable) else ()
    if not numbers or not all(_is_whole(seed) and 0 <= seed < SEED_LIMIT for seed in numbers):
        raise ValueError(
            f"seeds={seeds!r}: a count, or at least one whole number from 0 to {SEED_LIMIT - 1:,}"
        )
    if len(set(numbers)) < len(numbers):
        raise ValueError(f"seeds={seeds!r}: each may be given only once")
    return tuple(int(seed) for seed in numbers)


def _is_whole(value: Any) -> TypeGuard[int]:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def run(plan: Plan, progress: Progress | None = None) -> Comparison:
    """Train every optimizer with every seed.

    Ctrl-C ends it early: the result holds the runs that finished and says `interrupted`. A run
    whose loss is no longer finite ends there, and the others go on.
    """
    progress = Progress() if progress is None else progress
    created = datetime.datetime.now().astimezone().isoformat(timespec="seconds")
    entries = {each.label: Entry(each.label, each.call, each.rate) for each in plan.candidates}
    runs: list[Run] = []
    interrupted = False
    try:
        with progress:
            _run_all(plan, progress, entries, runs)
    except KeyboardInterrupt:
        interrupted = True
    return Comparison(
        task=_setting(plan),
        optimizers=tuple(entries.values()),
        seeds=plan.seeds,
        runs=tuple(runs),
        versions=versions(),
        device=device(),
        created=created,
        interrupted=interrupted,
    )


def _run_all(plan: Plan, progress: Progress, entries: dict[str, Entry], runs: list[Run]) -> None:
    """Fill `entries` and `runs` as results come, so that an interruption keeps them."""
    from adaptax.lab import report, runner

    task, setting = plan.task, _setting(plan)
    progress.begin(list(entries), len(plan.seeds), plan.steps * task.epochs, task.metric)
    split = functools.cache(lambda seed: data.split(plan.dataset, seed))
    # One seed's examples on the device at a time: those of all seeds may not fit.
    placed: dict[int, OnDevice] = {}

    def on_device(seed: int) -> "OnDevice":
        if seed not in placed:
            placed.clear()
            placed[seed] = runner.on_device(split(seed))
        return placed[seed]

    evaluate = runner.make_evaluation(task)
    for number, each in enumerate(plan.candidates):
        progress.optimizer(each.label)
        how = None
        if plan.tune_budget is not None:
            each, how = _tune(plan, number, progress)
            entries[each.label] = Entry(each.label, each.call, each.rate, tuned=how)
            progress.optimizer(each.label)
        compiled = runner.compile_training(
            task, each.transformation, on_device(plan.seeds[0]), plan.steps, task.batch_size
        )
        for seed in plan.seeds:
            progress.run(each.label, seed)
            carry = runner.start(task, each.transformation, seed)
            parameters, state_bytes = runner.sizes(carry)
            made = runner.train(
                each.label,
                carry,
                compiled,
                on_device(seed),
                lambda carry, seed=seed: evaluate(carry, split(seed)),
                task.epochs,
                task.batch_size,
                seed,
                progress,
            )
            runs.append(made)
            entries[each.label] = Entry(
                each.label, each.call, each.rate, parameters, state_bytes, compiled.seconds, how
            )
            progress.finished(report.one_run(setting, made))


def _tune(plan: Plan, number: int, progress: Progress) -> "tuple[Candidate, Tuned]":
    """One candidate at its best rate, and how that was found."""
    from adaptax.lab import search, tuned

    each = plan.rated[number]
    rates, seeds = tuned.grid(each, plan.tune_budget or tuned.BUDGET)
    split = search.validation_split(plan.dataset, tuned.tuned_seeds(1, plan.seeds)[0])
    epoch = len(split.train.targets) // plan.task.batch_size
    total, done = epoch * plan.task.epochs * len(rates) * seeds, 0

    def heard(steps: int) -> None:
        nonlocal done
        done += steps
        progress.tuning(each.candidate.label, done, total)

    heard(0)
    found, how = tuned.tune(
        plan.task, plan.dataset, each, plan.tune_budget or tuned.BUDGET, plan.seeds, heard
    )
    progress.tuned(
        found.label, f"rate {how.rate:.4g} of {how.trainings} trainings, {how.seconds:.1f} s"
    )
    return found, how


def _setting(plan: Plan) -> Setting:
    task = plan.task
    train_examples, test_examples = data.counts(plan.dataset)
    return Setting(
        name=task.name,
        description=task.description,
        metric=task.metric.name,
        percent=task.metric.percent,
        higher_is_better=task.metric.higher_is_better,
        target=task.target,
        epochs=task.epochs,
        batch_size=task.batch_size,
        train_examples=train_examples,
        test_examples=test_examples,
        data_dir=plan.data_dir,
    )


def versions() -> dict[str, str]:
    """Of adaptax, Python and the libraries that decide what a run computes."""
    from adaptax import __version__

    libraries = {name: metadata.version(name) for name in LIBRARIES}
    return {"adaptax": __version__, "python": platform.python_version(), **libraries}


def device() -> dict[str, Any]:
    devices = jax.devices()
    return {
        "platform": devices[0].platform,
        "kind": devices[0].device_kind,
        "count": len(devices),
        "machine": platform.machine(),
        "cpus": os.cpu_count(),
    }


def compare(
    task: str | Task = "digits-lenet5",
    optimizers: Any = None,
    learning_rate: Any = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    seeds: int | Iterable[int] = 3,
    output: str | os.PathLike | None = None,
    force: bool = False,
    data_dir: str | os.PathLike | None = None,
    progress: Progress | None = None,
    tune: bool = False,
    tune_budget: int | None = None,
) -> Comparison:
    """Train a task with several optimizers and seeds, and say how they did.

    All optimizers see the same examples in the same order and start from the same weights, a seed
    at a time. The same call gives bitwise the same curves on the same machine.

    Args:
      task: a name of `task_names()`, or a `Task`.
      optimizers: text such as "adam" or "adamw(weight_decay=0.01)", adaptax transformations, a list
        of these, or a dict from name to any Optax transformation. None: sgd, adagrad, rmsprop, adam
        and nadam.
      learning_rate: for optimizers named without one: a number, a schedule, or text of either.
        None: the task's own rate for each optimizer.
      epochs: passes over the training examples, at least 1. None: the task's.
      batch_size: examples in a step, at least 1. None: the task's.
      seeds: a count (3 stands for 0, 1, 2) or distinct whole numbers from 0.
      output: a new or empty folder for `results.json` and `curves.png`. None writes nothing.
      force: write into a folder that holds files already.
      data_dir: folder with the files of a task that reads files.
      progress: what to report to while it runs; None is silent.
      tune: train every optimizer at its own best rate, found before on examples held out of the
        training examples, with other seeds. Given rates are then left out of account; of a schedule
        the scale is tuned, its shape stays.
      tune_budget: trainings an optimizer for that, at least 3; None is 20.

    Raises:
      ValueError, TypeError: an argument; the message names it and what is allowed.
      OSError: data that cannot be read, or an output folder that cannot be used.
      ImportError: the "lab" extra is not installed.

    Example::

        >>> from adaptax import lab
        >>> found = lab.compare("digits-mlp", ["adam", "sgd"], epochs=1, seeds=1)
        >>> print(found.table())  # doctest: +SKIP
    """
    plan = prepare(
        task, optimizers, learning_rate, epochs, batch_size, seeds, data_dir, tune, tune_budget
    )
    if output is None:
        return run(plan, progress)
    with claim(output, force) as folder:
        found = run(plan, progress)
        try:
            write(found, folder)
        except OSError as error:
            warnings.warn(f"results not written to {folder.path}: {error}", stacklevel=2)
    return found


def write(found: Comparison, folder: Folder) -> list[Path]:
    """Write the results and the picture; nothing where no run has finished.

    Raises:
      OSError: a file could not be written.
    """
    if not found.runs:
        return []
    return [found.save(folder.path / RESULTS), found.plot(folder.path / PICTURE)]
