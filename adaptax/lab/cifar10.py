"""CIFAR-10 from its binary files, each record one label byte and 3,072 pixel bytes.

The binary version needs no unpickling, so a file from elsewhere can do no more than be wrong, and
that is checked: the size before anything is allocated, the labels after.

Source: A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009.
"""

import os
import stat
from pathlib import Path

import numpy as np

from adaptax.lab.data import Arrays, Dataset

SHAPE = (3, 32, 32)  # planes R, G, B; rows; columns
RECORD = 1 + 3 * 32 * 32  # bytes
RECORDS = 10_000  # in each official file
CLASSES = 10
FOLDER = "cifar-10-batches-bin"
TRAIN = tuple(f"data_batch_{i}.bin" for i in range(1, 6))
TEST = "test_batch.bin"
SOURCE = "the CIFAR-10 binary version (cifar-10-binary.tar.gz)"


def read_cifar10(folder: str | os.PathLike, records: int = RECORDS) -> Dataset:
    """The five training files and the test file.

    Args:
      folder: the one that holds the .bin files, or its parent holding `cifar-10-batches-bin`.
      records: how many records every file must have. Official files have 10,000; smaller ones, for
        a trial, must be asked for by their number.

    Raises:
      FileNotFoundError: a file is missing.
      ValueError: a file of another size, or a label above 9.

    Example::

        >>> from adaptax.lab import cifar10
        >>> data = cifar10.read_cifar10("/data/cifar10")  # doctest: +SKIP
        >>> data.train.inputs.shape  # doctest: +SKIP
        (50000, 32, 32, 3)
    """
    place = find(folder)
    parts = [read_batch(place / name, records) for name in TRAIN]
    inputs = np.concatenate([part.inputs for part in parts])
    targets = np.concatenate([part.targets for part in parts])
    return Dataset(Arrays(inputs, targets), read_batch(place / TEST, records))


def find(folder: str | os.PathLike) -> Path:
    """The folder with the .bin files: `folder` itself or its `cifar-10-batches-bin`."""
    given = Path(folder)
    if not given.is_dir():
        raise FileNotFoundError(
            f"data_dir={str(given)!r} is no folder; unpack {SOURCE} and name its folder"
        )
    inner = given / FOLDER
    place = inner if inner.is_dir() and not (given / TRAIN[0]).exists() else given
    missing = [name for name in (*TRAIN, TEST) if not (place / name).exists()]
    if missing:
        pickled = (given / "data_batch_1").exists() or (given / "cifar-10-batches-py").exists()
        hint = "; the pickled Python version is there, but is not read" if pickled else ""
        raise FileNotFoundError(
            f"data_dir={str(given)!r}: {', '.join(missing)} missing in {str(place)!r}{hint}; "
            f"unpack {SOURCE} there"
        )
    return place


def read_batch(path: str | os.PathLike, records: int = RECORDS) -> Arrays:
    """One file: images uint8[records, 32, 32, 3] and labels int32[records].

    Args:
      path: a file of `records` records of 3,073 bytes: a label 0-9, then the R, G and B planes row
        by row.
      records: how many the file must have.

    Raises:
      FileNotFoundError: no such file.
      ValueError: not a plain file, another size, or a label above 9.
    """
    if isinstance(records, bool) or not isinstance(records, int) or records < 1:
        raise ValueError(f"read_batch(records={records!r}): a whole number of at least 1 is needed")
    name, expected = str(path), records * RECORD
    try:
        found = os.stat(path)
    except FileNotFoundError:
        raise FileNotFoundError(f"{name!r} is missing; unpack {SOURCE} there") from None
    if not stat.S_ISREG(found.st_mode):  # opening a pipe would wait for ever
        raise ValueError(f"{name!r} is not a plain file; expected {expected:,} bytes of records")
    _check_size(name, found.st_size, records)
    with open(path, "rb") as file:
        content = file.read(expected)
    _check_size(name, len(content), records)
    table = np.frombuffer(content, np.uint8).reshape(records, RECORD)
    wrong = np.flatnonzero(table[:, 0] >= CLASSES)
    if wrong.size:
        raise ValueError(
            f"{name!r}: record {wrong[0]} has label {table[wrong[0], 0]}; labels are 0 to 9. "
            f"The file is damaged or is not {SOURCE}"
        )
    images = table[:, 1:].reshape(records, *SHAPE).transpose(0, 2, 3, 1)
    return Arrays(np.ascontiguousarray(images), table[:, 0].astype(np.int32))


def _check_size(name: str, size: int, records: int) -> None:
    expected = records * RECORD
    if size != expected:
        problem = "cut short" if size < expected else "too long"
        raise ValueError(
            f"{name!r} is {problem}: {size:,} bytes, expected {expected:,} ({records:,} records of "
            f"{RECORD:,}). Fetch {SOURCE} again"
        )
