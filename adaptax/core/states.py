"""States found in whatever they are nested in: Optax's states, Flax's variables, restored dicts."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp


def is_state(node: Any, kind: type, optional: str) -> bool:
    """Whether a node is the NamedTuple `kind`, or the dict that it was restored as.

    A restored dict may leave out the field `optional`, which can be `()`.
    """
    if isinstance(node, kind):
        return True
    names = set(kind._fields) - {optional}  # type: ignore[attr-defined]
    return isinstance(node, Mapping) and set(node) - {optional} == names


def fields(node: Any) -> dict[str, Any]:
    """The fields of such a node."""
    return dict(node) if isinstance(node, Mapping) else node._asdict()


def array(leaf: Any) -> jax.Array:
    """The array of a leaf, out of Flax's variable where it is in one."""
    if hasattr(leaf, "get_value"):
        leaf = leaf.get_value()
    return jnp.asarray(leaf)
