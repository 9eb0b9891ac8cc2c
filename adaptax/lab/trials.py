"""The trials of a search: all of them run the same compiled step, each with its own numbers."""

import contextlib
import dataclasses
import inspect
import math
import os
import statistics
import time
from collections.abc import Callable
from typing import Any

from adaptax.lab import data, runner
from adaptax.lab import study as studies
from adaptax.lab.progress import Progress, number
from adaptax.lab.searched import searched
from adaptax.lab.space import RATE, Space, suggested, used
from adaptax.lab.study import DEFAULTS, DIVERGED_AT, SECONDS, STEPS
from adaptax.lab.tasks.base import Task
from adaptax.lab.tune_results import Search, Trial

BEST = "best so far"


@dataclasses.dataclass(frozen=True, eq=False)
class Plan:
    """All that a search needs, checked and loaded.

    Attributes:
      task: with the epochs and batch size that will be used, and its loss for a metric.
      factory: what makes the optimizer.
      fixed: the arguments that are not searched.
      space: what the others are drawn from.
      search: the same as the results keep it.
      sampler, pruner: names, or Optuna's own.
      splits: for every seed a training and a validation part.
      storage, study: where the trials are kept, and under which name.
    """

    task: Task
    factory: Callable[..., Any]
    fixed: dict[str, Any]
    space: Space
    search: Search
    sampler: Any
    pruner: Any
    splits: dict[int, data.Split]
    storage: str | os.PathLike | None
    study: str

    def opened(self) -> contextlib.AbstractContextManager[Any]:
        """The study, new or as the storage holds it, as a context; see `study.opened`."""
        return studies.opened(self.storage, self.study, self.search.comparable(), self.pruner)


class Bench:
    """One compiled step, and the trials made with it."""

    def __init__(self, plan: Plan, study: Any, progress: Progress):
        self.plan, self.study, self.progress = plan, study, progress
        self.compile_seconds = 0.0

    def run(self) -> None:
        """Make the trials that the study lacks."""
        search, space = self.plan.search, self.plan.space
        made = studies.finished(self.study, space)
        before = len(made)
        self._best = min((each.value for each in made if each.value is not None), default=math.inf)
        if before >= search.trials:
            return
        self._compile(search.trials - before)
        if self.plan.sampler == "tpe" and not self.study.get_trials(deepcopy=False):
            enqueue_defaults(self.plan, self.study)
        for finished in range(before, search.trials):
            self.study.sampler = studies.sampler(
                self.plan.sampler, space, search.trials, search.seed, finished
            )
            self.study.optimize(self._objective, n_trials=1)

    def _compile(self, trials: int) -> None:
        plan, task = self.plan, self.plan.task
        self._placed = {seed: runner.on_device(split) for seed, split in plan.splits.items()}
        self._evaluate = runner.make_evaluation(task)
        self._steps = plan.search.train_examples // task.batch_size
        label = plan.search.optimizer
        self.progress.begin([label], trials, self._steps * task.epochs, task.metric)
        self.progress.optimizer(label)
        some = {name: axis.numbers()[0] for name, axis in plan.space.items()}
        self._compiled = runner.compile_training(
            task,
            searched(plan.factory, plan.fixed, some),
            next(iter(self._placed.values())),
            self._steps,
            task.batch_size,
        )
        self.compile_seconds = self._compiled.seconds

    def _objective(self, trial: Any) -> float:
        """A trial's validation loss, as Optuna asks for it."""
        made = _Made(trial)
        try:
            self._train(made)
        except KeyboardInterrupt:
            studies.retry(self.study, trial, self.plan.space)
            raise
        except studies.optuna().TrialPruned:
            self.progress.finished(made.note())
            raise
        loss, summary = made.loss(), made.note()
        better, self._best = loss < self._best, min(loss, self._best)
        self.progress.finished(f"{summary}, {BEST}" if better else summary)
        return loss

    def _train(self, made: "_Made") -> None:
        task = self.plan.task
        numbers = suggested(self.plan.space, made.trial)
        transformation = searched(self.plan.factory, self.plan.fixed, numbers)
        for seed, split in self.plan.splits.items():
            self.progress.run(f"trial {made.trial.number}", seed)
            run = runner.train(
                self.plan.search.optimizer,
                runner.start(task, transformation, seed),
                self._compiled,
                self._placed[seed],
                self._watched(made, split),
                task.epochs,
                task.batch_size,
                seed,
                self.progress,
            )
            if run.diverged_at is not None:
                made.diverge(run.diverged_at)
            made.end_seed(run.metric[-1], self._steps * task.epochs)

    def _watched(self, made: "_Made", split: data.Split) -> Callable[[runner.Carry], float]:
        """The validation loss after each epoch; it ends a trial that is pruned or has diverged.

        The first seed's losses are the learning curve that trials are pruned by.
        """
        epochs, epoch = self.plan.task.epochs, -1

        def evaluate(carry: runner.Carry) -> float:
            nonlocal epoch
            epoch += 1
            if epoch == 0:
                return math.nan  # before training all trials are alike
            loss = self._evaluate(carry, split)
            made.steps = epoch * self._steps
            if not math.isfinite(loss):
                made.diverge(made.steps)
            if not made.losses:
                made.trial.report(loss, epoch)
                left = epoch < epochs or len(self.plan.splits) > 1
                if left and made.trial.should_prune():
                    made.pruned_after = epoch
                    raise studies.optuna().TrialPruned
            return loss

        return evaluate


