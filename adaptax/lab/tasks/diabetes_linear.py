"""Linear regression on the diabetes data: ten standardised inputs, one standardised target."""

from pathlib import Path
from typing import Any

from adaptax.lab import data
from adaptax.lab.tasks.base import R_SQUARED, Task, mean_squared_error

RATES: dict[str, float] = {}


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
