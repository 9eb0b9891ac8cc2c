"""Controllers as values: rates with a memory of what training does.

A controller is passed where a rate goes, has a base (a number or a schedule), and keeps float32
scalars in the rate's state. It is split in three, as accumulators are:

    init(params) -> memory                       before the first update
    absorb(memory, base, seen) -> memory         what this update shows
    read(memory, base) -> rate                   how far this update steps

It is read after it has absorbed, so a metric changes the very update that it comes with.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, NoReturn, Protocol

import jax
import jax.core
import jax.numpy as jnp
import numpy as np
import optax

from adaptax.core import numerics
from adaptax.core.calls import Call, factory, rebuild


class Seen(NamedTuple):
    """What a controller may look at in one update."""

    value: Any  # what the caller gave as value=, or None
    gradients: Any  # as they came to the optimizer, or as the caller gave them as grad=
    directions: Any  # what the rule made of them
    gain: Any  # a scalar that the directions are still to be multiplied by
    params: Any  # the parameters, or None


def look(updates: Any, directions: Any, gain: Any, params: Any, extra: Mapping[str, Any]) -> Seen:
    """What one update shows: `value=` and `grad=` are taken from its extra arguments.

    Raises:
      ValueError: a `grad=` of another structure than the updates.
    """
    gradients = extra.get("grad")
    gradients = updates if gradients is None else _among(updates, gradients)
    return Seen(extra.get("value"), gradients, directions, gain, params)


def _among(updates: Any, gradients: Any) -> Any:
    """The gradients of those parameters that the updates are of: a group sees its own."""
    nodes, structure = jax.tree.flatten(updates, is_leaf=_is_masked)
    try:
        given = structure.flatten_up_to(gradients)
    except ValueError as error:
        raise ValueError(f"grad= has another structure than the updates: {error}") from None
    return structure.unflatten(
        [node if _is_masked(node) else g for node, g in zip(nodes, given, strict=True)]
    )


def _is_masked(node: Any) -> bool:
    return isinstance(node, optax.MaskedNode)


class Law(Protocol):
    """What a controller's factory returns: a frozen value."""

    @property
    def base(self) -> Any: ...

    def init(self, params: Any) -> Any: ...

    def absorb(self, memory: Any, base: jax.Array, seen: Seen) -> Any: ...

    def read(self, memory: Any, base: jax.Array) -> jax.Array: ...


class Controller:
    """A rate that follows a metric or the gradients; a value, as a schedule is.

    It prints, compares and hashes as the call that made it, and is accepted as `learning_rate` by
    every optimizer and by `scale_by_rate`. It cannot be called with a step.

    Attributes:
      base: what it steers: a number or a schedule.
      call: the call that made it.

    Example::

        >>> import adaptax
        >>> adaptax.plateau(0.1, patience=5) == adaptax.plateau(0.1, patience=5)
        True
    """

    __slots__ = ("__weakref__", "_law", "call")
    __array_ufunc__ = None  # NumPy numbers leave * and + to the controller, which refuses them

    def __init__(self, law: Law, call: Call):
        if isinstance(law.base, Controller):
            raise TypeError(
                f"{call.name}(base={law.base!r}): the base is a number or a schedule; "
                "a controller has no place under another one"
            )
        self._law, self.call = law, call

    @property
    def base(self) -> Any:
        return self._law.base

    def init(self, params: Any) -> Any:
        """The memory before the first update."""
        return self._law.init(params)

    def absorb(self, memory: Any, base: jax.Array, seen: Seen) -> Any:
        """The memory after what one update shows; `base` is the base's value now."""
        return self._law.absorb(memory, base, seen)

    def read(self, memory: Any, base: jax.Array) -> jax.Array:
        """The rate."""
        return self._law.read(memory, base)

    def shares(self, memory: Any) -> Any:
        """What each array's rate is multiplied by: a tree of scalars; None where all are 1."""
        of = getattr(self._law, "shares", None)
        return None if of is None else of(memory)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Controller) and self.call == other.call

    def __hash__(self) -> int:
        return hash(self.call)

    def __repr__(self) -> str:
        return repr(self.call)

    def __reduce__(self) -> tuple:
        return (rebuild, (self.call,))

    def _refuse(self, other: Any) -> NoReturn:
        raise TypeError(
            f"{self!r} and {other!r}: a controller has a memory and is no function of the step; "
            f"give it the product or sum as its base, such as {self.call.name}(0.5 * base)"
        )

    __mul__ = __rmul__ = __add__ = __radd__ = _refuse
    __sub__ = __rsub__ = __truediv__ = __rtruediv__ = _refuse


controller: Callable[[Callable[..., Law]], Callable[..., Controller]]
controller = factory("controller", Controller)
"""Decorator for a factory of controllers: checks, names and registers it."""


def scalar(value: Any) -> jax.Array:
    """A scalar in the dtype of memories: float32, or float64 under x64."""
    return jnp.asarray(value).astype(numerics.scalar_dtype())


def check_order(where: str, floor: Any, ceiling: Any) -> None:
    """Refuse a ceiling below the floor, where both are known."""
    known = isinstance(ceiling, float | int) and isinstance(floor, float | int)
    if known and floor > ceiling:
        raise ValueError(
            f"{where}(floor={floor!r}, ceiling={ceiling!r}): the floor must not be above the "
            "ceiling"
        )


def metric(where: str, seen: Seen) -> jax.Array:
    """The metric as a scalar, or an error that names the controller.

    Raises:
      ValueError: no `value=`, or one that is not a scalar.
      TypeError: one that is not a real number.
    """
    value = seen.value
    if value is None:
        raise ValueError(
            f"{where}: the metric is missing; call update(gradients, state, params, value=metric), "
            "with value=nan where nothing was measured"
        )
    known = isinstance(value, bool | int | float | np.generic | np.ndarray | jax.Array)
    dtype = jnp.asarray(value).dtype if known else None
    if isinstance(value, bool) or dtype is None or not _is_real(dtype):
        raise TypeError(f"{where}(value={value!r}): the metric must be a real number")
    if np.shape(value):
        raise ValueError(
            f"{where}: value= has the shape {list(np.shape(value))}; the metric must be a scalar, "
            "such as its mean"
        )
    return jnp.asarray(value).astype(numerics.scalar_dtype())


def _is_real(dtype: Any) -> bool:
    return jnp.issubdtype(dtype, jnp.floating) or jnp.issubdtype(dtype, jnp.integer)