@dataclasses.dataclass
class _Made:
    """What a trial has come to so far."""

    trial: Any
    began: float = dataclasses.field(default_factory=time.perf_counter)
    before: int = 0  # steps with earlier seeds
    steps: int = 0  # steps with this one
    losses: list[float] = dataclasses.field(default_factory=list)
    diverged_at: int | None = None
    pruned_after: int | None = None

    def diverge(self, step: int) -> None:
        self.diverged_at = self.steps = step
        raise studies.optuna().TrialPruned

    def end_seed(self, loss: float, steps: int) -> None:
        self.losses.append(loss)
        self.before, self.steps = self.before + steps, 0

    def loss(self) -> float:
        return statistics.fmean(self.losses)

    def note(self) -> str:
        """Keep with the trial what Optuna has no field for, and say how it ended."""
        self.trial.set_user_attr(STEPS, self.before + self.steps)
        self.trial.set_user_attr(SECONDS, time.perf_counter() - self.began)
        if self.diverged_at is not None:
            self.trial.set_user_attr(DIVERGED_AT, self.diverged_at)
            end = f"diverged at step {self.diverged_at}"
        elif self.pruned_after is not None:
            end = f"pruned after epoch {self.pruned_after}"
        else:
            end = f"validation loss {number(self.loss())}"
        return f"{end}, rate {number(self.trial.params[RATE])}"


def enqueue_defaults(plan: Plan, study: Any) -> None:
    """Begin with the optimizer's defaults and the task's rate, where the space holds them."""
    parameters = inspect.signature(plan.factory).parameters
    values = {name: parameters[name].default for name in plan.space}
    values[RATE] = plan.task.rates.get(plan.factory.__name__)
    if all(isinstance(v, int | float) and v in plan.space[name] for name, v in values.items()):
        study.enqueue_trial(values, user_attrs={DEFAULTS: True})


def result(plan: Plan, made: Any) -> Trial:
    """A trial as the results keep it, from Optuna's record."""
    kept = made.user_attrs
    values = used(plan.space, made.params)
    diverged_at = kept.get(DIVERGED_AT)
    ends = {"COMPLETE": "complete", "PRUNED": "pruned", "FAIL": "failed"}
    return Trial(
        number=made.number,
        values=values,
        call=call(plan.factory.__name__, {RATE: values[RATE], **plan.fixed, **values}),
        state=ends[made.state.name] if diverged_at is None else "diverged",
        loss=made.value if made.state.name == "COMPLETE" else None,
        curve=tuple(made.intermediate_values.values()),
        diverged_at=diverged_at,
        defaults=bool(kept.get(DEFAULTS)),
        steps=kept.get(STEPS, 0),
        seconds=kept.get(SECONDS, 0.0),
    )


def call(name: str, arguments: dict[str, Any]) -> str:
    """An optimizer's call as text; the name alone where there is nothing to say."""
    if not arguments:
        return name
    return f"{name}({', '.join(f'{key}={value!r}' for key, value in arguments.items())})"
