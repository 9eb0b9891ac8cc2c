"""An optimizer whose searched numbers are arrays in its state, so that all trials share a program.

The numbers go into the traced step as arguments, and the optimizer is built from them there. So a
trial is another state for the same compiled step. They are float32 on the way, as every scalar is.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from adaptax.core import numerics


class SearchedState(NamedTuple):
    """The numbers of one trial, and the state of the optimizer that they make."""

    numbers: dict[str, jax.Array]  # float32[] each
    inner: Any


def searched(
    factory: Callable[..., optax.GradientTransformation],
    fixed: Mapping[str, Any],
    numbers: Mapping[str, float],
) -> optax.GradientTransformationExtraArgs:
    """The optimizer `factory(**fixed, **numbers)`; its update takes the numbers from the state.

    Example::

        >>> import adaptax, jax.numpy as jnp
        >>> from adaptax.lab.searched import searched
        >>> tx = searched(adaptax.sgd, {}, {"learning_rate": 0.5})
        >>> other = searched(adaptax.sgd, {}, {"learning_rate": 0.25})
        >>> tx.update(jnp.ones(()), other.init(jnp.ones(())))[0]
        Array(-0.25, dtype=float32)
    """

    def init(params: Any) -> SearchedState:
        arrays = {k: jnp.asarray(v, numerics.scalar_dtype()) for k, v in numbers.items()}
        return SearchedState(arrays, factory(**fixed, **arrays).init(params))

    def update(updates: Any, state: Any, params: Any = None, **extra: Any) -> tuple[Any, Any]:
        made = optax.with_extra_args_support(factory(**fixed, **state.numbers))
        updates, inner = made.update(updates, state.inner, params, **extra)
        return updates, SearchedState(state.numbers, inner)

    return optax.GradientTransformationExtraArgs(init, update)
