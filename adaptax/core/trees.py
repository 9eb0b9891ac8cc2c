"""Trees of arrays: their paths, and errors that name them.

All checks look at structure, shape and dtype only, so they cost nothing in compiled code.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from adaptax.core import numerics

_VALUE = jax.tree_util.GetAttrKey("value")


def without_value(path: Sequence[Any]) -> tuple[Any, ...]:
    """A path as it is here: Flax gives `a/kernel/value` to `init` and `a/kernel` to `update`."""
    path = tuple(path)
    return path[:-1] if len(path) > 1 and path[-1] == _VALUE else path


def path_name(path: Sequence[Any]) -> str:
    """A path as text, the same for `init` and `update`."""
    return jax.tree_util.keystr(without_value(path)) or "(the tree itself)"


def _describe(leaf: Any) -> str:
    if hasattr(leaf, "shape") and hasattr(leaf, "dtype"):
        return f"{np.dtype(leaf.dtype).name if _is_numpy(leaf) else leaf.dtype}{list(leaf.shape)}"
    return repr(leaf)


def _is_numpy(leaf: Any) -> bool:
    return isinstance(leaf.dtype, np.dtype)


def check_inexact(params: Any, what: str = "parameter") -> None:
    """Raise a `TypeError` that names the first leaf that is no floating or complex array."""
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        dtype = getattr(leaf, "dtype", None)
        if dtype is None and isinstance(leaf, float | complex):
            continue
        if dtype is None or not jnp.issubdtype(dtype, jnp.inexact):
            raise TypeError(
                f"{what} {path_name(path)} is {_describe(leaf)}; only floating (or complex) "
                "arrays can be optimized. Leave it out of the tree (equinox: "
                "eqx.filter(model, eqx.is_inexact_array)) or mask it with optax.partition."
            )


def check_alike(expected: Any, got: Any, what: str, of: str) -> None:
    """Raise a `ValueError` with path, expected and got if trees differ in structure or shape."""
    structure, wanted_structure = jax.tree.structure(got), jax.tree.structure(expected)
    want = jax.tree_util.tree_leaves_with_path(expected)
    have = jax.tree_util.tree_leaves_with_path(got)
    shapes = [[np.shape(leaf) for _, leaf in side] for side in (want, have)]
    if structure == wanted_structure and shapes[0] == shapes[1]:
        return
    lines = _differences(want, have)
    if not lines and _fits(structure, expected):
        return
    lines = lines or [f"got {structure}, expected {wanted_structure}"]
    shown = "\n  ".join(lines[:10] + ([f"and {len(lines) - 10} more"] if len(lines) > 10 else []))
    raise ValueError(f"the {what} do not match the {of}; nothing is broadcast:\n  {shown}")


def _differences(want: list[tuple], have: list[tuple]) -> list[str]:
    """One line for each path that is missing, not expected, or of another shape."""
    wanted = {path_name(path): leaf for path, leaf in want}
    given = {path_name(path): leaf for path, leaf in have}
    lines = []
    for path, leaf in wanted.items():
        if path not in given:
            lines.append(f"{path}: missing, expected {_describe(leaf)}")
        elif np.shape(leaf) != np.shape(given[path]):
            lines.append(f"{path}: got {_describe(given[path])}, expected {_describe(leaf)}")
    extra = [path for path in given if path not in wanted]
    return lines + [f"{path}: not expected, got {_describe(given[path])}" for path in extra]


def _fits(structure: Any, tree: Any) -> bool:
    """Whether a tree, such as one of Flax's variables, has this structure down to its arrays."""
    try:
        structure.flatten_up_to(tree)
    except ValueError:
        return False
    return True


def widen(tree: Any) -> Any:
    """Every array in the dtype to compute in."""
    return jax.tree.map(numerics.widen, tree)


def cast_like(tree: Any, like: Any) -> Any:
    """Every array in the dtype of its counterpart."""
    return jax.tree.map(lambda x, y: x.astype(jnp.result_type(y)), tree, like)


def chosen(mask: Any, params: Any) -> Any:
    """A tree of booleans with the structure of `params`: from a tree, a prefix of one, a function.

    Raises:
      ValueError: the mask's structure is no prefix of the parameters', or a leaf is not boolean.
    """
    mask = mask(params) if callable(mask) else mask
    for path, leaf in jax.tree_util.tree_leaves_with_path(mask):
        array = getattr(leaf, "dtype", None) == np.bool_ and np.shape(leaf) == ()
        if not isinstance(leaf, bool) and not array:
            raise ValueError(f"mask at {path_name(path)} is {leaf!r}; it must be True or False")
    try:
        return jax.tree.map(lambda m, under: jax.tree.map(lambda _: bool(m), under), mask, params)
    except ValueError as error:
        raise ValueError(f"the mask is no prefix of the parameters: {error}") from None
