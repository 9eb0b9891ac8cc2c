"""A search over an optimizer's numbers with Optuna: prepare (all that can be refused), run, write.

Every trial trains on a part of its seed's training examples and is judged by the task's loss on the
rest; the seed's test examples are never looked at. Seeds count from 1000, those of comparisons from
0. Where a task draws its test examples by seed, an example that a comparison tests on may be among
those that were trained or judged on here.

Example::

    found = tune("digits-mlp", "adamw", trials=30, space={"weight_decay": "log:1e-5..1e-1"})
    print(found.table())
"""

import dataclasses
import datetime
import math
import os
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adaptax.core import registry
from adaptax.core import text as calls
from adaptax.lab import data, extras, text
from adaptax.lab import study as studies
from adaptax.lab.experiment import _is_whole, _seeds, chosen_task, device, versions
from adaptax.lab.output import RESULTS, Folder, claim
from adaptax.lab.progress import Progress
from adaptax.lab.space import RATE, grid
from adaptax.lab.space import space as read_space
from adaptax.lab.tasks.base import Task
from adaptax.lab.tune_results import Search, Tuning
from adaptax.lab.validation import mean_loss, validation_split

if TYPE_CHECKING:
    from adaptax.lab.trials import Plan

FIRST_SEED = 1000
LARGEST = 100_000
PICTURE = "search.png"


def prepare(
    task: str | Task,
    optimizer: str = "adamw",
    trials: int = 30,
    space: Any = None,
    sampler: Any = "tpe",
    pruner: Any = "median",
    seed: int = 0,
    seeds: int | Iterable[int] = 2,
    epochs: int | None = None,
    batch_size: int | None = None,
    storage: str | os.PathLike | None = None,
    study: str | None = None,
    data_dir: str | os.PathLike | None = None,
) -> "Plan":
    """Check and load everything; only the storage is looked at later, when it is opened.

    The arguments are those of `tune`.

    Raises:
      ValueError, TypeError: an argument; the message names it and what is allowed.
      OSError: data that cannot be read.
      ImportError: the "tune" extra is not installed.
    """
    extras.require()
    studies.optuna()
    from adaptax.lab.trials import Plan, call

    chosen = chosen_task(task, epochs, batch_size)
    chosen = dataclasses.replace(chosen, metric=mean_loss(chosen))
    trials, seed = _whole("trials", trials, 1, LARGEST), _whole("seed", seed, 0, 2**32 - 1)
    name, fixed = _optimizer(optimizer)
    axes = read_space(name, fixed, space)
    by = studies.check("sampler", sampler, studies.SAMPLERS, "sample_relative")
    pruned = studies.check("pruner", pruner, studies.PRUNERS, "prune")
    if by == "grid":
        trials = math.prod(map(len, grid(axes, trials).values()))
    splits = _splits(chosen, seeds, data_dir)
    part = next(iter(splits.values()))
    search = Search(
        task=chosen.name,
        description=chosen.description,
        optimizer=call(name, fixed),
        space={argument: str(axis) for argument, axis in axes.items()},
        trials=trials,
        sampler=by,
        pruner=pruned,
        seed=seed,
        seeds=tuple(splits),
        epochs=chosen.epochs,
        batch_size=chosen.batch_size,
        train_examples=len(part.train.targets),
        validation_examples=len(part.test.targets),
        data_dir=None if data_dir is None else str(data_dir),
    )
    factory, named = registry.lookup(name), studies.STUDY if study is None else study
    return Plan(chosen, factory, fixed, axes, search, sampler, pruner, splits, storage, named)


def _whole(name: str, value: Any, least: int, most: int = 2**31 - 1) -> int:
    if not _is_whole(value):
        raise TypeError(f"{name}={value!r}: a whole number is needed")
    if not least <= value <= most:
        raise ValueError(f"{name}={value!r}: a whole number from {least} to {most:,} is needed")
    return int(value)


def _optimizer(given: str) -> tuple[str, dict[str, Any]]:
    """The name and the fixed arguments of an optimizer's call."""
    if not isinstance(given, str):
        raise TypeError(
            f"optimizer={given!r}: text is needed, such as 'adamw' or 'adamw(weight_decay=0.01)'"
        )
    bare = given.partition("(")[0].strip()
    known = registry.names("optimizer")
    if bare.isidentifier() and bare not in known:
        raise ValueError(f"unknown optimizer {bare!r}; {registry.nearest(bare, known)}")
    name, args, fixed = calls.call(given)
    if args or RATE in fixed:
        raise ValueError(
            f"optimizer={given!r}: leave the learning rate out, it is searched (its interval is "
            "set by learning_rate=1e-4..1e-1 in the space), and name the other arguments"
        )
    registry.lookup(name)(learning_rate=1.0, **fixed)
    return name, fixed


def _splits(
    task: Task, seeds: int | Iterable[int], data_dir: str | os.PathLike | None
) -> dict[int, data.Split]:
    """For every seed its training examples, divided again."""
    first = FIRST_SEED if _is_whole(seeds) else 0
    numbers = [first + each for each in _seeds(seeds)]
    dataset = task.load(None if data_dir is None else Path(data_dir))
    splits = {each: validation_split(dataset, each, None) for each in numbers}
    examples = len(splits[numbers[0]].train.targets)
    if task.batch_size > examples:
        raise ValueError(
            f"batch_size={task.batch_size}: a trial of task {task.name!r} has {examples:,} "
            "training examples, so an epoch would have no batch; use a smaller one"
        )
    return splits


