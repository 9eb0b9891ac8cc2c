"""Arrays in, splits out: what a task trains on and what it is judged by.

A `Dataset` is what a loader found; `split` turns it into what one seed sees. Everything random here
is drawn on the host from the seed, so the same seed gives the same examples in the same order on
every device.
"""

import dataclasses
from collections.abc import Iterator
from typing import Literal, NamedTuple

import numpy as np

SPLIT, ORDER = 0, 1  # streams of one seed, kept apart so that neither shifts the other


class Arrays(NamedTuple):
    """Examples along the first axis of both arrays."""

    inputs: np.ndarray
    targets: np.ndarray

    def take(self, indices: np.ndarray) -> "Arrays":
        return Arrays(self.inputs[indices], self.targets[indices])


@dataclasses.dataclass(frozen=True, eq=False)
class Dataset:
    """All examples of a task, as loaded.

    Attributes:
      train: the examples to learn from, or all of them where `test` is None.
      test: the examples set aside by the data's authors; None lets every seed draw its own fifth.
      per: "channel" standardises with one mean and deviation a channel (images), "feature" with one
        per input.
      scale_targets: standardise the targets too (regression).
    """

    train: Arrays
    test: Arrays | None = None
    per: Literal["channel", "feature"] = "channel"
    scale_targets: bool = False


def checked(dataset: Dataset, where: str) -> Dataset:
    """The dataset, if something can be learned from it and judged by it.

    Raises:
      TypeError: no `Dataset`.
      ValueError: no example; inputs and targets of different lengths; training and test inputs of
        different shapes; a number that is not finite.
    """
    if not isinstance(dataset, Dataset):
        raise TypeError(f"{where}: its data are {type(dataset).__name__}, a Dataset is needed")
    for name, part in (("train", dataset.train), ("test", dataset.test)):
        if part is not None:
            _check_part(f"{where}: {name}", part)
    if dataset.test is not None:
        shapes = [part.inputs.shape[1:] for part in (dataset.train, dataset.test)]
        if shapes[0] != shapes[1]:
            raise ValueError(
                f"{where}: an input has shape {shapes[0]} in train, {shapes[1]} in test"
            )
    return dataset


def _check_part(where: str, part: Arrays) -> None:
    inputs, targets = part
    if not np.ndim(inputs) or not np.ndim(targets) or len(inputs) != len(targets):
        shapes = f"{np.shape(inputs)} and {np.shape(targets)}"
        raise ValueError(f"{where}.inputs and targets have shapes {shapes}; as many are needed")
    if not len(inputs):
        raise ValueError(f"{where} holds no example; at least one is needed")
    for name, values in (("inputs", inputs), ("targets", targets)):
        if np.issubdtype(values.dtype, np.inexact) and not np.isfinite(values).all():
            wrong = np.flatnonzero(~np.isfinite(values).reshape(len(values), -1).all(axis=1))
            raise ValueError(
                f"{where}.{name}: {wrong.size:,} examples have NaN or infinity, the first is "
                f"{wrong[0]}; leave them out or fill them in"
            )


@dataclasses.dataclass(frozen=True, eq=False)
class Split:
    """What one seed trains on and is judged by.

    Inputs stay as stored (bytes for images), and are standardised on the device as
    (inputs - mean) / deviation. Both numbers come from the training examples alone.
    """

    train: Arrays
    test: Arrays
    mean: np.ndarray
    deviation: np.ndarray


