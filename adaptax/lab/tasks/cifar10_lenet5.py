"""LeNet-5 on CIFAR-10, read from its binary files, with random flips and small rotations."""

from pathlib import Path
from typing import Any

import jax

from adaptax.lab import augment, cifar10, data
from adaptax.lab.tasks.base import ACCURACY, Task, cross_entropy

RATES: dict[str, float] = {}


def _load(data_dir: Path | None) -> data.Dataset:
    return cifar10.read_cifar10(str(data_dir))


def _model(rngs: Any) -> Any:
    from adaptax.lab.models import LeNet5

    return LeNet5((32, 32, 3), rngs=rngs)


def _augment(key: jax.Array, images: jax.Array) -> jax.Array:
    flip, turn = jax.random.split(key)
    return augment.random_rotation(turn, augment.random_flip(flip, images), degrees=5.0)


TASK = Task(
    name="cifar10-lenet5",
    description="LeNet-5 on CIFAR-10's binary files (--data-dir), flipped and rotated",
    data=_load,
    model=_model,
    loss=cross_entropy,
    metric=ACCURACY,
    target=0.55,
    epochs=10,
    batch_size=128,
    rates=RATES,
    augment=_augment,
    reads_files=True,
)
