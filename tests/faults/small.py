"""A task that compiles in a second, and what the fault tests share."""

import contextlib
import dataclasses
import resource

import jax
import jax.numpy as jnp
import numpy as np
import optax

from adaptax.lab import Task, data
from adaptax.lab.tasks.base import R_SQUARED, mean_squared_error

EXAMPLES, BATCH = 40, 8


def load(data_dir) -> data.Dataset:
    """A line, with a little noise."""
    del data_dir
    draw = np.random.default_rng(0)
    inputs = draw.normal(size=(EXAMPLES, 3)).astype(np.float32)
    targets = (inputs @ np.float32([1, -2, 3]) + 0.1 * draw.normal(size=EXAMPLES)).astype("f4")
    return data.Dataset(data.Arrays(inputs, targets), per="feature", scale_targets=True)


def model(rngs):
    from adaptax.lab.models import LinearRegression

    return LinearRegression(3, rngs=rngs)


LINE = Task(
    name="line",
    description="a line",
    data=load,
    model=model,
    loss=mean_squared_error,
    metric=R_SQUARED,
    target=0.5,
    epochs=2,
    batch_size=BATCH,
    rates={"sgd": 0.05, "adam": 0.05, "adamw": 0.05},
)


def with_data(inputs, targets, test=None, **changes):
    """The task on other examples."""
    found = data.Dataset(data.Arrays(inputs, targets), test, per="feature")
    return dataclasses.replace(LINE, data=lambda data_dir: found, **changes)


def failing_at(step, bad=float("nan"), rate=0.05):
    """Plain SGD whose update number `step`, from 1, is not finite."""

    def update(updates, state, params=None):
        del params
        state = state + 1
        scale = jnp.where(state == step, bad, -rate)
        return jax.tree.map(lambda g: g * scale, updates), state

    return optax.GradientTransformation(lambda params: jnp.zeros((), jnp.int32), update)


@contextlib.contextmanager
def files_of_at_most(size):
    """No file may grow beyond `size` bytes, as on a disk that is nearly full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
