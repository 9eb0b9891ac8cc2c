"""A Flax nnx model as functions of its parameters, for `find_learning_rate` and its like."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
from flax import nnx


@dataclasses.dataclass(frozen=True, eq=False)
class Functional:
    """A model and its loss, taken apart; nothing in it shares a buffer with the model.

    Attributes:
      loss_fn: (params, model_state, batch) -> (loss, new model state).
      params: the model's `nnx.Param`s.
      model_state: everything else: running averages, dropout keys and counts.
    """

    loss_fn: Callable[..., tuple[Any, Any]]
    params: Any
    model_state: Any


def functional(model: nnx.Module, loss: Callable[[Any, Any], jax.Array]) -> Functional:
    """Take a model and its loss apart, as they are now; the model itself never changes.

    Dropout and batch norm do what they do in the model's present mode (`model.train()`). Dropout
    keys are part of `model_state`, so no `key` is needed.

    Args:
      model: any nnx module.
      loss: (model, batch) -> scalar.

    Example::

        >>> import adaptax, jax.numpy as jnp, numpy as np
        >>> from adaptax.flax import functional
        >>> from flax import nnx
        >>> model = nnx.Linear(3, 1, rngs=nnx.Rngs(0))
        >>> x = np.random.default_rng(0).normal(size=(8, 16, 3)).astype(np.float32)
        >>> batches = [(each, each.sum(axis=1, keepdims=True)) for each in x]
        >>> def loss(model, batch):
        ...     return jnp.mean((model(batch[0]) - batch[1]) ** 2)
        >>> parts = functional(model, loss)
        >>> found = adaptax.find_learning_rate(
        ...     parts.loss_fn, parts.params, batches, adaptax.adamw, model_state=parts.model_state
        ... )
        >>> found.verdict
        'found'
    """
    definition, params, state = nnx.split(model, nnx.Param, ...)
    params, state = nnx.as_pure(params), nnx.as_pure(state)

    def loss_fn(params: Any, model_state: Any, batch: Any) -> tuple[jax.Array, Any]:
        merged = nnx.merge(definition, params, model_state)
        value = loss(merged, batch)
        return value, nnx.as_pure(nnx.state(merged, nnx.Not(nnx.Param)))

    params, state = jax.tree.map(lambda leaf: leaf.copy(), (params, state))
    return Functional(loss_fn, params, state)
