"""Batches as given, checked and held where they can be taken again in any order."""

import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from adaptax.core import trees


@dataclasses.dataclass(frozen=True, eq=False)
class Supply:
    """Batches of one structure and one shape.

    Attributes:
      batches: the trees of arrays, as given where they are arrays already.
      dropped: how many were left out because they held fewer examples than the first.
    """

    batches: tuple[Any, ...]
    dropped: int = 0

    def order(self, steps: int, seed: int, among: np.ndarray | None = None) -> np.ndarray:
        """int[steps]: which batch each step takes; all of them in random order, again and again.

        Args:
          steps: how many to take.
          seed: decides the order.
          among: the numbers of the batches to take; None is all.
        """
        among = np.arange(len(self.batches)) if among is None else among
        draw = np.random.default_rng([seed, len(among)])
        passes = [draw.permutation(among) for _ in range(-(-steps // len(among)))]
        return np.concatenate(passes)[:steps]


def read(batches: Iterable[Any], most: int, where: str = "find_learning_rate") -> Supply:
    """The batches of a list, or the first `most` of any other iterable, checked.

    A batch that differs from the first one only in holding fewer examples (shorter first axes), as
    the last of an epoch often does, is left out.

    Args:
      batches: each a tree of arrays.
      most: how many to take of an iterable that is no list.
      where: named in errors.

    Raises:
      TypeError: no iterable of batches.
      ValueError: no batch, an empty one, batches of different shapes, or NaN or infinity in one.
    """
    if isinstance(batches, Mapping) or not isinstance(batches, Iterable):
        raise TypeError(
            f"{where}(batches=...): a {type(batches).__name__} is no sequence of batches; "
            "one batch alone is given as [batch]"
        )
    found = batches if isinstance(batches, list | tuple) else itertools.islice(batches, most)
    held = [arrays(batch) for batch in told(found, where)]
    if not held:
        raise ValueError(f"{where}(batches=...): it is empty; at least one batch is needed")
    _check_not_empty(where, held[0])
    kept = [batch for number, batch in enumerate(held) if fits(where, held[0], batch, number)]
    return Supply(tuple(kept), len(held) - len(kept))


def told(batches: Iterable[Any], where: str) -> Iterator[Any]:
    """The batches; an error in making one has a note that says which."""
    made = iter(batches)
    for number in itertools.count():
        try:
            batch = next(made)
        except StopIteration:
            return
        except Exception as error:
            error.add_note(f"{where}: raised while batch {number} was taken, counted from 0")
            raise
        yield batch


def arrays(batch: Any) -> Any:
    """A batch whose leaves are arrays, those that are already as given."""
    return jax.tree.map(lambda x: x if isinstance(x, jax.Array) else np.asarray(x), batch)


def fits(where: str, first: Any, batch: Any, number: int) -> bool:
    """Whether the batch is like the first; False for one that only holds fewer examples.

    Raises:
      ValueError: it has another structure, shape or dtype, or NaN or infinity.
    """
    check_finite(where, batch, number)
    if _is_short(first, batch):
        return False
    _check_shape(where, first, batch, number)
    return True


def check_finite(where: str, batch: Any, number: int) -> None:
    """Refuse NaN and infinity, which training would show as a loss that is nowhere finite.

    Raises:
      ValueError: a floating array of the batch holds one.
    """
    for path, leaf in jax.tree_util.tree_leaves_with_path(batch):
        if not jnp.issubdtype(leaf.dtype, jnp.inexact):
            continue
        finite = jnp.isfinite(leaf) if isinstance(leaf, jax.Array) else np.isfinite(leaf)
        if not finite.all():
            wrong = leaf.size - int(finite.sum())
            raise ValueError(
                f"{where}(batches=...): batch {number} at {trees.path_name(path)} has NaN or "
                f"infinity in {wrong:,} of its {leaf.size:,} numbers; leave these examples out or "
                "fill them in"
            )


def _check_not_empty(where: str, batch: Any) -> None:
    leaves = jax.tree_util.tree_leaves_with_path(batch)
    if not leaves:
        raise ValueError(f"{where}(batches=...): batch 0 holds no array: {batch!r:.80}")
    for path, leaf in leaves:
        if leaf.size == 0:
            raise ValueError(
                f"{where}(batches=...): batch 0 at {trees.path_name(path)} has shape "
                f"{leaf.shape}, which holds no example"
            )


def _is_short(first: Any, other: Any) -> bool:
    """Whether `other` is like `first` but for fewer examples."""
    if jax.tree.structure(first) != jax.tree.structure(other):
        return False
    pairs = list(zip(jax.tree.leaves(first), jax.tree.leaves(other), strict=True))
    if any(a.shape[1:] != b.shape[1:] or a.ndim != b.ndim or a.dtype != b.dtype for a, b in pairs):
        return False
    return any(a.ndim and b.shape[0] < a.shape[0] for a, b in pairs) and all(
        a.ndim == 0 or b.shape[0] <= a.shape[0] for a, b in pairs
    )


def _check_shape(where: str, first: Any, other: Any, number: int) -> None:
    try:
        trees.check_alike(first, other, f"arrays of batch {number}", "first batch")
    except ValueError as error:
        hint = "one batch alone is given as [batch]"
        if _is_short(other, first):
            hint = (
                f"the first holds fewer examples than batch {number}: put it last, or leave it out"
            )
        raise ValueError(
            f"{where}(batches=...): all batches must have one shape ({hint}): {error}"
        ) from None
    pairs = zip(jax.tree_util.tree_leaves_with_path(first), jax.tree.leaves(other), strict=True)
    for (path, a), b in pairs:
        if a.dtype != b.dtype:
            raise ValueError(
                f"{where}(batches=...): batch {number} at {trees.path_name(path)} is {b.dtype}, "
                f"the first is {a.dtype}"
            )
