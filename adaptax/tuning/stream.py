"""Batches as a sweep takes them: the same again for every rate, a chunk of steps at a time."""

import dataclasses
import itertools
from collections.abc import Iterable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from adaptax.tuning import supply

SHORT = 10_000  # batches in a row that may be left out; a source may have no end


@dataclasses.dataclass(frozen=True, eq=False)
class Stream:
    """Batches that can be taken again from any step on.

    Attributes:
      source: an iterable, or a function from the seed to one. At its end it begins again.
      first: the batch that all others are like.
      where: named in errors.
      checked: of a list, the numbers of the batches that are known to be finite.
    """

    source: Any
    first: Any
    where: str
    checked: set[int] = dataclasses.field(default_factory=set)

    @property
    def by_seed(self) -> bool:
        """Whether every seed has batches of its own."""
        return callable(self.source)

    def take(self, seed: int, first: int, last: int) -> Iterator[Any]:
        """The batches of the steps from `first` to `last`, `last` itself left out."""
        return itertools.islice(self._endless(seed), first, last)

    def whole(self, seed: int) -> Iterator[Any]:
        """Every batch once, the short ones too."""
        return (batch for _, batch in self._once(seed))

    def _endless(self, seed: int) -> Iterator[Any]:
        while True:
            some, short = False, 0
            for number, batch in self._once(seed):
                if _same(self.first, batch) or supply.fits(self.where, self.first, batch, number):
                    some, short = True, 0
                    yield batch
                    continue
                short += 1
                if short > SHORT:
                    raise ValueError(
                        f"{self.where}: the batches of seed {seed} are shorter than the first, "
                        f"{short:,} in a row; all must have one shape"
                    )
            if not some:
                raise ValueError(
                    f"{self.where}: the batches of seed {seed} are empty; at least one is needed"
                )

    def _once(self, seed: int) -> Iterator[tuple[int, Any]]:
        """Every batch with its number, checked to be finite."""
        keeps = isinstance(self.source, list | tuple)
        found = supply.told(_iterable(self.where, self.source, seed), self.where)
        for number, batch in enumerate(map(supply.arrays, found)):
            if number not in self.checked:
                supply.check_finite(self.where, batch, number)
            if keeps:
                self.checked.add(number)
            yield number, batch


def open_stream(where: str, batches: Any, seed: int, most: int | None) -> Stream:
    """A stream of what the caller gave, its first batch checked.

    Args:
      where: the function that was called, for errors.
      batches: an iterable of batches, or a function from the seed to one. An iterator, which can be
        gone through only once, is read now.
      seed: whose first batch is looked at.
      most: how many batches of an iterator to read; None is all.

    Raises:
      TypeError: no iterable.
      ValueError: no batch, or an empty one.
    """
    if isinstance(batches, Iterator):
        batches = list(itertools.islice(supply.told(batches, where), most))
    found = supply.told(_iterable(where, batches, seed), where)
    first = supply.read(list(itertools.islice(found, 1)), 1, where).batches[0]
    return Stream(batches, first, where)


def length(batches: Any) -> int | None:
    """How many batches there are, where that can be known without taking any."""
    try:
        return len(batches)
    except TypeError:
        return None


def _iterable(where: str, source: Any, seed: int) -> Iterable[Any]:
    made: Any = source(seed) if callable(source) else source
    if isinstance(made, dict) or not isinstance(made, Iterable):
        supply.read(made, 1, where)  # refuses it, in the words of the finder
    return made


def _same(first: Any, other: Any) -> bool:
    a, b = jax.tree.flatten(first), jax.tree.flatten(other)
    return a[1] == b[1] and all(
        x.shape == y.shape and x.dtype == y.dtype for x, y in zip(a[0], b[0], strict=True)
    )


def size(batch: Any) -> int:
    """Bytes of a batch."""
    return sum(leaf.nbytes for leaf in jax.tree.leaves(batch))


def examples(batch: Any) -> int:
    """How many examples a batch holds: the length of its first array, 1 for a scalar."""
    shape = jax.tree.leaves(batch)[0].shape
    return shape[0] if shape else 1


def stacked(batches: list[Any], pad: int = 0) -> Any:
    """Batches along a new first axis, the last one repeated `pad` times."""
    batches = batches + batches[-1:] * pad

    def stack(*leaves: Any) -> Any:
        on_host = not any(isinstance(leaf, jax.Array) for leaf in leaves)
        return np.stack(leaves) if on_host else jnp.stack(leaves)

    return jax.tree.map(stack, *batches)
