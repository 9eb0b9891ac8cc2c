"""Linen's `TrainState`, whose optimizer sees the loss."""

import dataclasses
import functools
from typing import Any

import optax
from flax.training import train_state


class TrainState(train_state.TrainState):
    """`flax.training.train_state.TrainState` that passes extra arguments on to the optimizer.

    The stock class takes every keyword of `apply_gradients` for a field of its own, so that an
    optimizer that needs the loss never gets it. `tx` is static: an adaptax optimizer that is built
    again from the same call is equal to the first one, and a jitted step is not traced again.

    Example::

        >>> import adaptax, jax.numpy as jnp
        >>> from adaptax.flax import TrainState
        >>> state = TrainState.create(
        ...     apply_fn=None, params={"w": jnp.ones(3)}, tx=adaptax.sgd(0.5)
        ... )
        >>> state = state.apply_gradients(grads={"w": jnp.ones(3)}, value=jnp.asarray(2.0))
        >>> state.params["w"]
        Array([0.5, 0.5, 0.5], dtype=float32)
    """

    def apply_gradients(self, *, grads: Any, value: Any = None, **kwargs: Any) -> "TrainState":
        """The state after one step.

        u, opt_state ← tx.update(grads, opt_state, params, value=value, …);  params ← params + u

        Args:
          grads: gradients with the structure of `params`.
          value: the loss, for optimizers that take it; None to pass none.
          **kwargs: names of fields of this dataclass replace those fields, as in the stock class;
            every other name is an extra argument of `tx.update`, as `grad` or `value_fn`. An
            optimizer that takes no extra arguments does not get them.

        Raises:
          ValueError: gradients that do not match the parameters, with the paths.
        """
        given = kwargs if value is None else {"value": value, **kwargs}
        own = {field.name for field in dataclasses.fields(self)}
        fields = {name: given[name] for name in given if name in own}
        extra = {name: given[name] for name in given if name not in own}
        # The stock method does the rest, its handling of fp8 scales included.
        update = functools.partial(optax.with_extra_args_support(self.tx).update, **extra)
        bound = self.replace(tx=optax.GradientTransformation(self.tx.init, update))
        made: Any = train_state.TrainState.apply_gradients(bound, grads=grads, **fields)
        return made.replace(tx=fields.get("tx", self.tx))