def split(dataset: Dataset, seed: int, held_out: float = 0.2) -> Split:
    """The examples that `seed` trains on and is tested on.

    Args:
      dataset: what a loader returned.
      seed: non-negative; decides who is held out where the data have no test set of their own.
      held_out: share of the examples to hold out in that case, in (0, 1).

    Raises:
      ValueError: a share that leaves the training or the test set empty.

    Example::

        >>> import numpy as np
        >>> from adaptax.lab import data
        >>> all = data.Arrays(np.zeros((10, 3)), np.zeros(10))
        >>> one = data.split(data.Dataset(all, per="feature"), seed=0)
        >>> len(one.train.targets), len(one.test.targets)
        (8, 2)
    """
    train, test = dataset.train, dataset.test
    if test is None:
        _, cut = counts(dataset, held_out)
        order = np.random.default_rng([seed, SPLIT]).permutation(len(train.targets))
        test, train = train.take(np.sort(order[:cut])), train.take(np.sort(order[cut:]))
    mean, deviation = _moments(train.inputs, dataset.per)
    if dataset.scale_targets:
        centre, unit = _moments(train.targets, "feature")
        train = train._replace(targets=((train.targets - centre) / unit).astype(np.float32))
        test = test._replace(targets=((test.targets - centre) / unit).astype(np.float32))
    return Split(train, test, mean.astype(np.float32), deviation.astype(np.float32))


def counts(dataset: Dataset, held_out: float = 0.2) -> tuple[int, int]:
    """How many examples every seed trains on, and is tested on.

    Raises:
      ValueError: a share that leaves the training or the test set empty.
    """
    count = len(dataset.train.targets)
    if dataset.test is not None:
        return count, len(dataset.test.targets)
    cut = round(count * held_out)
    if not 0 < cut < count:
        raise ValueError(
            f"split(held_out={held_out}): {count} examples cannot be divided that way; "
            "both parts need at least one"
        )
    return count - cut, cut


def _moments(values: np.ndarray, per: str) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation with the axes kept; a constant input is left unscaled."""
    axes = tuple(range(values.ndim - 1)) if per == "channel" else (0,)
    keep = values.ndim > 1
    mean = values.mean(axis=axes, keepdims=keep, dtype=np.float64)
    if values.dtype == np.uint8:
        # In parts: one float64 copy of CIFAR-10 would take 1.2 GB.
        square = _mean_of_squares(values, axes, keep)
        deviation = np.sqrt(np.maximum(square - mean**2, 0.0))
    else:
        deviation = values.std(axis=axes, keepdims=keep, dtype=np.float64)
    return mean, np.where(deviation > 0, deviation, 1.0)


def _mean_of_squares(values: np.ndarray, axes: tuple[int, ...], keep: bool) -> np.ndarray:
    parts = np.array_split(values, max(1, values.nbytes // 2**24))
    total = sum(
        np.square(part, dtype=np.uint32).sum(axis=axes, keepdims=keep, dtype=np.float64)
        for part in parts
    )
    return np.asarray(total) / np.prod([values.shape[a] for a in axes])


def batches(count: int, batch_size: int, seed: int) -> Iterator[np.ndarray]:
    """Endless epochs: each an int32[steps, batch_size] table of example numbers in random order.

    The last incomplete batch of an epoch is dropped; the examples in it change every epoch.
    """
    steps = count // batch_size
    order = np.random.default_rng([seed, ORDER])
    while True:
        chosen = order.permutation(count)[: steps * batch_size]
        yield chosen.reshape(steps, batch_size).astype(np.int32)


def digits() -> Dataset:
    """Scikit-learn's handwritten digits: 1,797 images of 8 x 8, ten classes.

    Source: E. Alpaydin, C. Kaynak, Optical Recognition of Handwritten Digits, UCI, 1998; it comes
    with scikit-learn, so nothing is downloaded.
    """
    from sklearn.datasets import load_digits

    inputs, targets = load_digits(return_X_y=True)
    images = np.asarray(inputs, np.uint8).reshape(-1, 8, 8, 1)
    return Dataset(Arrays(images, np.asarray(targets, np.int32)))


def diabetes() -> Dataset:
    """Scikit-learn's diabetes data: 442 patients, ten measurements, progression after a year.

    Source: Efron, Hastie, Johnstone, Tibshirani, Least Angle Regression, Annals of Statistics 2004.
    """
    from sklearn.datasets import load_diabetes

    inputs, targets = load_diabetes(return_X_y=True, scaled=False)
    table = Arrays(np.asarray(inputs, np.float32), np.asarray(targets, np.float32))
    return Dataset(table, per="feature", scale_targets=True)