def run(plan: "Plan", study: Any, progress: Progress | None = None) -> Tuning:
    """Make the trials that the study lacks.

    Ctrl-C ends it early: the result holds the trials that finished and says `interrupted`.

    Args:
      plan: from `prepare`.
      study: from `plan.opened()`, while that is open.
      progress: what to report to; to it the search is one optimizer whose seeds are the trials.

    Raises:
      OSError: the storage cannot be written to any more; the trials in it can be gone on with.
    """
    from adaptax.lab.trials import Bench, result

    created = datetime.datetime.now().astimezone().isoformat(timespec="seconds")
    progress = Progress() if progress is None else progress
    bench = Bench(plan, study, progress)
    interrupted = False
    try:
        with progress:
            bench.run()
    except KeyboardInterrupt:
        interrupted = True
    except Exception as error:
        fault = studies.storage_fault(error)
        if plan.storage is None or fault is None:
            raise
        raise OSError(
            f"storage={text.quoted(plan.storage)} cannot be written to ({fault}); the trials in "
            "it are kept, and the same call goes on"
        ) from error
    return Tuning(
        search=plan.search,
        trials=tuple(result(plan, each) for each in studies.finished(study, plan.space)),
        compile_seconds=bench.compile_seconds,
        versions={**versions(), "optuna": studies.optuna().__version__},
        device=device(),
        created=created,
        interrupted=interrupted,
    )


def tune(
    task: str | Task,
    optimizer: str = "adamw",
    trials: int = 30,
    space: Any = None,
    sampler: Any = "tpe",
    pruner: Any = "median",
    seed: int = 0,
    seeds: int | Iterable[int] = 2,
    epochs: int | None = None,
    batch_size: int | None = None,
    storage: str | os.PathLike | None = None,
    study: str | None = None,
    output: str | os.PathLike | None = None,
    force: bool = False,
    data_dir: str | os.PathLike | None = None,
    progress: Progress | None = None,
) -> Tuning:
    """Search for an optimizer's best learning rate and other numbers, with Optuna.

    A trial trains with one set of numbers and is judged by the validation loss after the last
    epoch. Trials worse than most at the same epoch are given up; one whose loss is no longer finite
    ends there. The numbers are arrays to the training step, so it is compiled once for all trials.
    The same call makes the same trials on the same machine, also when it was interrupted and goes
    on.

    The loss of the best of many trials is lower than the same call will reach on other examples:
    run `compare` with it and with what you had before.

    Args:
      task: a name of `task_names()`, or a `Task`.
      optimizer: a name, or a call with the arguments that are not searched: "sgd(nesterov=True)".
      trials: how many in all, those of the storage included.
      space: what to draw arguments from: texts such as "b1=0.8..0.95" (uniform),
        "weight_decay=log:1e-5..1e-1" (uniform logarithm) and "eps=1e-8,1e-6" (choices), or a dict
        from argument to such a text, to (low, high), to a list, to an `Interval` or to `Choices`.
        The learning rate is always drawn, 1e-5..1 unless given, and its logarithm is uniform.
      sampler: "tpe", "random" or "grid" (all choices, as many points in each interval as `trials`
        allow), or a sampler of Optuna's. With "tpe" the first trial is the optimizer's defaults
        with the task's rate, if the space holds them.
      pruner: "median" (after five whole trials and a quarter of the epochs), "none", or Optuna's.
      seed: what the sampler draws from.
      seeds: what a trial trains with: a count (2 stands for 1000, 1001), or distinct whole numbers
        from 0. The loss is the mean; pruning goes by the first.
      epochs: passes over the training part, at least 1. None: the task's.
      batch_size: examples in a step, at least 1. None: the task's.
      storage: a file or "sqlite:///FILE" that keeps every trial; the same call goes on with it. One
        process at a time.
      study: a name inside the storage, for several searches in one. None: "adaptax".
      output: a new or empty folder for `results.json` and `search.png`. None writes nothing.
      force: write into a folder that holds files already.
      data_dir: folder with the files of a task that reads files.
      progress: what to report to while it runs; None is silent.

    Raises:
      ValueError, TypeError: an argument, or a storage of another search; the message names it.
      OSError: data that cannot be read, a storage or folder that cannot be used.
      ImportError: the "tune" extra is not installed.

    Source: Optuna: Akiba et al., KDD 2019, arXiv 1907.10902.

    Example::

        >>> from adaptax import lab
        >>> found = lab.tune("diabetes-linear", "adam", trials=4, epochs=2)
        >>> print(found.best.call)  # doctest: +SKIP
    """
    plan = prepare(
        task,
        optimizer,
        trials,
        space,
        sampler,
        pruner,
        seed,
        seeds,
        epochs,
        batch_size,
        storage,
        study,
        data_dir,
    )
    if output is None:
        with plan.opened() as held:
            return run(plan, held, progress)
    with claim(output, force) as folder, plan.opened() as held:
        found = run(plan, held, progress)
        try:
            write(found, folder)
        except OSError as error:
            warnings.warn(f"results not written to {folder.path}: {error}", stacklevel=2)
    return found


def write(found: Tuning, folder: Folder) -> list[Path]:
    """Write the results and the picture; nothing where no trial has finished.

    Raises:
      OSError: a file could not be written.
    """
    if not found.trials:
        return []
    return [found.save(folder.path / RESULTS), found.plot(folder.path / PICTURE)]
