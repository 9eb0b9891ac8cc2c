"""LeNet-5 on CIFAR-10, read from its binary files, with random flips and small rotations."""

from pathlib import Path
from typing import Any

import jax

from adaptax.lab import augment, cifar10, data
from adaptax.lab.tasks.base import ACCURACY, Task, cross_entropy

# Found by: adaptax sweep cifar10-lenet5 --data-dir DIR --examples 5000 --epochs 3 --seeds 1000,
#   --rates 0.0005,0.001,0.002,0.005,0.01,0.02
# and, for sgd, adagrad and adadelta, --rates 0.01,0.02,0.05,0.1,0.2,0.5,1; for radam up to 0.1.
# That is short: for many epochs a lower rate or a schedule may be better.
RATES = {
    "sgd": 0.05,
    "adagrad": 0.01,
    "adadelta": 0.5,
    "rmsprop": 0.001,
    "adam": 0.001,
    "adamw": 0.001,
    "adamax": 0.002,
    "adamaxw": 0.002,
    "nadam": 0.001,
    "nadamw": 0.001,
    "amsgrad": 0.002,
    "radam": 0.02,
    "adabelief": 0.001,
    "yogi": 0.002,
}


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
