"""A small dense network on handwritten digits: seconds for a whole comparison."""

from pathlib import Path
from typing import Any

from adaptax.lab import data
from adaptax.lab.tasks.base import ACCURACY, Task, cross_entropy

# Found by: adaptax sweep digits-mlp --epochs 20 --optimizers NAME ...
RATES = {
    "sgd": 0.2,
    "adagrad": 0.1,
    "adadelta": 2.0,
    "rmsprop": 0.005,
    "adam": 0.005,
    "adamw": 0.005,
    "adamax": 0.01,
    "adamaxw": 0.01,
    "nadam": 0.005,
    "nadamw": 0.005,
    "amsgrad": 0.01,
    "radam": 0.01,
    "adabelief": 0.005,
    "yogi": 0.005,
}


def _load(data_dir: Path | None) -> data.Dataset:
    del data_dir
    return data.digits()


def _model(rngs: Any) -> Any:
    from adaptax.lab.models import MLP

    return MLP((64, 64, 32, 10), dropout=0.1, rngs=rngs)


TASK = Task(
    name="digits-mlp",
    description="a dense network (64-64-32-10) on scikit-learn's handwritten digits, offline",
    data=_load,
    model=_model,
    loss=cross_entropy,
    metric=ACCURACY,
    target=0.95,
    epochs=40,
    batch_size=64,
    rates=RATES,
)
