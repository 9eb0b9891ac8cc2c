"""A task of milliseconds, and what the experiment tests share."""

import dataclasses

import numpy as np

from adaptax.lab import Progress, Task, data
from adaptax.lab.tasks.base import ACCURACY, cross_entropy


def load(data_dir) -> data.Dataset:
    """Two classes that a line can tell apart."""
    del data_dir
    draw = np.random.default_rng(0)
    inputs = draw.normal(size=(100, 4)).astype(np.float32)
    return data.Dataset(data.Arrays(inputs, (inputs[:, 0] > 0).astype(np.int32)), per="feature")


def model(rngs):
    from adaptax.lab.models import MLP

    return MLP((4, 8, 2), dropout=0.1, rngs=rngs)


TINY = Task(
    name="tiny",
    description="a line between two classes",
    data=load,
    model=model,
    loss=cross_entropy,
    metric=ACCURACY,
    target=0.8,
    epochs=2,
    batch_size=16,
    rates={"sgd": 0.1, "adam": 0.01},
)


def without_times(comparison):
    """All but the clock's readings, which no two runs share."""
    return dataclasses.replace(
        comparison,
        created="",
        optimizers=tuple(
            dataclasses.replace(e, compile_seconds=0.0) for e in comparison.optimizers
        ),
        runs=tuple(dataclasses.replace(run, seconds=0.0) for run in comparison.runs),
    )


class Log(Progress):
    """Notes every call; may raise or act at the start of one run."""

    def __init__(self, at: int | None = None, act=None):
        self.calls, self.at, self.act, self.runs = [], at, act, 0

    def begin(self, labels, seeds, steps, metric):
        self.calls.append(("begin", labels, seeds, steps, metric.name))

    def optimizer(self, label):
        self.calls.append(("optimizer", label))

    def run(self, label, seed):
        self.calls.append(("run", label, seed))
        if self.runs == self.at:
            self.act()
        self.runs += 1

    def step(self, step, loss, rate):
        self.calls.append(("step", step, loss, rate))

    def evaluated(self, step, metric):
        self.calls.append(("evaluated", step, metric))

    def finished(self, summary):
        self.calls.append(("finished", summary))


def interrupt():
    raise KeyboardInterrupt
