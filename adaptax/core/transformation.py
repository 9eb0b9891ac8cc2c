"""The one thing that optimizes: an Optax pair that is also a value.

A `Transformation` is a pure `(init, update)` pair of Optax's protocol. It prints as the call that
makes it, compares and hashes by that call, and so can be a static argument of a jitted function.
"""

import inspect
from collections.abc import Callable, Hashable
from typing import Any

import optax

from adaptax.core.calls import Call, factory, rebuild


class Transformation(optax.GradientTransformationExtraArgs):
    """A pure `(init, update)` pair that prints, compares and hashes as the call that made it.

    `init(params) -> state` and `update(updates, state, params=None, **extra) -> (updates, state)`.
    It unpacks as a pair and is accepted wherever Optax's transformations are.

    Attributes:
      call: the call that made it, or None for a pair made by hand (compared by its functions).
      definition: the call in terms of the algebra's parts, one level down.

    Example::

        >>> import adaptax
        >>> adaptax.adamw(1e-3) == adaptax.adamw(learning_rate=0.001)
        True
    """

    call: Call | None
    definition: Call | None

    def __new__(
        cls,
        init: Callable,
        update: Callable,
        call: Call | None = None,
        definition: Call | None = None,
    ) -> "Transformation":
        self = super().__new__(cls, init, update)
        self.call, self.definition = call, definition
        return self

    def _identity(self) -> Hashable:
        return (self.init, self.update) if self.call is None else self.call

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Transformation) and self._identity() == other._identity()

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash(self._identity())

    def __repr__(self) -> str:
        return super().__repr__() if self.call is None else repr(self.call)

    def __reduce__(self) -> tuple:
        if self.call is None:
            return (Transformation, (self.init, self.update))
        return (rebuild, (self.call,))


def _named(made: Any, call: Call) -> Transformation:
    return Transformation(made.init, made.update, call, getattr(made, "call", None))


transformation = factory("transformation", _named)
"""Decorator for a factory of transformations: checks, names and registers it."""

optimizer = factory("optimizer", _named)
"""The same for a factory of whole optimizers, the names that `adaptax list` shows."""


@transformation
def chain(*transformations: optax.GradientTransformation) -> Transformation:
    """Apply transformations one after the other; the result is a value if all of them are.

    u = tₙ(… t₂(t₁(g)))

    Every link gets g itself as `grad=`, too, unless the caller gives one: a controller or line
    search behind a clip then still sees the gradient of the loss.

    Args:
      *transformations: Optax's or ours, at least one.

    State: a tuple of the states, in order.

    Raises:
      TypeError: an argument is not a transformation.

    Example::

        >>> import adaptax
        >>> tx = adaptax.chain(adaptax.clip_by_global_norm(1.0), adaptax.adamw(1e-3))
    """
    if not transformations:
        raise ValueError("chain(): at least one transformation is needed")
    for i, tx in enumerate(transformations):
        if not (isinstance(tx, tuple) and hasattr(tx, "init") and hasattr(tx, "update")):
            hint = f"; call it first: {tx.__name__}(...)" if inspect.isfunction(tx) else ""
            raise TypeError(f"chain(): argument {i} is {tx!r}, not a transformation{hint}")
    made = optax.with_extra_args_support(optax.chain(*transformations))

    def update(updates: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, Any]:
        return made.update(updates, state, params, **{"grad": updates, **extra})

    return Transformation(made.init, update)
