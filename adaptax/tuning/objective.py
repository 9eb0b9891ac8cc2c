"""What is minimised: a loss function, and which arguments it takes."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from adaptax.core import trees

CALLS = {
    (False, False): "loss_fn(params, batch) -> loss",
    (False, True): "loss_fn(params, batch, key) -> loss",
    (True, False): "loss_fn(params, model_state, batch) -> (loss, new_model_state)",
    (True, True): "loss_fn(params, model_state, batch, key) -> (loss, new_model_state)",
}


@dataclasses.dataclass(frozen=True)
class Objective:
    """A loss function of the parameters and a batch, and perhaps of two things more.

    The value that everything in `adaptax.tuning` minimises. It is hashable, so the same loss
    function makes equal objectives, and what was compiled for one serves the other.

    Attributes:
      loss_fn: what `call` says; the loss is a real scalar.
      stateful: the model has state that is not trained (running averages); the loss function takes
        it after the parameters and returns (loss, new state).
      keyed: the loss function takes a random key as its last argument (dropout, augmentation).

    Raises:
      TypeError: a loss function that cannot be called.

    Example::

        >>> import jax.numpy as jnp
        >>> from adaptax.tuning.objective import Objective
        >>> objective = Objective(lambda params, batch: jnp.sum((params - batch) ** 2))
        >>> (loss, _), gradients = objective.gradients(jnp.zeros(2), None, jnp.ones(2), None)
        >>> float(loss), gradients
        (2.0, Array([-2., -2.], dtype=float32))
    """

    loss_fn: Callable[..., Any]
    stateful: bool = False
    keyed: bool = False

    def __post_init__(self) -> None:
        if not callable(self.loss_fn):
            raise TypeError(f"loss_fn={self.loss_fn!r} cannot be called; give {self.call}")

    @property
    def call(self) -> str:
        """How the loss function is called, as text."""
        return CALLS[self.stateful, self.keyed]

    def loss(self, params: Any, model_state: Any, batch: Any, key: Any) -> tuple[jax.Array, Any]:
        """(loss, new model state); where there is no state, what was given.

        Raises:
          TypeError: a loss that is no real number, or no pair where a pair is due.
          ValueError: a loss that is no scalar.
        """
        given = (params, model_state) if self.stateful else (params,)
        made = self.loss_fn(*given, batch, *((key,) if self.keyed else ()))
        if not self.stateful:
            return self._scalar(made), model_state
        if not isinstance(made, tuple) or len(made) != 2:
            raise TypeError(
                f"loss_fn returned {_describe(made)}; with model_state given it must be a pair: "
                f"{self.call}"
            )
        loss, new = made
        _check_state(model_state, new)
        return self._scalar(loss), new

    def gradients(
        self, params: Any, model_state: Any, batch: Any, key: Any
    ) -> tuple[tuple[jax.Array, Any], Any]:
        """((loss, new model state), gradients with respect to the parameters).

        Raises:
          TypeError, ValueError: as `loss`; parameters that are not floating arrays, with the path.
        """
        trees.check_inexact(params)
        compute = jax.value_and_grad(self.loss, has_aux=True)
        return compute(params, model_state, batch, key)

    def _scalar(self, loss: Any) -> jax.Array:
        if isinstance(loss, tuple | list | dict):
            raise TypeError(
                f"loss_fn returned {_describe(loss)}; a scalar is needed: {self.call}. A model "
                "state is passed and returned only where model_state is given"
            )
        if not hasattr(loss, "dtype"):
            loss = jnp.asarray(loss)
        if not jnp.issubdtype(loss.dtype, jnp.floating):
            raise TypeError(f"loss_fn returned {loss.dtype}; a floating scalar is needed")
        if loss.shape != ():
            raise ValueError(
                f"loss_fn returned an array of shape {loss.shape}; a scalar is needed: reduce it, "
                "for instance with jnp.mean"
            )
        return loss


def _describe(value: Any) -> str:
    if isinstance(value, tuple | list):
        return f"a {type(value).__name__} of {len(value)}"
    return f"a {type(value).__name__}"


def _check_state(old: Any, new: Any) -> None:
    """The state keeps structure, shapes and dtypes, or a loop over steps would not be one."""
    trees.check_alike(old, new, "model state that loss_fn returned", "one that it was given")
    for (path, a), b in zip(
        jax.tree_util.tree_leaves_with_path(old), jax.tree.leaves(new), strict=True
    ):
        before, after = jnp.result_type(a), jnp.result_type(b)
        if before != after:
            raise TypeError(
                f"loss_fn returned model state {trees.path_name(path)} as {after}, it was given "
                f"as {before}; keep the dtype"
            )
