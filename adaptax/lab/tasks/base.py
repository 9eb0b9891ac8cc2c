"""What an experiment trains: a task is a value, and what its fields may be."""

import dataclasses
import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
import optax

from adaptax.lab.data import Dataset, checked

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclasses.dataclass(frozen=True)
class Metric:
    """How good predictions are: one number from all test outputs and targets.

    Attributes:
      name: as the table shows it.
      score: (outputs, targets) -> number, on the host.
      percent: shown as a percentage.
      higher_is_better: the direction.
    """

    name: str
    score: Callable[[np.ndarray, np.ndarray], float]
    percent: bool = False
    higher_is_better: bool = True


def _accuracy(outputs: np.ndarray, targets: np.ndarray) -> float:
    return float(np.mean(np.argmax(outputs, axis=-1) == targets))


def _r_squared(outputs: np.ndarray, targets: np.ndarray) -> float:
    outputs, targets = outputs.astype(np.float64), targets.astype(np.float64)
    residual, spread = np.sum((targets - outputs) ** 2), np.sum((targets - targets.mean()) ** 2)
    return float(1.0 - residual / spread) if spread > 0 else math.nan  # all targets are alike


ACCURACY = Metric("accuracy", _accuracy, percent=True)
R_SQUARED = Metric("R²", _r_squared)


def cross_entropy(outputs: jax.Array, targets: jax.Array) -> jax.Array:
    """Mean of -log softmax(outputs)[target], in nats."""
    return optax.softmax_cross_entropy_with_integer_labels(outputs, targets).mean()


def mean_squared_error(outputs: jax.Array, targets: jax.Array) -> jax.Array:
    """Mean of (output - target)², in squared units of the target."""
    return ((outputs - targets) ** 2).mean()


@dataclasses.dataclass(frozen=True)
class Task:
    """Data, model, loss, metric and the numbers that a comparison starts from.

    Attributes:
      name: letters, digits, '.', '_' and '-', at most 64; it becomes part of folder names.
      description: one line.
      data: data_dir or None -> Dataset.
      model: nnx.Rngs -> nnx.Module.
      loss: (outputs, targets) -> scalar.
      metric: what the test examples are judged by.
      target: value of the metric for the column "steps to".
      epochs: passes over the training examples, at least 1.
      batch_size: examples per step, at least 1.
      rates: learning rate for each optimizer by name.
      augment: (key, float images) -> images, in training only; None changes nothing.
      reads_files: the data come from `data_dir`, which then must be given.

    Raises:
      ValueError: a name, epochs or batch_size outside of the above.
    """

    name: str
    description: str
    data: Callable[[Path | None], Dataset]
    model: Callable[[Any], Any]
    loss: Callable[[jax.Array, jax.Array], jax.Array]
    metric: Metric
    target: float
    epochs: int
    batch_size: int
    rates: Mapping[str, float] = dataclasses.field(hash=False)
    augment: Callable[[jax.Array, jax.Array], jax.Array] | None = None
    reads_files: bool = False

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(
                f"Task(name={self.name!r}): 1 to 64 letters, digits, '.', '_' or '-' are needed, "
                "a letter or digit first"
            )
        for field in ("epochs", "batch_size"):
            if getattr(self, field) < 1:
                raise ValueError(f"Task({field}={getattr(self, field)!r}): at least 1 is needed")

    def load(self, data_dir: Path | None) -> Dataset:
        """The examples, checked, with `data_dir` given exactly where it is used."""
        if self.reads_files and data_dir is None:
            raise ValueError(f"task {self.name!r} reads files: data_dir (--data-dir) is missing")
        if not self.reads_files and data_dir is not None:
            raise ValueError(
                f"task {self.name!r} brings its own data; leave data_dir={str(data_dir)!r} out"
            )
        return checked(self.data(data_dir), f"task {self.name!r}")
