"""Linear regression on the diabetes data: ten standardised inputs, one standardised target."""

from pathlib import Path
from typing import Any

from adaptax.lab import data
from adaptax.lab.tasks.base import R_SQUARED, Task, mean_squared_error

# Found by: adaptax sweep diabetes-linear --optimizers NAME ...
RATES = {
    "sgd": 0.05,
    "adagrad": 0.2,
    "adadelta": 5.0,
    "rmsprop": 0.01,
    "adam": 0.1,
    "adamw": 0.1,
    "adamax": 0.2,
    "adamaxw": 0.2,
    "nadam": 0.05,
    "nadamw": 0.05,
    "amsgrad": 0.5,
    "radam": 0.2,
    "adabelief": 0.02,
    "yogi": 0.1,
}


def _load(data_dir: Path | None) -> data.Dataset:
    del data_dir
    return data.diabetes()


def _model(rngs: Any) -> Any:
    from adaptax.lab.models import LinearRegression

    return LinearRegression(10, rngs=rngs)


TASK = Task(
    name="diabetes-linear",
    description="linear regression on scikit-learn's diabetes data, offline",
    data=_load,
    model=_model,
    loss=mean_squared_error,
    metric=R_SQUARED,
    target=0.4,
    epochs=40,
    batch_size=32,
    rates=RATES,
)
