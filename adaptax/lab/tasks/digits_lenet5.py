"""LeNet-5 on handwritten digits of 8 x 8 pixels: the default comparison."""

from pathlib import Path
from typing import Any

from adaptax.lab import data
from adaptax.lab.tasks.base import ACCURACY, Task, cross_entropy

# Found by: adaptax sweep digits-lenet5 --epochs 20 --optimizers NAME ...
RATES = {
    "sgd": 0.1,
    "adagrad": 0.05,
    "adadelta": 0.5,
    "rmsprop": 0.001,
    "adam": 0.002,
    "adamw": 0.002,
    "adamax": 0.005,
    "adamaxw": 0.005,
    "nadam": 0.002,
    "nadamw": 0.002,
    "amsgrad": 0.005,
    "radam": 0.005,
    "adabelief": 0.001,
    "yogi": 0.002,
}


def _load(data_dir: Path | None) -> data.Dataset:
    del data_dir
    return data.digits()


def _model(rngs: Any) -> Any:
    from adaptax.lab.models import LeNet5

    return LeNet5((8, 8, 1), padding="SAME", dropout=0.1, rngs=rngs)


TASK = Task(
    name="digits-lenet5",
    description="LeNet-5 on scikit-learn's 1,797 handwritten digits, offline",
    data=_load,
    model=_model,
    loss=cross_entropy,
    metric=ACCURACY,
    target=0.95,
    epochs=40,
    batch_size=64,
    rates=RATES,
)
